/**
 * A driver for NVMe disks: identify, read, write, flush, by interrupt or by polling.
 *
 * Numbers in brackets are sections of the NVM Express Base Specification, revision 1.4. In short: the host writes commands
 * of 64 bytes into a ring (the submission queue) in its own memory and tells the controller by a register (the doorbell)
 * how far it came; the controller fetches them, moves the data by DMA, and writes answers of 16 bytes into another ring
 * (the completion queue). There is one pair of rings for administration, and one here for data.
 *
 * ```ts
 * using container = openContainer();
 * using disk = await Nvme.open(container, "0000:02:00.0");
 * using memory = disk.allocate(4096);
 * await disk.read(0n, memory); // memory.bytes now holds the first 4096 bytes of the disk
 * ```
 */
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { type Container, type Device, DmaBuffer, type DmaMapping, type Registers } from "vfio";

// The controller's registers, in BAR 0 [3.1].
const CAP = 0x00; // what it can do
const CC = 0x14; // controller configuration
const CSTS = 0x1c; // controller status
const AQA = 0x24; // sizes of the admin queues
const ASQ = 0x28; // address of the admin submission queue
const ACQ = 0x30; // address of the admin completion queue
const DOORBELLS = 0x1000;

// CC [3.1.5]: entries of 2^6 bytes in submission queues and of 2^4 in completion queues, pages of 4 KiB, NVM commands.
const CC_ENABLE = 1 << 0;
const CC_SHUTDOWN = 1 << 14;
const CC_ENTRY_SIZES = (4 << 20) | (6 << 16);

// CSTS [3.1.6]
const CSTS_READY = 1 << 0;
const CSTS_FATAL = 1 << 1;
const CSTS_SHUTDOWN = 3 << 2;
const CSTS_SHUTDOWN_COMPLETE = 2 << 2;
/** What any register of a device reads as that is no longer there. */
const GONE = 0xffff_ffff;

/** The page size that we tell the controller (CC.MPS = 0), whatever this machine's own is. */
const PAGE = 4096;
const COMMAND_BYTES = 64;
const COMPLETION_BYTES = 16;
/** A page of PRP entries, 8 bytes each, describes this much: see {@link Queue}. */
const LIST_COVERS = (PAGE / 8) * PAGE;

const ADMIN_ENTRIES = 16;
/** How long a controller may take to write its caches out, in milliseconds. */
const SHUTDOWN_TIMEOUT = 5_000;

const adminOpcode = { createIoSubmissionQueue: 0x01, createIoCompletionQueue: 0x05, identify: 0x06, setFeatures: 0x09 };
const ioOpcode = { flush: 0x00, write: 0x01, read: 0x02 };
const FEATURE_NUMBER_OF_QUEUES = 0x07;

/** Memory that the controller can reach: an address for it, and a length in bytes. */
export interface DmaRange {
  readonly iova: bigint;
  readonly length: number;
}

/** What a controller says of itself, Identify with CNS 1 [5.15.2.2]. */
export interface NvmeController {
  readonly vendorId: number;
  readonly serial: string;
  readonly model: string;
  readonly firmware: string;
  /** `1.4.0` */
  readonly version: string;
  /** The most bytes in one command. Longer transfers are split. */
  readonly maxTransfer: number;
  /** The highest namespace id that may exist. */
  readonly namespaces: number;
  /** Whether it has a write cache that a power failure would lose, so that {@link Nvme.flush} matters. */
  readonly volatileCache: boolean;
}

/** What a namespace (a disk, to most people) says of itself, Identify with CNS 0 [5.15.2.1]. */
export interface NvmeNamespace {
  readonly id: number;
  /** How many blocks it has. */
  readonly blocks: bigint;
  /** In bytes. */
  readonly blockSize: number;
}

/** How a controller is driven. */
export interface NvmeOptions {
  /** How completions are heard of: by MSI-X (the default), or by looking at the queues while commands are under way. */
  readonly completion?: "interrupt" | "polling";
  /** Entries of the I/O queues; one less than that many commands run at once. Default 64. */
  readonly queueDepth?: number;
  /** Bytes of memory for the queues (a little over a page for each entry) and for {@link Nvme.allocate}. Default 4 MiB. */
  readonly poolSize?: number;
  /** Milliseconds after which a command without an answer is given up, and the controller with it. Default 30 s. */
  readonly timeout?: number;
  /** Default 1. */
  readonly namespace?: number;
}

/** Dwords 10, 11 and 12 of a command, which mean something else in every one. */
type Dwords = readonly [number, number?, number?];

