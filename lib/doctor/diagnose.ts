/**
 * Everything that stands between a program and a working device, each with its state and what to do about it.
 *
 * It looks, and changes nothing: no device is opened, bound or reset. ({@link tryModes} does open it.)
 *
 * @module
 */

import { closeSync, constants as fs, openSync } from "node:fs";
import { constants as os } from "node:os";
import { join } from "node:path";
import { checkArray, checkString, oneOf } from "../base/arguments.js";
import { VfioError } from "../base/errors.js";
import { type ContainerMode, containerModes } from "../container/modes.js";
import { openContainer } from "../container/open.js";
import { OwnedFd } from "../kernel/fd.js";
import { errnoOf, exists, listNames, type Roots, readNumber, readText, rootsOf } from "../kernel/files.js";
import { lockedMemory } from "../kernel/memlock.js";
import { native, support } from "../kernel/native.js";
import { runAsRoot } from "../kernel/user-namespace.js";
import { isVfioDriver } from "../pci/group.js";
import {
  type DeviceUse,
  findDeviceUses,
  groupViability,
  type HostPaths,
  type PciAddress,
  type PciDevice,
  readPciDevice,
} from "../pci/index.js";
import { isNoIommuAllowed, noIommuRefused, switchIommuOn } from "../pci/node.js";
import { interruptRemapping } from "../pci/remapping.js";
import { featureNames, type KernelFeatures, readKernelFeatures } from "./features.js";

/**
 * - `ok`
 * - `info`: neither good nor bad
 * - `warning`: something is missing, and devices work without it, or in fewer modes
 * - `problem`: no device (or not this one) works until it is solved
 */
export type CheckState = "ok" | "info" | "warning" | "problem";

/** One thing that was looked at. */
export interface Check {
  /** For programs, and the same in every version: `iommu`, `driver`, `group.viable`. */
  readonly id: string;
  /** For people: `IOMMU`. */
  readonly title: string;
  readonly state: CheckState;
  /** What was found, in a few words. */
  readonly found: string;
  /** What to do about it; undefined if there is nothing to do. Commands are those of the `vfio` command. */
  readonly fix: string | undefined;
}

/** What {@link diagnose} found. */
export interface Diagnosis {
  /** The device; undefined if only the system was asked about. */
  readonly address: PciAddress | undefined;
  readonly checks: readonly Check[];
  /** The container modes in which it should work, as far as can be seen without trying. */
  readonly modes: readonly ContainerMode[];
  /** Whether it should work: there is no problem, and at least one mode. */
  readonly works: boolean;
}

/** What came of one mode. */
export interface Attempt {
  readonly mode: ContainerMode;
  /** Why it failed; undefined if the device was attached. */
  readonly error: VfioError | undefined;
}

const { EACCES, EBUSY, ENODEV, ENOENT, ENXIO, EPERM } = os.errno;

interface Node {
  readonly path: string;
  /** 0 if it opens for reading and writing, else why not. */
  readonly errno: number;
}

// As a container opens it. Node's own open may be refused by its permission model, which the addon is not subject to.
function tryWithAddon(path: string): Node {
  const fd = native.open(path, fs.O_RDWR | fs.O_NONBLOCK);
  if (fd < 0) return { path, errno: -fd };
  new OwnedFd(fd, path).close();
  return { path, errno: 0 };
}

function tryNode(path: string): Node {
  if (support.supported) return tryWithAddon(path);
  try {
    closeSync(openSync(path, fs.O_RDWR | fs.O_NONBLOCK));
    return { path, errno: 0 };
  } catch (error) {
    return { path, errno: errnoOf(error) ?? EACCES };
  }
}

