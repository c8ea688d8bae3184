/**
 * The floor: the same work in C, by a program that takes orders line by line.
 *
 * @module
 */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Took } from "./measure.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Builds a program, unless it is newer than its sources: a guest that is emulated compiles slowly. */
function build(name: string): string {
  const program = `${root}build/bench/${name}`;
  const source = `${root}bench/floor/${name}.c`;
  if (modified(program) > Math.max(modified(source), modified(`${root}bench/floor/orders.h`))) return program;
  mkdirSync(`${root}build/bench`, { recursive: true });
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"];
  execFileSync(process.env.CC ?? "cc", [...flags, "-o", program, source], { stdio: ["ignore", "inherit", "inherit"] });
  return program;
}

/** A C program of `bench/floor/`, built and running. */
export class Floor implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  /** @throws if it cannot be built: a C compiler (`$CC`, or `cc`) is needed */
  static start(name: string): Floor {
    return new Floor(name, build(name));
  }

  private constructor(name: string, program: string) {
    this.#name = name;
    this.#process = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** Has it do something. Returns how long that took, by its own clocks. */
  async order(line: string): Promise<Took> {
    this.#process.stdin.write(`${line}\n`);
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error(`${this.#name} ended at "${line}"`);
    const [wall = Number.NaN, cpu = Number.NaN] = answer.value.split(" ").map(Number);
    return { wall, cpu };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const over = once(this.#process, "close");
    this.#process.stdin.end();
    await over;
  }
}
