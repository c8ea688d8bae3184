import { VfioError } from "../../base/errors.js";
/** The version that this package speaks; a peer may speak a lower minor one. */
export declare const PROTOCOL_MAJOR = 0;
export declare const PROTOCOL_MINOR = 2;
/** The commands, by their numbers. 14 is an older protocol's, and is not used any more. */
export declare const CommandNumber: {
    readonly version: 1;
    readonly dmaMap: 2;
    readonly dmaUnmap: 3;
    readonly deviceGetInfo: 4;
    readonly deviceGetRegionInfo: 5;
    readonly deviceGetRegionIoFds: 6;
    readonly deviceGetIrqInfo: 7;
    readonly deviceSetIrqs: 8;
    readonly regionRead: 9;
    readonly regionWrite: 10;
    readonly dmaRead: 11;
    readonly dmaWrite: 12;
    readonly deviceReset: 13;
    readonly regionWriteMulti: 15;
    readonly deviceFeature: 16;
    readonly migDataRead: 17;
    readonly migDataWrite: 18;
};
/** A command's name for messages: `VFIO_USER_DMA_MAP`, `command 99`. */
export declare function commandName(number: number): string;
/** The size of a header, in bytes. */
export declare const HEADER_SIZE = 16;
export declare const HEADER_TYPE_MASK = 15;
export declare const HEADER_COMMAND = 0;
export declare const HEADER_REPLY = 1;
export declare const HEADER_NO_REPLY = 16;
export declare const HEADER_ERROR = 32;
export declare const DMA_MAP_READ = 1;
export declare const DMA_MAP_WRITE = 2;
export declare const DMA_MAP_MMAP = 4;
export declare const DMA_MAP_FILE_IO = 8;
export declare const DMA_UNMAP_GET_DIRTY_BITMAP = 1;
export declare const DMA_UNMAP_ALL = 2;
export declare const IO_FD_TYPE_IOEVENTFD = 0;
export declare const IO_FD_TYPE_IOREGIONFD = 1;
export declare const FEATURE_MIGRATION = 1;
export declare const FEATURE_MIG_DEVICE_STATE = 2;
export declare const FEATURE_DMA_LOGGING_START = 6;
export declare const FEATURE_DMA_LOGGING_STOP = 7;
export declare const FEATURE_DMA_LOGGING_REPORT = 8;
export declare const MIGRATION_STOP_COPY = 1;
export declare const MIGRATION_PRE_COPY = 4;
/** linux/vfio.h: the states of a device that migrates. The two peer-to-peer states (5, 7) are not used in vfio-user. */
export declare const MigrationState: {
    readonly error: 0;
    readonly stop: 1;
    readonly running: 2;
    readonly stopCopy: 3;
    readonly resuming: 4;
    readonly preCopy: 6;
};
export type MigrationStateName = keyof typeof MigrationState;
/** What stands before a message's payload. */
export interface Header {
    /** The sender's own name for the message; a reply repeats it. 16 bits, which a sender may use again at any time. */
    readonly id: number;
    /** See {@link CommandNumber}. */
    readonly command: number;
    /** Of the whole message, in bytes, with the header. */
    readonly size: number;
    /** See the `HEADER_*` bits. */
    readonly flags: number;
    /** An errno, positive; meaningful with `HEADER_ERROR`, and 0 even then if the peer names none. */
    readonly error: number;
}
/** Reads the header at the beginning of `bytes`, which are at least {@link HEADER_SIZE}. */
export declare function readHeader(bytes: Uint8Array): Header;
/** Reads the header at an offset of what was received, where there are {@link HEADER_SIZE} bytes. */
export declare function headerAt(view: DataView, at: number): Header;
/** Writes a message's header into its first {@link HEADER_SIZE} bytes; the size is the message's own length. */
export declare function stampHeader(message: Uint8Array, id: number, command: number, flags: number, error?: number): Uint8Array;
/** The same at the beginning of a view, for a message of `size` bytes. */
export declare function stampHeaderAt(view: DataView, size: number, id: number, command: number, flags: number, error?: number): void;
/** Whether the message answers one of ours. */
export declare function isReply(header: Header): boolean;
/** Whether the sender waits for an answer. */
export declare function wantsReply(header: Header): boolean;
/** The answer to a request that failed: a header alone. */
export declare function errorReply(id: number, command: number, errno: number): Uint8Array;
/** The errno of an error reply. A peer that names none, or an impossible one, is taken to mean EINVAL. */
export declare function replyErrno(header: Header): number;
/**
 * A message that breaks the protocol's rules, or asks for what cannot be. A server answers it with its errno; a client that
 * meets one in a reply cannot trust the rest of it.
 */
export declare class ProtocolError extends VfioError {
    constructor(errno: number, message: string, why: string);
}
