/**
 * What the parts of one device (regions, interrupts, resets, features) share: its port while it is open, its
 * address for messages, and the list of what must go before the port does.
 *
 * @module
 */
import { type ChangeKind, type ChangeLock } from "../base/change-lock.js";
import type { Attachment } from "./attachment.js";
import type { DevicePort } from "./port.js";
/** Something that a device made and that must be gone before its port is closed. */
export interface DevicePart {
    /** Why it cannot go now: a container has it mapped. */
    readonly holdup: string | undefined;
    close(): void;
}
/** An open device, as its parts see it. */
export declare class OpenDevice {
    #private;
    /** The PCI address, or a mediated device's UUID. */
    readonly address: string;
    readonly attachment: Attachment;
    /** Memory mappings and ioeventfds, in the order in which they were made. */
    readonly parts: Set<DevicePart>;
    /** Which of INTx, MSI and MSI-X is on: the kernel allows one at a time. */
    activeIrq: string | undefined;
    /** What is under way on another thread: a reset. */
    underWay: string | undefined;
    constructor(attachment: Attachment);
    /** Where it is asked. Throws once the device is closed. */
    get port(): DevicePort;
    /** Refuses changes from now on; undefined ends that. */
    lock(lock: ChangeLock | undefined): void;
    get open(): boolean;
    /**
     * Refuses a change while the device is between two processes.
     *
     * @throws an error with `code` `ERR_INVALID_STATE`
     */
    refuseLocked(change?: ChangeKind): void;
    toString(): string;
    /** From here on every use throws. The port is still to be closed. */
    shut(): void;
}
