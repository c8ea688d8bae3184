/**
 * Who uses a device: what would be lost if its driver were taken away now.
 *
 * Unbinding a driver never fails for being rude: the kernel takes a mounted disk or a busy network interface away
 * without a question. So the question is asked here.
 *
 * @module
 */
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { constants as os } from "node:os";
import { join } from "node:path";
import {
  errnoOf,
  type HostPaths,
  listNames,
  nodeNumber,
  type Roots,
  readNumber,
  readText,
  realPath,
  rootsOf,
} from "../kernel/files.js";
import { type PciAddress, pciAddress } from "./address.js";
import { processUses } from "./holders.js";
import { noSuchPciDevice, pciDevicePath } from "./pci.js";
import { isBelow, placesOf } from "./places.js";
import { screenUses } from "./screen.js";
import type { DeviceUse } from "./use.js";

/** A block or character device node that belongs to the device. */
interface Node {
  readonly name: string;
  readonly number: string;
}

/** The block devices of a device: disks and partitions. */
function blockDevices(devicePath: string, roots: Roots): Node[] {
  const classPath = join(roots.sysfs, "class/block");
  const places = placesOf(devicePath, roots);
  return listNames(classPath).flatMap((name) => {
    const ours = isBelow(realPath(join(classPath, name)), ...places);
    const number = ours ? readText(join(classPath, name, "dev")) : undefined;
    return number === undefined ? [] : [{ name, number }];
  });
}

/** The block devices that stand on one, directly and further up. */
function holdersOf(name: string, roots: Roots, seen = new Set<string>()): Node[] {
  return listNames(join(roots.sysfs, "class/block", name, "holders")).flatMap((holder) => {
    if (seen.has(holder)) return [];
    seen.add(holder);
    const number = readText(join(roots.sysfs, "class/block", holder, "dev")) ?? "";
    return [{ name: holder, number }, ...holdersOf(holder, roots, seen)];
  });
}

/** proc escapes space, tab, newline and backslash in paths as octal numbers. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

interface Mount {
  readonly number: string;
  readonly target: string;
  readonly source: string;
}

/** The mounts that this process sees, and those that the first process sees: the host's, in a container with the host's proc. */
function readMounts(roots: Roots): Mount[] {
  const mounts = new Map<string, Mount>();
  for (const pid of ["self", "1"]) {
    for (const line of readUnlessDenied(join(roots.proc, pid, "mountinfo")).split("\n")) {
      // proc_pid_mountinfo(5): id parent major:minor root target options [optional...] - type source options
      const [before = "", after = ""] = line.split(" - ");
      const [, , number, , target] = before.split(" ");
      const [, source] = after.split(" ");
      if (number === undefined || target === undefined || source === undefined) continue;
      mounts.set(`${number} ${target} ${source}`, {
        number,
        target: unescapePath(target),
        source: unescapePath(source),
      });
    }
  }
  return [...mounts.values()];
}

function readUnlessDenied(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // What belongs to other users may be closed to us, and processes end while they are looked at.
    if (errnoOf(error) === undefined) throw error;
    return "";
  }
}

/** File systems that cannot be unmounted while the system runs, or that it starts from. */
const systemMounts = /^\/(boot(\/efi)?|efi|etc(\/.*)?|nix(\/store)?|usr|var)?$/;

const chooseAnother = "choose another device: the system runs from this one";

