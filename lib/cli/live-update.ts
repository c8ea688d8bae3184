/**
 * `vfio live-update`: whether devices could be handed over to another process while they run, and in which modes; and how that
 * looks.
 *
 * @module
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { VfioError } from "../base/errors.js";
import type { Blocker } from "../base/preserve.js";
import type { ContainerMode } from "../container/modes.js";
import { type AttachOptions, loaded, modeOption, requireDevice } from "./attach.js";
import {
  act,
  addressArgument,
  type CommonOptions,
  configure,
  examples,
  parseDevice,
  remark,
  type Session,
  subcommand,
} from "./command.js";
import { demonstrate } from "./demo.js";
import { exitCodes } from "./exit-codes.js";
import { failureOf } from "./failure.js";
import { drawFindings } from "./findings.js";
import type { Output } from "./terminal.js";

interface Options extends CommonOptions, AttachOptions {}

/** What the example has memory for. */
const MOST_MAPPINGS = 10_000;

/** The subcommand, with its own. */
export function liveUpdateCommand(session: Session): Command {
  const check = subcommand(session, "check", "Say whether devices could be handed over while they run, in each mode.")
    .addArgument(
      addressArgument("<address...>").argParser((text, before: string[] | undefined) => [
        ...(before ?? []),
        parseDevice(text),
      ]),
    )
    .addOption(modeOption());
  examples(check, [["vfio live-update check 01:00.0", "in all five modes"]]);
  remark(
    check,
    "It attaches the devices and maps memory, so the kernel resets them. Exit code 0: there is a mode; 1: there is none.",
  );
  check.action(act(session, checkDevices));
  // Without options of its own: it would take those that are meant for its subcommand.
  return configure(session, new Command("live-update"))
    .description("Handing devices over to a new process while they run.")
    .helpCommand(false)
    .addCommand(check)
    .addCommand(demoCommand(session));
}

function parseCounts(text: string): string {
  const counts = text.split(",");
  if (counts.every((count) => /^\d+$/.test(count) && MOST_MAPPINGS % Number(count) === 0)) return text;
  throw new InvalidArgumentError(`It must be divisors of ${MOST_MAPPINGS} with commas between: 1,100,10000.`);
}

function demoCommand(session: Session): Command {
  const command = configure(session, new Command("demo"))
    .description("See it: in the rig, a network card and a disk that work on while their process is replaced.")
    .addOption(
      new Option("--mappings <counts>", "every combination of these numbers of mappings, modes and carriers").argParser(
        parseCounts,
      ),
    );
  examples(command, [
    ["vfio live-update demo", "some hand-overs, by socket and by exec"],
    ["vfio live-update demo --mappings 1,100", "all combinations, and a table"],
  ]);
  remark(command, "The rig's kernel is built once, which takes minutes. No device of this machine is touched.");
  return command.action(
    act(session, (_output, { mappings }: { readonly mappings?: string }) =>
      demonstrate("--live-update", ...(mappings === undefined ? [] : ["--mappings", mappings])),
    ),
  );
}

interface Result {
  readonly mode: ContainerMode;
  readonly blockers: readonly Pick<Blocker, "object" | "why" | "fix">[];
}

async function checkDevices(output: Output, addresses: readonly string[], options: Options): Promise<number> {
  for (const address of addresses) requireDevice(address);
  const { containerModes, DmaBuffer, openContainer } = await loaded(import("../index.js"));
  const { LiveUpdate } = await loaded(import("../live-update/index.js"));
  const modes = options.mode === undefined ? containerModes : [options.mode];
  const results = modes.map((mode): Result => {
    try {
      using container = openContainer({ mode });
      for (const address of addresses) container.attach(address);
      using memory = DmaBuffer.allocate(4096);
      using _mapping = container.map(memory);
      return { mode, blockers: new LiveUpdate({ containers: { main: container } }).blockers() };
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
      const { message, fix } = failureOf(error);
      return { mode, blockers: [{ object: addresses.join(", "), why: message, fix: fix ?? "" }] };
    }
  });
  const ready = results.filter(({ blockers }) => blockers.length === 0).map(({ mode }) => mode);
  output.printJson({
    addresses,
    ready,
    modes: results.map(({ mode, blockers }) => ({
      mode,
      blockers: blockers.map(({ object, why, fix }) => ({ object, why, fix })),
    })),
  });
  print(output, results);
  return ready.length > 0 ? exitCodes.done : exitCodes.failed;
}

function print(output: Output, results: readonly Result[]): void {
  const { colors } = output;
  const findings = results.map(({ mode, blockers }) => ({
    mark: blockers.length === 0 ? colors.green("✓") : colors.red("✗"),
    title: mode,
    parts:
      blockers.length === 0
        ? [{ found: "can be handed over", fix: undefined }]
        : blockers.map(({ why, fix }) => ({ found: why, fix: fix === "" ? undefined : fix })),
  }));
  output.print(drawFindings(output, findings));
}
