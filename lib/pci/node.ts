/**
 * The device nodes under which VFIO offers a device: the character device of its own (`/dev/vfio/devices/vfioN`, for
 * iommufd) and its group (`/dev/vfio/N`, for a legacy container).
 *
 * Everything here works on any device that a VFIO driver is bound to (PCI, mediated, platform), given as a PCI
 * address, the UUID of a mediated device or the device's own path in sysfs. See `Documentation/driver-api/vfio.rst`
 * in the kernel.
 *
 * @module
 */
import { constants as os } from "node:os";
import { isAbsolute, join } from "node:path";
import { argTypeError, argValueError, VfioError } from "../base/errors.js";
import {
  exists,
  type HostPaths,
  listNames,
  nodeNumber,
  type Roots,
  readLinkName,
  readText,
  rootsOf,
} from "../kernel/files.js";
import { pciAddress } from "./address.js";

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

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The UUID in sysfs' spelling, small letters; RangeError for anything else. */
export function mdevUuid(uuid: string): string {
  const form = "the UUID of a mediated device, like 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
  if (typeof uuid !== "string") throw argTypeError("uuid", form, uuid);
  if (!uuidForm.test(uuid)) throw argValueError("uuid", form, uuid);
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

/** What the names of a device's nodes begin with that VFIO offers in no-IOMMU mode: the group's, since Linux 7.3 its own too. */
const NO_IOMMU = "noiommu-";

function linkedGroup(devicePath: string): number | undefined {
  const name = readLinkName(join(devicePath, "iommu_group"));
  return name === undefined ? undefined : Number(name);
}

/**
 * Whether VFIO has made a group up for a device without an IOMMU. (The group's own name does not tell: those of mediated
 * devices are called `vfio-noiommu` too.)
 *
 * @internal
 */
export function isMadeUpGroup(group: number, roots: Roots): boolean {
  return exists(join(roots.sysfs, "class/vfio", `${NO_IOMMU}${group}`));
}

/**
 * The number of a device's IOMMU group, as its `iommu_group` link says; undefined if it has none, or one that VFIO made up.
 *
 * @internal
 */
export function groupIdOf(devicePath: string, roots: Roots): number | undefined {
  const group = linkedGroup(devicePath);
  return group === undefined || isMadeUpGroup(group, roots) ? undefined : group;
}

/**
 * Whether VFIO offers a device in no-IOMMU mode: the device can then read and write all memory.
 *
 * @internal
 */
export function isNoIommu(devicePath: string, roots: Roots): boolean {
  const group = linkedGroup(devicePath);
  if (group !== undefined && isMadeUpGroup(group, roots)) return true;
  return vfioName(devicePath)?.startsWith(NO_IOMMU) === true;
}

/**
 * Whether the host's administrator allows VFIO's no-IOMMU mode.
 *
 * @internal
 */
export function isNoIommuAllowed(roots: Roots): boolean {
  return readText(join(roots.sysfs, "module/vfio/parameters/enable_unsafe_noiommu_mode")) === "Y";
}

/** A group as VFIO offers it: the name and the number (`major:minor`) of its node. */
export interface GroupNode {
  readonly path: string;
  readonly number: string;
}

/** A group's node, as VFIO's class says: it is called by the group's number, or `noiommu-` and the number of one that VFIO made up. */
function groupNodeOf(group: number, roots: Roots): GroupNode | undefined {
  for (const name of [`${group}`, `${NO_IOMMU}${group}`]) {
    const number = readText(join(roots.sysfs, "class/vfio", name, "dev"));
    if (number !== undefined) return { path: join(roots.dev, "vfio", name), number };
  }
  return undefined;
}

/**
 * The node of a device's group as VFIO offers it; undefined if there is none. Whether the node is in `/dev` is not asked.
 *
 * @internal
 */
export function vfioGroupNode(devicePath: string, roots: Roots): GroupNode | undefined {
  const group = linkedGroup(devicePath);
  return group === undefined ? undefined : groupNodeOf(group, roots);
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
  const group = vfioGroupNode(devicePath, roots);
  return {
    name,
    cdevPath: number !== undefined && nodeNumber(cdev, "char") === number ? cdev : undefined,
    groupPath: group !== undefined && nodeNumber(group.path, "char") === group.number ? group.path : undefined,
  };
}

function missingNode(path: string, object: string, why: string, fix: string): VfioError {
  return new VfioError({ errno: os.errno.ENOENT, syscall: "open", path, object, why, fix });
}

/** The path, if the node there has the number that the kernel gave to the device or group. */
function requireNode(path: string, number: string, device: string, roots: Roots): string {
  const found = nodeNumber(path, "char");
  if (found === number) return path;
  throw missingNode(
    path,
    device,
    found === undefined
      ? `the kernel has the device ${number} for it, but there is no node for that in ${roots.dev}`
      : `the node is the device ${found}, but the kernel's number is ${number}: this ${roots.dev} belongs to another system`,
    `give this process (or container) the host's ${roots.dev}/vfio, or make the node: mknod ${path} c ${number.replace(":", " ")}`,
  );
}

/**
 * Throws if there is no such device, if no VFIO driver is bound to it, or if VFIO offers it without an IOMMU. Returns its name
 * in class `vfio-dev`.
 */
function requireVfioName(device: string, devicePath: string, roots: Roots): string {
  const name = vfioName(devicePath);
  if (name !== undefined) {
    if (isNoIommu(devicePath, roots)) throw noIommuGroup(device, devicePath, roots);
    return name;
  }
  if (!exists(devicePath)) throw noSuchDevice(device, devicePath);
  const driver = readLinkName(join(devicePath, "driver"));
  throw new VfioError({
    errno: os.errno.ENODEV,
    syscall: "open",
    object: device,
    path: devicePath,
    reason: "no-vfio-driver",
    why:
      driver === undefined ? "no driver is bound to it" : `it is bound to the driver ${driver}, not to a VFIO driver`,
    fix: bindingFix(device),
  });
}

/**
 * How a device gets a VFIO driver. A mediated one gets its parent's when it is created; the mdev bus matches no driver afterwards. A
 * device of another bus takes the driver for that bus.
 */
function bindingFix(device: string): string {
  if (isAbsolute(device)) return "bind it to the VFIO driver of its bus";
  if (!uuidForm.test(device)) return `bind it to vfio-pci: bindDriver("${device}")`;
  return `a mediated device gets its driver when it is created: echo 1 > /sys/bus/mdev/devices/${device}/remove, and create it again`;
}

/** @internal */
export function noSuchDevice(device: string, path: string, fix?: string): VfioError {
  const list = uuidForm.test(device) ? "listMdevDevices()" : "listPciDevices(), or: lspci -D";
  return new VfioError({
    errno: os.errno.ENODEV,
    syscall: "open",
    path,
    object: device,
    reason: "no-such-device",
    why: "there is no such device",
    fix: fix ?? `list the devices: ${list}`,
  });
}

/**
 * The path of a device's own node, `/dev/vfio/devices/vfioN`, after checking that the node is that device's: the
 * number in `/dev` must be the one in sysfs.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 * @throws VfioError that says what is missing: the device, its driver, the IOMMU, the kernel's option, the node
 */
export function vfioCdevPath(device: string, paths?: HostPaths): string {
  const roots = rootsOf(paths);
  const devicePath = deviceSysfsPath(device, roots);
  const name = requireVfioName(device, devicePath, roots);
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
  return requireNode(path, number, device, roots);
}

/**
 * The path of a device's group, `/dev/vfio/N`.
 *
 * @param device a PCI address, a mediated device's UUID, or the device's path in sysfs
 * @throws VfioError that says what is missing: the device, its driver, the IOMMU, the node
 */
export function vfioGroupPath(device: string, paths?: HostPaths): string {
  const roots = rootsOf(paths);
  const devicePath = deviceSysfsPath(device, roots);
  requireVfioName(device, devicePath, roots);
  const groupId = groupIdOf(devicePath, roots);
  if (groupId === undefined) throw noIommuGroup(device, devicePath, roots);
  const group = groupNodeOf(groupId, roots);
  if (group !== undefined) return requireNode(group.path, group.number, device, roots);
  throw missingNode(
    join(roots.dev, "vfio", String(groupId)),
    device,
    "this kernel offers no groups (it was built without CONFIG_VFIO_GROUP)",
    "open the device by its own node, with iommufd",
  );
}

/**
 * How to get IOMMU groups.
 *
 * @internal
 */
export const switchIommuOn =
  "switch the IOMMU on in the firmware (Intel VT-d, AMD-Vi, SMMU), and on Intel start the kernel with intel_iommu=on";

/**
 * Why no-IOMMU mode is of no help.
 *
 * @internal
 */
export const noIommuRefused =
  "VFIO's no-IOMMU mode (enable_unsafe_noiommu_mode) is refused: in it a device can read and write all memory";

/** @internal */
export function noIommuGroup(device: string, path: string, roots: Roots): VfioError {
  const offered = isNoIommuAllowed(roots) || isNoIommu(path, roots);
  return new VfioError({
    errno: os.errno.ENODEV,
    syscall: "open",
    path: join(path, "iommu_group"),
    object: device,
    reason: "no-iommu-group",
    why: `it is in no IOMMU group: the IOMMU is off, or there is none${offered ? `; ${noIommuRefused}` : ""}`,
    fix: switchIommuOn,
  });
}