/** The state of a node that one of two ways needs. */
function nodeCheck(id: string, title: string, node: Node, missing: string): Check {
  const { path, errno } = node;
  const check = (state: CheckState, found: string, fix?: string): Check => ({ id, title, state, found, fix });
  switch (errno) {
    case 0:
      return check("ok", `${path} opens`);
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return check("warning", `there is no ${path}`, missing);
    case EACCES:
      return check(
        "warning",
        `this user may not open ${path}`,
        `${runAsRoot()}; or give it to your group with a udev rule (chown, chmod 660 ${path})`,
      );
    case EPERM:
      return check(
        "warning",
        `this container (cgroup) may not open ${path}`,
        `start the container with --device ${path}`,
      );
    case EBUSY:
      return check("warning", `${path} is open in another process`, "end that process");
    default:
      return check("warning", `${path} does not open (errno ${errno})`);
  }
}

// ---- the system -----------------------------------------------------------------------------------------------------

function addonCheck(): Check {
  const check = { id: "addon", title: "native addon" };
  if (support.supported) return { ...check, state: "ok", found: "loaded", fix: undefined };
  return { ...check, state: "problem", found: support.why, fix: support.fix };
}

function kernelCheck(roots: Roots, features: KernelFeatures): Check {
  const release = readText(join(roots.proc, "sys/kernel/osrelease")) ?? "of unknown version";
  const names = (wanted: boolean | undefined) =>
    Object.entries(featureNames)
      .filter(([key]) => Reflect.get(features, key) === wanted)
      .map(([, [name, since]]) => (wanted === false ? `${name} (${since})` : name));
  const lists = [
    ["has", names(true)],
    ["lacks", names(false)],
    ["not known:", names(undefined)],
  ] as const;
  const found = lists.filter(([, list]) => list.length > 0).map(([word, list]) => `${word} ${list.join(", ")}`);
  return {
    id: "kernel",
    title: "kernel",
    state: names(false).length > 0 ? "warning" : names(undefined).length > 0 ? "info" : "ok",
    found: `Linux ${release}; ${found.join("; ")}`,
    fix:
      names(false).length > 0
        ? "a newer kernel has them; only live updates need them"
        : names(undefined).length > 0
          ? "run it with the native addon where /dev/iommu and /dev/vfio/vfio open, and it can be asked"
          : undefined,
  };
}

function vfioCheck(roots: Roots): Check {
  const there = exists(join(roots.sysfs, "bus/pci/drivers/vfio-pci"));
  return {
    id: "vfio-pci",
    title: "vfio-pci driver",
    state: there ? "ok" : "problem",
    found: there ? "loaded" : "not there",
    fix: there ? undefined : "modprobe vfio-pci; if there is no such module, the kernel needs CONFIG_VFIO_PCI",
  };
}

const forbidNoIommu = "echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

/** The groups that an IOMMU tells apart. VFIO gives a name to those that it makes up: for mediated devices, and in no-IOMMU mode. */
function countGroups(roots: Roots): number {
  const place = join(roots.sysfs, "kernel/iommu_groups");
  return listNames(place).filter((group) => readText(join(place, group, "name")) !== "vfio-noiommu").length;
}

function iommuCheck(roots: Roots): Check {
  const groups = countGroups(roots);
  const allowed = isNoIommuAllowed(roots);
  const units = listNames(join(roots.sysfs, "class/iommu"));
  const check = (state: CheckState, found: string, fix?: string): Check => ({
    id: "iommu",
    title: "IOMMU",
    state,
    found,
    fix,
  });
  if (groups > 0) {
    const by = units.length === 0 ? "" : ` (${units.slice(0, 3).join(", ")}${units.length > 3 ? ", ..." : ""})`;
    const found = `on, ${groups} groups${by}`;
    return allowed ? check("warning", `${found}; ${noIommuRefused}`, forbidNoIommu) : check("ok", found);
  }
  const found = units.length > 0 ? "there is one, and it is not used" : "off, or there is none";
  return check("problem", allowed ? `${found}; ${noIommuRefused}` : found, switchIommuOn);
}

