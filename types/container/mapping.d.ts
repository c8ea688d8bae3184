/**
 * One mapping: memory of ours that a device may reach at an IOVA.
 *
 * @module
 */
import type { DmaMemory } from "../memory/dma-buffer.js";
/**
 * Memory that the devices of a container can reach at {@link iova}, until {@link unmap}.
 *
 * It keeps its memory alive (a buffer refuses to close while it is mapped), and dies with its container.
 */
export declare class DmaMapping implements Disposable {
    #private;
    /** The first I/O virtual address. */
    readonly iova: bigint;
    /** In bytes. */
    readonly length: number;
    /** Whether a device may read the memory. */
    readonly read: boolean;
    /** Whether a device may write the memory. */
    readonly write: boolean;
    /** The memory that is mapped. */
    readonly memory: DmaMemory;
    /** Where in the memory the mapping begins, in bytes. */
    readonly offset: number;
    /** The last I/O virtual address, inclusive. */
    get last(): bigint;
    /** The address of the mapped memory in this process. */
    get address(): number;
    /** Whether the devices can still reach it. While {@link unmapAsync} is under way they may, so its memory stays held. */
    get mapped(): boolean;
    /** The IOVA of a byte of the mapping, for a descriptor or a register. */
    at(offset: number): bigint;
    /**
     * Takes it away from the devices. Does nothing when it is gone already, also by way of `container.unmap` or `close`.
     *
     * Unpinning takes time in proportion to the length: for more than a few MiB prefer {@link unmapAsync}.
     *
     * @throws VfioError where the kernel refuses; the mapping then still stands. `EBUSY` while {@link unmapAsync} is under way
     */
    unmap(): void;
    /**
     * {@link unmap} without blocking: the event loop goes on while a large buffer is unpinned, on another thread. With vfio-user it
     * goes on until the server has answered.
     *
     * While it is under way, the container does not find the mapping any more, and nothing else can be mapped at its addresses. The
     * memory refuses to close, a second unmap is refused with `EBUSY`, and so are closing the container and closing its last device.
     * A live update waits for it. It cannot be called off: the kernel cannot be interrupted.
     *
     * @throws what {@link unmap} throws. The mapping then stands again, as before
     */
    unmapAsync(): Promise<void>;
    /** {@link unmap}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
