import { OwnedFd } from "../../kernel/fd.js";
/** A part of a file of the client's, as memory. Offsets count from the part's beginning, and are checked by the caller. */
export interface SharedFile {
    /** Which file and which part of it: two that are equal are the same memory. */
    readonly identity: string;
    /** Whether the memory is mapped. Else an access may fail, and the memory is reached by a message then. */
    readonly mapped: boolean;
    /** Copies from it. False where it cannot be reached so. */
    read(offset: number, into: Uint8Array): boolean;
    /** Copies into it. False where it cannot be reached so. */
    write(offset: number, bytes: Uint8Array): boolean;
    /** The memory itself, where it can be shown. */
    view(offset: number, length: number): Uint8Array | undefined;
    close(): void;
}
/** How much a server trusts its clients with a file that it maps. */
export interface SharedFileOptions {
    readonly writable: boolean;
    /** No client makes an access to the file fail, or wait for anybody. */
    readonly trusted: boolean;
}
/**
 * Opens a part of a file of the client's.
 *
 * An access to a mapped page that the kernel cannot provide raises SIGBUS, which ends the process. So only memory with which no
 * client can bring that about is mapped: see {@link cannotFault}. Other memory (tmpfs, hugetlbfs) is read and written by system
 * calls, which fail without harm. A file of another kind is not touched at all, because a file system in user space may let
 * an access wait for ever. `trusted` maps all of it.
 *
 * @param fd borrowed
 * @returns undefined where the memory is reached by messages only
 * @throws ProtocolError if the part is not within the file; VfioError where the kernel refuses to map it
 */
export declare function openSharedFile(fd: OwnedFd, offset: bigint, size: bigint, { writable, trusted }: SharedFileOptions): SharedFile | undefined;
