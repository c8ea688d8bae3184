/**
 * Programs that a command starts in its own place: they have its terminal, its signals, and the last word on the exit code.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { messageOf } from "../base/errors.js";
import { errnoOf } from "../kernel/files.js";
import { exitCodes } from "./exit-codes.js";
import { CommandError } from "./failure.js";

// SIGUSR1 belongs to Node's own inspector.
const passedOn: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR2"];

/** A terminal sends these to all that run in it: whoever passed them on would send them twice. */
const fromTerminal: ReadonlySet<NodeJS.Signals> = new Set<NodeJS.Signals>(["SIGINT", "SIGQUIT"]);

/**
 * Runs a program with this process' streams until it ends.
 *
 * @returns its exit code, or 128 and the signal's number
 * @throws CommandError if it cannot be started
 */
export async function runInPlace(
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const child = spawn(program, args, { stdio: "inherit", env: { ...env } });
  const pass = (signal: NodeJS.Signals) => {
    if (!(process.stdin.isTTY === true && fromTerminal.has(signal))) child.kill(signal);
  };
  for (const signal of passedOn) process.on(signal, pass);
  try {
    const [code, signal]: [number | null, NodeJS.Signals | null] = await once(child, "exit").then(([first, second]) => [
      first,
      second,
    ]);
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  } catch (error) {
    const missing = errnoOf(error) === constants.errno.ENOENT;
    throw missing
      ? new CommandError(`there is no program ${program}`, "name one that is in PATH, or its path", exitCodes.notFound)
      : new CommandError(
          `${program} cannot be run: ${messageOf(error)}`,
          "name a program that this user may execute; for a file of JavaScript: node, and the file",
          exitCodes.notRun,
        );
  } finally {
    for (const signal of passedOn) process.off(signal, pass);
  }
}
