/**
 * A BAR of a device that is written here: registers with handlers, memory that the client maps, or both.
 *
 * @module
 */

import {
  anything,
  type Check,
  checkArray,
  checkBoolean,
  checkFunction,
  checkInteger,
  checkRequired,
  integer,
  knownOptions,
  oneOf,
} from "../../base/arguments.js";
import { invalidStateError, outOfRangeError, VfioError } from "../../base/errors.js";
import { showAs } from "../../base/inspect.js";
import { EventFd } from "../../kernel/event-fd.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { native, PAGE_SIZE, type PollHandle } from "../../kernel/native.js";
import type { BarRegister } from "./pci-config.js";
import { SharedMemory } from "./shared-memory.js";
import { checkPresent } from "./work.js";

/** The widths of an access that a handler sees, in bytes. Eight are made of two of four unless there is a handler for them. */
export type AccessWidth = 1 | 2 | 4;

/** A part of a BAR, in bytes. */
export interface BarArea {
  readonly offset: number;
  readonly length: number;
}

/** A register that is only ever written, and whose writes may skip the client: see {@link BarOptions.doorbells}. */
export interface Doorbell {
  /** Where it is, in bytes. */
  readonly offset: number;
  readonly width: AccessWidth;
  /** The only value that rings it; left out, any value does, and the handler is given 0. */
  readonly value?: number;
}

/**
 * What a BAR is.
 *
 * The handlers see accesses of 1, 2 and 4 bytes (and 8, if they are there for it) at multiples of their width: whatever the
 * client asks for is cut into such. They may answer with a promise. Requests wait for each other, and those of the next client
 * wait until the last one of a client that is gone is over: a handler is never called while another one has not finished. When
 * the client is gone, {@link DeviceClient.signal} aborts. A register without a handler reads as 0.
 */
export interface BarOptions {
  /** In bytes: a power of two, at least 16 (4 for I/O ports). */
  readonly size: number;
  /** Default `memory`. */
  readonly space?: "memory" | "io";
  /** Whether it may lie above 4 GiB: a 64-bit BAR, which takes the place of the next one too. */
  readonly wide?: boolean;
  readonly prefetchable?: boolean;
  /** The client reads a register. */
  read?(offset: number, width: AccessWidth): number | Promise<number>;
  /** The client writes a register. */
  write?(offset: number, value: number, width: AccessWidth): void | Promise<void>;
  /** The client reads 8 bytes in one access. Left out, it is two reads of 4, the lower half first. */
  read64?(offset: number): bigint | Promise<bigint>;
  /** The client writes 8 bytes in one access. Left out, it is two writes of 4, the lower half first. */
  write64?(offset: number, value: bigint): void | Promise<void>;
  /**
   * Whether the BAR is memory that the client can map: all of it, or some areas of whole pages. See {@link DeviceBar.bytes}.
   * The handlers then see what lies outside of the areas; without handlers, that is memory too, which is not mapped.
   */
  readonly memory?: boolean | { readonly areas: readonly BarArea[] };
  /**
   * Registers for which a client may have the kernel signal an eventfd, in place of a message (KVM's ioeventfd). The write
   * handler is called either way, when no other handler is under way; several writes in a row may be one call.
   */
  readonly doorbells?: readonly Doorbell[];
}

/** A part of a BAR that is bytes and not handlers: memory, the MSI-X table. @internal */
export interface BarPart extends BarArea {
  read(offset: number, into: Uint8Array): void;
  write(offset: number, bytes: Uint8Array): void;
}

/** Calls the write handler of a doorbell, when no other handler is under way. @internal */
export type DoorbellTurn = (write: () => void | Promise<void>) => void;

/** @throws RangeError */
function checkSize(size: number, least: number): number {
  checkInteger("size", size, least, 2 ** 40);
  if (Number.isInteger(Math.log2(size))) return size;
  throw outOfRangeError("size", `a power of two of at least ${least} bytes`, size);
}

const areaOptions = knownOptions<BarArea>({ offset: integer(), length: integer() });
const doorbellOptions = knownOptions<Doorbell>({
  offset: integer(),
  width: (name, value) => {
    if (checkInteger(name, value) !== 1 && value !== 2 && value !== 4) throw outOfRangeError(name, "1, 2 or 4", value);
  },
  value: integer(0, 0xffff_ffff),
});

const checkDoorbells: Check = (name, value) => {
  checkArray(name, value);
  for (const each of [value].flat()) checkRequired(name, each, doorbellOptions, "offset", "width");
};

const memoryOptions = knownOptions<{ areas: unknown }>({
  areas: (name, value) => {
    checkArray(name, value);
    for (const each of [value].flat()) checkRequired(name, each, areaOptions, "offset", "length");
  },
});

const checkBarMemory: Check = (name, value) => {
  if (typeof value !== "boolean") checkRequired(name, value, memoryOptions, "areas");
};

