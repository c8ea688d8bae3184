/**
 * I/O virtual addresses: what they may be, and ranges of them.
 *
 * An IOVA is what a device puts on the bus; the IOMMU translates it. It is 64 bits wide, so it is a `bigint` in results
 * and `number | bigint` in arguments. Ranges are inclusive, as in `IOMMU_IOAS_IOVA_RANGES` and in the legacy container's
 * IOVA-range capability (`Documentation/userspace-api/iommufd.rst`): the last byte of the whole space has an address, the
 * byte after it has none.
 *
 * @module
 */
import { checkIterable, checkObject } from "../base/arguments.js";
import { argTypeError, outOfRangeError } from "../base/errors.js";

/** The highest address there is: 2^64 - 1. */
export const MAX_IOVA = 0xffff_ffff_ffff_ffffn;

// An x86 host has three or four usable ranges (around the MSI window and reserved regions): eight show any real list whole.
const SHOWN_RANGES = 8;

/** Addresses from `start` to `last`, both included. */
export interface IovaRange {
  /** The first address of the range. */
  readonly start: bigint;
  /** The last address of the range; a range has at least one byte, so it is never below `start`. */
  readonly last: bigint;
}

/**
 * Checks an address given by a caller.
 *
 * @param name the argument's name, for the error
 * @param value a safe integer or a bigint, from 0 to 2^64 - 1
 * @throws TypeError (`ERR_INVALID_ARG_TYPE`) if it is neither a number nor a bigint
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if it is negative, too large, or a number that is not a safe integer
 */
export function toIova(name: string, value: number | bigint): bigint {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw outOfRangeError(name, "an integer from 0 to 2^53 - 1, or a bigint up to 2^64 - 1", value);
    }
    return BigInt(value);
  }
  if (typeof value !== "bigint") throw argTypeError(name, "a number or a bigint", value);
  if (value < 0n || value > MAX_IOVA) throw outOfRangeError(name, "from 0 to 2^64 - 1", value);
  return value;
}

/**
 * Checks a length in bytes given by a caller, and returns it as a number where that is exact.
 *
 * @param name the argument's name, for the error
 * @param value a safe integer or a bigint, from 1 to 2^64
 * @throws TypeError (`ERR_INVALID_ARG_TYPE`), RangeError (`ERR_OUT_OF_RANGE`)
 */
export function toLength(name: string, value: number | bigint): number | bigint {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw outOfRangeError(name, "an integer from 1 to 2^53 - 1, or a bigint up to 2^64", value);
    }
    return value;
  }
  if (typeof value !== "bigint") throw argTypeError(name, "a number or a bigint", value);
  if (value < 1n || value > MAX_IOVA + 1n) throw outOfRangeError(name, "from 1 to 2^64", value);
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/**
 * The last address of `length` bytes from `iova` on.
 *
 * @param iova an address that was checked
 * @param length a length that was checked
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if the range wraps around the end of the address space
 */
export function lastIova(iova: bigint, length: number | bigint): bigint {
  const last = iova + (typeof length === "bigint" ? length : BigInt(length)) - 1n;
  if (last > MAX_IOVA) {
    throw outOfRangeError(
      "length",
      `at most 0x${(MAX_IOVA - iova + 1n).toString(16)} from 0x${iova.toString(16)}`,
      length,
    );
  }
  return last;
}

/** A range as people write it: `[0x1000, 0x1fff]`. */
export function showRange(range: IovaRange): string {
  return `[0x${range.start.toString(16)}, 0x${range.last.toString(16)}]`;
}

/** A list of ranges as people write it, cut short where it is long. */
export function showRanges(ranges: readonly IovaRange[]): string {
  const shown = ranges.slice(0, SHOWN_RANGES).map(showRange).join(", ");
  return ranges.length > SHOWN_RANGES ? `${shown} and ${ranges.length - SHOWN_RANGES} more` : shown || "none";
}

/**
 * The same addresses as sorted ranges that neither overlap nor touch.
 *
 * @throws RangeError (`ERR_OUT_OF_RANGE`) for a range that ends before it starts, or an address beyond 2^64 - 1
 */
export function normalizeRanges(ranges: Iterable<IovaRange>): IovaRange[] {
  checkIterable("ranges", ranges);
  const sorted = Array.from(ranges, (each) => {
    checkObject("ranges", each);
    const { start, last } = each;
    const range = { start: toIova("start", start), last: toIova("last", last) };
    if (range.last < range.start) throw outOfRangeError("last", `at least start, 0x${start.toString(16)}`, last);
    return range;
  }).sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const merged: { start: bigint; last: bigint }[] = [];
  for (const range of sorted) {
    const previous = merged.at(-1);
    if (previous === undefined || range.start > previous.last + 1n) merged.push(range);
    else if (range.last > previous.last) previous.last = range.last;
  }
  return merged;
}

/** The addresses that are in both, as sorted ranges that neither overlap nor touch. */
export function intersectRanges(a: Iterable<IovaRange>, b: Iterable<IovaRange>): IovaRange[] {
  const [left, right] = [normalizeRanges(a), normalizeRanges(b)];
  const both: IovaRange[] = [];
  let i = 0;
  let j = 0;
  for (;;) {
    const [x, y] = [left[i], right[j]];
    if (x === undefined || y === undefined) return both;
    const [begins, ends] = [x.start > y.start ? x : y, x.last < y.last ? x : y];
    if (begins.start <= ends.last) both.push({ start: begins.start, last: ends.last });
    if (ends === x) i++;
    else j++;
  }
}

/** The addresses that are in none of the ranges, as sorted ranges that neither overlap nor touch. */
export function invertRanges(ranges: Iterable<IovaRange>): IovaRange[] {
  const inverse: IovaRange[] = [];
  let next = 0n;
  for (const { start, last } of normalizeRanges(ranges)) {
    if (start > next) inverse.push({ start: next, last: start - 1n });
    next = last + 1n;
  }
  if (next <= MAX_IOVA) inverse.push({ start: next, last: MAX_IOVA });
  return inverse;
}

/**
 * Whether every one of `length` bytes from `iova` on lies within the ranges; ranges that touch count as one.
 *
 * @throws TypeError, RangeError for arguments that no range could contain (see {@link toIova}, {@link toLength})
 */
export function rangesContain(ranges: Iterable<IovaRange>, iova: number | bigint, length: number | bigint): boolean {
  const start = toIova("iova", iova);
  const last = lastIova(start, toLength("length", length));
  return normalizeRanges(ranges).some((range) => range.start <= start && last <= range.last);
}

const word = new BigUint64Array(1);
const halves = new Uint32Array(word.buffer);

/**
 * The double next to an address: the address itself below 2^53, rounded above, and never out of order: where `a < b`, the
 * double of `a` is at most that of `b`. Ten times quicker than `Number(address)`, and what the ordered maps search by.
 *
 * @internal
 */
export function approximate(address: bigint): number {
  word[0] = address;
  // The halves are little-endian, as is every machine this package is built for.
  return (halves[1] ?? 0) * 0x1_0000_0000 + (halves[0] ?? 0);
}
