/**
 * `vfio demo`: what `npm start` runs in a checkout.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { runInPlace } from "./child.js";
import { act, configure, examples, type Session } from "./command.js";

const start = fileURLToPath(new URL("./start.js", import.meta.url));

/** Runs the demonstrations in a process of their own: a Ctrl-C is for them, and their guest has to be ended. */
export async function demonstrate(...args: readonly string[]): Promise<number> {
  return await runInPlace([process.execPath, start, "--called-by", "vfio demo", ...args]);
}

/** The subcommand. */
export function demoCommand(session: Session): Command {
  const command = configure(session, new Command("demo"))
    .description(
      "See it work: an emulated device on any Linux; with --kernel, real drivers on a real kernel in the rig.",
    )
    .option(
      "--kernel",
      "install and build what the rig needs, the first time in about ten minutes, and continue in its guest",
    );
  examples(command, [
    ["vfio demo", "needs no hardware and no privileges"],
    ["vfio demo --kernel", "a real kernel's VFIO, and the process replaced meanwhile"],
  ]);
  return command.action(
    act(session, (_output, { kernel }: { readonly kernel?: true }) =>
      demonstrate(...(kernel === true ? ["--kernel"] : [])),
    ),
  );
}
