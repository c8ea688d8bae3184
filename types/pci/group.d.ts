/**
 * IOMMU groups: the smallest sets of devices that the IOMMU can tell apart, and so what is given to user space as a
 * whole.
 *
 * @module
 */
import { type HostPaths } from "../kernel/files.js";
/** A device in an IOMMU group. It need not be a PCI device. */
export interface IommuGroupMember {
    /** Its name on its bus: a PCI address, a mediated device's UUID, a platform device's name. */
    readonly name: string;
    /** Its path in sysfs. */
    readonly sysfsPath: string;
    /** Its bus: `pci`, `mdev`, `platform`, ... */
    readonly bus: string | undefined;
    /** The bound driver; undefined if none is bound. */
    readonly driver: string | undefined;
    /** Whether VFIO offers it: a VFIO driver is bound. */
    readonly vfio: boolean;
}
/** Addresses that no DMA may be mapped at, because the hardware uses them in its own way. */
export interface ReservedRegion {
    readonly start: bigint;
    /** The last address, included. */
    readonly end: bigint;
    /** `msi` (interrupts), `direct` and `direct-relaxable` (the firmware's own mappings), `reserved`. */
    readonly type: string;
}
/** An IOMMU group. */
export interface IommuGroup {
    readonly id: number;
    /** What its default domain does: `DMA`, `DMA-FQ`, `identity`, ...; undefined if the kernel does not say. */
    readonly type: string | undefined;
    readonly devices: readonly IommuGroupMember[];
    readonly reservedRegions: readonly ReservedRegion[];
}
/** A device that keeps its group from being given to user space. */
export interface GroupBlocker {
    readonly name: string;
    /** The kernel's driver that is bound to it. */
    readonly driver: string;
    /** Why, in a sentence. */
    readonly why: string;
    /** What to do about it. */
    readonly fix: string;
}
/** Whether a group can be given to user space. Not viable is an answer, not an error. */
export type GroupViability = {
    readonly viable: true;
    readonly group: IommuGroup;
} | {
    readonly viable: false;
    readonly group: IommuGroup;
    readonly blockers: readonly GroupBlocker[];
};
/** Reads all IOMMU groups, by number. Empty if the IOMMU is off: what VFIO's no-IOMMU mode makes up is none. */
export declare function listIommuGroups(paths?: HostPaths): IommuGroup[];
/**
 * Reads one IOMMU group.
 *
 * @param group its number, or a device in it: a PCI address, a mediated device's UUID, a path in sysfs
 * @throws VfioError `ENODEV` if there is no such group or device, or the device is in no group
 */
export declare function readIommuGroup(group: number | string, paths?: HostPaths): IommuGroup;
/**
 * Whether a driver leaves its device's DMA to others, so that the device may be in a group that user space owns:
 * VFIO's own and their variants for one vendor's devices (`mlx5_vfio_pci`), `pci-stub`, and `pcieport`, which does no
 * DMA. They are the drivers with `driver_managed_dma` in the kernel, which sysfs does not show.
 *
 * @param driver a driver's name
 */
export declare function leavesDmaAlone(driver: string): boolean;
/**
 * Says whether a group can be given to user space, and if not, which devices are in the way.
 *
 * The kernel's rule: no device of the group may be bound to a driver that does DMA of its own. Devices without a
 * driver are no obstacle, and neither are bridges, since `pcieport` does none. Bound to VFIO or not, every device of
 * the group is then reachable by the user.
 *
 * @param group a group's number, a device in it (PCI address, UUID, path in sysfs), or what {@link readIommuGroup}
 * returned
 * @throws VfioError as {@link readIommuGroup}
 */
export declare function groupViability(group: number | string | IommuGroup, paths?: HostPaths): GroupViability;
