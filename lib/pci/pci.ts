/**
 * The PCI devices of this machine, as sysfs shows them (`Documentation/ABI/testing/sysfs-bus-pci` in the kernel).
 *
 * Reading is a snapshot: nothing here holds a device, and a device may go away while it is read. A listing leaves
 * such a device out; reading it by its address is an error that says so.
 *
 * @module
 */
import { join } from "node:path";
import {
  exists,
  type HostPaths,
  listNames,
  type Roots,
  readLinkName,
  readNumber,
  readText,
  rootsOf,
} from "../kernel/files.js";
import { type PciAddress, pciAddress } from "./address.js";
import { groupIdOf, noSuchDevice, readVfioNodes, type VfioNodes } from "./node.js";

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

// include/linux/ioport.h
const IORESOURCE_IO = 0x100;
const IORESOURCE_PREFETCH = 0x2000;
const IORESOURCE_MEM_64 = 0x10_0000;

// include/linux/pci.h: six BARs, the ROM, with CONFIG_PCI_IOV six BARs of virtual functions, then a bridge's four
// windows. The file's length tells whether the kernel was built with CONFIG_PCI_IOV: 7 or 11 lines without, 13 or 17
// with.
function resourceSlot(line: number, lines: number): { kind: PciResourceKind; index: number } {
  if (line < 6) return { kind: "bar", index: line };
  if (line === 6) return { kind: "rom", index: 0 };
  const iov = lines >= 13 ? 6 : 0;
  return line < 7 + iov ? { kind: "vf-bar", index: line - 7 } : { kind: "window", index: line - 7 - iov };
}

/** Parses a `resource` file: a line `start end flags` for each, zeros where there is nothing. */
export function parseResources(text: string): PciResource[] {
  const lines = text.trim().split("\n");
  const resources: PciResource[] = [];
  for (const [line, fields] of lines.entries()) {
    const [start, end, flags] = fields.trim().split(/\s+/);
    if (start === undefined || end === undefined || flags === undefined || Number(flags) === 0) continue;
    const bits = Number(flags);
    resources.push({
      ...resourceSlot(line, lines.length),
      start: BigInt(start),
      size: BigInt(end) - BigInt(start) + 1n,
      flags: bits,
      space: (bits & IORESOURCE_IO) !== 0 ? "io" : "memory",
      prefetchable: (bits & IORESOURCE_PREFETCH) !== 0,
      wide: (bits & IORESOURCE_MEM_64) !== 0,
    });
  }
  return resources;
}

/**
 * `driver_override`, undefined where none is set: the kernel shows C's null pointer as `(null)`.
 *
 * @internal
 */
export function readDriverOverride(path: string): string | undefined {
  const text = readText(join(path, "driver_override"));
  return text === undefined || text === "" || text === "(null)" ? undefined : text;
}

/** @internal */
export function pciDevicePath(address: PciAddress, roots: Roots): string {
  return join(roots.sysfs, "bus/pci/devices", address);
}

function linkedAddress(path: string): PciAddress | undefined {
  const name = readLinkName(path);
  return name === undefined ? undefined : pciAddress(name);
}

function readSriov(path: string): PciSriov | undefined {
  const totalVfs = readNumber(join(path, "sriov_totalvfs"));
  if (totalVfs === undefined) return undefined;
  const numVfs = readNumber(join(path, "sriov_numvfs")) ?? 0;
  const vfs: PciAddress[] = [];
  for (let n = 0; n < numVfs; n++) {
    const vf = linkedAddress(join(path, `virtfn${n}`));
    if (vf !== undefined) vfs.push(vf);
  }
  return { totalVfs, numVfs, vfs, driversAutoprobe: readNumber(join(path, "sriov_drivers_autoprobe")) !== 0 };
}

function readDevice(address: PciAddress, paths: HostPaths | undefined, roots: Roots): PciDevice | undefined {
  const path = pciDevicePath(address, roots);
  const id = (name: string) => readNumber(join(path, name));
  const vendorId = id("vendor");
  if (vendorId === undefined) return undefined;
  const numaNode = id("numa_node");
  const physfn = linkedAddress(join(path, "physfn"));
  const device: PciDevice = {
    address,
    sysfsPath: path,
    vendorId,
    deviceId: id("device") ?? 0,
    subsystemVendorId: id("subsystem_vendor") ?? 0,
    subsystemDeviceId: id("subsystem_device") ?? 0,
    classCode: id("class") ?? 0,
    revision: id("revision") ?? 0,
    driver: readLinkName(join(path, "driver")),
    driverOverride: readDriverOverride(path),
    iommuGroup: groupIdOf(path, roots),
    // The kernel says -1 for "no node".
    numaNode: numaNode === undefined || numaNode < 0 ? undefined : numaNode,
    modalias: readText(join(path, "modalias")),
    enabled: (id("enable") ?? 0) > 0,
    powerState: readText(join(path, "power_state")),
    resources: parseResources(readText(join(path, "resource")) ?? ""),
    sriov: readSriov(path),
    isVf: physfn !== undefined,
    physfn,
    vfio: readVfioNodes(path, paths),
  };
  // Every device has a vendor: one that is there no longer went away at some point above, and what was read is worth
  // nothing.
  return exists(join(path, "vendor")) ? device : undefined;
}

/**
 * Reads one PCI device.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError `ENODEV` if there is no such device, or none any more
 */
export function readPciDevice(address: string, paths?: HostPaths): PciDevice {
  const roots = rootsOf(paths);
  const canonical = pciAddress(address);
  const device = readDevice(canonical, paths, roots);
  if (device === undefined) throw noSuchPciDevice(canonical, roots);
  return device;
}

/** Reads all PCI devices, by address. One that goes away meanwhile is left out. */
export function listPciDevices(paths?: HostPaths): PciDevice[] {
  const roots = rootsOf(paths);
  return listNames(join(roots.sysfs, "bus/pci/devices"))
    .map((name) => readDevice(pciAddress(name), paths, roots))
    .filter((device) => device !== undefined);
}

/** @internal */
export function noSuchPciDevice(address: PciAddress, roots: Roots) {
  const path = pciDevicePath(address, roots);
  if (!exists(join(roots.sysfs, "bus/pci"))) {
    return noSuchDevice(address, path, `mount sysfs at ${roots.sysfs}; if it is, this machine has no PCI bus`);
  }
  const bus = address.slice(0, address.lastIndexOf(":") + 1);
  const near = listNames(join(roots.sysfs, "bus/pci/devices")).filter((name) => name.startsWith(bus));
  const hint = near.length === 0 ? "no device is on that bus" : `on that bus there is ${near.slice(0, 8).join(", ")}`;
  return noSuchDevice(address, path, `${hint}; list all with listPciDevices(), or: lspci -D`);
}
