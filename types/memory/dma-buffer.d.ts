/**
 * Memory for a device: ours, page-aligned, outside of the garbage collector's reach, with an `ArrayBuffer` over it.
 *
 * @module
 */
import { OwnedFd } from "../kernel/fd.js";
/** Marks the memory that this package makes: no other object has pages that stay where they are. */
export declare const dmaMemory: unique symbol;
/**
 * Memory that a container can map for a device: a {@link DmaBuffer}, or a BAR's mapped part. It is made by this package only:
 * a `Buffer` or an object of the same shape is refused, by the types and when it is mapped.
 *
 * A mapping holds on to its memory: what is mapped cannot be closed.
 */
export interface DmaMemory {
    /** The mark. */
    readonly [dmaMemory]: true;
    /** Whether it is RAM, or a device's own memory behind a BAR. */
    readonly kind: "ram" | "bar";
    /** For messages. */
    readonly label: string;
    /** The address in this process. */
    readonly address: number;
    /** In bytes. */
    readonly length: number;
    /** The size of its pages: IOVAs aligned to it let the IOMMU use large entries. */
    readonly pageSize: number;
    /**
     * The file behind it and where in the file it begins, or `undefined` for memory without a file. The descriptor is
     * borrowed. Where there is one, iommufd maps by file, which a live update needs.
     *
     * @throws VfioError where there should be one and the kernel refuses it
     */
    backing(): {
        readonly fd: number;
        readonly offset: number;
    } | undefined;
}
/** Memory in the manifest of a live update. */
export type PreservedMemory = {
    readonly kind: "file";
    /** For messages. */
    readonly label: string;
    readonly descriptor: number;
    readonly length: number;
    readonly pageSize: number;
    readonly locked: boolean;
}
/** A part of a device's region. `device` is its attachment, by which its name is found. */
 | {
    readonly kind: "bar";
    readonly device: object;
    readonly region: number;
    readonly offset: number;
    readonly length: number;
};
/**
 * Refuses everything that is not the memory of this package.
 *
 * @throws TypeError
 */
export declare function checkMemory(name: string, value: unknown): asserts value is DmaMemory;
/** How a {@link DmaBuffer} is made. */
export interface DmaBufferOptions {
    /**
     * `memfd` (the default) is shared memory with a descriptor, which a live update can hand to another process;
     * `anonymous` is private memory, for comparison and for what must not have a descriptor.
     */
    readonly backing?: "memfd" | "anonymous";
    /**
     * The size of its pages. `2M` and `1G` come from the kernel's reserve (`/proc/sys/vm/nr_hugepages`); the length must
     * then be a multiple of it. `transparent` asks for huge pages where the kernel has some to give.
     */
    readonly pages?: "normal" | "2M" | "1G" | "transparent";
    /** Whether its pages are kept in memory (`mlock`) even while no device has it mapped. Counts against the limit. */
    readonly locked?: boolean;
    /** The memfd's name, as `/proc/self/maps` shows it. */
    readonly name?: string;
}
/** How memory that somebody else has made is used: see {@link DmaBuffer.fromFd}. */
export interface ForeignMemoryOptions {
    /** In bytes, from the start of the file. Default: all of it. */
    readonly length?: number;
    /** Whether its pages are kept in memory (`mlock`). Default false. */
    readonly locked?: boolean;
    /** For messages. */
    readonly label?: string;
    /**
     * Whether the file is mapped although a process that has it could cut or empty it, which would end this process with SIGBUS.
     * Default false.
     */
    readonly trustHolders?: boolean;
}
/**
 * A buffer that a device may read and write.
 *
 * It is ordinary memory, so views of {@link arrayBuffer} are the way to use it; a word that the device changes while the
 * program looks at it is read with `Atomics.load`. Its pages are not moved and not freed while it is open, whatever the
 * garbage collector does; forgetting it leaks it, with a warning.
 *
 * `close` refuses while a mapping exists, and afterwards every view of it is empty (its `ArrayBuffer` is detached).
 */
export declare class DmaBuffer implements DmaMemory, Disposable {
    #private;
    readonly [dmaMemory] = true;
    readonly kind = "ram";
    readonly label: string;
    readonly length: number;
    readonly pageSize: number;
    readonly address: number;
    /** Whether its pages are kept in memory. */
    readonly locked: boolean;
    /**
     * @param length in bytes; rounded up to whole pages
     * @throws VfioError ENOMEM (no memory, or no huge pages in reserve), EAGAIN (locked-memory limit)
     */
    static allocate(length: number, options?: DmaBufferOptions): DmaBuffer;
    /**
     * Memory that another process, or another library, has made: a memfd, or a file of tmpfs or hugetlbfs. It is mapped
     * shared: every process that has the file sees what is written.
     *
     * Such a process may also be able to end this one. It can cut the file, or take huge pages out of it, and the next access here
     * raises SIGBUS. So only a memfd without huge pages that is sealed against cutting (`F_SEAL_SHRINK`) is mapped, unless
     * `trustHolders` says that no process that has the file does that. A sealed memfd is not enough where
     * `vm.overcommit_memory` is 2.
     *
     * @param fd belongs to the buffer from here on; if this throws, it is still the caller's
     * @throws VfioError `EINVAL` if it is no such file, or shorter; `EPERM` if the file could be cut or emptied, and `trustHolders`
     *   is not set
     */
    static fromFd(fd: OwnedFd, options?: ForeignMemoryOptions): DmaBuffer;
    private constructor();
    /** Whether it has been closed. */
    get closed(): boolean;
    /** The whole buffer. Node 20 cannot have one above 4 GiB: use {@link window} there. */
    get arrayBuffer(): ArrayBuffer;
    /** The whole buffer as bytes. */
    get bytes(): Uint8Array;
    /**
     * An `ArrayBuffer` over a part. Each takes some 100 us to make, and is kept until {@link close}: the same part again is the same
     * `ArrayBuffer`. Use `subarray` of a view for small parts.
     *
     * Do not `transfer()` it: the memory would then be reachable where {@link close} cannot detach it, so `close` would have
     * to leak it.
     */
    window(offset: number, length: number): ArrayBuffer;
    backing(): {
        readonly fd: number;
        readonly offset: number;
    } | undefined;
    /**
     * Detaches every view and gives the memory back. A second call does nothing.
     *
     * @throws VfioError EBUSY while a container has it mapped: the buffer stays as it is
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
