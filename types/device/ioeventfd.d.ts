/**
 * `VFIO_DEVICE_IOEVENTFD`: a register that the kernel writes whenever an eventfd is signalled.
 *
 * @module
 */
import type { DevicePart } from "./open-device.js";
import { type Width } from "./registers.js";
/** What is written where. */
export interface IoeventfdOptions {
    /** The register, from the start of the region. */
    readonly offset: number;
    /** Its width in bytes. */
    readonly width: Width;
    /** What is written. */
    readonly value: number | bigint;
    /**
     * The eventfd whose signals are turned into writes: borrowed, and needed only during the call, since the object keeps a
     * duplicate. Left out, one is made.
     */
    readonly eventfd?: number;
}
/**
 * A standing order to the kernel. It ends with {@link close}, or with the device.
 *
 * Several signals that come together may become one write.
 */
export declare class Ioeventfd implements DevicePart, Disposable {
    #private;
    /** For messages. */
    readonly label: string;
    /** What is written: the value, to the register at this offset of the region of this number. */
    readonly order: Readonly<{
        region: number;
        offset: number;
        width: Width;
        value: bigint;
    }>;
    readonly holdup: undefined;
    /** The eventfd's descriptor, borrowed: its own, or a duplicate of the one that it was made with. */
    get eventfd(): number;
    /** Signals the eventfd, so that the kernel makes the write. */
    signal(): void;
    /** Takes the order back. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
