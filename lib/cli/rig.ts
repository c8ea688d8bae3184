/**
 * `vfio rig`: a command of the user's in the rig's guest.
 *
 * @module
 */
import { Command, InvalidArgumentError, Option } from "commander";
import pc from "picocolors";
import {
  defaultMemory,
  guestEnvironment,
  iommuKinds,
  mostCpus,
  parseMemory,
  RigError,
  runGuest,
  tail,
} from "../rig/index.js";

/** The rig's own failures, apart from any exit code of the command's: the number that docker and timeout(1) use. */
const failureCode = 125;

interface Options {
  kernel?: string;
  qemu?: string;
  memory: number;
  cpus: number;
  iommu: "intel" | "amd" | "virtio";
  device: string[];
  shell?: true;
  keep?: true;
  timeout: number;
}

function number(what: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be ${what}.`);
    return value;
  };
}

function memory(text: string): number {
  try {
    return parseMemory(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : String(error));
  }
}

/** The subcommand. */
export function rigCommand(): Command {
  return new Command("rig")
    .description("Run a command in a guest with a real kernel, an emulated IOMMU and emulated devices.")
    .argument("[command...]", "the command and its arguments")
    .option("--kernel <bzImage>", "a kernel of your own, instead of the rig's")
    .option("--qemu <binary>", "a QEMU of your own")
    .addOption(new Option("--memory <size>", "guest memory, like 4G").argParser(memory).default(defaultMemory, "4G"))
    .addOption(
      new Option("--cpus <count>", "virtual CPUs").argParser(number(`1 to ${mostCpus}`, 1, mostCpus)).default(2),
    )
    .addOption(new Option("--iommu <kind>", "the emulated IOMMU").choices(iommuKinds).default("intel"))
    .option(
      "--device <device>",
      "one more device, as QEMU's -device takes it (may be repeated)",
      (d, all: string[]) => [...all, d],
      [],
    )
    .option("--shell", "a shell in the guest, instead of a command")
    .option("--keep", "after the command, keep the guest up with a shell, until it is powered off")
    .addOption(
      new Option("--timeout <seconds>", "kill the guest after this long; 0 for never")
        .argParser(number("a number of seconds", 0, 1e6))
        .default(600),
    )
    .passThroughOptions()
    .action(run);
}

async function run(command: string[], options: Options): Promise<void> {
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => abort.abort(signal));
  try {
    const result = await runGuest({
      kernel: options.kernel ?? `${process.env["HOME"]}/.cache/vfio-rig/bzImage`,
      qemu: options.qemu ?? "qemu-system-x86_64",
      machine: { memory: options.memory, cpus: options.cpus, iommu: options.iommu, devices: options.device },
      job: { command, cwd: process.cwd(), env: guestEnvironment(process.env) },
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      timeout: options.timeout * 1000,
      signal: abort.signal,
    });
    process.exitCode = result.exitCode;
  } catch (error) {
    if (!(error instanceof RigError)) throw error;
    process.stderr.write(`${pc.red("rig:")} ${error.message}\n`);
    if (error.log !== "" && error.code !== "ERR_RIG_PANIC") {
      process.stderr.write(`${pc.dim("the guest's console, its last lines:")}\n${tail(error.log, 40)}\n`);
    }
    process.exitCode = failureCode;
  }
  process.stdin.unref?.();
}