/** A command, plain. */
export interface NvmeCommand {
  /** For messages. */
  readonly name: string;
  readonly opcode: number;
  readonly namespace?: number;
  readonly data?: DmaRange;
  readonly dwords?: Dwords;
}

/** Where a pair of queues stands. */
export interface NvmeQueueState {
  readonly entries: number;
  /** Where its pieces are in the pool, in bytes. */
  readonly submissions: number;
  readonly completions: number;
  readonly lists: number;
  /** Of the submission queue. */
  readonly tail: number;
  /** Of the completion queue. */
  readonly head: number;
  readonly phase: number;
  /** What the controller has, by command id. */
  readonly pending: readonly { readonly id: number; readonly command: NvmeCommand }[];
  /** What there was no room for yet. */
  readonly waiting: readonly NvmeCommand[];
}

/** What another process must know to go on with the disk, while it runs: plain, to be serialised. */
export interface NvmeState {
  readonly completion: "interrupt" | "polling";
  readonly controller: NvmeController;
  readonly namespace: NvmeNamespace;
  /** Where {@link Nvme.memory} is mapped. */
  readonly iova: bigint;
  /** What is given out of it, in bytes. */
  readonly pieces: readonly { readonly offset: number; readonly length: number }[];
  readonly admin: NvmeQueueState;
  readonly io: NvmeQueueState;
}

/** A read, write or flush that a former process asked for. A transfer of more than `maxTransfer` is several. */
export interface NvmeInFlight {
  /** `Read`, `Write`, `Flush` */
  readonly name: string;
  /** The first block. */
  readonly lba: bigint;
  /** The memory; undefined for a flush. */
  readonly data: DmaRange | undefined;
  readonly over: Promise<void>;
}

/** A command that the controller refused or could not carry out: the status field of its completion [4.6.1]. */
export class NvmeError extends Error {
  override readonly name = "NvmeError";
  /** The status code type: 0 generic, 1 of that command, 2 media and data integrity. */
  readonly type: number;
  /** The status code. */
  readonly status: number;
  /** Whether the same command would be refused again. */
  readonly doNotRetry: boolean;

  constructor(command: string, field: number) {
    const status = field & 0xff;
    const type = (field >>> 8) & 0x7;
    const meaning = statusText.get((type << 8) | status) ?? "a status that this driver has no name for";
    super(`NVMe ${command}: ${meaning} (type ${type}, code 0x${status.toString(16)})`);
    this.type = type;
    this.status = status;
    this.doNotRetry = (field & 0x4000) !== 0;
  }
}

// Type and code of the ones that a driver like this meets [4.6.1.2].
const statusText = new Map([
  [0x001, "invalid command opcode"],
  [0x002, "invalid field in the command"],
  [0x004, "data transfer error: it could not read or write the memory"],
  [0x006, "internal error"],
  [0x007, "aborted on request"],
  [0x008, "aborted, because its queue was deleted"],
  [0x00b, "invalid namespace or format"],
  [0x013, "invalid PRP offset"],
  [0x080, "block address out of range"],
  [0x082, "namespace not ready"],
  [0x100, "no such completion queue"],
  [0x101, "invalid queue identifier"],
  [0x102, "invalid queue size"],
  [0x108, "invalid interrupt vector"],
  [0x280, "write fault"],
  [0x281, "unrecovered read error"],
  [0x286, "access denied"],
]);

// ---- memory ----------------------------------------------------------------------------------------------------------

/** A piece of a {@link DmaPool}. Disposing it gives it back: not before the commands that use it are over. */
export class DmaPiece implements DmaRange, Disposable {
  readonly iova: bigint;
  readonly bytes: Uint8Array<ArrayBuffer>;
  #free: (() => void) | undefined;

  constructor(iova: bigint, bytes: Uint8Array<ArrayBuffer>, free: () => void) {
    this.iova = iova;
    this.bytes = bytes;
    this.#free = free;
  }

  get length(): number {
    return this.bytes.length;
  }

  [Symbol.dispose](): void {
    this.#free?.();
    this.#free = undefined;
  }
}

/** One buffer, mapped once, of which pages are given out: mapping for each transfer would cost more than the transfer. */
class DmaPool implements Disposable {
  readonly buffer: DmaBuffer;
  readonly #mapping: DmaMapping;
  readonly #used: boolean[];
  /** What is given out, by where it begins in the buffer. */
  readonly #pieces = new Map<number, DmaPiece>();

  static allocate(container: Container, length: number): DmaPool {
    const buffer = DmaBuffer.allocate(length, { name: "nvme" });
    try {
      return new DmaPool(buffer, container.map(buffer));
    } catch (error) {
      buffer.close();
      throw error;
    }
  }

