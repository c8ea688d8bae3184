/**
 * The floor: the same work in C, by a program that takes orders line by line.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Took } from "./measure.js";

const sources = fileURLToPath(new URL("../../bench/floor/", import.meta.url));
const compiler = process.env.CC ?? "cc";
const flags = ["-O2", "-Wall", "-Wextra", "-pthread", ...(process.env.CFLAGS ?? "").split(/\s+/).filter(Boolean)];

/** The package's own directory may belong to somebody else. */
function cache(): string {
  const { XDG_CACHE_HOME: xdg } = process.env;
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "vfio", "bench");
}

/** Where a program is once it is built. A file's time says little of what npm has unpacked, so its contents name it. */
function locate(name: string): string {
  const hash = createHash("sha256").update(JSON.stringify([compiler, flags, process.arch]));
  const headers = readdirSync(sources).filter((file) => file.endsWith(".h"));
  for (const file of [`${name}.c`, ...headers]) hash.update(readFileSync(join(sources, file)));
  return join(cache(), `${name}-${hash.digest("hex").slice(0, 16)}`);
}

/** Builds a program, unless it is there: a guest that is emulated compiles slowly. */
function build(name: string): string {
  const program = locate(name);
  if (existsSync(program)) return program;
  mkdirSync(cache(), { recursive: true });
  // Another process may want the same at this moment.
  const unfinished = `${program}.${process.pid}`;
  const args = [...flags, "-o", unfinished, join(sources, `${name}.c`)];
  const { error, status, stderr } = spawnSync(compiler, args, { encoding: "utf8" });
  if (error !== undefined) throw new Error(`there is no C compiler (${compiler})`, { cause: error });
  if (status !== 0) throw new Error(`${name}.c does not compile:\n${stderr}`);
  renameSync(unfinished, program);
  return program;
}

function programs(): readonly string[] {
  return readdirSync(sources).flatMap((file) => (file.endsWith(".c") ? [file.slice(0, -2)] : []));
}

/** Whether a compiler is needed and there is none. */
export function lacksCompiler(): boolean {
  return (
    !programs().every((name) => existsSync(locate(name))) && spawnSync(compiler, ["--version"]).error !== undefined
  );
}

/** Builds all programs there are, for a guest. One that does not compile is its benchmark's failure. */
export function buildAll(): void {
  for (const name of programs()) {
    try {
      build(name);
    } catch {
      // The benchmark builds it again, and says why that fails.
    }
  }
}

/** A C program of `bench/floor/`, built and running. */
export class Floor implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #stdin: Writable;
  readonly #answers: AsyncIterator<string>;

  /**
   * @param descriptors what it has from 3 on; they stay the caller's
   * @throws if it cannot be built: a C compiler (`$CC`, or `cc`) is needed
   */
  static start(name: string, descriptors: readonly number[] = []): Floor {
    return new Floor(name, build(name), descriptors);
  }

  private constructor(name: string, program: string, descriptors: readonly number[]) {
    this.#name = name;
    const child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit", ...descriptors] });
    const { stdin, stdout } = child;
    if (stdin === null || stdout === null) throw new Error(`${name} has no pipes`);
    this.#process = child;
    this.#stdin = stdin;
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** Has it do something. Returns how long that took, by its own clocks. */
  async order(line: string): Promise<Took> {
    this.#stdin.write(`${line}\n`);
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error(`${this.#name} ended at "${line}"`);
    const [wall = Number.NaN, cpu = Number.NaN] = answer.value.split(" ").map(Number);
    return { wall, cpu };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const over = once(this.#process, "close");
    this.#stdin.end();
    await over;
  }
}
