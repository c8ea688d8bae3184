/**
 * A guest's write that signals an eventfd (`KVM_IOEVENTFD`).
 *
 * @module
 */
import type { VmPart } from "./part.js";
/** Which writes signal. */
export interface KvmIoeventfdOptions {
    /** Where the guest writes: a physical address, or a port. */
    readonly address: number | bigint;
    /** The width of the write in bytes; 0 for any. */
    readonly length: 0 | 1 | 2 | 4 | 8;
    /** Only writes of this value. Left out, of any. */
    readonly match?: number | bigint;
    /** Default `mmio`. */
    readonly space?: "mmio" | "pio";
    /** Borrowed, and needed only during the call. Left out, one is made, which belongs to the object. */
    readonly eventfd?: number;
}
/**
 * A standing order to KVM: when the guest writes there, it signals the eventfd and lets the guest go on, and nothing of this
 * process runs. With a device's ioeventfd on the same eventfd, the write goes on into the device.
 */
export declare class KvmIoeventfd implements VmPart, Disposable {
    #private;
    /** For messages. */
    readonly label: string;
    /** The eventfd, borrowed: its own, or a duplicate of the one that it was made with. */
    get eventfd(): number;
    /** Takes the order back. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
