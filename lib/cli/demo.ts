/**
 * `vfio demo`: three devices driven from TypeScript, in the rig. It is what `npm start` runs in a checkout.
 *
 * @module
 */
import { Command } from "commander";
import { act, configure, examples, type Session } from "./command.js";

/** The subcommand. */
export function demoCommand(session: Session): Command {
  const command = configure(session, new Command("demo")).description(
    "Drive three emulated devices in the rig's guest: no hardware, no privileges.",
  );
  examples(command, [["vfio demo", "the first time builds the rig's kernel, which takes minutes"]]);
  return command.action(
    act(session, async () => {
      // It runs as it is loaded, and leaves its exit code with the process.
      await import("./start.js");
      return Number(process.exitCode ?? 0);
    }),
  );
}
