/**
 * Either process is killed, anywhere in a hand-over: afterwards the device has one live owner, for whom it works, or none, and
 * can be opened afresh. Nobody hangs.
 *
 * The processes kill themselves: before or after a call of the addon, or of a method of their carrier. Where is drawn from a seed
 * (`VFIO_KILL_SEED`), as often as `VFIO_KILL_RUNS` says. What outlives a run takes part in the next one.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Prng } from "../../unit/prng.js";
import { bind, devices, needs } from "../devices.js";

const script = fileURLToPath(new URL("kill-process.mjs", import.meta.url));
const seed = Number(process.env.VFIO_KILL_SEED ?? 1);
const runs = Number(process.env.VFIO_KILL_RUNS ?? 8);
const verbose = process.env.VFIO_KILL_VERBOSE !== undefined;
// More than any wait of the package that ends by itself, on a busy machine.
const HANG_MS = 60_000;

interface Death {
  readonly call?: number;
  readonly method?: string;
  readonly when: "before" | "after";
}

interface Answer {
  readonly started?: true;
  readonly listening?: true;
  readonly done?: true;
  readonly value?: unknown;
  readonly error?: string;
  readonly owns?: boolean;
}

const DIED = Symbol("died");

class Process implements Disposable {
  readonly #child: ChildProcess;
  readonly #answers: Answer[] = [];
  readonly #started: Promise<unknown>;
  #wake: () => void = () => {};
  dead = false;
  owns = false;
  resources: unknown;

  constructor() {
    const child = spawn(process.execPath, [script, devices.edu], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#answers.push(JSON.parse(line));
      this.#wake();
    });
    child.stdin.on("error", () => {});
    // All that it said has been read when it is closed.
    once(child, "close").then(() => {
      this.dead = true;
      this.owns = false;
      this.#wake();
    });
    this.#started = this.#answer();
    this.#started.catch(() => {});
  }

  async #answer(): Promise<Answer | typeof DIED> {
    const deadline = Date.now() + HANG_MS;
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      if (this.dead) return DIED;
      if (Date.now() >= deadline) throw new Error("it hangs");
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, deadline - Date.now());
      });
      clearTimeout(timer);
    }
  }

  /** Waits until it is ready; and notes what it has when it has nothing. */
  async ready(): Promise<this> {
    await this.#started;
    this.resources ??= (await this.ask("resources")).value;
    return this;
  }

  tell(command: string, options: object = {}): void {
    this.#child.stdin?.write(`${JSON.stringify({ command, ...options })}\n`);
  }

  /** The end of what it was told, or its own. */
  async end(): Promise<Answer | typeof DIED> {
    const answer = await this.#answer();
    if (answer === DIED || answer.done === true) {
      this.owns = answer !== DIED && answer.owns === true;
      return answer;
    }
    throw new Error(`it says ${JSON.stringify(answer)}`);
  }

  /** Waits for the old side to listen. */
  async listening(): Promise<void> {
    const answer = await this.#answer();
    if (answer === DIED || answer.listening !== true) throw new Error(`it says ${JSON.stringify(answer)}`);
  }

  async ask(command: string, options: object = {}): Promise<Answer> {
    this.tell(command, options);
    const answer = await this.end();
    if (answer === DIED) throw new Error(`it died of ${command}`);
    if (answer.error !== undefined) throw new Error(`${command}: ${answer.error}`);
    return answer;
  }

  /** Its death is seen by everybody when this resolves. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    while (!this.dead) if ((await this.#answer()) === DIED) return;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

let bound: Disposable;
/** A process takes seconds to start under emulation: there are always some that have. */
const idle: Process[] = [];
const all = new Set<Process>();

function spare(): void {
  while (idle.length < 3) {
    const made = new Process();
    all.add(made);
    idle.push(made);
  }
}

async function take(): Promise<Process> {
  const one = idle.shift() ?? new Process();
  all.add(one);
  spare();
  return await one.ready();
}

