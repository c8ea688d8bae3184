/**
 * The legacy container: a type1 IOMMU behind `/dev/vfio/vfio`, or iommufd's emulation of one behind `/dev/iommu`, with
 * devices that come by way of their groups (`/dev/vfio/N`).
 *
 * The order of the calls is the kernel's: a group must be viable before it joins, the first group must have joined before
 * the IOMMU's type can be set, and only then does the container know its addresses. See `Documentation/driver-api/vfio.rst`.
 *
 * @module
 */
import type { Attachment } from "../device/attachment.js";
import { Container } from "./container.js";
import { DmaMapping } from "./mapping.js";
import type { LegacyMode } from "./modes.js";
import type { AttachOptions, SpaceInfo } from "./options.js";
/** A container of type1, real or emulated. Made by {@link openContainer}. */
export declare class LegacyContainer extends Container {
    #private;
    readonly mode: LegacyMode;
    protected readonly requests: {
        map: string;
        unmap: string;
    };
    private constructor();
    /** The container's descriptor, to borrow: for a request that this class does not make. */
    get fd(): number;
    protected open(address: string, options: AttachOptions): Attachment;
    protected readSpace(): SpaceInfo;
    protected kernelMap(mapping: DmaMapping): number;
    protected kernelMapAsync(mapping: DmaMapping): Promise<number>;
    protected kernelMapMany(mappings: readonly DmaMapping[]): {
        done: number;
        errno: number;
    };
    protected kernelUnmap(iova: bigint, length: number | bigint): number | bigint;
    protected kernelUnmapAsync({ iova, length }: DmaMapping): Promise<number>;
    /** type1's address space goes with the last group that leaves. iommufd's stays, behind its emulation too. */
    protected get mappingsEndWithDevices(): boolean;
    /** Linux before 5.12 knows no flag for it. */
    protected get canUnmapAll(): boolean;
    protected kernelUnmapAll(): number | bigint;
    /**
     * Begins to note which mapped pages the devices may have written (`VFIO_IOMMU_DIRTY_PAGES`). Without help of the IOMMU
     * every pinned page counts as written.
     *
     * @throws VfioError `EACCES` in mode `type1`, `ENOTTY` in the compatibility modes, which cannot
     */
    startDirtyTracking(): void;
    /** Ends it, and forgets what was noted. */
    stopDirtyTracking(): void;
    /**
     * The pages of a mapping that were written since the last time, one bit a page of {@link pageSize}, lowest first.
     * `dirtyRanges()` goes through them.
     *
     * @throws VfioError `EINVAL` while nothing is noted
     */
    dirtyPages(mapping: DmaMapping): BigUint64Array;
    /**
     * Unmaps a mapping, and says which of its pages were written since the last time: also those that a device writes at the last moment,
     * which would be lost between {@link dirtyPages} and `unmap()` (`VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP`).
     *
     * @returns what {@link dirtyPages} returns
     * @throws VfioError `EINVAL` while nothing is noted, `EBUSY` while it is being unmapped; it is still mapped then. An error with
     *   `code` `ERR_INVALID_STATE` for a mapping that is not in this container, or not any more
     */
    unmapDirty(mapping: DmaMapping): BigUint64Array;
    protected explainMap(errno: number, mapping: DmaMapping): {
        why: string;
        fix?: string;
    } | undefined;
    protected closeSelf(): void;
    protected disownSelf(): void;
}
