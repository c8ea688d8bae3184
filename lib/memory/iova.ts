/**
 * An allocator of I/O virtual addresses over the ranges that an IOMMU and its devices can use.
 *
 * Where it looks, and why:
 *
 * ```text
 *  0   page            256 MiB (28 bits)       4 GiB (32 bits)                          aperture (39, 48, 57 bits)
 *  |----|-------------------|-----------------------|---------------------------------------------|
 *  never                              <-------------|------------->
 *                       second choice, from the top | first choice, from the bottom
 * ```
 *
 * - An allocation takes the lowest addresses that fit at or above 4 GiB. Only if there are none, or its device does not
 *   reach that far, it takes the highest that fit below. So the low addresses stay free for the devices that reach no
 *   others (edu's 28 bits, many NICs' 32), and a map made before a device is attached lies within the 39 bits of the
 *   smallest apertures in use.
 * - Within each side the choice is by address, not by size: holes near 4 GiB are filled first, and what is allocated
 *   stays together.
 * - An address is aligned to the largest power of two that divides the length, and to 2 MiB or 1 GiB where the length
 *   reaches that, but never to more than 1 GiB: so the IOMMU can use huge pages for as much of the length as possible, also
 *   for 2 MiB and one page. That is a preference: where no hole has it, 2 MiB and then the granularity are tried. An
 *   alignment that the caller asks for is a condition.
 * - The page at 0 is never handed out: 0 is what a descriptor that nobody filled in holds, and such a DMA must fault. It can be
 *   reserved by its address.
 * - A request fails only if there is really no place for it: every hole is looked at before.
 *
 * @module
 */

import { constants } from "node:os";
import { checkOptions, checkString, checkU64, knownOptions } from "../base/arguments.js";
import { outOfRangeError, VfioError } from "../base/errors.js";
import {
  approximate,
  type IovaRange,
  intersectRanges,
  invertRanges,
  lastIova,
  MAX_IOVA,
  normalizeRanges,
  showRange,
  showRanges,
  toIova,
  toLength,
} from "./iova-range.js";
import { OrderedMap } from "./ordered-map.js";

export {
  type IovaRange,
  intersectRanges,
  invertRanges,
  lastIova,
  MAX_IOVA,
  normalizeRanges,
  rangesContain,
  showRange,
  showRanges,
  toIova,
  toLength,
} from "./iova-range.js";

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

// Addresses are doubles inside, as bigint arithmetic would be half of an allocation's cost. Below EXACT every integer is a
// double; from there to 2^64 every multiple of GRAIN is one. Automatic addresses are multiples of the granularity, which
// is why it may not be smaller; fixed ranges that begin or end in between (above 8 PiB) occupy their whole grain.
const EXACT = 2 ** 53;
const GRAIN = 2 * KIB;
const END = 2 ** 64;

// Below this, addresses are scarce: 32-bit devices reach no others.
const LOW_END = 4 * GIB;
// The pages that x86 IOMMUs and Arm's SMMU (with pages of 4 KiB) map by one entry; beyond them alignment gains nothing.
const HUGE_PAGE = 2 * MIB;
const LARGEST_PAGE = GIB;

/** How an {@link IovaAllocator} is made. */
export interface IovaAllocatorOptions {
  /**
   * The smallest page that the IOMMU maps, in bytes: the least alignment of automatic addresses. A power of two from 2 KiB
   * (iommufd's mock domain) to 1 GiB; 4096 by default.
   */
  readonly granularity?: number;
  /** What the addresses belong to, for errors: `container (type1v2)`. */
  readonly object?: string;
}

/** What an automatic address has to satisfy. */
export interface IovaAllocateOptions {
  /** A power of two, in bytes; raised to the granularity if smaller. By default the length decides, see the module's head. */
  readonly alignment?: number | bigint;
  /** The lowest address allowed; 0 by default. */
  readonly min?: number | bigint;
  /** The highest address the device reaches, inclusive: its DMA mask, as `0xfff_ffff` for 28 bits; 2^64 - 1 by default. */
  readonly max?: number | bigint;
}

