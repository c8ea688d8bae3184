/**
 * The program: all subcommands, in the order in which one needs them.
 *
 * @module
 */
import { Command, CommanderError } from "commander";
import { version } from "../base/version.js";
import { benchCommand } from "./bench.js";
import { bindCommand, unbindCommand } from "./bind.js";
import { configure, configureWords, Session } from "./command.js";
import { completionCommand } from "./completion.js";
import { demoCommand } from "./demo.js";
import { doctorCommand } from "./doctor.js";
import { dumpCommand } from "./dump.js";
import { exitCodes } from "./exit-codes.js";
import { infoCommand } from "./info.js";
import { irqCommand } from "./irq.js";
import { listCommand } from "./list.js";
import { liveUpdateCommand } from "./live-update.js";
import { manCommand } from "./man.js";
import { readCommand, writeCommand } from "./registers.js";
import { resetCommand } from "./reset.js";
import { rigCommand } from "./rig.js";
import type { Terminal } from "./terminal.js";
import { traceCommand } from "./trace.js";

/** The program with its subcommands. */
export function createProgram(session: Session): Command {
  const program = configure(session, new Command("vfio"))
    .description("PCI devices for programs in user space: VFIO, iommufd and vfio-user.")
    .version(version, "-V, --version", "print the version")
    .helpCommand(false)
    .enablePositionalOptions();
  const groups: readonly (readonly [heading: string, commands: readonly Command[]])[] = [
    ["Look:", [listCommand(session), doctorCommand(session), infoCommand(session)]],
    ["Give devices to programs:", [bindCommand(session), unbindCommand(session)]],
    [
      "Work with a device:",
      [
        readCommand(session),
        writeCommand(session),
        dumpCommand(session),
        irqCommand(session),
        resetCommand(session),
        liveUpdateCommand(session),
      ],
    ],
    ["See inside:", [traceCommand(session)]],
    ["Try without hardware:", [configureWords(session, rigCommand()), demoCommand(session)]],
    ["Measure:", [benchCommand(session)]],
    ["Set up:", [completionCommand(session), manCommand(session)]],
  ];
  for (const [heading, commands] of groups) {
    for (const command of commands) program.addCommand(command.helpGroup(heading));
  }
  return program.addHelpText("after", "\nBegin with: vfio list, vfio doctor. Without a device at hand: vfio demo.");
}

/**
 * Runs the command.
 *
 * @param args without the program's name
 * @returns the exit code
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const session = new Session(terminal);
  // The rig has a guest to end first.
  if (args[0] !== "rig") session.endWithReader();
  try {
    await createProgram(session).parseAsync([...args], { from: "user" });
    return session.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
}
