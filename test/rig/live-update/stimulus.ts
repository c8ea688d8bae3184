/**
 * A thread that makes devices raise interrupts, one after the other, whoever has the devices meanwhile.
 *
 * It counts what the kernel's handlers have taken, and raises the next one only then: processors merge messages of one vector
 * that come faster than they are taken, and then nobody could say whether one was lost.
 *
 * @module
 */
import { once } from "node:events";
import type { Worker } from "node:worker_threads";
import type { Device } from "vfio";
import { startWorker } from "../../kvm/machine.js";

/** A register write that makes a device raise an interrupt. */
export interface Source {
  readonly device: Device;
  readonly register: number;
  readonly value: number;
  /** The handler's name in `/proc/interrupts`: `vfio-msi[0]`. */
  readonly handler: string;
}

// What the two threads share.
const [STOP, RAISED, ALLOWED, FAILED] = [0, 1, 2, 3];

/** Raises interrupts of several sources in turn. */
export class Stimulus {
  readonly #shared: Int32Array<SharedArrayBuffer>;
  readonly #worker: Worker;

  private constructor(shared: Int32Array<SharedArrayBuffer>, worker: Worker) {
    this.#shared = shared;
    this.#worker = worker;
  }

  /** @param paced whether each one waits until it is allowed; otherwise they come at a steady rate */
  static async start(sources: readonly Source[], paced = false): Promise<Stimulus> {
    const shared = new Int32Array(new SharedArrayBuffer(16));
    if (!paced) shared[ALLOWED] = 2 ** 31 - 1;
    const worker = await startWorker(PROGRAM, {
      shared,
      sources: sources.map(({ device, register, value, handler }) => {
        const { fileOffset, length } = device.region("bar0");
        const fd = device.attachment.port.fd;
        return { fd, fileOffset, length, register, value, handler: `${handler}(${device.address})` };
      }),
    });
    return new Stimulus(shared, worker);
  }

  /** How many the kernel's handlers have taken. */
  get raised(): number {
    return Atomics.load(this.#shared, RAISED);
  }

  /** Lets it raise up to so many. */
  allow(count: number): void {
    Atomics.store(this.#shared, ALLOWED, count);
    Atomics.notify(this.#shared, ALLOWED);
  }

  /** Waits for its end: how many it has raised in all. The devices are not used from here on. */
  async stop(): Promise<number> {
    const ended = once(this.#worker, "exit");
    Atomics.store(this.#shared, STOP, 1);
    Atomics.notify(this.#shared, ALLOWED);
    await ended;
    if (Atomics.load(this.#shared, FAILED) !== 0) throw new Error(`no handler took interrupt ${this.raised + 1}`);
    return this.raised;
  }
}

const PROGRAM = `
  const { readFileSync } = require("node:fs");
  const { shared, sources } = data;
  const [STOP, RAISED, ALLOWED, FAILED] = [0, 1, 2, 3];
  const maps = sources.map(({ fd, fileOffset, length }) => native.mmap(length, 3, 1, fd, fileOffset, 0));
  const counted = (handler) => {
    const line = readFileSync("/proc/interrupts", "latin1").split("\\n").find((each) => each.includes(handler));
    if (line === undefined) return -1;
    // One column for each processor, then words.
    const [, columns] = /:((?:\\s+\\d+)+)\\s/.exec(line);
    return columns.trim().split(/\\s+/).reduce((sum, each) => sum + Number(each), 0);
  };
  const counts = sources.map(({ handler }) => counted(handler));
  const taken = (which) => {
    const deadline = performance.now() + 10_000;
    while (counted(sources[which].handler) !== counts[which] + 1) if (performance.now() > deadline) return false;
    counts[which]++;
    return true;
  };
  for (let n = 0; Atomics.load(shared, STOP) === 0; ) {
    const allowed = Atomics.load(shared, ALLOWED);
    if (allowed <= n) {
      Atomics.wait(shared, ALLOWED, allowed, 100);
      continue;
    }
    const which = n % sources.length;
    native.mmioWrite32(maps[which], sources[which].register, sources[which].value);
    if (!taken(which)) {
      Atomics.store(shared, FAILED, 1);
      break;
    }
    n++;
    Atomics.store(shared, RAISED, n);
    // A steady rate, which leaves some time to others.
    Atomics.wait(shared, STOP, 0, 4);
  }
  for (const map of maps) native.munmap(map);
`;