/** What is left, within the usable ranges. */
export interface IovaStatistics {
  /** Bytes that are not allocated, page 0 included. */
  readonly freeBytes: bigint;
  /** How many separate pieces they are in. */
  readonly freeExtents: number;
  /** The largest of these, the first of them if several are. */
  readonly largestFree: IovaRange | undefined;
}

/** Addresses from `start` to before `end`. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** Addresses that nobody has. In the map its key is its start, its weight its length, its rank see {@link rankOf}. */
interface Hole {
  start: number;
  end: number;
}

const real = new Float64Array(1);
const realHalves = new Uint32Array(real.buffer);

// The largest power of two that is not above a number: the number without its mantissa. Math.log2 is neither exact enough
// nor quick.
function powerBelow(value: number): number {
  real[0] = value;
  realHalves[0] = 0;
  realHalves[1] = (realHalves[1] ?? 0) & 0xfff0_0000;
  return real[0];
}

function alignUp(address: number, alignment: number): number {
  return Math.ceil(address / alignment) * alignment;
}

function alignDown(address: number, alignment: number): number {
  return Math.floor(address / alignment) * alignment;
}

// The largest aligned power of two in a hole: all of a power of two that is not above its length, or half of that.
function rankOf(start: number, end: number): number {
  const size = powerBelow(end - start);
  return alignUp(start, size) + size <= end ? size : size / 2;
}

// The nearest double that is not above an address (at most 2^64).
function floorNumber(address: bigint): number {
  if (address > MAX_IOVA) return END;
  const near = approximate(address);
  return near < EXACT ? near : Number(address & ~BigInt(GRAIN - 1));
}

// The nearest double that is not below an address (at most 2^64).
function ceilNumber(address: bigint): number {
  if (address > MAX_IOVA) return END;
  const near = approximate(address);
  return near < EXACT ? near : Number((address + BigInt(GRAIN - 1)) & ~BigInt(GRAIN - 1));
}

// Where `length` bytes from an automatic address on end, which is a multiple of GRAIN.
function endOf(start: number, length: number): number {
  const end = start + length;
  return end < EXACT ? end : start + alignUp(length, GRAIN);
}

