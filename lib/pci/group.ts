/**
 * IOMMU groups: the smallest sets of devices that the IOMMU can tell apart, and so what is given to user space as a
 * whole.
 *
 * @module
 */

import { constants as os } from "node:os";
import { basename, join } from "node:path";
import { checkInteger, checkString } from "../base/arguments.js";
import { argTypeError, VfioError } from "../base/errors.js";
import {
  exists,
  type HostPaths,
  listNames,
  type Roots,
  readLinkName,
  readText,
  realPath,
  rootsOf,
} from "../kernel/files.js";
import { deviceSysfsPath, groupIdOf, isMadeUpGroup, noIommuGroup, noSuchDevice, switchIommuOn } from "./node.js";

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
export type GroupViability =
  | { readonly viable: true; readonly group: IommuGroup }
  | { readonly viable: false; readonly group: IommuGroup; readonly blockers: readonly GroupBlocker[] };

function readReservedRegions(path: string): ReservedRegion[] {
  const regions: ReservedRegion[] = [];
  for (const line of (readText(path) ?? "").split("\n")) {
    const [start, end, type] = line.trim().split(/\s+/);
    if (start === undefined || end === undefined || type === undefined) continue;
    regions.push({ start: BigInt(start), end: BigInt(end), type });
  }
  return regions;
}

function readMember(path: string): IommuGroupMember | undefined {
  // The group has links to its devices, named like them; one that leads nowhere is a device that just went away.
  const sysfsPath = realPath(path);
  if (sysfsPath === undefined) return undefined;
  return {
    name: basename(sysfsPath),
    sysfsPath,
    bus: readLinkName(join(sysfsPath, "subsystem")),
    driver: readLinkName(join(sysfsPath, "driver")),
    vfio: exists(join(sysfsPath, "vfio-dev")),
  };
}

function readGroup(id: number, roots: Roots): IommuGroup | undefined {
  const path = join(roots.sysfs, "kernel/iommu_groups", String(id));
  if (!exists(path) || isMadeUpGroup(id, roots)) return undefined;
  const members = join(path, "devices");
  return {
    id,
    type: readText(join(path, "type")),
    devices: listNames(members)
      .map((name) => readMember(join(members, name)))
      .filter((member) => member !== undefined),
    reservedRegions: readReservedRegions(join(path, "reserved_regions")),
  };
}

/** Reads all IOMMU groups, by number. Empty if the IOMMU is off: what VFIO's no-IOMMU mode makes up is none. */
export function listIommuGroups(paths?: HostPaths): IommuGroup[] {
  return readGroups(rootsOf(paths));
}

function readGroups(roots: Roots): IommuGroup[] {
  return listNames(join(roots.sysfs, "kernel/iommu_groups"))
    .map(Number)
    .sort((a, b) => a - b)
    .map((id) => readGroup(id, roots))
    .filter((group) => group !== undefined);
}

/**
 * Reads one IOMMU group.
 *
 * @param group its number, or a device in it: a PCI address, a mediated device's UUID, a path in sysfs
 * @throws VfioError `ENODEV` if there is no such group or device, or the device is in no group
 */
export function readIommuGroup(group: number | string, paths?: HostPaths): IommuGroup {
  const roots = rootsOf(paths);
  if (typeof group !== "number" && typeof group !== "string") {
    throw argTypeError("group", "an IOMMU group's number, or a device's address", group);
  }
  const id = typeof group === "number" ? checkInteger("group", group) : groupIdOfDevice(group, roots);
  const found = readGroup(id, roots);
  if (found === undefined) {
    const present = readGroups(roots).length;
    throw new VfioError({
      errno: os.errno.ENODEV,
      syscall: "open",
      object: `IOMMU group ${id}`,
      why:
        present === 0 ? "there is no IOMMU group at all: the IOMMU is off, or there is none" : "there is no such group",
      fix: present === 0 ? switchIommuOn : "list the groups: listIommuGroups()",
    });
  }
  return found;
}

function groupIdOfDevice(device: string, roots: Roots): number {
  const path = deviceSysfsPath(device, roots);
  const group = groupIdOf(path, roots);
  if (group !== undefined) return group;
  throw exists(path) ? noIommuGroup(device, path, roots) : noSuchDevice(device, path);
}

/**
 * Whether a driver leaves its device's DMA to others, so that the device may be in a group that user space owns:
 * VFIO's own and their variants for one vendor's devices (`mlx5_vfio_pci`), `pci-stub`, and `pcieport`, which does no
 * DMA. They are the drivers with `driver_managed_dma` in the kernel, which sysfs does not show.
 *
 * @param driver a driver's name
 */
export function leavesDmaAlone(driver: string): boolean {
  checkString("driver", driver);
  return driver === "pci-stub" || driver === "pcieport" || isVfioDriver(driver);
}

/** @internal */
export function isVfioDriver(driver: string): boolean {
  return /(^|[-_])vfio([-_]|$)/.test(driver);
}

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
export function groupViability(group: number | string | IommuGroup, paths?: HostPaths): GroupViability {
  const read = typeof group === "object" && group !== null ? group : readIommuGroup(group, paths);
  const blockers: GroupBlocker[] = [];
  for (const { name, bus, driver, vfio } of read.devices) {
    if (driver === undefined || vfio || leavesDmaAlone(driver)) continue;
    blockers.push({
      name,
      driver,
      why: `${name} is in IOMMU group ${read.id} too and is bound to the kernel's driver ${driver}`,
      fix:
        bus === "pci"
          ? `bind ${name} to vfio-pci as well, bindDriver("${name}"), or to no driver, bindDriver("${name}", { driver: null }); ` +
            "if it must stay with the kernel, move one of the two to a slot that isolates it (PCIe ACS)"
          : `unbind it from its driver: echo ${name} > /sys/bus/${bus}/drivers/${driver}/unbind`,
    });
  }
  return blockers.length === 0 ? { viable: true, group: read } : { viable: false, group: read, blockers };
}
