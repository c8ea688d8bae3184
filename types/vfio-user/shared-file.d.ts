import type { OwnedFd } from "../fd.js";
/** A part of a file of the client's, as memory. Offsets count from the part's beginning, and are checked by the caller. */
export interface SharedFile {
    /** Which file and which part of it: two that are equal are the same memory. */
    readonly identity: string;
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
    /** The file will not be cut, and no access to it waits for anybody. */
    readonly trusted: boolean;
}
/**
 * Opens a part of a file of the client's.
 *
 * Where a file ends before a mapping of it does, an access raises SIGBUS, which ends the process. So only what cannot shrink
 * is mapped: a memfd that is sealed against it, as QEMU's memory is. Other memory (tmpfs, hugetlbfs) is read and written as a
 * file, which fails without harm; and a file of another kind is not touched at all, because a file system in user space may
 * let an access wait for ever. `trusted` maps all of it.
 *
 * @param fd borrowed
 * @returns undefined where the memory is reached by messages only
 * @throws ProtocolError if the part is not within the file; VfioError where the kernel refuses to map it
 */
export declare function openSharedFile(fd: OwnedFd, offset: bigint, size: bigint, { writable, trusted }: SharedFileOptions): SharedFile | undefined;
