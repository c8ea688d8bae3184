/**
 * Small pieces of one mapping: descriptors, command blocks, packet buffers.
 *
 * @module
 */
import { type DmaMemory } from "./dma-buffer.js";
/** The mapping that a {@link DmaPool} needs; a `DmaMapping` of a container is one. */
export interface DmaPoolMapping {
    /** The first I/O virtual address. */
    readonly iova: bigint;
    /** In bytes. */
    readonly length: number;
    /** The memory that is mapped: a {@link DmaBuffer}. */
    readonly memory: DmaMemory;
    /** Where in the memory the mapping begins, in bytes. */
    readonly offset: number;
    /** Whether devices can still reach it. */
    readonly mapped: boolean;
    /** Names the mapping in errors. */
    toString(): string;
}
/** How a {@link DmaPool} cuts its mapping. */
export interface DmaPoolOptions {
    /** The length of each block, in bytes. */
    readonly blockSize: number;
    /**
     * What each block's IOVA is a multiple of: a power of two. Default 64, a cache line: two blocks then never share one. A block
     * whose size and alignment are the same power of two crosses no boundary of that size.
     */
    readonly alignment?: number;
    /** Where in the mapping the pool begins, in bytes. Default 0. */
    readonly offset?: number;
    /** How much of the mapping it has, in bytes. Default: all that is left. */
    readonly length?: number;
}
/**
 * A piece of a {@link DmaPool}. It is the holder's until {@link free}; what it contains at first is what its last holder left.
 */
export declare class DmaBlock implements Disposable {
    #private;
    /** What the device is told. */
    readonly iova: bigint;
    /** Where it is in the mapping, in bytes. */
    readonly offset: number;
    /** In bytes. */
    readonly length: number;
    /** Its memory. Made at the first use (some 100 ns), and kept: the next holder of the block gets the same view. */
    get bytes(): Uint8Array;
    /**
     * Gives it back to the pool. The device must have done with it: the next holder may be given it at once.
     *
     * @throws an error with `code` `ERR_INVALID_STATE` if it was given back already
     */
    free(): void;
    /** {@link free}, for `using`. */
    [Symbol.dispose](): void;
}
/**
 * Hands out blocks of one size from memory that is mapped already. Neither {@link allocate} nor `free` asks the kernel, and once
 * a block has been handed out before, neither makes garbage.
 *
 * ```ts
 * const pool = new DmaPool(container.map(DmaBuffer.allocate(1 << 20)), { blockSize: 256 });
 * using command = pool.allocate();
 * command.bytes.set(request);
 * registers.write64(0x10, command.iova);
 * ```
 *
 * The block that was freed last is the next one to go, as it is most likely to be in the processor's cache. The pool owns
 * nothing: the mapping and its buffer are the caller's to end, when the device uses no block any more. For several sizes make
 * several pools, in parts of one mapping.
 */
export declare class DmaPool {
    #private;
    /** The mapping that it cuts. */
    readonly mapping: DmaPoolMapping;
    /** The length of each block, in bytes. */
    readonly blockSize: number;
    /** How many blocks there are. */
    readonly capacity: number;
    /**
     * @param mapping of a {@link DmaBuffer}
     * @throws TypeError, RangeError for a mapping of something else, and for options that leave no room for a block
     */
    constructor(mapping: DmaPoolMapping, options: DmaPoolOptions);
    /** How many blocks are handed out. */
    get allocated(): number;
    /**
     * Hands out a block.
     *
     * @throws VfioError `ENOMEM` if all of them are handed out; an error with `code` `ERR_INVALID_STATE` once the mapping is gone
     */
    allocate(): DmaBlock;
    /**
     * Hands out a block, or `undefined` if there is none: for a driver that waits until the device has finished something.
     *
     * @throws an error with `code` `ERR_INVALID_STATE` once the mapping is gone
     */
    tryAllocate(): DmaBlock | undefined;
}
