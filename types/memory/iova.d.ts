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
import { type IovaRange } from "./iova-range.js";
export { type IovaRange, intersectRanges, invertRanges, lastIova, MAX_IOVA, normalizeRanges, rangesContain, showRange, showRanges, toIova, toLength, } from "./iova-range.js";
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
/**
 * Hands out addresses from a container's usable ranges. See the module's head for the policy. Each call takes a time that
 * grows with the logarithm of the number of holes; only requests that hardly fit (an alignment above the length, an odd
 * multiple of a huge page) may have to look at many.
 *
 * It keeps no list of allocations, only what is free: a range may be freed in other pieces than it was allocated in.
 */
export declare class IovaAllocator {
    #private;
    /**
     * @param ranges what may be used, in any order; for a container its `iovaRanges`
     * @throws RangeError (`ERR_OUT_OF_RANGE`) for a granularity or a range that is none
     */
    constructor(ranges: Iterable<IovaRange>, options?: IovaAllocatorOptions);
    /** What may be used: sorted, without overlaps. */
    get ranges(): readonly IovaRange[];
    /** The least alignment of automatic addresses, in bytes. */
    get granularity(): number;
    /**
     * Allocates addresses of the allocator's choice.
     *
     * @param length in bytes; it need not be a multiple of the granularity, but the address always is
     * @returns the first address
     * @throws VfioError `ENOSPC` if there is no place, with what is left under which limit
     * @throws TypeError, RangeError for arguments that no allocator could satisfy
     */
    allocate(length: number | bigint, options?: IovaAllocateOptions): bigint;
    /**
     * Whether a range is within the usable ones, allocated or not.
     *
     * @throws TypeError, RangeError for a range that is none
     */
    isUsable(iova: number | bigint, length: number | bigint): boolean;
    /**
     * Takes addresses that the caller chose.
     *
     * @param iova the first address; neither it nor the length has to be a multiple of anything
     * @throws VfioError `EINVAL` if a part of it is not in the usable ranges, `EEXIST` if a part of it is allocated
     * @throws TypeError, RangeError for a range that is none
     */
    reserve(iova: number | bigint, length: number | bigint): void;
    /**
     * Gives addresses back: all that one {@link allocate} or {@link reserve} took, or any part or neighbourhood of it.
     *
     * @throws VfioError `ENOENT` if a part of it is not allocated; nothing is freed then
     * @throws TypeError, RangeError for a range that is none
     */
    free(iova: number | bigint, length: number | bigint): void;
    /**
     * Replaces the usable ranges. They shrink when a device is attached that reaches less or has reserved regions, and grow
     * when it leaves. What is allocated stays allocated wherever it lies.
     *
     * @param granularity the new least alignment, where it changed too
     * @returns the allocated addresses that are outside the new ranges: empty where all is well
     */
    setRanges(ranges: Iterable<IovaRange>, granularity?: number): IovaRange[];
    /** What is allocated, in order; neighbours are one range. Takes a time proportional to the number of holes. */
    allocated(): IovaRange[];
    /** What is left. Takes a time proportional to the number of holes. */
    statistics(): IovaStatistics;
}
