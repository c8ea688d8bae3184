/**
 * Traffic for the demo of live update: blocks of random data travel through both devices, and must arrive as they set off.
 *
 * ```text
 *  even blocks   memory A --igb--> memory B --nvme write--> disk --nvme read--> memory C
 *  odd blocks    memory A --nvme write--> disk --nvme read--> memory B --igb--> memory C
 * ```
 *
 * The traffic can pass to another process while blocks are on their way: what it knows of them is plain.
 *
 * @module
 */
import { createHash, randomFillSync } from "node:crypto";
import type { DmaBuffer } from "vfio";
import type { Igb } from "./igb.js";
import type { DmaRange, Nvme } from "./nvme.js";

/** Of a block, in bytes. */
export const BLOCK = 16 * 1024;
/** Blocks on their way at once, at most. */
const MOST = 8;
/** Milliseconds from one block to the next: an emulated machine has other things to do, too. */
const PACE = 100;
/** Blocks of the disk that are written, in turn. */
const PLACES = 64;

const ROUTES = [
  ["copy", "write", "read"],
  ["write", "read", "copy"],
] as const;

/** A block on its way. */
export interface Travelling {
  readonly number: number;
  readonly sha256: string;
  /** On which leg of its route it is, from 0. */
  readonly leg: number;
}

/** What another process must know to go on with the traffic. */
export interface TrafficState {
  /** The number of the next block. */
  readonly next: number;
  readonly travelling: readonly Travelling[];
}

/** What the blocks travel through. */
export interface Way {
  readonly igb: Igb;
  readonly nvme: Nvme;
  readonly memory: DmaBuffer;
  /** Where the memory is for the devices: one address after the other, in however many mappings. */
  readonly iova: bigint;
}

/** A block that arrives changed, or not at all, ends the program: nobody catches that. */
export class Traffic {
  /** How many blocks that set off here have arrived. */
  arrived = 0;
  /** The checksums of the blocks that set off in a former process, in their order, when all have arrived. */
  readonly crossed: Promise<readonly string[]>;
  readonly #way: Way;
  #next: number;
  readonly #travelling = new Map<number, { readonly block: Travelling; readonly arrival: Promise<void> }>();
  #timer: NodeJS.Timeout | undefined;
  #waiting: { readonly arrived: number; resolve(): void }[] = [];

  /** @param state what has come from another process: those blocks go on where they are */
  constructor(way: Way, state: TrafficState = { next: 0, travelling: [] }) {
    this.#way = way;
    this.#next = state.next;
    this.crossed = Promise.all(
      state.travelling.map(async (block) => {
        await this.#send(block, this.#underWay(block));
        return block.sha256;
      }),
    );
  }

  /** Sends a block off from time to time. */
  start(): void {
    this.#timer ??= setInterval(() => {
      if (this.#travelling.size < MOST) this.#sendNew();
    }, PACE);
  }

  /** Sends no more off. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Sends off as many as there may be at once, half of them each way, however many there are. */
  burst(): void {
    for (let count = 0; count < MOST; count++) this.#sendNew();
  }

  /** Sends no more off, and waits until all have arrived. */
  async drain(): Promise<void> {
    this.stop();
    await Promise.all([...this.#travelling.values()].map(({ arrival }) => arrival));
  }

  /** Waits until so many that set off here have arrived. */
  async reach(arrived: number): Promise<void> {
    if (this.arrived >= arrived) return;
    await new Promise<void>((resolve) => this.#waiting.push({ arrived, resolve }));
  }

  /** What another process must know, once both drivers hold. */
  state(): TrafficState {
    return { next: this.#next, travelling: [...this.#travelling.values()].map(({ block }) => ({ ...block })) };
  }

  #sendNew(): void {
    const number = this.#next++;
    const bytes = randomFillSync(this.#bytes(number, 0));
    void this.#send({ number, sha256: sha256(bytes), leg: 0 }).then(() => {
      this.arrived += 1;
      for (const { arrived, resolve } of this.#waiting) if (this.arrived >= arrived) resolve();
      this.#waiting = this.#waiting.filter(({ arrived }) => this.arrived < arrived);
    });
  }

  /** @param underWay when its leg is over, which a device has already */
  #send(block: Travelling, underWay?: Promise<void>): Promise<void> {
    const travelling = { ...block };
    const arrival = this.#travel(travelling, underWay);
    this.#travelling.set(block.number, { block: travelling, arrival });
    return arrival;
  }

  async #travel(block: { -readonly [K in keyof Travelling]: Travelling[K] }, underWay?: Promise<void>): Promise<void> {
    await (underWay ?? this.#go(block));
    for (block.leg += 1; block.leg < ROUTES[0].length; block.leg += 1) await this.#go(block);
    this.#travelling.delete(block.number);
    if (sha256(this.#bytes(block.number, 2)) !== block.sha256) {
      throw new Error(`block ${block.number} is not what it was when it set off`);
    }
  }

  /** Gives a block's next leg to a device. */
  #go({ number, leg }: Travelling): Promise<void> {
    const { igb, nvme } = this.#way;
    const { action, from, to, lba } = this.#leg(number, leg);
    if (action === "copy") return igb.copy(from.iova, to.iova, BLOCK);
    return action === "write" ? nvme.write(lba, from) : nvme.read(lba, to);
  }

  /** Finds the leg that a device has, or the driver is still to give to it, since the former process. */
  #underWay({ number, leg }: Travelling): Promise<void> {
    const { igb, nvme } = this.#way;
    const { action, from, to } = this.#leg(number, leg);
    const found =
      action === "copy"
        ? igb.inFlight.find(({ source, destination }) => source === from.iova && destination === to.iova)
        : action === "write"
          ? nvme.inFlight.find(({ name, data }) => name === "Write" && data?.iova === from.iova)
          : nvme.inFlight.find(({ name, data }) => name === "Read" && data?.iova === to.iova);
    if (found === undefined) throw new Error(`nobody knows of block ${number}, which was on its way (${action})`);
    return found.over;
  }

  #leg(number: number, leg: number): { action: "copy" | "write" | "read"; from: DmaRange; to: DmaRange; lba: number } {
    const route = ROUTES[number % 2 === 0 ? 0 : 1];
    const action = route[leg] ?? "copy";
    // A block on the disk is not in memory: A, B and C for three legs.
    const places = route[0] === "copy" ? [0, 1, 1, 2] : [0, 0, 1, 2];
    const place = (index: number) => ({
      iova: this.#way.iova + BigInt(this.#offset(number, places[index] ?? 0)),
      length: BLOCK,
    });
    const lba = (number % PLACES) * (BLOCK / this.#way.nvme.namespace.blockSize);
    return { action, from: place(leg), to: place(leg + 1), lba };
  }

  /** Where A, B or C of a block is: all of the memory is used in turn. */
  #offset(number: number, place: number): number {
    return ((3 * number + place) % Math.floor(this.#way.memory.length / BLOCK)) * BLOCK;
  }

  #bytes(number: number, place: number): Uint8Array {
    return this.#way.memory.bytes.subarray(this.#offset(number, place)).subarray(0, BLOCK);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
