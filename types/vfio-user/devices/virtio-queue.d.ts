/**
 * A virtqueue of the split form (virtio 1.2, section 2.7), from the device's side, in the client's memory.
 *
 * @module
 */
import type { ClientMemory } from "../device/dma.js";
/** Where a queue lies, as the driver told. */
export interface QueuePlace {
    /** A power of two: how many descriptors it has. */
    readonly size: number;
    readonly descriptors: bigint;
    /** The ring of what the driver offers. */
    readonly available: bigint;
    /** The ring of what the device has done. */
    readonly used: bigint;
}
/** A piece of memory that the driver offers. */
export interface QueueBuffer {
    readonly iova: bigint;
    readonly length: number;
}
/** A request: what the device is to read, and then what it may write. */
export interface QueueRequest {
    /** Its name in the rings. */
    readonly head: number;
    readonly readable: readonly QueueBuffer[];
    readonly writable: readonly QueueBuffer[];
}
/** What a driver must not do. The device that meets it needs a reset. */
export declare class DriverError extends Error {
}
/** The device's side of a virtqueue. */
export declare class Virtqueue {
    #private;
    constructor(dma: ClientMemory, place: QueuePlace);
    /**
     * The next request that the driver offers; undefined if there is none.
     *
     * @throws DriverError, or what the memory throws
     */
    next(): Promise<QueueRequest | undefined>;
    /**
     * Gives a request back.
     *
     * @param written how many bytes of its memory were written, from the beginning
     */
    finish(request: QueueRequest, written: number): Promise<void>;
    /** Whether the driver wants to be interrupted. */
    wantsInterrupt(): Promise<boolean>;
}
