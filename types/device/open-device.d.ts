import type { Attachment } from "./attachment.js";
import type { DevicePort } from "./port.js";
/** Something that a device made and that must be gone before its port is closed. */
export interface DevicePart {
    /** Why it cannot go now: a container has it mapped. */
    readonly holdup: string | undefined;
    close(): void;
}
/** Why a device cannot be changed now. */
export interface DeviceLock {
    /** Ends a sentence that begins with the device: `is being handed over to another process`. */
    readonly why: string;
    /** Whether even what changes nothing for good is refused: masking a line, triggering an interrupt. */
    readonly still: boolean;
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
    /** Set while the device is between two processes. */
    lock: DeviceLock | undefined;
    /** What is under way on another thread: a reset. */
    underWay: string | undefined;
    constructor(attachment: Attachment);
    /** Where it is asked. Throws once the device is closed. */
    get port(): DevicePort;
    get open(): boolean;
    /**
     * Refuses a change while the device is between two processes.
     *
     * @throws an error with `code` `ERR_INVALID_STATE`
     */
    refuseLocked(): void;
    /** From here on every use throws. The port is still to be closed. */
    shut(): void;
}
