/**
 * The floor: the same work in C, by a program that takes orders line by line.
 *
 * @module
 */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A C program of `bench/floor/`, built and running. */
export class Floor implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  /** @throws if it cannot be built: a C compiler (`$CC`, or `cc`) is needed */
  static start(name: string): Floor {
    const program = `${root}build/bench/${name}`;
    mkdirSync(`${root}build/bench`, { recursive: true });
    const flags = ["-O2", "-Wall", "-Wextra", "-Werror"];
    execFileSync(process.env.CC ?? "cc", [...flags, "-o", program, `${root}bench/floor/${name}.c`], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    return new Floor(name, program);
  }

  private constructor(name: string, program: string) {
    this.#name = name;
    this.#process = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** Has it do something. Returns how long that took, in nanoseconds, by its own clock. */
  async order(line: string): Promise<number> {
    this.#process.stdin.write(`${line}\n`);
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error(`${this.#name} ended at "${line}"`);
    return Number(answer.value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const over = once(this.#process, "close");
    this.#process.stdin.end();
    await over;
  }
}