function toRange(start: number, end: number): IovaRange {
  return { start: BigInt(start), last: BigInt(end) - 1n };
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

const allocatorOptions = knownOptions<IovaAllocatorOptions>({ granularity: checkU64, object: checkString });
const allocateOptions = knownOptions<IovaAllocateOptions>({ alignment: checkU64, min: checkU64, max: checkU64 });

/**
 * Hands out addresses from a container's usable ranges. See the module's head for the policy. Each call takes a time that
 * grows with the logarithm of the number of holes; only requests that hardly fit (an alignment above the length, an odd
 * multiple of a huge page) may have to look at many.
 *
 * It keeps no list of allocations, only what is free: a range may be freed in other pieces than it was allocated in.
 */
export class IovaAllocator {
  readonly #holes = new OrderedMap<Hole>();
  readonly #object: string | undefined;
  #granularity: number;
  #ranges: readonly IovaRange[] = [];
  #spans: readonly Span[] = [];

  /**
   * @param ranges what may be used, in any order; for a container its `iovaRanges`
   * @throws RangeError (`ERR_OUT_OF_RANGE`) for a granularity or a range that is none
   */
  constructor(ranges: Iterable<IovaRange>, options: IovaAllocatorOptions = {}) {
    checkOptions("options", options, allocatorOptions);
    this.#granularity = checkGranularity(options.granularity ?? 4 * KIB);
    this.#object = options.object;
    this.#add(0, END);
    this.setRanges(ranges);
  }

  /** What may be used: sorted, without overlaps. */
  get ranges(): readonly IovaRange[] {
    return this.#ranges;
  }

  /** The least alignment of automatic addresses, in bytes. */
  get granularity(): number {
    return this.#granularity;
  }

  /**
   * Allocates addresses of the allocator's choice.
   *
   * @param length in bytes; it need not be a multiple of the granularity, but the address always is
   * @returns the first address
   * @throws VfioError `ENOSPC` if there is no place, with what is left under which limit
   * @throws TypeError, RangeError for arguments that no allocator could satisfy
   */
  allocate(length: number | bigint, options: IovaAllocateOptions = {}): bigint {
    checkOptions("options", options, allocateOptions);
    const checked = toLength("length", length);
    const bytes = typeof checked === "number" ? checked : ceilNumber(checked);
    const from = options.min === undefined ? 0 : ceilNumber(toIova("min", options.min));
    const to = options.max === undefined ? END : floorNumber(toIova("max", options.max) + 1n);
    let strict = this.#granularity;
    let wanted = this.#granularity;
    if (options.alignment === undefined) wanted = Math.max(wanted, naturalAlignment(bytes));
    else wanted = strict = Math.max(wanted, checkPowerOfTwo("alignment", options.alignment));

    let found = -1;
    for (let alignment = wanted; found < 0 && alignment > 0; alignment = nextWeaker(alignment, strict)) {
      found = this.#lowest(bytes, alignment, Math.max(from, LOW_END), to);
    }
    for (let alignment = wanted; found < 0 && alignment > 0; alignment = nextWeaker(alignment, strict)) {
      found = this.#highest(bytes, alignment, Math.max(from, this.#granularity), Math.min(to, LOW_END));
    }
    if (found >= 0) return BigInt(found);
    throw this.#exhausted(checked, strict, from, to, options);
  }

  /**
   * Whether a range is within the usable ones, allocated or not.
   *
   * @throws TypeError, RangeError for a range that is none
   */
  isUsable(iova: number | bigint, length: number | bigint): boolean {
    const first = toIova("iova", iova);
    const last = lastIova(first, toLength("length", length));
    return this.#ranges.some((range) => range.start <= first && last <= range.last);
  }

  /**
   * Takes addresses that the caller chose.
   *
   * @param iova the first address; neither it nor the length has to be a multiple of anything
   * @throws VfioError `EINVAL` if a part of it is not in the usable ranges, `EEXIST` if a part of it is allocated
   * @throws TypeError, RangeError for a range that is none
   */
  reserve(iova: number | bigint, length: number | bigint): void {
    const first = toIova("iova", iova);
    const last = lastIova(first, toLength("length", length));
    if (!this.isUsable(first, last - first + 1n)) {
      throw new VfioError({
        errno: constants.errno.EINVAL, // as the kernel answers in every mode
        syscall: "reserve",
        args: { iova: first, length },
        ...this.#where(),
        why: `${showRange({ start: first, last })} is not within the usable ranges: ${showRanges(this.#ranges)}`,
        fix: "use an address within them, or let the library choose one",
      });
    }
    const start = floorNumber(first);
    const end = ceilNumber(last + 1n);
    const hole = this.#holes.floor(start, 0);
    if (hole === undefined || hole.end < end) {
      const taken = hole !== undefined && hole.end > start ? hole.end : start;
      throw new VfioError({
        errno: constants.errno.EEXIST,
        syscall: "reserve",
        args: { iova: first, length },
        ...this.#where(),
        why: `${hex(taken)} is allocated already`,
        fix: "free it first, or let the library choose an address",
      });
    }
    this.#take(hole, start, end);
  }

  /**
   * Gives addresses back: all that one {@link allocate} or {@link reserve} took, or any part or neighbourhood of it.
   *
   * @throws VfioError `ENOENT` if a part of it is not allocated; nothing is freed then
   * @throws TypeError, RangeError for a range that is none
   */
  free(iova: number | bigint, length: number | bigint): void {
    const first = toIova("iova", iova);
    const bytes = toLength("length", length);
    const near = approximate(first);
    const start = near < EXACT ? near : floorNumber(first);
    const sum = typeof bytes === "number" ? start + bytes : END;
    const end = sum < EXACT ? sum : ceilNumber(lastIova(first, bytes) + 1n);
    const holes = this.#holes;
    const before = holes.floor(start, 0);
    const after = holes.ceiling(start, 0);
    const free =
      before !== undefined && before.end > start
        ? before
        : after !== undefined && after.start < end
          ? after
          : undefined;
    if (free !== undefined) {
      throw new VfioError({
        errno: constants.errno.ENOENT,
        syscall: "free",
        args: { iova: first, length: bytes },
        ...this.#where(),
        why: `${hex(Math.max(free.start, start))} is not allocated`,
        fix: "free a range once, with the address and the length that it was allocated with",
      });
    }
    const joined = after?.start === end ? after : undefined;
    if (before?.end === start) {
      if (joined !== undefined) holes.remove(joined.start, 0);
      this.#resize(before, before.start, joined?.end ?? end);
    } else if (joined !== undefined) {
      this.#resize(joined, start, joined.end);
    } else {
      this.#add(start, end);
    }
  }

  /**
   * Replaces the usable ranges. They shrink when a device is attached that reaches less or has reserved regions, and grow
   * when it leaves. What is allocated stays allocated wherever it lies.
   *
   * @param granularity the new least alignment, where it changed too
   * @returns the allocated addresses that are outside the new ranges: empty where all is well
   */
  setRanges(ranges: Iterable<IovaRange>, granularity: number = this.#granularity): IovaRange[] {
    const usable = normalizeRanges(ranges);
    this.#granularity = checkGranularity(granularity);
    this.#ranges = usable;
    this.#spans = usable.map(({ start, last }) => ({ start: ceilNumber(start), end: floorNumber(last + 1n) }));
    return intersectRanges(this.allocated(), invertRanges(usable));
  }

  /** What is allocated, in order; neighbours are one range. Takes a time proportional to the number of holes. */
  allocated(): IovaRange[] {
    return invertRanges(this.#holes.toArray().map((hole) => toRange(hole.start, hole.end)));
  }

  /** What is left. Takes a time proportional to the number of holes. */
  statistics(): IovaStatistics {
    let freeBytes = 0n;
    let largest: Span = { start: 0, end: 0 };
    const free = this.#free(0, END);
    for (const span of free) {
      freeBytes += BigInt(span.end) - BigInt(span.start);
      if (span.end - span.start > largest.end - largest.start) largest = span;
    }
    const largestFree = free.length === 0 ? undefined : toRange(largest.start, largest.end);
    return { freeBytes, freeExtents: free.length, largestFree };
  }

  // The lowest place from `from` to before `to`, taken; -1 if there is none.
  #lowest(bytes: number, alignment: number, from: number, to: number): number {
    const rank = leastRank(bytes, alignment);
    for (const span of this.#spans) {
      const low = Math.max(span.start, from);
      const high = Math.min(span.end, to);
      if (high - low < bytes) continue;
      // The hole that contains `low` may have begun before it.
      let hole = this.#holes.floor(low, 0);
      if (hole === undefined || hole.end <= low) hole = this.#holes.firstFrom(low, 0, bytes, rank);
      while (hole !== undefined && hole.start < high) {
        const start = alignUp(Math.max(hole.start, low), alignment);
        const end = endOf(start, bytes);
        if (end <= Math.min(hole.end, high)) {
          this.#take(hole, start, end);
          return start;
        }
        hole = this.#holes.firstFrom(hole.end, 0, bytes, rank);
      }
    }
    return -1;
  }

  // The highest place from `from` to before `to` (which is at most 4 GiB, where all is exact), taken; -1 if there is none.
  #highest(bytes: number, alignment: number, from: number, to: number): number {
    const rank = leastRank(bytes, alignment);
    for (let i = this.#spans.length - 1; i >= 0; i--) {
      const span = this.#spans[i];
      if (span === undefined) continue;
      const low = Math.max(span.start, from);
      const high = Math.min(span.end, to);
      if (high - low < bytes) continue;
      let found = -1;
      const fits = (hole: Hole): boolean => {
        const start = alignDown(Math.min(hole.end, high) - bytes, alignment);
        if (start >= Math.max(hole.start, low)) found = start;
        return found >= 0 || hole.end <= low;
      };
      const hole = this.#holes.lastUpTo(high - bytes, 0, bytes, rank, fits);
      if (hole !== undefined && found >= 0) {
        this.#take(hole, found, found + bytes);
        return found;
      }
    }
    return -1;
  }

  // Takes addresses out of the hole they are in.
  #take(hole: Hole, start: number, end: number): void {
    const holeEnd = hole.end;
    if (hole.start < start) {
      this.#resize(hole, hole.start, start);
      if (end < holeEnd) this.#add(end, holeEnd);
    } else if (end < holeEnd) {
      this.#resize(hole, end, holeEnd);
    } else {
      this.#holes.remove(start, 0);
    }
  }

  #add(start: number, end: number): void {
    this.#holes.insert(start, 0, end - start, rankOf(start, end), { start, end });
  }

  #resize(hole: Hole, start: number, end: number): void {
    this.#holes.update(hole.start, 0, start, end - start, rankOf(start, end));
    hole.start = start;
    hole.end = end;
  }

  // What is free and usable from `from` to before `to`.
  #free(from: number, to: number): Span[] {
    const holes = this.#holes.toArray();
    const free: Span[] = [];
    let i = 0;
    for (const span of this.#spans) {
      const low = Math.max(span.start, from);
      const high = Math.min(span.end, to);
      for (; i < holes.length; i++) {
        const hole = holes[i];
        if (hole === undefined || hole.start >= high) break;
        const [start, end] = [Math.max(hole.start, low), Math.min(hole.end, high)];
        if (start < end) free.push({ start, end });
        if (hole.end > high) break;
      }
    }
    return free;
  }

  #exhausted(
    length: number | bigint,
    alignment: number,
    from: number,
    to: number,
    options: IovaAllocateOptions,
  ): VfioError {
    const lowest = Math.max(from, this.#granularity);
    let total = 0n;
    let largest: Span = { start: 0, end: 0 };
    for (const { start, end } of this.#free(lowest, to)) {
      total += BigInt(end) - BigInt(start);
      const aligned = alignUp(start, alignment);
      if (end - aligned > largest.end - largest.start) largest = { start: aligned, end };
    }
    const bounds = [
      ...(options.min === undefined ? [] : [`from ${hex(options.min)}`]),
      ...(options.max === undefined ? [] : [`up to ${hex(options.max)}`]),
    ];
    const where = bounds.length === 0 ? "in the usable ranges" : `${bounds.join(" ")} in the usable ranges`;
    const left = largest.end - largest.start;
    const best = left > 0 ? `, the largest aligned piece ${hex(left)} at ${hex(largest.start)}` : "";
    return new VfioError({
      errno: constants.errno.ENOSPC,
      syscall: "allocate",
      args: {
        length,
        alignment,
        ...(options.min === undefined ? {} : { min: options.min }),
        ...(options.max === undefined ? {} : { max: options.max }),
      },
      ...this.#where(),
      why: `${hex(total)} bytes are free ${where}${best}; usable are ${showRanges(this.#ranges)}`,
      fix: "unmap what is not needed, map in smaller pieces, or relax the alignment or the limit",
    });
  }

  #where(): { object?: string } {
    return this.#object === undefined ? {} : { object: this.#object };
  }
}

