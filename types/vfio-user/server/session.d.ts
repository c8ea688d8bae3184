import { UnixSocket } from "../../kernel/unix-socket.js";
import type { PciDevice } from "../device/pci-device.js";
/** How a server treats its clients. */
export interface SessionOptions {
    /** The most bytes in one access to a region, told to the client. */
    readonly maxTransfer: number;
    /** The most descriptors with one message. QEMU refuses more than 16. */
    readonly maxFds: number;
    /** The most ranges of memory. */
    readonly maxRanges: number;
    /** Whether the files of the client's memory are mapped whatever they are. */
    readonly trusted: boolean;
    /** How long the client may take to answer, and to introduce itself, in milliseconds. */
    readonly timeout: number;
    /** How long the device may take to let go of the client, or of memory that the client takes back, in milliseconds. */
    readonly drainTimeout: number;
}
/** What a session tells the server. */
export interface SessionOwner {
    /** The device's program threw something while it answered a request. */
    fault(error: unknown, what: string): void;
    /** The device has not finished this within {@link SessionOptions.drainTimeout}. */
    overdue(work: readonly string[]): void;
    /** The connection is over, and everything of the client's is released. */
    ended(error: Error | undefined): void;
}
/** A connection with a client. */
export declare class Session {
    #private;
    /** @param socket belongs to the session from here on */
    constructor(device: PciDevice, socket: UnixSocket, options: SessionOptions, owner: SessionOwner);
    /** @throws VfioError if the socket cannot be listened to. The session is of no use then, and the socket is not closed */
    start(): void;
    /** Ends the connection. */
    close(error?: Error): void;
}