beforeAll(() => {
  bound = bind(devices.edu);
  spare();
});
afterAll(async () => {
  await Promise.all([...all].map((each) => each[Symbol.asyncDispose]()));
  bound[Symbol.dispose]();
});

type Victim = "old" | "successor";

/** Who has the device when a side dies just before it does this; in the order of the hand-over. */
const boundaries: readonly (readonly [victim: Victim, method: string, owner: "old" | "successor" | "nobody"])[] = [
  ["old", "prepare", "nobody"],
  ["successor", "receive", "old"],
  ["successor", "ready", "old"],
  ["old", "transfer", "nobody"],
  ["successor", "taken", "old"],
  // The successor has all that it needs, and nobody else has it.
  ["old", "commit", "successor"],
  // The old process has given the word, and can only close.
  ["successor", "released", "nobody"],
  ["old", "released", "successor"],
  ["successor", "done", "nobody"],
  ["old", "acknowledged", "successor"],
];

/** How many calls of the addon a side makes, at most: beyond, it lives. */
const calls = { old: 24, successor: 44 } as const;

interface Run {
  readonly victim: Victim;
  readonly death: Death;
}

function drawn(count: number, prng: Prng): Run[] {
  return Array.from({ length: count }, () => {
    const victim = prng.pick(["old", "successor"] as const);
    return { victim, death: { call: prng.below(calls[victim]), when: prng.pick(["before", "after"] as const) } };
  });
}

let name = 0;

describe.each(["type1v2", "iommufd"] as const)("killed in a hand-over in mode %s", needs("edu"), (mode) => {
  let owner: Process | undefined;

  /** The process that owns the device: the last one's, or a new one, for whom it can be opened afresh. */
  async function owning(): Promise<Process> {
    if (owner === undefined) {
      owner = await take();
      await owner.ask("own", { mode });
      await owner.ask("works");
    }
    return owner;
  }

  /** One hand-over in which a process dies, perhaps. Returns who owns the device then. */
  async function run({ victim, death }: Run): Promise<"old" | "successor" | "nobody"> {
    const old = await owning();
    const successor = await take();
    const socket = `vfio-kill-${process.pid}-${name++}`;
    old.tell("handOver", { name: socket, ...(victim === "old" && { death }) });
    await old.listening();
    successor.tell("takeOver", { name: socket, ...(victim === "successor" && { death }) });
    await Promise.all([old.end(), successor.end()]);
    const owners = [old, successor].filter((each) => !each.dead && each.owns);
    expect(owners.length).toBeLessThanOrEqual(1);
    [owner] = owners;
    // Who does not own it has nothing of it, and is as good as new.
    for (const each of [old, successor]) {
      if (each === owner) continue;
      if (each.dead) all.delete(each);
      else {
        expect((await each.ask("resources")).value).toEqual(each.resources);
        idle.push(each);
      }
    }
    const has = owner === undefined ? "nobody" : owner === old ? "old" : "successor";
    if (owner === undefined) await owning();
    else await owner.ask("works");
    if (verbose) console.log(mode, victim, JSON.stringify(death), has);
    return has;
  }

  afterAll(async () => {
    if (owner === undefined) return;
    await owner.ask("disown");
    idle.push(owner);
    owner = undefined;
  });

  it("G51: at the boundary of a phase leaves it to the right one", { timeout: 300_000 }, async () => {
    for (const [victim, method, expected] of boundaries) {
      expect(await run({ victim, death: { method, when: "before" } }), `${victim} before ${method}`).toBe(expected);
    }
  });

  it(`anywhere (${runs} times) leaves it to one, or to nobody`, { timeout: 60_000 + 30_000 * runs }, async () => {
    const outcomes: Record<string, number> = {};
    for (const each of drawn(runs, new Prng(seed))) {
      try {
        const key = `${each.victim} died, ${await run(each)} has it`;
        outcomes[key] = (outcomes[key] ?? 0) + 1;
      } catch (error) {
        throw new Error(`VFIO_KILL_SEED=${seed}, ${JSON.stringify(each)}`, { cause: error });
      }
    }
    if (verbose) console.log(mode, outcomes);
  });
});
