/**
 * What this kernel can do, asked of the kernel itself and not guessed from its version: distributions add and leave out.
 *
 * @module
 */
/** Abilities of the kernel that not every version has. */
export interface KernelFeatures {
    /** iommufd maps files (`IOMMU_IOAS_MAP_FILE`, Linux 6.13). Undefined without the native addon or its node. */
    readonly mapFile: boolean | undefined;
    /** iommufd passes memory to another process (`IOMMU_IOAS_CHANGE_PROCESS`, Linux 6.14). */
    readonly changeProcess: boolean | undefined;
    /** A legacy container unmaps everything at once (`VFIO_UNMAP_ALL`, Linux 5.12). */
    readonly unmapAll: boolean | undefined;
    /** A legacy container gives memory new addresses (`VFIO_UPDATE_VADDR`, Linux 5.12). */
    readonly updateVaddr: boolean | undefined;
}
/** What each is called, and when it came. */
export declare const featureNames: Readonly<Record<keyof KernelFeatures, readonly [name: string, since: string]>>;
/**
 * Asks the kernel what it can do.
 *
 * @param dev where the device nodes are
 */
export declare function readKernelFeatures(dev?: string): KernelFeatures;