  /** A pool that another process has made, with what it has given out. */
  static adopt(container: Container, buffer: DmaBuffer, { iova, pieces }: NvmeState): DmaPool {
    const mapping = container.mappingAt(iova);
    if (mapping?.memory !== buffer) throw new Error("the disk's memory is not where it was mapped");
    const pool = new DmaPool(buffer, mapping);
    for (const { offset, length } of pieces) pool.#give(offset, length);
    return pool;
  }

  private constructor(buffer: DmaBuffer, mapping: DmaMapping) {
    this.buffer = buffer;
    this.#mapping = mapping;
    this.#used = new Array(Math.floor(buffer.length / PAGE)).fill(false);
  }

  get iova(): bigint {
    return this.#mapping.iova;
  }

  get pieces(): ReadonlyMap<number, DmaPiece> {
    return this.#pieces;
  }

  /** A piece that was given out. */
  piece(offset: number): DmaPiece {
    const piece = this.#pieces.get(offset);
    if (piece === undefined) throw new Error(`nothing of the DMA pool is in use at ${offset}`);
    return piece;
  }

  /** The first run of free pages that is long enough, zeroed. */
  allocate(length: number): DmaPiece {
    if (!Number.isSafeInteger(length) || length <= 0) throw new RangeError(`cannot allocate ${length} bytes`);
    const pages = Math.ceil(length / PAGE);
    let run = 0;
    for (let page = 0; page < this.#used.length; page++) {
      run = this.#used[page] ? 0 : run + 1;
      if (run < pages) continue;
      const piece = this.#give((page - pages + 1) * PAGE, length);
      piece.bytes.fill(0);
      return piece;
    }
    throw new Error(`the DMA pool has no ${length} bytes in one piece left: give some back, or set a larger poolSize`);
  }

  #give(offset: number, length: number): DmaPiece {
    const [first, end] = [offset / PAGE, Math.ceil((offset + length) / PAGE)];
    this.#used.fill(true, first, end);
    const bytes = new Uint8Array(this.buffer.arrayBuffer, offset, length);
    const piece = new DmaPiece(this.#mapping.at(offset), bytes, () => {
      this.#used.fill(false, first, end);
      this.#pieces.delete(offset);
    });
    this.#pieces.set(offset, piece);
    return piece;
  }

  [Symbol.dispose](): void {
    this.#mapping.unmap();
    this.buffer.close();
  }
}

// ---- queues ----------------------------------------------------------------------------------------------------------

/** A command that is not over. */
interface Asked {
  readonly command: NvmeCommand;
  resolve(result: number): void;
  reject(error: unknown): void;
}

/** One that the controller has. */
interface Pending extends Asked {
  timer: NodeJS.Timeout | undefined;
}

/** What a queue needs of its controller. */
interface QueueDoors {
  readonly registers: Registers;
  /** In bytes. */
  readonly doorbellStride: number;
  /** In milliseconds. */
  readonly timeout: number;
  /** Called when the controller has left a command unanswered for too long. */
  giveUp(why: string): void;
}

/** A submission queue and its completion queue, of the same number of entries [4.1]. */
class Queue {
  readonly id: number;
  readonly entries: number;
  readonly submissions: DmaPiece;
  readonly completions: DmaPiece;
  readonly #commandWords: Uint32Array;
  readonly #completionWords: Uint32Array;
  /** A page of PRP entries for each command id. */
  readonly #lists: DmaPiece;
  readonly #doors: QueueDoors;
  readonly #tailDoorbell: number;
  readonly #headDoorbell: number;
  readonly #freeIds: number[];
  readonly #pending = new Map<number, Pending>();
  /** There was no room for them, or nothing is to be submitted. */
  readonly #waiting: Asked[] = [];
  /** The commands that a former process has asked for, and when each is answered. */
  readonly inFlight: readonly { readonly command: NvmeCommand; readonly over: Promise<number> }[];
  #tail: number;
  #head: number;
  #phase: number;
  #held = false;
  #stopped: Error | undefined;

