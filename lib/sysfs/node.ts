/**
 * The device nodes under which VFIO offers a device: the character device of its own (`/dev/vfio/devices/vfioN`, for iommufd)
 * and its group (`/dev/vfio/N`, for a legacy container).
 *
 * Everything here works on any device that a VFIO driver is bound to (PCI, mediated, platform), given as a PCI address, the UUID of a
 * mediated device or the device's own path in sysfs. See `Documentation/driver-api/vfio.rst` in the kernel.
 *
 * @module
 */
import { constants as os } from "node:os";
import { isAbsolute, join } from "node:path";
import { argTypeError, outOfRangeError, VfioError } from "../errors.js";
import { pciAddress } from "./address.js";
import { exists, type HostPaths, listNames, nodeNumber, type Roots, readLinkName, readText, rootsOf } from "./files.js";

/** How a device that a VFIO driver is bound to can be opened. */
export interface VfioNodes {
  /** The device's name in class `vfio-dev`: `vfio0`, or `noiommu-vfio0`. */
  readonly name: string;
  /**
   * The device's own node, `/dev/vfio/devices/vfio0`. Undefined if the kernel was built without it
   * (`CONFIG_VFIO_DEVICE_CDEV`), or if the node is missing from `/dev` or belongs to another device: {@link vfioCdevPath} says which.
   */
  readonly cdevPath: string | undefined;
  /** Its group's node, `/dev/vfio/8`, or `/dev/vfio/noiommu-8`. Undefined if there is none: {@link vfioGroupPath} says why. */
  readonly groupPath: string | undefined;
}

/** @internal */
export interface GroupOf {
  readonly id: number;
  readonly noiommu: boolean;
}

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The UUID in sysfs' spelling, small letters; RangeError for anything else. */
export function mdevUuid(uuid: string): string {
  const form = "the UUID of a mediated device, like 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
  if (typeof uuid !== "string") throw argTypeError("uuid", form, uuid);
  if (!uuidForm.test(uuid)) throw outOfRangeError("uuid", form, uuid);
  return uuid.toLowerCase();
}

/**
 * A device's path in sysfs.
 *
 * @param device a PCI address, a mediated device's UUID, or a path (which is returned as it is)
 * @internal
 */
export function deviceSysfsPath(device: string, roots: Roots): string {
  if (typeof device !== "string") throw argTypeError("device", "a PCI address, a UUID or a path in sysfs", device);
  if (isAbsolute(device)) return device;
  if (uuidForm.test(device)) return join(roots.sysfs, "bus/mdev/devices", mdevUuid(device));
  return join(roots.sysfs, "bus/pci/devices", pciAddress(device));
}

/**
 * The group of a device, as its `iommu_group` link says; undefined if it has none.
 *
 * @internal
 */
export function groupOf(devicePath: string): GroupOf | undefined {
  const name = readLinkName(join(devicePath, "iommu_group"));
  if (name === undefined) return undefined;
  // VFIO makes up a group for a device without an IOMMU, and tells it apart by this name (drivers/vfio/group.c).
  return { id: Number(name), noiommu: readText(join(devicePath, "iommu_group/name")) === "vfio-noiommu" };
}

function groupNode(roots: Roots, group: GroupOf): string {
  return join(roots.dev, "vfio", `${group.noiommu ? "noiommu-" : ""}${group.id}`);
}

function vfioName(devicePath: string): string | undefined {
  return listNames(join(devicePath, "vfio-dev"))[0];
}

/**
 * The nodes of a device; undefined if no VFIO driver is bound to it.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 */
export function readVfioNodes(device: string, paths?: HostPaths): VfioNodes | undefined {
  const roots = rootsOf(paths);
  const devicePath = deviceSysfsPath(device, roots);
  const name = vfioName(devicePath);
  if (name === undefined) return undefined;
  const number = readText(join(devicePath, "vfio-dev", name, "dev"));
  const cdev = join(roots.dev, "vfio/devices", name);
  const group = groupOf(devicePath);
  const groupPath = group && groupNode(roots, group);
  return {
    name,
    cdevPath: number !== undefined && nodeNumber(cdev, "char") === number ? cdev : undefined,
    groupPath: groupPath !== undefined && nodeNumber(groupPath, "char") !== undefined ? groupPath : undefined,
  };
}