const barOptions = knownOptions<BarOptions>({
  size: anything,
  space: oneOf(["memory", "io"]),
  wide: checkBoolean,
  prefetchable: checkBoolean,
  read: checkFunction,
  write: checkFunction,
  read64: checkFunction,
  write64: checkFunction,
  memory: checkBarMemory,
  doorbells: checkDoorbells,
});

/** A BAR of a {@link PciDevice}. */
export class DeviceBar implements BarRegister {
  readonly index: number;
  readonly size: number;
  readonly space: "memory" | "io";
  readonly wide: boolean;
  readonly prefetchable: boolean;
  /** What the client may map; empty for none. @internal */
  readonly areas: readonly BarArea[];
  /** @internal */
  readonly doorbells: readonly Doorbell[];
  readonly #options: BarOptions;
  readonly #memory: SharedMemory | undefined;
  readonly #parts: BarPart[] = [];
  #bells: { readonly eventfd: OwnedFd; readonly poll: PollHandle }[] = [];

  /** @internal */
  constructor(index: number, options: BarOptions, name: string) {
    checkRequired(`bars[${index}]`, options, barOptions, "size");
    this.index = index;
    this.space = options.space ?? "memory";
    this.size = checkSize(options.size, this.space === "io" ? 4 : 16);
    this.wide = options.wide ?? false;
    this.prefetchable = options.prefetchable ?? false;
    this.doorbells = options.doorbells ?? [];
    this.#options = options;
    const { memory = false } = options;
    this.areas = memory === false ? [] : memory === true ? [{ offset: 0, length: this.size }] : memory.areas;
    for (const { offset, length } of this.areas) {
      if (
        offset % PAGE_SIZE !== 0 ||
        length % PAGE_SIZE !== 0 ||
        length <= 0 ||
        offset < 0 ||
        offset + length > this.size
      ) {
        throw outOfRangeError("areas", `whole pages of ${PAGE_SIZE} bytes within the BAR`, { offset, length });
      }
    }
    if (this.wide && this.space === "io") throw outOfRangeError("wide", "false for I/O ports", true);
    if (memory === false) return;
    const shared = new SharedMemory(`${name}-bar${index}`, this.size);
    this.#memory = shared;
    const handled = options.read !== undefined || options.write !== undefined;
    for (const area of handled ? this.areas : [{ offset: 0, length: this.size }]) {
      this.#parts.push({
        ...area,
        read: (offset, into) =>
          into.set(shared.bytes.subarray(area.offset + offset, area.offset + offset + into.length)),
        write: (offset, bytes) => shared.bytes.set(bytes, area.offset + offset),
      });
    }
  }

  /**
   * Its memory, if it is memory. The client may change it at any time; where it matters, look with `Atomics`.
   *
   * @throws an error with `code` `ERR_INVALID_STATE` if it has none
   */
  get bytes(): Uint8Array {
    if (this.#memory === undefined) throw invalidStateError(`BAR ${this.index} is not memory`);
    return this.#memory.bytes;
  }

  /** The memory's descriptor, borrowed; undefined without one. @internal */
  get fd(): number | undefined {
    return this.#memory?.fd;
  }

  /** Takes a part away from the handlers. @internal */
  add(part: BarPart): void {
    this.#parts.unshift(part);
  }

  /** The part that covers an access. */
  #covering(offset: number, length: number): BarPart | undefined {
    return this.#parts.find((part) => offset >= part.offset && offset + length <= part.offset + part.length);
  }

  // ---- the client's accesses ---------------------------------------------------------------------------------------

  /** @param signal aborts when the client is gone @internal */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): void | Promise<void> {
    const whole = this.#covering(offset, into.length);
    if (whole !== undefined) return whole.read(offset - whole.offset, into);
    const view = new DataView(into.buffer, into.byteOffset, into.length);
    const wide = this.#options.read64 !== undefined;
    return inSteps({ offset, length: into.length, wide, signal }, (at, width) => {
      const part = this.#covering(offset + at, width);
      if (part !== undefined) return part.read(offset + at - part.offset, into.subarray(at, at + width));
      return this.readRegister(offset + at, width, view, at);
    });
  }

  /** @param signal aborts when the client is gone @internal */
  write(offset: number, bytes: Uint8Array, signal?: AbortSignal): void | Promise<void> {
    const whole = this.#covering(offset, bytes.length);
    if (whole !== undefined) return whole.write(offset - whole.offset, bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const wide = this.#options.write64 !== undefined;
    return inSteps({ offset, length: bytes.length, wide, signal }, (at, width) => {
      const part = this.#covering(offset + at, width);
      if (part !== undefined) return part.write(offset + at - part.offset, bytes.subarray(at, at + width));
      return this.writeRegister(offset + at, width, view, at);
    });
  }

  /**
   * Whether an access is one call of a handler, and no more: then it can be made by {@link readRegister} or {@link writeRegister},
   * without memory of its own.
   *
   * @internal
   */
  isRegister(how: "read" | "write", offset: number, width: number): boolean {
    if (width === 8) {
      if (this.#options[how === "read" ? "read64" : "write64"] === undefined) return false;
    } else if (width !== 4 && width !== 2 && width !== 1) return false;
    if (offset % width !== 0 || offset + width > this.size) return false;
    for (const part of this.#parts) {
      if (offset < part.offset + part.length && part.offset < offset + width) return false;
    }
    return true;
  }

  /** Reads a register into a view, now or later. @internal */
  readRegister(offset: number, width: AccessWidth | 8, into: DataView, at: number): void | Promise<void> {
    const { read, read64 } = this.#options;
    if (width !== 8) return storeLater(read?.(offset, width) ?? 0, into, at, width);
    const value = read64?.(offset) ?? 0n;
    if (value instanceof Promise) return value.then((late) => into.setBigUint64(at, BigInt.asUintN(64, late), true));
    into.setBigUint64(at, BigInt.asUintN(64, value), true);
  }

  /** Writes what stands in a view into a register. @internal */
  writeRegister(offset: number, width: AccessWidth | 8, from: DataView, at: number): void | Promise<void> {
    const { write, write64 } = this.#options;
    if (width === 8) return write64?.(offset, from.getBigUint64(at, true));
    return write?.(offset, load(from, at, width), width);
  }

  // ---- doorbells ---------------------------------------------------------------------------------------------------

  /**
   * The eventfds of the doorbells, borrowed; made and listened to when a client first asks for them.
   *
   * @internal
   */
  bellFds(inTurn: DoorbellTurn): readonly number[] {
    if (this.#bells.length === 0) {
      for (const bell of this.doorbells) {
        const eventfd = EventFd.make(`doorbell at ${bell.offset} of BAR ${this.index}`);
        const ring = this.#ringer(bell, inTurn);
        const poll = native.pollStart(eventfd.number, (count) => {
          if (count > 0) ring();
        });
        if (typeof poll === "number") {
          eventfd.close();
          throw new VfioError({ errno: poll, syscall: "epoll_ctl", object: eventfd.label });
        }
        this.#bells.push({ eventfd, poll });
      }
    }
    return this.#bells.map(({ eventfd }) => eventfd.number);
  }

  /** One call for all that is rung until its turn comes. */
  #ringer({ offset, width, value = 0 }: Doorbell, inTurn: DoorbellTurn): () => void {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      inTurn(() => {
        waiting = false;
        return this.#options.write?.(offset, value, width);
      });
    };
  }

  /** Takes the doorbells' eventfds out of use. @internal */
  disconnect(): void {
    for (const { eventfd, poll } of this.#bells.splice(0)) {
      native.pollStop(poll);
      eventfd.close();
    }
  }

  /** Gives the memory back. @internal */
  close(): void {
    this.disconnect();
    this.#memory?.close();
  }
}

