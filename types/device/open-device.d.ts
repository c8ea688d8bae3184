import type { Attachment } from "./attachment.js";
/** Something that a device made and that must be gone before its descriptor is closed. */
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
    constructor(attachment: Attachment);
    /** The descriptor, borrowed. Throws once the device is closed. */
    get fd(): number;
    get open(): boolean;
    /** From here on every use throws. The descriptor is still to be closed. */
    shut(): void;
}