function remappingCheck(roots: Roots): Check {
  const check = (state: CheckState, found: string, fix?: string): Check => ({
    id: "interrupt-remapping",
    title: "interrupt remapping",
    state,
    found,
    fix,
  });
  const remapping = interruptRemapping(roots);
  if (remapping !== undefined) return check("ok", remapping === "ITS" ? "by the interrupt controller (ITS)" : "on");
  const allowing = ["vfio_iommu_type1", "iommufd"].filter(
    (name) => readText(join(roots.sysfs, `module/${name}/parameters/allow_unsafe_interrupts`)) === "Y",
  );
  if (allowing.length > 0) {
    return check("warning", `off, and allowed to be by ${allowing.join(" and ")}: a device can fake interrupts`);
  }
  const fix = "switch it on: x2APIC in the firmware, and no intremap=off on the kernel's command line";
  return check("warning", "no sign of it; without it the kernel refuses devices (EPERM)", fix);
}

function size(bytes: number): string {
  if (bytes === Number.POSITIVE_INFINITY) return "unlimited";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

/** Less than this is no room for a driver's buffers. It is the default limit of systemd. */
const LITTLE_MEMLOCK = 8 << 20;

function memlockCheck(): Check {
  const { limit, binding, locked, pinned } = lockedMemory();
  const used = locked + pinned === 0 ? "" : `, ${size(locked + pinned)} used`;
  const little = binding && limit <= LITTLE_MEMLOCK;
  return {
    id: "memlock",
    title: "locked memory",
    state: binding && limit === 0 ? "problem" : little ? "warning" : "ok",
    found: binding ? `limit ${size(limit)}${used}` : `no limit for this process (CAP_IPC_LOCK)${used}`,
    fix: little
      ? "ulimit -l unlimited (as the host's root); for good: memlock in /etc/security/limits.d, LimitMEMLOCK=infinity in a unit"
      : undefined,
  };
}

function kvmCheck(roots: Roots): Check {
  const node = tryNode(join(roots.dev, "kvm"));
  const check = nodeCheck("kvm", "KVM", node, "modprobe kvm_intel or kvm_amd; only virtual machines need it");
  if (node.errno === EACCES) return { ...check, fix: "add the user to the group kvm; only virtual machines need it" };
  return node.errno === 0 ? check : { ...check, state: "info" };
}

function hugePagesCheck(roots: Roots): Check {
  const base = join(roots.sysfs, "kernel/mm/hugepages");
  const pools = listNames(base)
    .map((name) => ({
      size: Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0) * 1024,
      free: readNumber(join(base, name, "free_hugepages")) ?? 0,
      total: readNumber(join(base, name, "nr_hugepages")) ?? 0,
    }))
    .filter(({ total }) => total > 0)
    .map((pool) => `${pool.free} of ${pool.total} x ${size(pool.size)} free`);
  return {
    id: "huge-pages",
    title: "huge pages",
    state: pools.length > 0 ? "ok" : "info",
    found: pools.length > 0 ? pools.join(", ") : "none reserved",
    fix: pools.length > 0 ? undefined : "for fewer IOTLB misses: echo 64 > /proc/sys/vm/nr_hugepages",
  };
}

function liveUpdateCheck(roots: Roots, features: KernelFeatures): Check {
  const modes: string[] = [];
  if (features.mapFile === true && features.changeProcess === true) modes.push("iommufd");
  if (features.unmapAll === true && features.updateVaddr === true) modes.push("type1, type1v2");
  const kexec = exists(join(roots.dev, "liveupdate")) ? "; over a kexec: /dev/liveupdate is there" : "";
  return {
    id: "live-update",
    title: "live update",
    state: modes.length > 0 ? "ok" : "info",
    found: (modes.length > 0 ? `in ${modes.join(", ")}` : "in no mode, as far as can be seen") + kexec,
    fix: modes.length > 0 ? undefined : "see the kernel's line",
  };
}

// ---- a device --------------------------------------------------------------------------------------------------------

