/**
 * The contract of a container: devices, and the memory that they can reach.
 *
 * There are five kernel modes behind it, which differ in what they accept, what they answer and what they undo
 * (`docs/modes.md`). Here they behave as one:
 *
 * - Memory is mapped while a device is attached: before, nobody knows which addresses are usable. Detaching the last
 *   device ends every mapping, also where it is detached because its driver is being unbound.
 * - A map never overlaps another one and never lies outside the usable ranges: both are refused before the kernel is asked.
 * - An unmap removes whole mappings and says how many bytes they were; nothing to remove is an answer, not an error; a
 *   range that would cut a mapping is refused before the kernel is asked, because native iommufd would remove the
 *   mappings before the cut and then fail without saying how far it got.
 * - What fails leaves everything as it was.
 *
 * @module
 */
import { type ChangeKind } from "../base/change-lock.js";
import type { Attachment } from "../device/attachment.js";
import { Device } from "../device/device.js";
import { AddressSpace, type Subscription } from "../memory/address-space.js";
import { type DmaMemory } from "../memory/dma-buffer.js";
import { type IovaRange } from "../memory/iova.js";
import { DmaMapping } from "./mapping.js";
import { type MemoryPart } from "./mirror.js";
import type { AnyContainerMode } from "./modes.js";
import { type AttachOptions, type ContainerLimits, type MapOptions, type MapRequest, type SpaceInfo, type UnmapResult } from "./options.js";
/**
 * A container: a set of devices that share one I/O address space.
 *
 * Closing it closes its devices, ends its mappings and gives its descriptors back, in that order.
 */