// The least rank of a hole with room for an aligned request. Half of a power of two that is not above the length is always
// there; a request for exactly a power of two, aligned to as much, is itself one, so that no hole is looked at in vain.
function leastRank(bytes: number, alignment: number): number {
  const power = powerBelow(bytes);
  return bytes === power && alignment >= bytes ? bytes : power / 2;
}

// What lets the IOMMU use its largest pages for as much of the length as possible.
function naturalAlignment(bytes: number): number {
  if (bytes >= LARGEST_PAGE) return LARGEST_PAGE;
  return Math.max(bytes & -bytes, bytes >= HUGE_PAGE ? HUGE_PAGE : 1);
}

// What to try when no hole has an alignment; 0 after the last.
function nextWeaker(alignment: number, strict: number): number {
  if (alignment === strict) return 0;
  return alignment > HUGE_PAGE ? Math.max(HUGE_PAGE, strict) : strict;
}

function checkPowerOfTwo(name: string, value: number | bigint): number {
  const checked = toLength(name, value);
  const number = Number(checked);
  if (number !== powerBelow(number) || (typeof checked === "bigint" && checked !== BigInt(number))) {
    throw outOfRangeError(name, "a power of two", value);
  }
  return number;
}

function checkGranularity(value: number): number {
  const size = checkPowerOfTwo("granularity", value);
  if (size < GRAIN || size > LARGEST_PAGE) throw outOfRangeError("granularity", "from 2 KiB to 1 GiB", value);
  return size;
}
