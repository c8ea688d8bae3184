import { type HostPaths } from "../kernel/files.js";
/** How a device that a VFIO driver is bound to can be opened. */
export interface VfioNodes {
    /** The device's name in class `vfio-dev`: `vfio0`, or `noiommu-vfio0`. */
    readonly name: string;
    /**
     * The device's own node, `/dev/vfio/devices/vfio0`. Undefined if the kernel was built without it
     * (`CONFIG_VFIO_DEVICE_CDEV`), or if the node is missing from `/dev` or belongs to another device: {@link
     * vfioCdevPath} says which.
     */
    readonly cdevPath: string | undefined;
    /** Its group's node, `/dev/vfio/8` or `/dev/vfio/noiommu-8`. Undefined if there is none: {@link vfioGroupPath} says why. */
    readonly groupPath: string | undefined;
}
/** The UUID in sysfs' spelling, small letters; RangeError for anything else. */
export declare function mdevUuid(uuid: string): string;
/** A group as VFIO offers it: the name and the number (`major:minor`) of its node. */
export interface GroupNode {
    readonly path: string;
    readonly number: string;
}
/**
 * The nodes of a device; undefined if no VFIO driver is bound to it.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 */
export declare function readVfioNodes(device: string, paths?: HostPaths): VfioNodes | undefined;
/**
 * The path of a device's own node, `/dev/vfio/devices/vfioN`, after checking that the node is that device's: the
 * number in `/dev` must be the one in sysfs.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 * @throws VfioError that says what is missing: the device, its driver, the IOMMU, the kernel's option, the node
 */
export declare function vfioCdevPath(device: string, paths?: HostPaths): string;
/**
 * The path of a device's group, `/dev/vfio/N`.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 * @throws VfioError that says what is missing: the device, its driver, the IOMMU, the node
 */
export declare function vfioGroupPath(device: string, paths?: HostPaths): string;