  /** A new pair of queues, or with `state` the one that another process has left in the pool. */
  constructor(id: number, entries: number, pool: DmaPool, doors: QueueDoors, state?: NvmeQueueState) {
    if (!Number.isInteger(entries) || entries < 2)
      throw new RangeError(`a queue has 2 entries or more, not ${entries}`);
    this.id = id;
    this.entries = entries;
    const piece = (length: number, offset?: number) =>
      offset === undefined ? pool.allocate(length) : pool.piece(offset);
    this.submissions = piece(entries * COMMAND_BYTES, state?.submissions);
    this.completions = piece(entries * COMPLETION_BYTES, state?.completions);
    this.#lists = piece(entries * PAGE, state?.lists);
    this.#commandWords = words(this.submissions);
    this.#completionWords = words(this.completions);
    this.#doors = doors;
    // [3.1]: a submission queue's and a completion queue's in turn
    this.#tailDoorbell = DOORBELLS + 2 * id * doors.doorbellStride;
    this.#headDoorbell = DOORBELLS + (2 * id + 1) * doors.doorbellStride;
    // The queue is zeroed, and the controller writes 1 into the phase bit in its first round, 0 in the second, and so on.
    const { tail, head, phase, pending, waiting } = state ?? { tail: 0, head: 0, phase: 1, pending: [], waiting: [] };
    this.#tail = tail;
    this.#head = head;
    this.#phase = phase;
    const taken = new Set(pending.map((each) => each.id));
    // A ring is full with one entry left empty, or full would look like empty.
    this.#freeIds = Array.from({ length: entries - 1 }, (_, index) => index).filter((each) => !taken.has(each));
    this.inFlight = [
      ...pending.map(({ id, command }) => ({
        command,
        over: new Promise<number>((resolve, reject) => {
          this.#pending.set(id, { command, timer: this.#timer(command), resolve, reject });
        }),
      })),
      ...waiting.map((command) => ({ command, over: this.submit(command) })),
    ];
  }

  /** Whether there are commands without an answer. */
  get busy(): boolean {
    return this.#pending.size + this.#waiting.length > 0;
  }