function driverCheck({ address, driver, classCode }: PciDevice, uses: readonly DeviceUse[]): Check {
  const check = (state: CheckState, found: string, fix?: string): Check => ({
    id: "driver",
    title: "driver",
    state,
    found,
    fix,
  });
  if (classCode >> 8 === 0x0604) {
    return check("problem", `it is a bridge (${driver ?? "no driver"})`, "name the device behind it: vfio list");
  }
  if (driver !== undefined && isVfioDriver(driver)) return check("ok", driver);
  const found = driver === undefined ? "none" : `${driver}, the kernel's own`;
  const { fix } = uses.find(({ system }) => system) ?? { fix: `vfio bind ${address}` };
  return check("problem", found, fix);
}

function groupChecks(device: PciDevice, paths: HostPaths | undefined): Check[] {
  const { address, iommuGroup } = device;
  const title = "IOMMU group";
  if (iommuGroup === undefined) {
    const found = device.vfio !== undefined ? `the device is in none; ${noIommuRefused}` : "the device is in none";
    return [{ id: "group", title, state: "problem", found, fix: switchIommuOn }];
  }
  const viability = groupViability(iommuGroup, paths);
  const others = viability.group.devices.filter(({ name }) => name !== address).map(({ name }) => name);
  const found = others.length === 0 ? `${iommuGroup}, alone in it` : `${iommuGroup}, with ${others.join(", ")}`;
  const checks: Check[] = [{ id: "group", title, state: "ok", found, fix: undefined }];
  for (const blocker of viability.viable ? [] : viability.blockers) {
    // The device itself has its own line.
    if (blocker.name === address) continue;
    checks.push({
      id: "group.viable",
      title: "group viable",
      state: "problem",
      found: `${blocker.name} is bound to ${blocker.driver}, the kernel's own`,
      fix: `vfio bind ${blocker.name}, or to no driver: vfio bind ${blocker.name} --driver none`,
    });
  }
  return checks;
}

function useChecks(uses: readonly DeviceUse[]): Check[] {
  const title = "in use";
  if (uses.length === 0) return [{ id: "use", title, state: "ok", found: "by nobody", fix: undefined }];
  // A virtual function's user is no obstacle to its physical function's.
  return uses.map(({ kind, why, fix }) => ({
    id: "use",
    title,
    state: kind === "vfs" ? "warning" : "problem",
    found: why,
    fix,
  }));
}

function resetCheck({ sysfsPath }: PciDevice): Check {
  const methods = readText(join(sysfsPath, "reset_method"));
  return {
    id: "reset",
    title: "reset",
    state: methods === undefined || methods === "" ? "warning" : "ok",
    found: methods === undefined || methods === "" ? "the kernel knows no way to reset it" : methods,
    fix:
      methods === undefined || methods === ""
        ? "what one program leaves in the device, the next one finds: take care, or power it off in between"
        : undefined,
  };
}

interface Doors {
  readonly checks: readonly Check[];
  readonly modes: readonly ContainerMode[];
}

const needGroup: readonly ContainerMode[] = ["type1", "type1v2"];
const needCompat: readonly ContainerMode[] = ["compat-type1", "compat-type1v2"];