function storageUses(devicePath: string, roots: Roots): DeviceUse[] {
  const disks = blockDevices(devicePath, roots);
  const uses: DeviceUse[] = [];
  const stack: Node[] = [...disks];
  for (const disk of disks) {
    for (const holder of holdersOf(disk.name, roots)) {
      stack.push(holder);
      uses.push({
        kind: "holder",
        name: disk.name,
        why: `the block device ${holder.name} stands on ${disk.name}`,
        fix: `take ${holder.name} down first (dmsetup remove, lvchange -an, mdadm --stop)`,
      });
    }
  }
  const onDevice = (number: string | undefined, path: string) =>
    stack.find((node) => node.number === number || path === join("/dev", node.name));

  for (const { number, target, source } of readMounts(roots)) {
    // btrfs and its like have a number of their own, and only the source names the device.
    const node = onDevice(number, source);
    if (node === undefined) continue;
    const use = { kind: "mount", name: node.name, why: `${node.name} is mounted on ${target}` } as const;
    if (systemMounts.test(target)) uses.push({ ...use, fix: chooseAnother, system: true });
    else uses.push({ ...use, fix: `umount '${target}'` });
  }
  for (const line of readUnlessDenied(join(roots.proc, "swaps")).split("\n").slice(1)) {
    const path = unescapePath(line.split(/\s+/)[0] ?? "");
    const node = path === "" ? undefined : onDevice(nodeNumber(path, "block"), path);
    if (node === undefined) continue;
    uses.push({ kind: "swap", name: node.name, why: `the kernel swaps to ${node.name}`, fix: `swapoff ${path}` });
  }
  // Ending the other uses of the disk that the system runs from would get nobody any further.
  if (uses.some(({ system }) => system)) return uses.map((use) => ({ ...use, fix: chooseAnother }));
  if (uses.length > 0) return uses;

  // What neither list shows: a pool of several disks, a mount in a container. Exclusive opening fails exactly while
  // something in the kernel holds the device; it is not a write, and udev does not notice it.
  for (const disk of disks) {
    const path = join(roots.dev, disk.name);
    if (nodeNumber(path, "block") !== disk.number || !isClaimed(path)) continue;
    uses.push({
      kind: "claim",
      name: disk.name,
      why: `something holds ${path} for itself: a pool of disks (btrfs, ZFS, md), or a mount in another container`,
      fix: `find it with lsblk, btrfs filesystem show, zpool status or lsns -t mnt, and take ${disk.name} out of it`,
    });
  }
  return uses;
}

// open(2): O_EXCL without O_CREAT on a block device fails with EBUSY while the system uses it.
function isClaimed(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK));
    return false;
  } catch (error) {
    return errnoOf(error) === os.errno.EBUSY;
  }
}

const IFF_UP = 1;

function networkUses(devicePath: string, roots: Roots): DeviceUse[] {
  const classPath = join(roots.sysfs, "class/net");
  return listNames(classPath).flatMap((name): DeviceUse[] => {
    if (!isBelow(realPath(join(classPath, name)), devicePath)) return [];
    const flags = readNumber(join(classPath, name, "flags")) ?? 0;
    if ((flags & IFF_UP) === 0) return [];
    return [
      {
        kind: "network",
        name,
        why: `the network interface ${name} is up`,
        fix: `ip link set ${name} down (is it the one you are logged in through?)`,
      },
    ];
  });
}

function vfUses(address: PciAddress, devicePath: string): DeviceUse[] {
  const count = readNumber(join(devicePath, "sriov_numvfs")) ?? 0;
  if (count === 0) return [];
  const are = count === 1 ? "is 1 virtual function" : `are ${count} virtual functions`;
  return [
    {
      kind: "vfs",
      name: address,
      why: `there ${are} of it`,
      fix: `remove them first: setNumVfs("${address}", 0)`,
    },
  ];
}

/**
 * Finds what uses a PCI device; empty if nothing does, as far as this process can see.
 *
 * Not seen: interfaces in another network namespace, descriptors of processes that the caller may not look into (it
 * takes root, and the host's `/proc`), a device that was opened through a group whose descriptor was closed since (except
 * on recent kernels), and memory that is still mapped although its descriptor is closed.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError `ENODEV` if there is no such device
 */
export function findDeviceUses(address: string, paths?: HostPaths): DeviceUse[] {
  const roots = rootsOf(paths);
  const canonical = pciAddress(address);
  const devicePath = realPath(pciDevicePath(canonical, roots));
  if (devicePath === undefined) throw noSuchPciDevice(canonical, roots);
  return [
    ...storageUses(devicePath, roots),
    ...networkUses(devicePath, roots),
    ...screenUses(devicePath, roots),
    ...vfUses(canonical, devicePath),
    ...processUses([devicePath], roots),
  ];
}