  /**
   * Gives the controller a command, as soon as the queue has room for it.
   *
   * @returns dword 0 of the completion
   */
  submit(command: NvmeCommand): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject });
      this.#submitWaiting();
    });
  }

  #submitWaiting(): void {
    if (this.#stopped !== undefined) for (const { reject } of this.#waiting.splice(0)) reject(this.#stopped);
    if (this.#held) return;
    const before = this.#tail;
    for (const asked of this.#waiting.splice(0, this.#freeIds.length)) {
      const id = this.#freeIds.pop() ?? 0;
      this.#pending.set(id, { ...asked, timer: this.#timer(asked.command) });
      this.#write(id, asked.command);
      this.#tail = (this.#tail + 1) % this.entries;
    }
    // The commands lie in memory before the doorbell rings: a register write is ordered after the stores before it.
    if (this.#tail !== before) this.#doors.registers.write32(this.#tailDoorbell, this.#tail);
  }

  #timer({ name }: NvmeCommand): NodeJS.Timeout {
    const { giveUp, timeout } = this.#doors;
    return setTimeout(giveUp, timeout, `no answer to ${name} within ${timeout} ms`);
  }

  /** Submits nothing more, and takes nothing for late. */
  hold(): void {
    this.#held = true;
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
  }

  /** Goes on after {@link hold}. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    for (const pending of this.#pending.values()) pending.timer = this.#timer(pending.command);
    this.#submitWaiting();
  }

  /** @param offsetOf where a piece is in the pool */
  state(offsetOf: (piece: DmaPiece) => number): NvmeQueueState {
    return {
      entries: this.entries,
      submissions: offsetOf(this.submissions),
      completions: offsetOf(this.completions),
      lists: offsetOf(this.#lists),
      tail: this.#tail,
      head: this.#head,
      phase: this.#phase,
      pending: [...this.#pending].map(([id, { command }]) => ({ id, command })),
      waiting: this.#waiting.map(({ command }) => command),
    };
  }

  /** Writes a submission queue entry [4.2] at the tail. */
  #write(
    id: number,
    { opcode, namespace = 0, data, dwords: [dword10, dword11 = 0, dword12 = 0] = [0] }: NvmeCommand,
  ): void {
    const [prp1, prp2] = data === undefined ? [0n, 0n] : this.#describe(id, data);
    const entry = this.#commandWords.subarray((this.#tail * COMMAND_BYTES) / 4, ((this.#tail + 1) * COMMAND_BYTES) / 4);
    entry.fill(0);
    entry[0] = (id << 16) | opcode;
    entry[1] = namespace;
    entry.set([low(prp1), high(prp1), low(prp2), high(prp2)], 6);
    entry.set([dword10, dword11, dword12], 10);
  }

  /**
   * Describes memory by physical region pages [4.3]: the first entry may begin within a page, every other one is a whole
   * page. Two entries are in the command; from three on, the second is the address of a list of the rest.
   */
  #describe(id: number, { iova, length }: DmaRange): [bigint, bigint] {
    const pageOffset = Number(iova % BigInt(PAGE));
    const pages = Math.ceil((pageOffset + length) / PAGE);
    const second = iova - BigInt(pageOffset) + BigInt(PAGE);
    if (pages <= 1) return [iova, 0n];
    if (pages === 2) return [iova, second];
    const list = this.#lists.bytes;
    const entries = new BigUint64Array(list.buffer, list.byteOffset + id * PAGE, pages - 1);
    for (const index of entries.keys()) entries[index] = second + BigInt(index * PAGE);
    return [iova, this.#lists.iova + BigInt(id * PAGE)];
  }

  /** Takes what the controller has answered off the completion queue [4.6], and settles the commands' promises. */
  complete(): void {
    const before = this.#head;
    for (;;) {
      const at = (this.#head * COMPLETION_BYTES) / 4;
      // The controller writes this dword last. An atomic load is made each time, and before the loads that follow it.
      const dword3 = Atomics.load(this.#completionWords, at + 3);
      if (((dword3 >>> 16) & 1) !== this.#phase) break;
      const result = this.#completionWords[at] ?? 0;
      this.#head = (this.#head + 1) % this.entries;
      if (this.#head === 0) this.#phase ^= 1;
      this.#settle(dword3 & 0xffff, dword3 >>> 17, result);
    }
    if (this.#head === before) return;
    // The entries are read: the controller may use them again.
    this.#doors.registers.write32(this.#headDoorbell, this.#head);
    this.#submitWaiting();
  }

  #settle(id: number, status: number, result: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) throw new Error(`the controller answered a command (id ${id}) that it was not given`);
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    this.#freeIds.push(id);
    if ((status & 0x7ff) === 0) pending.resolve(result);
    else pending.reject(new NvmeError(pending.command.name, status));
  }

  /** Rejects everything, now and later. The controller must not be able to write any more. */
  stop(reason: Error): void {
    this.#stopped ??= reason;
    for (const { timer, reject } of this.#pending.values()) {
      clearTimeout(timer);
      reject(reason);
    }
    this.#pending.clear();
    this.#submitWaiting();
  }
}

// ---- the controller --------------------------------------------------------------------------------------------------

/** The controller's registers, its memory and its two pairs of queues. */
class Controller implements Disposable {
  readonly device: Device;
  readonly pool: DmaPool;
  readonly admin: Queue;
  readonly io: Queue;
  readonly completion: "interrupt" | "polling";
  readonly #registers: Registers;
  /** In milliseconds [3.1.1]. */
  readonly #readyTimeout: number;
  #listening: (() => void)[] = [];
  #polling = false;
  #held = false;

  /**
   * On an attached device, which belongs to this object once it is made; so does the pool.
   *
   * @param state what another process has left running; without it the controller is to be started
   */
  constructor(device: Device, pool: DmaPool, options: NvmeOptions, state?: NvmeState) {
    const { queueDepth = 64, timeout = 30_000 } = options;
    const { classCode } = device.config;
    // [2.1.5]: mass storage, non-volatile memory, NVM Express
    if (classCode !== 0x010802) {
      throw new Error(`${device.address} is no NVMe controller: its class is 0x${classCode.toString(16)}`);
    }
    this.device = device;
    this.completion = state?.completion ?? options.completion ?? "interrupt";
    this.#registers = device.region("bar0").registers();
    // [3.1.1]: the largest queue, less one; the time to wait, in half seconds; the doorbells' distance and the smallest
    // page, as powers of two above 4 and 4096 bytes.
    const capabilities = this.#registers.read64(CAP);
    const field = (bit: bigint, mask: bigint) => Number((capabilities >> bit) & mask);
    const maxEntries = field(0n, 0xffffn) + 1;
    this.#readyTimeout = field(24n, 0xffn) * 500;
    const doorbellStride = 4 << field(32n, 0xfn);
    if (field(48n, 0xfn) !== 0) throw new Error(`${device.address} cannot work with pages of ${PAGE} bytes`);

    this.pool = pool;
    const doors = { registers: this.#registers, doorbellStride, timeout, giveUp: (why: string) => this.#giveUp(why) };
    this.admin = new Queue(0, state?.admin.entries ?? ADMIN_ENTRIES, pool, doors, state?.admin);
    this.io = new Queue(1, state?.io.entries ?? Math.min(queueDepth, maxEntries), pool, doors, state?.io);
    if (state !== undefined) this.#listen();
  }

  /** Initialization [7.6.1], up to where the controller takes admin commands. */
  async start(): Promise<void> {
    // Without it the device can neither reach memory nor send MSI-X.
    this.device.busMaster = true;
    // Whoever had it before may have left it running.
    this.#registers.write32(CC, 0);
    await this.#becomes(0);

    const { entries, submissions, completions } = this.admin;
    this.#registers.write32(AQA, ((entries - 1) << 16) | (entries - 1));
    this.#registers.write64(ASQ, submissions.iova);
    this.#registers.write64(ACQ, completions.iova);
    this.#registers.write32(CC, CC_ENTRY_SIZES | CC_ENABLE);
    await this.#becomes(CSTS_READY);

    // A vector for each queue. The admin queue's is always 0; the other's is named when the queue is created.
    if (this.completion === "interrupt") this.device.msix.enable(2);
    this.#listen();
  }

  /** Hears of completions from now on: also of those that came meanwhile. */
  #listen(): void {
    if (this.completion === "polling") {
      void this.#poll();
      return;
    }
    this.#listening = [this.admin, this.io].map((queue, index) => {
      const vector = this.device.msix.vector(index);
      const listener = () => this.#complete(queue);
      vector.on("interrupt", listener);
      return () => vector.off("interrupt", listener);
    });
  }

  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.admin.hold();
    this.io.hold();
    // What comes from here on is counted for whoever listens next.
    for (const stop of this.#listening.splice(0)) stop();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.admin.release();
    this.io.release();
    this.#listen();
  }

  /** Waits for CSTS.RDY to be as CC.EN asks. */
  async #becomes(ready: number): Promise<void> {
    const deadline = performance.now() + this.#readyTimeout;
    for (;;) {
      const status = this.#registers.read32(CSTS);
      const failed = (text: string) =>
        new Error(`the NVMe controller ${this.device.address} ${text} (CSTS 0x${status.toString(16)})`);
      if (status === GONE) throw failed("is gone");
      if ((status & CSTS_READY) === ready) return;
      if (ready && (status & CSTS_FATAL) !== 0) throw failed("reports a fatal error");
      if (performance.now() > deadline) throw failed(`did not ${ready ? "start" : "stop"} in ${this.#readyTimeout} ms`);
      await delay(1);
    }
  }

  /** Creates the I/O queues: the completion queue first, which the submission queue names. */
  async createIoQueues(): Promise<void> {
    const { id, entries, submissions, completions } = this.io;
    const size = ((entries - 1) << 16) | id;
    const CONTIGUOUS = 1;
    const interrupt = this.completion === "polling" ? 0 : (id << 16) | 2; // vector, and bit 1: enabled
    // [5.21.1.7]: how many of each, less one, are wanted.
    await this.submit(this.admin, {
      name: "Set Features (Number of Queues)",
      opcode: adminOpcode.setFeatures,
      dwords: [FEATURE_NUMBER_OF_QUEUES, 0],
    });
    // [5.3]
    await this.submit(this.admin, {
      name: "Create I/O Completion Queue",
      opcode: adminOpcode.createIoCompletionQueue,
      data: { iova: completions.iova, length: PAGE },
      dwords: [size, interrupt | CONTIGUOUS],
    });
    // [5.4]
    await this.submit(this.admin, {
      name: "Create I/O Submission Queue",
      opcode: adminOpcode.createIoSubmissionQueue,
      data: { iova: submissions.iova, length: PAGE },
      dwords: [size, (id << 16) | CONTIGUOUS],
    });
  }

  submit(queue: Queue, command: NvmeCommand): Promise<number> {
    const result = queue.submit(command);
    if (this.completion === "polling") void this.#poll();
    return result;
  }

  /** Looks at the queues once in every turn of the event loop, while a command is under way. */
  async #poll(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    while (!this.#held && (this.admin.busy || this.io.busy)) {
      this.#complete(this.admin);
      this.#complete(this.io);
      await nextTurn();
    }
    this.#polling = false;
  }

  #complete(queue: Queue): void {
    try {
      queue.complete();
    } catch (error) {
      this.#giveUp(String(error));
    }
  }

  /** Ends it all. What has no answer might still be written to memory: not without bus mastering. */
  #giveUp(why: string): void {
    if (this.device.closed) {
      this.#stop(`${why}: the device is closed`);
    } else {
      const status = this.#registers.read32(CSTS);
      this.device.busMaster = false;
      this.#stop(`${why} (CSTS 0x${status.toString(16)})`);
    }
  }

  #stop(why: string): void {
    const reason = new Error(`the NVMe controller ${this.device.address}: ${why}`);
    this.admin.stop(reason);
    this.io.stop(reason);
  }

  /** Shutdown [7.6.2]: the controller writes its caches out. */
  #shutDown(): void {
    const configuration = this.#registers.read32(CC);
    if (configuration === GONE || (configuration & CC_ENABLE) === 0) return;
    this.#registers.write32(CC, configuration | CC_SHUTDOWN);
    const deadline = performance.now() + SHUTDOWN_TIMEOUT;
    while ((this.#registers.read32(CSTS) & CSTS_SHUTDOWN) !== CSTS_SHUTDOWN_COMPLETE) {
      if (performance.now() > deadline) return;
      sleep(1);
    }
  }

  /** Shuts the controller down and gives everything back; after the container's end, what is left to give back. */
  [Symbol.dispose](): void {
    try {
      if (!this.device.closed) this.#shutDown();
    } finally {
      this.#stop("it was shut down");
      // The kernel ends its DMA and resets it.
      this.device.close();
      this.pool[Symbol.dispose]();
    }
  }
}

