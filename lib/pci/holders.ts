/**
 * The processes that have a device open, by a node of its own or by its VFIO group.
 *
 * @module
 */
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { constants as os } from "node:os";
import { dirname, join } from "node:path";
import { fdinfoField } from "../kernel/fdinfo.js";
import {
  deviceNumber,
  errnoOf,
  type HostPaths,
  listNames,
  type Roots,
  readText,
  realPath,
  rootsOf,
} from "../kernel/files.js";
import { deviceSysfsPath, vfioGroupNode } from "./node.js";
import { isBelow, placesOf } from "./places.js";
import type { DeviceUse } from "./use.js";

/** The devices below a place that VFIO offers: the device itself, and mediated devices that are parts of it. */
function vfioDevices(devicePath: string, roots: Roots): string[] {
  const classPath = join(roots.sysfs, "class/vfio-dev");
  return listNames(classPath).flatMap((name) => {
    // .../<device>/vfio-dev/vfio0
    const path = realPath(join(classPath, name));
    return path !== undefined && isBelow(path, devicePath) ? [dirname(dirname(path))] : [];
  });
}

/** A device's nodes, `/dev/nvme0`, `/dev/dri/card0`, `/dev/vfio/devices/vfio0`, `/dev/vfio/8`, ..., by their numbers. */
function deviceNodes(devicePath: string, roots: Roots): Map<string, string> {
  const places = placesOf(devicePath, roots);
  const nodes = new Map<string, string>();
  for (const type of ["char", "block"] as const) {
    const byNumber = join(roots.sysfs, "dev", type);
    for (const number of listNames(byNumber)) {
      if (!isBelow(realPath(join(byNumber, number)), ...places)) continue;
      const name = /^DEVNAME=(.+)$/m.exec(readText(join(byNumber, number, "uevent")) ?? "")?.[1] ?? number;
      nodes.set(`${type} ${number}`, join("/dev", name));
    }
  }
  for (const device of vfioDevices(devicePath, roots)) {
    const group = vfioGroupNode(device, roots);
    if (group !== undefined) nodes.set(`char ${group.number}`, group.path);
  }
  return nodes;
}

/** The node of the device that one descriptor of a process is open on; undefined for none. */
function openedThrough(fdPath: string, fdinfoPath: string, nodes: Map<string, string>, kernelPaths: readonly string[]) {
  const target = readlinkSync(fdPath);
  if (target === "anon_inode:[vfio-device]") {
    // A device that was opened through its group: a recent kernel says which one.
    const path = fdinfoField(fdinfoPath, "vfio-device-syspath");
    return isBelow(path, ...kernelPaths) ? "the device itself" : undefined;
  }
  if (!target.startsWith("/")) return undefined;
  const stat = statSync(fdPath, { bigint: true });
  const type = stat.isCharacterDevice() ? "char" : stat.isBlockDevice() ? "block" : undefined;
  return type === undefined ? undefined : nodes.get(`${type} ${deviceNumber(stat.rdev)}`);
}

/**
 * The processes that have one of some devices open, as far as this one can see.
 *
 * @param devicePaths in sysfs, without links
 */
export function processUses(devicePaths: readonly string[], roots: Roots): DeviceUse[] {
  const nodes = new Map(devicePaths.flatMap((path) => [...deviceNodes(path, roots)]));
  const kernelPaths = devicePaths.map((path) => join("/sys", path.slice(roots.sysfs.length)));
  const self = realPath(join(roots.proc, "self"));
  const uses = new Map<string, DeviceUse>();
  for (const pid of listNames(roots.proc).filter((name) => /^[0-9]+$/.test(name))) {
    const place = join(roots.proc, pid);
    for (const fd of unlessDenied(() => listNames(join(place, "fd"))) ?? []) {
      const name = unlessDenied(() =>
        openedThrough(join(place, "fd", fd), join(place, "fdinfo", fd), nodes, kernelPaths),
      );
      if (name === undefined || uses.has(`${pid} ${name}`)) continue;
      const own = place === self;
      const command = unlessDenied(() => readFileSync(join(place, "comm"), "utf8").trim()) ?? "";
      uses.set(`${pid} ${name}`, {
        kind: "process",
        name,
        pid: Number(pid),
        own,
        why: `${own ? "this process" : `process ${pid} (${command})`} has ${name} open`,
        fix: own ? "close it first" : `let it close ${name}, or end it`,
      });
    }
  }
  return [...uses.values()];
}

// Processes of other users may be closed to this one, and processes end while they are looked at.
function unlessDenied<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

/**
 * A sentence for each process that has a device, its group or another device of its group open; empty where none can be
 * seen.
 *
 * @param device a PCI address, a mediated device's UUID, or a path in sysfs
 * @internal
 */
export function groupHolders(device: string, paths?: HostPaths): string[] {
  const roots = rootsOf(paths);
  const devicePath = deviceSysfsPath(device, roots);
  const members = join(devicePath, "iommu_group/devices");
  const devices = [devicePath, ...listNames(members).map((name) => join(members, name))].flatMap(
    (path) => realPath(path) ?? [],
  );
  return processUses([...new Set(devices)], roots).map(({ why }) => why);
}

/** include/linux/proc_ns.h: PROC_PID_INIT_INO, the number of the namespace that has all processes. */
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";

/**
 * Why processes may have a device open that cannot be seen from here; undefined if this process sees all.
 *
 * @internal
 */
export function whyUnseen(paths?: HostPaths): string | undefined {
  const { proc } = rootsOf(paths);
  try {
    return readlinkSync(join(proc, "1/ns/pid")) === INITIAL_PID_NAMESPACE
      ? undefined
      : `${proc} lists only the processes of this container (of its PID namespace)`;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno === os.errno.ENOENT
      ? `${proc} hides the processes of other users (hidepid)`
      : "this user may not see the descriptors of other users' processes";
  }
}
