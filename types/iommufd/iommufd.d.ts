/**
 * iommufd, object by object: the file, and the I/O address spaces in it. `Documentation/userspace-api/iommufd.rst`.
 *
 * A container is the comfortable way to use them; these are for what a container has no words for, such as two address
 * spaces that share pages.
 *
 * @module
 */
import { type IovaRange } from "../memory/iova.js";
/** What devices may do with a mapping, and where it goes. */
export interface IoasMapOptions {
    /** Where; left out, the kernel chooses. */
    readonly iova?: number | bigint;
    /** Default true. */
    readonly read?: boolean;
    /** Default true. */
    readonly write?: boolean;
}
/** The usable addresses of an address space. */
export interface IoasRanges {
    readonly ranges: readonly IovaRange[];
    /** What every IOVA and length must be a multiple of: 1 while no device is attached. */
    readonly alignment: bigint;
}
/** An open `/dev/iommu`. It owns its descriptor; closing it ends everything in it that no device holds on to. */
export declare class Iommufd implements Disposable {
    #private;
    private constructor();
    /** @throws VfioError where the kernel has no iommufd, or the process may not use it */
    static open(): Iommufd;
    /** The descriptor, to borrow. */
    get fd(): number;
    /** A new, empty I/O address space. */
    allocIoas(): Ioas;
    /**
     * Destroys an object by its id.
     *
     * @throws VfioError `EBUSY` while another object (an attached device, a nested page table) needs it, `ENOENT`
     */
    destroy(id: number): void;
    /**
     * How pinned memory is accounted: per user (the default), or per process as type1 does. Only settable by root, and
     * while the file has no objects.
     */
    get accounting(): "user" | "process";
    /** To be set right after opening. */
    set accounting(mode: "user" | "process");
    /** The address space that legacy requests on this descriptor go to (its compatibility container), if there is one. */
    get compatIoas(): number | undefined;
    /** Sets it, or clears it with `undefined`. */
    set compatIoas(ioas: number | undefined);
    /**
     * Makes this process the owner of everything that is mapped by file in this iommufd, for accounting and for later
     * faults. Changing nothing, it is also the probe for whether the kernel can.
     *
     * @throws VfioError `EINVAL` if anything is mapped by address or from a BAR, `ENOMEM` if it exceeds this process's limit,
     *   `ENOTTY` before Linux 6.14
     */
    changeProcess(): void;
    /** Whether it has been closed. */
    get closed(): boolean;
    /** Closes the file; its objects go with its last descriptor. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
/** An I/O address space. It belongs to its {@link Iommufd}, and ends with it at the latest. */
export declare class Ioas implements Disposable {
    #private;
    readonly iommufd: Iommufd;
    /** Its object id, which devices are attached to. */
    readonly id: number;
    /** The usable addresses. They shrink when a device is attached. */
    ranges(): IoasRanges;
    /**
     * Restricts the addresses that the kernel chooses from, and guarantees them: attaching a device that cannot use one of
     * them fails from then on. An empty list lifts it.
     *
     * @throws VfioError `EADDRINUSE` if a range is reserved already
     */
    allow(ranges: readonly IovaRange[]): void;
    /**
     * Maps memory of this process by its address. The caller keeps the memory in place for as long as it is mapped.
     *
     * Without a device nothing is pinned yet: memory that is not there is refused to the device that comes.
     *
     * @returns the IOVA
     * @throws VfioError `EEXIST`, `ENOSPC` (no IOVA left to choose), `EINVAL`, `EOVERFLOW`, `EFAULT`, `ENOMEM`
     */
    map(address: number, length: number | bigint, options?: IoasMapOptions): bigint;
    /**
     * Maps a part of a file: a memfd, or a dma-buf. The descriptor is borrowed for the call.
     *
     * @param start where in the file, in bytes
     * @returns the IOVA
     * @throws VfioError as {@link map}; `ENODEV` for a dma-buf whose device is being reset
     */
    mapFile(fd: number, start: number | bigint, length: number | bigint, options?: IoasMapOptions): bigint;
    /**
     * Maps what another address space (or another place in this one) has mapped, without pinning it again.
     *
     * @returns the IOVA here
     * @throws VfioError as {@link map}; `ENOENT` where the source is not mapped, `EPERM` for more rights than it has
     */
    copy(from: Ioas, fromIova: number | bigint, length: number | bigint, options?: IoasMapOptions): bigint;
    /**
     * Unmaps every mapping in a range.
     *
     * @returns how many bytes were removed; above 2^53, which only an IOAS without a device allows, to the nearest number
     * @throws VfioError `ENOENT` if nothing is there or a mapping would be cut: those before the cut are gone then
     */
    unmap(iova: number | bigint, length: number | bigint): number;
    /** Unmaps everything; 0 bytes if there was nothing. */
    unmapAll(): number;
    /** Whether the kernel may use huge page table entries (default true). Off only for tests and measurements. */
    get hugePages(): boolean;
    /** To be set before anything that larger pages could be used for is mapped. */
    set hugePages(on: boolean);
    /**
     * Ends the address space. A second call does nothing.
     *
     * @throws VfioError `EBUSY` while a device is attached to it
     */
    destroy(): void;
    /** {@link destroy}, for `using`. */
    [Symbol.dispose](): void;
}
