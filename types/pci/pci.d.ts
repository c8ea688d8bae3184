import { type HostPaths } from "../kernel/files.js";
import { type PciAddress } from "./address.js";
import { type VfioNodes } from "./node.js";
/** What a resource of a PCI device is. */
export type PciResourceKind = "bar" | "rom" | "vf-bar" | "window";
/** A range of addresses that the firmware or the kernel gave to a device: one line of its `resource` file. */
export interface PciResource {
    /** A BAR's number (0 to 5) for `bar` and `vf-bar`, 0 for `rom`, the number of a bridge's window for `window`. */
    readonly index: number;
    readonly kind: PciResourceKind;
    /** The first address, as the CPU sees it. */
    readonly start: bigint;
    /** In bytes. */
    readonly size: bigint;
    /** The kernel's `IORESOURCE_*` flags, as they are. */
    readonly flags: number;
    /** Memory or I/O ports. */
    readonly space: "memory" | "io";
    readonly prefetchable: boolean;
    /** A 64-bit memory BAR, which takes the place of the next one too. */
    readonly wide: boolean;
}
/** What a physical function can do with SR-IOV, and does. */
export interface PciSriov {
    /** How many virtual functions the device and its driver allow. */
    readonly totalVfs: number;
    /** How many there are. */
    readonly numVfs: number;
    /** Their addresses, in the order of their numbers. */
    readonly vfs: readonly PciAddress[];
    /** Whether the kernel looks for drivers for new virtual functions. */
    readonly driversAutoprobe: boolean;
}
/** A PCI device, as it was when it was read. */
export interface PciDevice {
    readonly address: PciAddress;
    /** Its path in sysfs. */
    readonly sysfsPath: string;
    readonly vendorId: number;
    readonly deviceId: number;
    readonly subsystemVendorId: number;
    readonly subsystemDeviceId: number;
    /** 24 bits: base class, subclass, programming interface. 0x010802 is an NVMe controller. */
    readonly classCode: number;
    readonly revision: number;
    /** The bound driver's name; undefined if none is bound. */
    readonly driver: string | undefined;
    /** The only driver that may bind to it, if one was named. */
    readonly driverOverride: string | undefined;
    /** Its IOMMU group; undefined if it has none: also in VFIO's no-IOMMU mode, which makes a group up. */
    readonly iommuGroup: number | undefined;
    /** Its NUMA node; undefined if the firmware does not say. */
    readonly numaNode: number | undefined;
    /** What modprobe finds a driver by. */
    readonly modalias: string | undefined;
    /** Whether a driver has enabled the device. */
    readonly enabled: boolean;
    /** `D0`, `D3hot`, ... or `unknown`; undefined before Linux 5.11. */
    readonly powerState: string | undefined;
    /** Those in use: BARs, ROM, BARs of the virtual functions, a bridge's windows. */
    readonly resources: readonly PciResource[];
    /** Undefined if the device has no SR-IOV. */
    readonly sriov: PciSriov | undefined;
    /** Whether it is a virtual function. */
    readonly isVf: boolean;
    /** A virtual function's physical function. */
    readonly physfn: PciAddress | undefined;
    /** How to open it with VFIO; undefined while no VFIO driver is bound. */
    readonly vfio: VfioNodes | undefined;
}
/** Parses a `resource` file: a line `start end flags` for each, zeros where there is nothing. */
export declare function parseResources(text: string): PciResource[];
/**
 * Reads one PCI device.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError `ENODEV` if there is no such device, or none any more
 */
export declare function readPciDevice(address: string, paths?: HostPaths): PciDevice;
/** Reads all PCI devices, by address. One that goes away meanwhile is left out. */
export declare function listPciDevices(paths?: HostPaths): PciDevice[];
