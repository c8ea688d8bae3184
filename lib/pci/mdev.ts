/**
 * Mediated devices: parts of a device that its kernel driver hands out, each with a UUID
 * (`Documentation/driver-api/vfio-mediated-device.rst`).
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { type HostPaths, listNames, type Roots, readLinkName, realPath, rootsOf } from "../kernel/files.js";
import { groupIdOf, mdevUuid, noSuchDevice, readVfioNodes, type VfioNodes } from "./node.js";

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

function readDevice(uuid: string, paths: HostPaths | undefined, roots: Roots): MdevDevice | undefined {
  const sysfsPath = realPath(join(roots.sysfs, "bus/mdev/devices", uuid));
  if (sysfsPath === undefined) return undefined;
  return {
    uuid,
    sysfsPath,
    parent: basename(dirname(sysfsPath)),
    type: readLinkName(join(sysfsPath, "mdev_type")),
    driver: readLinkName(join(sysfsPath, "driver")),
    iommuGroup: groupIdOf(sysfsPath, roots),
    vfio: readVfioNodes(sysfsPath, paths),
  };
}

/**
 * Reads one mediated device.
 *
 * @throws VfioError `ENODEV` if there is none with this UUID
 */
export function readMdevDevice(uuid: string, paths?: HostPaths): MdevDevice {
  const roots = rootsOf(paths);
  const canonical = mdevUuid(uuid);
  const device = readDevice(canonical, paths, roots);
  if (device !== undefined) return device;
  const present = listNames(join(roots.sysfs, "bus/mdev/devices"));
  throw noSuchDevice(
    uuid,
    join(roots.sysfs, "bus/mdev/devices", canonical),
    present.length === 0
      ? "create it: write its UUID to /sys/class/mdev_bus/<parent>/mdev_supported_types/<type>/create"
      : `there is ${present.join(", ")}; create others with /sys/class/mdev_bus/<parent>/mdev_supported_types/<type>/create`,
  );
}

/** Reads all mediated devices, by UUID. One that goes away meanwhile is left out. */
export function listMdevDevices(paths?: HostPaths): MdevDevice[] {
  const roots = rootsOf(paths);
  return listNames(join(roots.sysfs, "bus/mdev/devices"))
    .map((uuid) => readDevice(uuid, paths, roots))
    .filter((device) => device !== undefined);
}