/** The nodes that lead to devices, or to this one, and the modes that are left. */
function doors(device: PciDevice | undefined, roots: Roots): Doors {
  const legacy = tryNode(join(roots.dev, "vfio/vfio"));
  const iommufd = tryNode(join(roots.dev, "iommu"));
  const checks = [
    nodeCheck("legacy", "legacy container", legacy, "modprobe vfio_iommu_type1; or use the mode iommufd"),
    nodeCheck("iommufd", "iommufd", iommufd, "Linux 6.2 with CONFIG_IOMMUFD has it (modprobe iommufd); or use type1v2"),
  ];
  let groupOpens = exists(join(roots.sysfs, "class/vfio"));
  let cdevOpens = exists(join(roots.sysfs, "class/vfio-dev"));
  if (device?.vfio !== undefined) {
    const { groupPath, cdevPath, name } = device.vfio;
    const groupNode = groupPath ?? join(roots.dev, "vfio", String(device.iommuGroup ?? "?"));
    const group = groupPath === undefined ? { path: groupNode, errno: ENOENT } : tryNode(groupPath);
    const cdevNode = cdevPath ?? join(roots.dev, "vfio/devices", name);
    const cdev = cdevPath === undefined ? { path: cdevNode, errno: ENOENT } : tryNode(cdevPath);
    groupOpens = group.errno === 0;
    cdevOpens = cdev.errno === 0;
    checks.push(
      nodeCheck(
        "group.node",
        "group's node",
        group,
        `give this container the host's ${roots.dev}/vfio, or use iommufd`,
      ),
      nodeCheck("cdev", "device's node", cdev, "a kernel with CONFIG_VFIO_DEVICE_CDEV has it; or use type1v2"),
    );
  }
  // A VFIO driver without a group: no-IOMMU mode, which every container refuses.
  const refused = device?.vfio !== undefined && device.iommuGroup === undefined;
  const modes = containerModes.filter((mode) => {
    if (refused) return false;
    if (needGroup.includes(mode)) return groupOpens && legacy.errno === 0;
    // Where one file is emulated by the other, both lead to iommufd, which has both.
    if (needCompat.includes(mode)) return groupOpens && iommufd.errno === 0;
    return cdevOpens && iommufd.errno === 0;
  });
  return { checks, modes };
}

function modesCheck(modes: readonly ContainerMode[], device: PciDevice | undefined): Check {
  const advice =
    device?.iommuGroup === undefined ? "see the IOMMU's line" : "see the nodes above: one pair of them must open";
  return {
    id: "modes",
    title: "container modes",
    state: modes.length > 0 ? "ok" : "problem",
    found: modes.length > 0 ? modes.join(", ") : "none",
    fix: modes.length > 0 || device === undefined ? undefined : advice,
  };
}

/**
 * Finds out what stands between this process and a working device: of the system alone, or of one device too.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError `ENODEV` if there is no such device
 */
export function diagnose(address?: string, paths?: HostPaths): Diagnosis {
  const roots = rootsOf(paths);
  const device = address === undefined ? undefined : readPciDevice(address, paths);
  const uses = device === undefined ? [] : findDeviceUses(device.address, paths);
  const features = readKernelFeatures(roots.dev);
  const { checks: nodes, modes } = doors(device, roots);
  const bound = device === undefined || device.vfio !== undefined;
  const checks: Check[] = [
    addonCheck(),
    kernelCheck(roots, features),
    iommuCheck(roots),
    remappingCheck(roots),
    vfioCheck(roots),
    ...(device === undefined
      ? []
      : [driverCheck(device, uses), ...groupChecks(device, paths), ...useChecks(uses), resetCheck(device)]),
    ...nodes,
    ...(bound ? [modesCheck(modes, device)] : []),
    memlockCheck(),
    kvmCheck(roots),
    hugePagesCheck(roots),
    liveUpdateCheck(roots, features),
  ];
  const works = checks.every(({ state }) => state !== "problem") && modes.length > 0;
  return { address: device?.address, checks, modes: bound ? modes : [], works: bound && works };
}

/**
 * Attaches a device in each mode, one after the other, and closes it again. The kernel resets the device each time.
 *
 * @param modes which; by default all five
 */
export function tryModes(address: string, modes: readonly ContainerMode[] = containerModes): Attempt[] {
  checkArray("modes", modes);
  checkString("address", address);
  for (const mode of modes) oneOf(containerModes)("modes", mode);
  return modes.map((mode) => {
    try {
      using container = openContainer({ mode });
      container.attach(address);
      return { mode, error: undefined };
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
      return { mode, error };
    }
  });
}