function missingNode(path: string, object: string, why: string, fix: string): VfioError {
  return new VfioError({ errno: os.errno.ENOENT, syscall: "open", path, object, why, fix });
}

/** Throws if there is no such device, or no VFIO driver bound to it. Returns its name in class `vfio-dev`. */
function requireVfioName(device: string, devicePath: string): string {
  const name = vfioName(devicePath);
  if (name !== undefined) return name;
  if (!exists(devicePath)) throw noSuchDevice(device, devicePath);
  const driver = readLinkName(join(devicePath, "driver"));
  throw new VfioError({
    errno: os.errno.ENODEV,
    syscall: "open",
    object: device,
    path: devicePath,
    why:
      driver === undefined ? "no driver is bound to it" : `it is bound to the driver ${driver}, not to a VFIO driver`,
    fix: `bind it to vfio-pci: bindDriver("${device}")`,
  });
}

/** @internal */
export function noSuchDevice(device: string, path: string, fix = "list the devices: listPciDevices(), or: lspci -D") {
  return new VfioError({
    errno: os.errno.ENODEV,
    syscall: "open",
    path,
    object: device,
    why: "there is no such device",
    fix,
  });
}

/**
 * The path of a device's own node, `/dev/vfio/devices/vfioN`, after checking that the node is that device's: the number in `/dev`
 * must be the one in sysfs.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 * @throws VfioError that says what is missing: the device, its driver, the kernel's option, the node
 */
export function vfioCdevPath(device: string, paths?: HostPaths): string {
  const roots = rootsOf(paths);
  const devicePath = deviceSysfsPath(device, roots);
  const name = requireVfioName(device, devicePath);
  const path = join(roots.dev, "vfio/devices", name);
  const number = readText(join(devicePath, "vfio-dev", name, "dev"));
  if (number === undefined) {
    throw missingNode(
      path,
      device,
      "this kernel offers no device nodes of their own for VFIO devices (it was built without CONFIG_VFIO_DEVICE_CDEV)",
      "use its group with a legacy container, or a kernel with CONFIG_VFIO_DEVICE_CDEV=y",
    );
  }
  const found = nodeNumber(path, "char");
  if (found === number) return path;
  throw missingNode(
    path,
    device,
    found === undefined
      ? `the kernel has the device ${number}, but there is no node for it in ${roots.dev}`
      : `the node is the device ${found}, but the kernel's number for ${name} is ${number}: this ${roots.dev} belongs to another system`,
    `give this process (or container) the host's ${roots.dev}/vfio/devices, or make the node: mknod ${path} c ${number.replace(":", " ")}`,
  );
}

/**
 * The path of a device's group, `/dev/vfio/N` (or `/dev/vfio/noiommu-N`).
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 * @throws VfioError that says what is missing: the device, its driver, the IOMMU, the node
 */
export function vfioGroupPath(device: string, paths?: HostPaths): string {
  const roots = rootsOf(paths);
  const devicePath = deviceSysfsPath(device, roots);
  requireVfioName(device, devicePath);
  const group = groupOf(devicePath);
  if (group === undefined) throw noIommuGroup(device, devicePath);
  const path = groupNode(roots, group);
  if (nodeNumber(path, "char") !== undefined) return path;
  throw missingNode(
    path,
    device,
    `its IOMMU group is ${group.id}, but there is no node for it in ${roots.dev}`,
    `give this process (or container) the host's ${roots.dev}/vfio, or open the device by its own node with iommufd ` +
      "(a kernel without CONFIG_VFIO_GROUP has no groups)",
  );
}

/** @internal */
export function noIommuGroup(device: string, path: string): VfioError {
  return new VfioError({
    errno: os.errno.ENODEV,
    syscall: "open",
    path: join(path, "iommu_group"),
    object: device,
    why: "it is in no IOMMU group: the IOMMU is off, or there is none",
    fix:
      "switch the IOMMU on in the firmware (Intel VT-d, AMD-Vi, SMMU), and on Intel start the kernel with intel_iommu=on; " +
      "without any IOMMU, only VFIO's unsafe no-IOMMU mode remains",
  });
}
