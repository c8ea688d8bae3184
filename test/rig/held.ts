/** What another process holds, without the cost of a second Node. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A thing that a child process holds until it reads a line: the child writes "held" when it holds the thing. */
export async function held(command: string, ...args: string[]): Promise<ChildProcess & AsyncDisposable> {
  const child = spawn("sh", ["-c", `set -e; ${command}; echo held; read -r _`, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const [word] = await Promise.race([once(child.stdout, "data"), ended]);
  if (String(word).trim() !== "held") throw new Error(`'${command}' failed`);
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      child.stdin.end("\n");
      await ended;
    },
  });
}