// ---- the disk --------------------------------------------------------------------------------------------------------

/**
 * An NVMe disk: a controller, and one of its namespaces. Made by {@link Nvme.open}; disposing it shuts it down.
 *
 * While it runs it can pass to another process, with commands under way: `hold()` and `state()` here, {@link Nvme.resume} there.
 * What has to pass by a live update is the container, and {@link memory} under some name.
 */
export class Nvme implements Disposable {
  readonly controller: NvmeController;
  readonly namespace: NvmeNamespace;
  /** What a former process has asked for, and when each is over; none if there was no former process. */
  readonly inFlight: readonly NvmeInFlight[];
  readonly #link: Controller;

  /**
   * Attaches a controller that is bound to vfio-pci, resets and starts it.
   *
   * @param container stays the caller's
   * @param address the PCI address, `0000:02:00.0`
   */
  static async open(container: Container, address: string, options: NvmeOptions = {}): Promise<Nvme> {
    const device = container.attach(address);
    let pool: DmaPool | undefined;
    let link: Controller;
    try {
      pool = DmaPool.allocate(container, options.poolSize ?? 4 << 20);
      link = new Controller(device, pool, options);
    } catch (error) {
      pool?.[Symbol.dispose]();
      device.close();
      throw error;
    }
    try {
      await link.start();
      const controller = await identifyController(link);
      const namespace = await identifyNamespace(link, options.namespace ?? 1);
      await link.createIoQueues();
      return new Nvme(link, controller, namespace);
    } catch (error) {
      link[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Goes on with a disk that another process has opened and handed over: nothing is reset, nothing set up. The commands that were
   * under way go on, see {@link inFlight}.
   *
   * @param device belongs to this object from here on
   * @param memory what was {@link Nvme.memory} there, and belongs to this object from here on
   * @param state what `state()` was there
   */
  static resume(
    container: Container,
    device: Device,
    memory: DmaBuffer,
    state: NvmeState,
    options: Pick<NvmeOptions, "timeout"> = {},
  ): Nvme {
    const link = new Controller(device, DmaPool.adopt(container, memory, state), options, state);
    return new Nvme(link, state.controller, state.namespace);
  }

  private constructor(link: Controller, controller: NvmeController, namespace: NvmeNamespace) {
    this.#link = link;
    this.controller = controller;
    this.namespace = namespace;
    this.inFlight = link.io.inFlight.map(({ command: { name, data, dwords: [dword10, dword11 = 0] = [0] }, over }) => ({
      name,
      lba: (BigInt(dword11) << 32n) | BigInt(dword10),
      data,
      over: over.then(() => {}),
    }));
  }

  /** The device. Disposing this object closes it. */
  get device(): Device {
    return this.#link.device;
  }

  /** The queues, and what {@link allocate} gives out. */
  get memory(): DmaBuffer {
    return this.#link.pool.buffer;
  }

  /** Memory for {@link read} and {@link write}, in one piece that begins at a page; zeroed. */
  allocate(length: number): DmaPiece {
    return this.#link.pool.allocate(length);
  }

  /**
   * Reads blocks into memory [6.9].
   *
   * @param lba the first block
   * @param into as long as the blocks to read: of {@link allocate}, or any mapping's `{ iova, length }`
   */
  read(lba: number | bigint, into: DmaRange): Promise<void> {
    return this.#transfer("Read", ioOpcode.read, BigInt(lba), into);
  }

  /** Writes memory to blocks [6.15]. It may lie in the disk's cache until {@link flush}. */
  write(lba: number | bigint, from: DmaRange): Promise<void> {
    return this.#transfer("Write", ioOpcode.write, BigInt(lba), from);
  }

  /** Has the disk write its cache out [6.8]. */
  async flush(): Promise<void> {
    const { id } = this.namespace;
    await this.#link.submit(this.#link.io, { name: "Flush", opcode: ioOpcode.flush, namespace: id });
  }

  /** One command for each `maxTransfer` bytes, all at once. */
  async #transfer(name: string, opcode: number, lba: bigint, { iova, length }: DmaRange): Promise<void> {
    const { id, blockSize, blocks } = this.namespace;
    const { maxTransfer } = this.controller;
    if (length <= 0 || length % blockSize !== 0) {
      throw new RangeError(`${name}: the length must be a multiple of the block size ${blockSize}, not ${length}`);
    }
    if (lba < 0n || lba + BigInt(length / blockSize) > blocks) {
      throw new RangeError(`${name}: ${length} bytes from block ${lba} are not within the ${blocks} blocks`);
    }
    // A PRP's last two bits are 0 [4.3].
    if (iova % 4n !== 0n) throw new RangeError(`${name}: the memory must begin at a multiple of 4 bytes`);
    const commands: Promise<number>[] = [];
    for (let offset = 0; offset < length; offset += maxTransfer) {
      const piece = Math.min(maxTransfer, length - offset);
      const start = lba + BigInt(offset / blockSize);
      commands.push(
        this.#link.submit(this.#link.io, {
          name,
          opcode,
          namespace: id,
          data: { iova: iova + BigInt(offset), length: piece },
          dwords: [low(start), high(start), piece / blockSize - 1],
        }),
      );
    }
    // The memory is the disk's until the last of them is over, also when an earlier one failed.
    for (const outcome of await Promise.allSettled(commands)) if (outcome.status === "rejected") throw outcome.reason;
  }

