/**
 * A part of a region, mapped into this process.
 *
 * @module
 */
import { type DmaMemory, dmaMemory } from "../memory/dma-buffer.js";
import { type RegisterProgram, type Registers } from "./registers.js";
/**
 * The alignment at which the kernel can use its largest pages for a mapping: the largest power of two in the length, up
 * to the largest page there is.
 */
export declare function hugeAlignment(length: number): number;
/** The largest page that can map something of this length at this offset of a naturally aligned BAR. */
export declare function largestPage(offset: number, length: number, basePage: number): number;
/** The region that a {@link RegionMap} maps; a `Region` is one. */
export interface MappedRegion {
    /** The index in `VFIO_DEVICE_GET_REGION_INFO`. */
    readonly index: number;
    /** Where it begins in the device's file, in bytes. */
    readonly fileOffset: bigint;
    /** The device's address and the region's name, for messages. */
    readonly label: string;
    /** In bytes. */
    readonly size: number;
    readonly readable: boolean;
    readonly writable: boolean;
}
/**
 * A device's memory in this process, for its registers and as memory that other devices can be given.
 *
 * Each read and write is one access by the processor, made outside of JavaScript: an engine merges, repeats, splits and
 * drops accesses of its own typed arrays.
 *
 * Touching it while the device's memory space is off (bit 1 of COMMAND) or the device is asleep ends the process with
 * SIGBUS; touching it during a reset waits for the end of the reset. Use the region's own methods where that may be.
 */
export declare class RegionMap implements DmaMemory, Registers, Disposable {
    #private;
    readonly [dmaMemory] = true;
    readonly kind = "bar";
    readonly label: string;
    readonly address: number;
    readonly length: number;
    readonly pageSize: number;
    /** The region. */
    readonly region: MappedRegion;
    /** Where in the region the mapping begins, in bytes. */
    readonly offset: number;
    /** Whether it has been closed. */
    get closed(): boolean;
    /** One read of 8 bits. */
    read8(offset: number): number;
    /** One read of 16 bits. */
    read16(offset: number): number;
    /** One read of 32 bits. */
    read32(offset: number): number;
    /** One read of 64 bits. */
    read64(offset: number): bigint;
    /** One write of 8 bits. */
    write8(offset: number, value: number): void;
    /** One write of 16 bits. */
    write16(offset: number, value: number): void;
    /** One write of 32 bits. */
    write32(offset: number, value: number): void;
    /** One write of 64 bits. */
    write64(offset: number, value: number | bigint): void;
    run(program: RegisterProgram): void;
    /**
     * An `ArrayBuffer` over a part, for what is plain memory (a frame buffer, a shared-memory device). It is kept until {@link close}:
     * the same part again is the same `ArrayBuffer`.
     *
     * Not for registers. Engines promise the width of an access to a typed array and not how often it happens: equal reads
     * are merged (Node 24 and later), an unused one is dropped, `DataView` and `Buffer` read byte by byte until they are
     * optimised, `set` and `fill` store up to 64 bytes at once, and `Atomics.store` is a locked read and write.
     *
     * It is empty after {@link close}. Do not `transfer()` it: the mapping would then have to stay until the process ends.
     */
    unsafeArrayBuffer(offset?: number, length?: number): ArrayBuffer;
    /**
     * A dma-buf of the mapped part, which is how iommufd maps a BAR for other devices. Made at the first call, kept as long
     * as the mapping; borrowed. Of a vfio-user device it is the file that the region came with.
     *
     * @throws VfioError where the kernel or the device's driver makes none
     */
    backing(): {
        readonly fd: number;
        readonly offset: number;
    };
    /**
     * Unmaps it. A second call does nothing.
     *
     * @throws VfioError EBUSY while a container has it mapped for other devices: it stays as it is
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