/** Stores a value that is there, or once it is. */
function storeLater(
  value: number | Promise<number>,
  view: DataView,
  at: number,
  width: AccessWidth,
): void | Promise<void> {
  if (value instanceof Promise) return value.then((late) => store(view, at, width, late));
  store(view, at, width, value);
}

interface Steps {
  readonly offset: number;
  readonly length: number;
  readonly wide: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes accesses one after the other, each of its widest possible width: in one go, unless one of them takes its time.
 *
 * @throws VfioError ECANCELED if the client goes in between
 */
function inSteps(
  steps: Steps,
  access: (at: number, width: AccessWidth | 8) => void | Promise<void>,
  from = 0,
): void | Promise<void> {
  const { offset, length, wide, signal } = steps;
  for (let at = from; at < length; ) {
    checkPresent(signal);
    const width = widest(offset + at, length - at, wide);
    const done = access(at, width);
    at += width;
    const next = at;
    if (done instanceof Promise) return done.then(() => inSteps(steps, access, next));
  }
}

function widest(offset: number, left: number, wide: boolean): AccessWidth | 8 {
  if (wide && offset % 8 === 0 && left >= 8) return 8;
  if (offset % 4 === 0 && left >= 4) return 4;
  return offset % 2 === 0 && left >= 2 ? 2 : 1;
}

function load(view: DataView, at: number, width: AccessWidth): number {
  if (width === 4) return view.getUint32(at, true);
  return width === 2 ? view.getUint16(at, true) : view.getUint8(at);
}

/** Of a value that is too large, the lower bits: as a register of the width would give. */
function store(view: DataView, at: number, width: AccessWidth, value: number): void {
  if (width === 4) view.setUint32(at, value, true);
  else if (width === 2) view.setUint16(at, value, true);
  else view.setUint8(at, value);
}

showAs(DeviceBar, (bar) => `BAR ${bar.index}, ${bar.size} bytes of ${bar.space}`);
