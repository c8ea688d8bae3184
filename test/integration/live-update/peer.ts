/** The other side of a hand-over, in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { SocketPlace } from "../../../lib/live-update/index.js";

const program = fileURLToPath(new URL("carrier-peer.mjs", import.meta.url));

/** How a step ended. */
export interface Outcome {
  readonly step: string;
  readonly value?: unknown;
  readonly code?: string;
  readonly error?: string;
}

export class Peer {
  readonly #child: ChildProcess & { stdin: Writable; stdout: Readable };
  readonly #exit: Promise<unknown>;
  readonly #waiting: { readonly step: string; readonly resolve: (outcome: Outcome) => void }[] = [];

  /**
   * @param descriptor becomes number 3 of the process; borrowed
   */
  constructor(role: "old" | "successor", place: SocketPlace, descriptor?: number) {
    const stdio: ("pipe" | "inherit" | number)[] = ["pipe", "pipe", "inherit"];
    if (descriptor !== undefined) stdio.push(descriptor);
    const child = spawn(process.execPath, [program, role, JSON.stringify(place)], { stdio });
    const { stdin, stdout } = child;
    if (stdin === null || stdout === null) throw new Error("both are pipes");
    this.#child = Object.assign(child, { stdin, stdout });
    // A dead process takes no more steps.
    stdin.on("error", () => {});
    this.#exit = once(child, "exit");
    createInterface({ input: stdout }).on("line", (line) => {
      const outcome: Outcome = JSON.parse(line);
      const index = this.#waiting.findIndex(({ step }) => step === outcome.step);
      this.#waiting.splice(index, 1)[0]?.resolve(outcome);
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Tells it to do a step when it has done those before, and resolves when it has; never, if it dies meanwhile. */
  do(step: string, argument = ""): Promise<Outcome> {
    return this.#tell(step, `${step} ${argument}`);
  }

  /** The same at once, whatever it is doing. */
  now(step: string, argument = ""): Promise<Outcome> {
    return this.#tell(step, `!${step} ${argument}`);
  }

  #tell(step: string, line: string): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#waiting.push({ step, resolve });
      this.#child.stdin.write(`${line}\n`);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it is dead. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Lets it end by itself. */
  async end(): Promise<void> {
    this.#child.stdin.end();
    await this.#exit;
  }
}
