import { type HostPaths } from "../kernel/files.js";
import { type VfioNodes } from "./node.js";
/** A mediated device, as it was when it was read. */
export interface MdevDevice {
    readonly uuid: string;
    /** Its path in sysfs. */
    readonly sysfsPath: string;
    /** The name of the device that it is a part of: a PCI address, or a virtual device's name such as `mtty`. */
    readonly parent: string;
    /** The name of its type: `mtty-1`, `nvidia-35`, `i915-GVTg_V5_4`. */
    readonly type: string | undefined;
    /** The bound driver's name; undefined if none is bound. */
    readonly driver: string | undefined;
    /** Its (emulated) IOMMU group; undefined while no driver is bound. */
    readonly iommuGroup: number | undefined;
    /** How to open it with VFIO; undefined while no driver is bound. */
    readonly vfio: VfioNodes | undefined;
}
/**
 * Reads one mediated device.
 *
 * @throws VfioError `ENODEV` if there is none with this UUID
 */
export declare function readMdevDevice(uuid: string, paths?: HostPaths): MdevDevice;
/** Reads all mediated devices, by UUID. One that goes away meanwhile is left out. */
export declare function listMdevDevices(paths?: HostPaths): MdevDevice[];
