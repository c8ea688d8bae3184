/**
 * Programs of the host that the rig needs: apt, dpkg, make, QEMU's own questions and answers.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import type { Writable } from "node:stream";

/** How a program ended. */
export interface Outcome {
  /** Its exit code, or the name of the signal that ended it. */
  readonly status: number | NodeJS.Signals;
  /** All that it wrote, both streams in the order of arrival. */
  readonly output: string;
}

/** How a program is run. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Kills the program, and what it started. */
  readonly signal?: AbortSignal | undefined;
  /** Called with every whole line, as it comes. */
  readonly onLine?: (line: string) => void;
  /** Receives all that the program writes. */
  readonly log?: Writable | undefined;
}

/**
 * Run a program to its end and collect what it says. Its input is empty.
 *
 * @throws the system error, if it cannot be started; the signal's reason, if it was aborted
 */
export async function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { cwd, env, signal, onLine, log } = options;
  signal?.throwIfAborted();
  // A process group of its own, so that `make` does not leave its compilers behind.
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const kill = () => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  signal?.addEventListener("abort", kill, { once: true });
  let output = "";
  let pending = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      log?.write(text);
      if (onLine === undefined) return;
      const lines = (pending + text).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    });
  }
  try {
    const status = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, name) => resolve(code ?? name ?? "SIGKILL"));
    });
    signal?.throwIfAborted();
    return { status, output };
  } finally {
    signal?.removeEventListener("abort", kill);
  }
}

/**
 * A command line that ends with this process, however this process ends: `setpriv` of util-linux sees to it, where it
 * is installed.
 *
 * @returns the program to start, and its arguments
 */
export function withParent(program: string, args: readonly string[]): [string, readonly string[]] {
  for (const path of ["/usr/bin/setpriv", "/bin/setpriv"]) {
    try {
      accessSync(path, constants.X_OK);
      return [path, ["--pdeathsig", "KILL", program, ...args]];
    } catch {
      // Not here.
    }
  }
  return [program, args];
}
