/** Neighbouring pages that were written, within the range that a bitmap is about. */
export interface DirtyRange {
    /** Where they begin, in bytes from the start of the range. */
    readonly offset: number;
    /** In bytes. */
    readonly length: number;
}
/**
 * The written parts of a range, in order; neighbouring pages are one part.
 *
 * It looks at 32 pages at once: clean memory costs next to nothing, and so does memory that is dirty throughout.
 *
 * @param bitmap one bit for each page, the first page's the lowest: what `LegacyContainer.dirtyPages` returns
 * @param pageSize in bytes: what a bit stands for
 * @throws RangeError for a page size that is none
 */
export declare function dirtyRanges(bitmap: BigUint64Array, pageSize: number): Generator<DirtyRange, void, undefined>;
