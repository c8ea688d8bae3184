/**
 * A BAR of a device that is written here: registers with handlers, memory that the client maps, or both.
 *
 * @module
 */
import type { BarRegister } from "./pci-config.js";
/** The widths of an access that a handler sees, in bytes. Eight are made of two of four unless there is a handler for them. */
export type AccessWidth = 1 | 2 | 4;
/** A part of a BAR, in bytes. */
export interface BarArea {
    readonly offset: number;
    readonly length: number;
}
/** A register that is only ever written, and whose writes may skip the client: see {@link BarOptions.doorbells}. */
export interface Doorbell {
    /** Where it is, in bytes. */
    readonly offset: number;
    readonly width: AccessWidth;
    /** The only value that rings it; left out, any value does, and the handler is given 0. */
    readonly value?: number;
}
/**
 * What a BAR is.
 *
 * The handlers see accesses of 1, 2 and 4 bytes (and 8, if they are there for it) at multiples of their width: whatever the
 * client asks for is cut into such. They may answer with a promise. Requests wait for each other, and those of the next client
 * wait until the last one of a client that is gone is over: a handler is never called while another one has not finished. When
 * the client is gone, {@link DeviceClient.signal} aborts. A register without a handler reads as 0.
 */
export interface BarOptions {
    /** In bytes: a power of two, at least 16 (4 for I/O ports). */
    readonly size: number;
    /** Default `memory`. */
    readonly space?: "memory" | "io";
    /** Whether it may lie above 4 GiB: a 64-bit BAR, which takes the place of the next one too. */
    readonly wide?: boolean;
    readonly prefetchable?: boolean;
    /** The client reads a register. */
    read?(offset: number, width: AccessWidth): number | Promise<number>;
    /** The client writes a register. */
    write?(offset: number, value: number, width: AccessWidth): void | Promise<void>;
    /** The client reads 8 bytes in one access. Left out, it is two reads of 4, the lower half first. */
    read64?(offset: number): bigint | Promise<bigint>;
    /** The client writes 8 bytes in one access. Left out, it is two writes of 4, the lower half first. */
    write64?(offset: number, value: bigint): void | Promise<void>;
    /**
     * Whether the BAR is memory that the client can map: all of it, or some areas of whole pages. See {@link DeviceBar.bytes}.
     * The handlers then see what lies outside of the areas; without handlers, that is memory too, which is not mapped.
     */
    readonly memory?: boolean | {
        readonly areas: readonly BarArea[];
    };
    /**
     * Registers for which a client may have the kernel signal an eventfd, in place of a message (KVM's ioeventfd). The write
     * handler is called either way, when no other handler is under way; several writes in a row may be one call.
     */
    readonly doorbells?: readonly Doorbell[];
}
/** A BAR of a {@link PciDevice}. */
export declare class DeviceBar implements BarRegister {
    #private;
    readonly index: number;
    readonly size: number;
    readonly space: "memory" | "io";
    readonly wide: boolean;
    readonly prefetchable: boolean;
    /**
     * Its memory, if it is memory. The client may change it at any time; where it matters, look with `Atomics`.
     *
     * @throws an error with `code` `ERR_INVALID_STATE` if it has none
     */
    get bytes(): Uint8Array;
}
