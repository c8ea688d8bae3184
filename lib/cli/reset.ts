/**
 * `vfio reset`: of a device alone, or of its slot or bus.
 *
 * @module
 */
import type { Command } from "commander";
import type { Container } from "../container/container.js";
import type { Device } from "../device/device.js";
import { readPciDevice } from "../pci/index.js";
import { type AttachOptions, modeOption, withDevice } from "./attach.js";
import { act, type CommonOptions, deviceArgument, examples, type Session, subcommand } from "./command.js";
import { CommandError } from "./failure.js";
import type { Output } from "./terminal.js";

interface Options extends CommonOptions, AttachOptions {
  readonly hot?: true;
}

/** The subcommand. */
export function resetCommand(session: Session): Command {
  const command = subcommand(session, "reset", "Reset a device.")
    .addArgument(deviceArgument())
    .option("--hot", "reset its slot or bus, with all devices there; each must have been given to VFIO")
    .addOption(modeOption());
  examples(command, [
    ["vfio reset 01:00.0", "the function alone"],
    ["vfio reset 03:00.0 --hot", "the slot"],
  ]);
  return command.action(act(session, reset));
}

/** Attaches the other devices that a hot reset takes along: it is allowed to who has all of them. */
function attachOthers(device: Device, container: Container): readonly string[] {
  const info = device.hotResetInfo();
  if (info === undefined) {
    throw new CommandError(
      `${device.address}: neither its slot nor its bus can be reset: it sits on the root complex, or has a bridge beside it`,
      "reset it alone: leave --hot out",
    );
  }
  const others = info.devices.map(({ address }) => address).filter((address) => address !== device.address);
  for (const address of others) {
    // What VFIO does not have is refused by the kernel, with a better reason.
    if (readPciDevice(address).vfio !== undefined) container.attach(address);
  }
  return others;
}

async function reset(output: Output, address: string, options: Options): Promise<number | undefined> {
  await withDevice(address, options, async (device, container) => {
    const others = options.hot === true ? attachOthers(device, container) : [];
    const started = performance.now();
    if (options.hot === true) device.hotReset();
    else await device.resetAsync();
    const milliseconds = Math.round(performance.now() - started);
    output.printJson({
      address: device.address,
      kind: options.hot === true ? "hot" : "function",
      also: others,
      milliseconds,
    });
    const along = others.length === 0 ? "" : `, and with it ${others.join(", ")},`;
    output.print(`${device.address}${along} was reset in ${milliseconds} ms`);
  });
  return undefined;
}
