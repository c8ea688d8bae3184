/** The highest address there is: 2^64 - 1. */
export declare const MAX_IOVA = 18446744073709551615n;
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
export declare function toIova(name: string, value: number | bigint): bigint;
/**
 * Checks a length in bytes given by a caller, and returns it as a number where that is exact.
 *
 * @param name the argument's name, for the error
 * @param value a safe integer or a bigint, from 1 to 2^64
 * @throws TypeError (`ERR_INVALID_ARG_TYPE`), RangeError (`ERR_OUT_OF_RANGE`)
 */
export declare function toLength(name: string, value: number | bigint): number | bigint;
/**
 * The last address of `length` bytes from `iova` on.
 *
 * @param iova an address that was checked
 * @param length a length that was checked
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if the range wraps around the end of the address space
 */
export declare function lastIova(iova: bigint, length: number | bigint): bigint;
/** A range as people write it: `[0x1000, 0x1fff]`. */
export declare function showRange(range: IovaRange): string;
/** A list of ranges as people write it, cut short where it is long. */
export declare function showRanges(ranges: readonly IovaRange[]): string;
/**
 * The same addresses as sorted ranges that neither overlap nor touch.
 *
 * @throws RangeError (`ERR_OUT_OF_RANGE`) for a range that ends before it starts, or an address beyond 2^64 - 1
 */
export declare function normalizeRanges(ranges: Iterable<IovaRange>): IovaRange[];
/** The addresses that are in both, as sorted ranges that neither overlap nor touch. */
export declare function intersectRanges(a: Iterable<IovaRange>, b: Iterable<IovaRange>): IovaRange[];
/** The addresses that are in none of the ranges, as sorted ranges that neither overlap nor touch. */
export declare function invertRanges(ranges: Iterable<IovaRange>): IovaRange[];
/**
 * Whether every one of `length` bytes from `iova` on lies within the ranges; ranges that touch count as one.
 *
 * @throws TypeError, RangeError for arguments that no range could contain (see {@link toIova}, {@link toLength})
 */
export declare function rangesContain(ranges: Iterable<IovaRange>, iova: number | bigint, length: number | bigint): boolean;