export declare abstract class Container implements Disposable {
    #private;
    /** The kernel's mode, or `vfio-user`. */
    readonly mode: AnyContainerMode;
    protected constructor(mode: AnyContainerMode);
    /** Opens and ties a device, undoing every step when a later one fails. */
    protected abstract open(address: string, options: AttachOptions): Attachment;
    /** Asks the kernel for ranges, page sizes and limits. Only while a device is attached. */
    protected abstract readSpace(): SpaceInfo;
    /** 0 or -errno. */
    protected abstract kernelMap(mapping: DmaMapping): number;
    /** 0 or -errno, on another thread. */
    protected abstract kernelMapAsync(mapping: DmaMapping): Promise<number>;
    /** Maps in order and stops at the first refusal. */
    protected abstract kernelMapMany(mappings: readonly DmaMapping[]): {
        readonly done: number;
        readonly errno: number;
    };
    /** Bytes removed (0 for nothing), or -errno. */
    protected abstract kernelUnmap(iova: bigint, length: number | bigint): number | bigint;
    /** The same for one mapping, on another thread. */
    protected abstract kernelUnmapAsync(mapping: DmaMapping): Promise<number>;
    /** Whether a map or unmap that is under way would go on behind the last device's end. Then one or the other has to wait. */
    protected get callsGoOn(): boolean;
    /**
     * Whether the kernel drops every mapping by itself when the last device leaves. It must not be asked for anything then: the
     * device may be leaving because its driver is being unbound, and the kernel takes the address space down meanwhile.
     */
    protected get mappingsEndWithDevices(): boolean;
    /** Whether the kernel has {@link kernelUnmapAll}. */
    protected get canUnmapAll(): boolean;
    /** The same as {@link kernelUnmap} for everything. */
    protected abstract kernelUnmapAll(): number | bigint;
    /**
     * Whether a mapping is still there after an unmap of several that has failed. The kernel does not say which it has removed: it is
     * asked to remove each, where "nothing there" is an answer too.
     */
    protected isKept(mapping: DmaMapping): boolean;
    /** The same as {@link kernelUnmap} for several mappings, one by one, up to the first that is refused. */
    protected kernelUnmapMany(mappings: readonly DmaMapping[]): readonly (number | bigint)[];
    /** What is called for a request, for errors. */
    protected readonly syscall: string;
    /** Which side answers requests, for errors. */
    protected readonly counterpart: string;
    /** The ioctls' names, for errors. */
    protected abstract readonly requests: {
        readonly map: string;
        readonly unmap: string;
    };
    /** The ioctl that a mapping takes, for errors. */
    protected mapRequest(_mapping: DmaMapping): string;
    /** Why the kernel of this mode refused a map, where only the mode knows. */
    protected explainMap(_errno: number, _mapping: DmaMapping): {
        why: string;
        fix?: string;
    } | undefined;
    /** Gives the container's own descriptors back. Devices and mappings are gone by then. */
    protected abstract closeSelf(): void;
    /** The same when the container goes on in another process: closes, and asks the kernel for nothing. */
    protected abstract disownSelf(): void;
    /** The attached devices, by address. */
    get devices(): ReadonlyMap<string, Device>;
    /**
     * Opens a device that is bound to a VFIO driver and ties it to this container.
     *
     * @param address a PCI address (`0000:01:00.0`, `01:00.0`), or a mediated device's UUID
     * @throws VfioError that says what stands in the way; nothing is left open. `EBUSY` also while a {@link mapAsync} for devices that
     *   have left is under way
     */
    attach(address: string, options?: AttachOptions): Device;
    /** Refuses an address that is attached here already; for `open`. */
    protected refuseAttached(address: string): void;
    /** Refuses a change while the container is between two processes. */
    protected refuseLocked(change?: ChangeKind): void;
    /** The I/O addresses that every attached device can use, in order. Reserved parts (interrupts) are left out. */
    get iovaRanges(): readonly IovaRange[];
    /** The granularity of maps and unmaps, in bytes: every IOVA, offset and length is a multiple of it. */
    get pageSize(): number;
    /** The page sizes of the IOMMU, ascending: memory in larger pages that is aligned to them takes fewer entries. */
    get pageSizes(): readonly bigint[];
    /** What the container can still take. Asks the kernel. */
    limits(): ContainerLimits;
    /**
     * Lets the attached devices reach memory.
     *
     * Pinning takes time in proportion to the length: for more than a few MiB prefer {@link mapAsync}.
     *
     * @returns the mapping; disposing it unmaps
     * @throws VfioError `EINVAL` (misaligned, empty, outside the usable ranges, neither read nor write), `EOVERFLOW` (wraps),
     *   `EEXIST` (overlaps), `ENOSPC` (no room, or no entries left), `ENOMEM` (locked-memory limit), `EFAULT` (a BAR, where
     *   the mode cannot map one), `ENODEV` (no device attached)
     */
    map(memory: DmaMemory, options?: MapOptions): DmaMapping;
    /**
     * {@link map} on another thread: the event loop goes on while a large buffer is pinned.
     *
     * @param options.signal ends the wait; the kernel cannot be interrupted, so what it maps nevertheless is unmapped then
     * @throws what {@link map} throws, or the signal's reason; `ECANCELED` if the last device left meanwhile
     */
    mapAsync(memory: DmaMemory, options?: MapOptions & {
        readonly signal?: AbortSignal;
    }): Promise<DmaMapping>;
    /**
     * Many maps in one call into the kernel's door: all of them, or none.
     *
     * @throws VfioError for the first that is refused, after the others were unmapped again
     */
    mapMany(requests: readonly MapRequest[]): DmaMapping[];
    /**
     * Maps what stands in an address space, and follows its changes: each section is one mapping at its address, and a
     * transaction is all of its maps and unmaps or none (a refusal here refuses the transaction).
     *
     * Ends when it is disposed of, which unmaps the sections, or with the last device.
     *
     * In the successor of a live update a section that stands for exactly one mapping of the former process takes that one,
     * and nothing is mapped.
     *
     * @throws SectionError for a section that cannot be mapped; nothing of the address space is mapped then
     */
    mirror(space: AddressSpace<MemoryPart>): Subscription;
    /**
     * Takes every mapping in a range away from the devices.
     *
     * @param iova the first address: a multiple of {@link pageSize}
     * @param length in bytes: a multiple of {@link pageSize}, not 0
     * @returns what was removed; nothing there is `{ bytes: 0n, mappings: [] }`
     * @throws VfioError `EINVAL` if it is misaligned or would cut a mapping (nothing is removed then), `EOVERFLOW` if it wraps,
     *   `EBUSY` if an asynchronous map or unmap is under way in it
     */
    unmap(iova: number | bigint, length: number | bigint): UnmapResult;
    /** Takes everything away from the devices, but for what an asynchronous map or unmap is under way for. */
    unmapAll(): UnmapResult;
    /** The mappings, in the order of their IOVAs. */
    get mappings(): Iterable<DmaMapping>;
    /** How many mappings there are. */
    get mappingCount(): number;
    /** The mapping that an IOVA lies in. */
    mappingAt(iova: number | bigint): DmaMapping | undefined;
    /** The address in this process of what devices see at an IOVA. */
    addressOf(iova: number | bigint): number | undefined;
    /** Where devices see an address of this process: the lowest IOVA, if it is mapped more than once. */
    iovaOf(address: number): bigint | undefined;
    /** Whether it has been closed. */
    get closed(): boolean;
    /**
     * Closes the devices, ends the mappings, gives the descriptors back. A second call does nothing.
     *
     * What fails on the way does not keep the rest from being done; the first failure is thrown at the end.
     *
     * @throws VfioError `EBUSY` while an asynchronous unmap is under way: then nothing was done
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