  /**
   * Gives the controller no more commands, and takes no more answers: another process is to. The controller goes on with what it
   * has. What has been asked for is not over until {@link release}, which is called if the other process did not come.
   */
  hold(): void {
    this.#link.hold();
  }

  /** Goes on after {@link hold}. */
  release(): void {
    this.#link.release();
  }

  /** What another process must know. It is true until {@link release}. */
  state(): NvmeState {
    const { pool, admin, io } = this.#link;
    const offsetOf = ({ iova }: DmaRange) => Number(iova - pool.iova);
    return {
      completion: this.#link.completion,
      controller: this.controller,
      namespace: this.namespace,
      iova: pool.iova,
      pieces: [...pool.pieces].map(([offset, { length }]) => ({ offset, length })),
      admin: admin.state(offsetOf),
      io: io.state(offsetOf),
    };
  }

  [Symbol.dispose](): void {
    this.#link[Symbol.dispose]();
  }
}

/** Has the controller write a page about something, and reads it [5.15]. */
async function identify<Result>(
  link: Controller,
  what: { name: string; selector: number; namespace?: number },
  parse: (page: Buffer) => Result,
): Promise<Result> {
  using page = link.pool.allocate(PAGE);
  const { name, selector, namespace = 0 } = what;
  await link.submit(link.admin, { name, opcode: adminOpcode.identify, namespace, data: page, dwords: [selector] });
  return parse(Buffer.from(page.bytes));
}

