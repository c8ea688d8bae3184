/**
 * Another process that does what a test says, with privileges and limits of its own: for accounting, which is per
 * process, and for what one process hands to another.
 *
 * It runs the compiled package, because the tests' TypeScript does not exist for it.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Native } from "../../lib/kernel/native.js";
import type { DmaBufferOptions } from "../../lib/memory/dma-buffer.js";

// Standard input, output and error, and the channel of the commands, come before the descriptors that are passed on.
const FIRST_FD = 4;

/** How an {@link Agent} is started. */
export interface AgentOptions {
  /** Descriptors of this process that it inherits; there they are {@link Agent.fd}(0), (1), ... */
  readonly fds?: readonly number[];
  /** Whether it keeps CAP_IPC_LOCK, with which the locked-memory limit does not bind. Default false. */
  readonly ipcLock?: boolean;
  /** Its locked-memory limit in bytes. Default: as here. */
  readonly memlock?: number;
}

/** Changes a process's locked-memory limit (the soft one): bytes, or Infinity. */
export function setMemlock(pid: number, limit: number): void {
  execFileSync("prlimit", [
    "--pid",
    `${pid}`,
    `--memlock=${limit === Number.POSITIVE_INFINITY ? "unlimited" : limit}:`,
  ]);
}

/** Memory of an {@link Agent}. Numbers mean something only there. */
export interface AgentMemory {
  readonly address: number;
  /** Its descriptor, or -1 for memory without one. */
  readonly fd: number;
  fill(byte: number): Promise<void>;
}

/** The other process. Disposing it ends it. */
export class Agent implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`the agent ended (${code ?? signal})`);
    });
    // Its end is an error only for who waits for an answer.
    this.#ended.catch(() => {});
  }

  /** Starts one, and waits until it listens. */
  static async start(options: AgentOptions = {}): Promise<Agent> {
    const command = [process.execPath, fileURLToPath(new URL("agent.mjs", import.meta.url))];
    if (options.ipcLock !== true) command.unshift("setpriv", "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock");
    if (options.memlock !== undefined) command.unshift("prlimit", `--memlock=${options.memlock}:`);
    const [program = "", ...args] = command;
    const child = spawn(program, args, {
      stdio: ["ignore", "inherit", "inherit", "ipc", ...(options.fds ?? [])],
      serialization: "advanced",
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    const agent = new Agent(child);
    await agent.#answer();
    return agent;
  }

  async #answer(): Promise<number | bigint> {
    const [answer] = await Promise.race([once(this.#child, "message"), this.#ended]);
    if (typeof answer === "number" || typeof answer === "bigint") return answer;
    throw new Error(`the agent answered ${answer}`);
  }

  async #ask(command: string, ...args: unknown[]): Promise<number | bigint> {
    const answer = this.#answer();
    this.#child.send({ command, args });
    return await answer;
  }

  /** The number that the n-th inherited descriptor has there. */
  fd(index: number): number {
    return FIRST_FD + index;
  }

  /** Makes one of the addon's calls there: one whose arguments and result are numbers. */
  async call(name: keyof Native, ...args: (number | bigint)[]): Promise<number | bigint> {
    return await this.#ask("native", name, args);
  }

  /** Allocates memory there. */
  async allocate(length: number, options: DmaBufferOptions = {}): Promise<AgentMemory> {
    const buffer = await this.#ask("allocate", length, options);
    return {
      address: Number(await this.#ask("address", buffer)),
      fd: Number(await this.#ask("descriptor", buffer)),
      fill: async (byte) => {
        await this.#ask("fill", buffer, byte);
      },
    };
  }

  /** How much is locked (`VmLck`) and pinned (`VmPin`) there, in bytes. */
  async accounted(): Promise<{ locked: number; pinned: number }> {
    return { locked: Number(await this.#ask("locked")), pinned: Number(await this.#ask("pinned")) };
  }

  /** Changes its locked-memory limit. */
  setMemlock(limit: number): void {
    setMemlock(this.#child.pid ?? 0, limit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}
