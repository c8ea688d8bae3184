/**
 * Which pages of the client's memory a device has written: what a migration asks for.
 *
 * @module
 */
export declare const LOG_PAGE_SIZE: bigint;
/** A sparse bitmap of written pages. */
export declare class DirtyLog {
    #private;
    /** Notes that a range was written. */
    mark(iova: bigint, length: number): void;
    /**
     * The written pages of a range, one bit each, and forgets them.
     *
     * @param iova a multiple of `pageSize`
     * @param pageSize what a bit stands for: a power of two, larger or smaller than what is told apart
     * @param bitmap is filled in; long enough for the range
     */
    take(iova: bigint, length: bigint, pageSize: bigint, bitmap: Uint8Array): void;
}