// [5.15.2.2]
function identifyController(link: Controller): Promise<NvmeController> {
  return identify(link, { name: "Identify Controller", selector: 1 }, (page) => {
    const text = (start: number, end: number) => page.toString("latin1", start, end).trim();
    const version = page.readUInt32LE(80);
    // A power of two in pages; 0 is no limit but our own.
    const transferPages = page.readUInt8(77);
    return {
      vendorId: page.readUInt16LE(0),
      serial: text(4, 24),
      model: text(24, 64),
      firmware: text(64, 72),
      version: [version >>> 16, (version >>> 8) & 0xff, version & 0xff].join("."),
      maxTransfer: transferPages === 0 ? LIST_COVERS : Math.min(PAGE * 2 ** transferPages, LIST_COVERS),
      namespaces: page.readUInt32LE(516),
      volatileCache: (page.readUInt8(525) & 1) !== 0,
    };
  });
}

// [5.15.2.1]
function identifyNamespace(link: Controller, id: number): Promise<NvmeNamespace> {
  return identify(link, { name: "Identify Namespace", selector: 0, namespace: id }, (page) => {
    const blocks = page.readBigUInt64LE(0);
    if (blocks === 0n) throw new Error(`the NVMe controller ${link.device.address} has no active namespace ${id}`);
    // The low bits of FLBAS choose one of the LBA formats, whose third byte is the block size's power of two.
    const format = page.readUInt8(26) & 0xf;
    return { id, blocks, blockSize: 2 ** page.readUInt8(128 + 4 * format + 2) };
  });
}

// ---- words -----------------------------------------------------------------------------------------------------------

function words({ bytes }: DmaPiece): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function low(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

function high(value: bigint): number {
  return Number(value >> 32n);
}

/** Blocks this thread: disposing cannot be awaited. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
