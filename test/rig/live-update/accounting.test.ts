/**
 * Whose memory counts: what is locked and pinned moves from the old process to its successor, within the limits of both.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { setMemlock } from "../agent.js";
import { bind, devices, needs } from "../devices.js";
import { MiB } from "../memory.js";

// Twice as much is still below the 8 MiB that a process may lock by default.
const SIZE = 2 * MiB;

interface Line {
  readonly what: string;
  readonly locked: number;
  readonly pinned: number;
  readonly code?: string;
  readonly why?: string;
  readonly fix?: string;
}

/** One process of a hand-over. */
class Process implements Disposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #heard: Line[] = [];
  readonly #waiting: ((line: Line | undefined) => void)[] = [];
  #silent = false;

  constructor(
    args: readonly string[],
    { fds = [], memlock, ipcLock = false }: { fds?: readonly number[]; memlock?: number; ipcLock?: boolean } = {},
  ) {
    const program = fileURLToPath(new URL("accounting-process.mjs", import.meta.url));
    const command = [process.execPath, program, ...args];
    if (!ipcLock) command.unshift("setpriv", "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock");
    if (memlock !== undefined) command.unshift("prlimit", `--memlock=${memlock}:`);
    const [name = "", ...rest] = command;
    this.#child = spawn(name, rest, {
      stdio: ["pipe", "pipe", "inherit", ...fds],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("no output");
    this.#lines = createInterface({ input: stdout });
    this.#lines.on("line", (text) => {
      const line: Line = JSON.parse(text);
      const next = this.#waiting.shift();
      if (next === undefined) this.#heard.push(line);
      else next(line);
    });
    this.#lines.on("close", () => {
      this.#silent = true;
      for (const next of this.#waiting.splice(0)) next(undefined);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next thing that it says, which must be this. */
  async says(what: string): Promise<Line> {
    const line =
      this.#heard.shift() ??
      (this.#silent ? undefined : await new Promise<Line | undefined>((resolve) => this.#waiting.push(resolve)));
    if (line?.what !== what) throw new Error(`instead of "${what}" came ${JSON.stringify(line)}`);
    return line;
  }

  /** Lets it go on. */
  go(): void {
    this.#child.stdin?.write("\n");
  }

  setMemlock(limit: number): void {
    setMemlock(this.pid, limit);
  }

  async ended(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
    expect(this.#child.exitCode).toBe(0);
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

let bound: Disposable;
const processes: Process[] = [];
beforeAll(() => {
  bound = bind(devices.edu);
});
afterAll(() => bound[Symbol.dispose]());
afterEach(() => {
  for (const each of processes.splice(0)) each[Symbol.dispose]();
});

function start(...args: ConstructorParameters<typeof Process>): Process {
  const made = new Process(...args);
  processes.push(made);
  return made;
}

/** What the memory is counted as. */
const counted = {
  type1v2: { locked: SIZE, pinned: 0 },
  user: { locked: 0, pinned: SIZE },
  process: { locked: SIZE, pinned: SIZE },
} as const;
const nothing = { locked: 0, pinned: 0 };

describe.each(["type1v2", "user", "process"] as const)("%s", { ...needs("edu"), timeout: 120_000 }, (kind) => {
  test("G13: moves to the successor, after one attempt beyond its limit, which says what to do", async () => {
    const pairs = [UnixSocket.pair("seqpacket"), UnixSocket.pair("seqpacket")];
    const args = [kind, devices.edu, String(SIZE)];
    // Per user it counts twice for a moment, because both processes are the same user's.
    const tooLow = kind === "user" ? 2 * SIZE - MiB : SIZE - MiB;
    const enough = kind === "user" ? 2 * SIZE : SIZE;
    const old = start(["old", ...args], { fds: pairs.map(([one]) => one.fd), memlock: SIZE });
    const successor = start(["successor", ...args], { fds: pairs.map(([, other]) => other.fd), memlock: tooLow });
    for (const pair of pairs) for (const end of pair) end.close();
    expect(await old.says("mapped")).toMatchObject(counted[kind]);
    expect(await successor.says("ready")).toMatchObject(nothing);
    expect(await successor.says("refused")).toMatchObject({
      code: "ENOMEM",
      why: expect.stringMatching(/limit/),
      fix: expect.stringMatching(/ulimit -l/),
      ...nothing,
    });
    expect(await old.says("failed")).toMatchObject(counted[kind]);
    successor.setMemlock(enough);
    for (const each of [old, successor]) each.go();
    expect(await successor.says("ready")).toMatchObject(nothing);
    expect(await successor.says("taken over")).toMatchObject(counted[kind]);
    expect(await old.says("handed over")).toMatchObject(nothing);
    expect(await successor.says("unmapped")).toMatchObject(nothing);
    expect(await successor.says("mapped again")).toMatchObject(counted[kind]);
    expect(await successor.says("closed")).toMatchObject(nothing);
    await Promise.all([old.ended(), successor.ended()]);
  });

  test("moves by exec", async () => {
    // Counted twice in a moment, or for good: see below.
    const limit = kind === "type1v2" ? SIZE : 2 * SIZE;
    const process = start(["exec", kind, devices.edu, String(SIZE)], { memlock: limit });
    expect(await process.says("mapped")).toMatchObject(counted[kind]);
    expect(await process.says("ready")).toMatchObject(nothing);
    expect(await process.says("taken over")).toMatchObject(counted[kind]);
    // The kernel cannot uncount from a process image that is gone: it forgets then what it has counted here.
    const stays = kind === "process" ? counted.process : nothing;
    expect(await process.says("unmapped")).toMatchObject(stays);
    const again = await process.says("mapped again");
    if (kind !== "process") expect(again).toMatchObject(counted[kind]);
    expect(await process.says("closed")).toMatchObject(stays);
    await process.ended();
  });
});

test("with CAP_IPC_LOCK nothing is bound by a limit, and the kernel's figure for it cannot be relied on", {
  ...needs("edu"),
  timeout: 120_000,
}, async () => {
  const pair = UnixSocket.pair("seqpacket");
  const args = ["user", devices.edu, String(SIZE)];
  const old = start(["old", ...args], { fds: [pair[0].fd], memlock: 0, ipcLock: true });
  const successor = start(["successor", ...args], { fds: [pair[1].fd], memlock: 0, ipcLock: true });
  for (const end of pair) end.close();
  expect(await old.says("mapped")).toMatchObject({ locked: 0, pinned: SIZE });
  await successor.says("ready");
  // The kernel counts, and does not move the count: it stays with the old process, and what is unmapped here is taken from 0.
  expect(await successor.says("taken over")).toMatchObject(nothing);
  expect(await old.says("handed over")).toMatchObject({ locked: 0, pinned: SIZE });
  expect(await successor.says("unmapped")).toMatchObject(nothing);
  await successor.says("mapped again");
  expect(await successor.says("closed")).toMatchObject(nothing);
  await Promise.all([old.ended(), successor.ended()]);
});
