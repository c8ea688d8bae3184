/**
 * What a received descriptor is, before it is used as that.
 *
 * An ioctl means something else on every kind of file, so none is tried. The kernel says what a descriptor is in other ways:
 * by the name of what has no path (`anon_inode:[eventfd]`), by the device number, which is compared with sysfs' and not with
 * any path, by the file system that a file is in.
 *
 * @module
 */
import { fstatSync, readlinkSync, statfsSync } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { VfioError } from "../base/errors.js";
import { fdinfo } from "../kernel/fdinfo.js";
import { deviceNumber, errnoOf, type HostPaths, type Roots, readText, realPath, rootsOf } from "../kernel/files.js";
import { HUGETLBFS_MAGIC, TMPFS_MAGIC } from "../memory/memory-file.js";
import { deviceSysfsPath } from "../pci/node.js";

/** What a descriptor must be. */
export type DescriptorKind =
  /** The program's own: anything. */
  | { readonly kind: "any" }
  | { readonly kind: "eventfd" }
  | { readonly kind: "socket" }
  /** A memfd, or a file in a memory file system, of at least so many bytes, open for reading and writing. */
  | { readonly kind: "memory"; readonly length: number }
  /** `/dev/vfio/vfio`, or `/dev/iommu` in the compatibility modes. */
  | { readonly kind: "legacy-container"; readonly compat: boolean }
  | { readonly kind: "iommufd" }
  /** `/dev/vfio/N` */
  | { readonly kind: "group"; readonly id: number }
  /** A VFIO device that was opened through its group, or by its own node. */
  | { readonly kind: "device"; readonly address: string; readonly through: "group" | "cdev" };

/** What the kernel says of a descriptor. */
interface Described {
  /** The target of its link in proc: a path, or a name in brackets. */
  readonly link: string;
  readonly stat: ReturnType<typeof statOf>;
  /** `major:minor`, of a character device. */
  readonly number: string | undefined;
}

const EVENTFD = "anon_inode:[eventfd]";
const VFIO_DEVICE = "anon_inode:[vfio-device]";

// The access mode in the octal flags of fdinfo: O_RDWR.
const ACCESS_MODE = 3;
const O_RDWR = 2;

function statOf(fd: number) {
  return fstatSync(fd, { bigint: true });
}

function describe(fd: number, roots: Roots): Described {
  const stat = statOf(fd);
  return {
    link: readlinkSync(join(roots.proc, "self/fd", String(fd))),
    stat,
    number: stat.isCharacterDevice() ? deviceNumber(stat.rdev) : undefined,
  };
}

/** What it is, in words. */
function show({ link, stat, number }: Described): string {
  if (link === EVENTFD) return "an eventfd";
  if (link === VFIO_DEVICE) return "a VFIO device that was opened through its group";
  // The path is whoever's who sent it: what could disturb a terminal is escaped.
  const path = JSON.stringify(link);
  if (number !== undefined) return `the character device ${number}, ${path}`;
  if (stat.isFile()) return `a file of ${stat.size} bytes, ${path}`;
  if (stat.isSocket()) return "a socket";
  if (stat.isFIFO()) return "a pipe";
  return stat.isDirectory() ? `a directory, ${path}` : path;
}

function expectation(expected: DescriptorKind): string {
  switch (expected.kind) {
    case "any":
      return "an open descriptor";
    case "eventfd":
      return "an eventfd";
    case "socket":
      return "a socket";
    case "memory":
      return `a memory file of ${expected.length} bytes or more`;
    case "legacy-container":
      return expected.compat ? "a container, /dev/iommu" : "a container, /dev/vfio/vfio";
    case "iommufd":
      return "an iommufd, /dev/iommu";
    case "group":
      return `the group /dev/vfio/${expected.id}`;
    case "device":
      return expected.through === "group"
        ? `the VFIO device ${expected.address}, opened through its group`
        : `the VFIO device ${expected.address}, opened by its own node`;
  }
}

/** What is wrong with it; undefined if it is what it must be. */
function fault(fd: number, found: Described, expected: DescriptorKind, roots: Roots): string | undefined {
  const { link, number } = found;
  switch (expected.kind) {
    case "any":
      return undefined;
    case "eventfd":
      return link === EVENTFD ? undefined : `it is ${show(found)}`;
    case "socket":
      return found.stat.isSocket() ? undefined : `it is ${show(found)}`;
    case "memory":
      return memoryFault(fd, found, expected.length, roots);
    case "legacy-container":
      return numberFault(found, expected.compat ? "class/misc/iommu/dev" : "class/misc/vfio/dev", roots);
    case "iommufd":
      return numberFault(found, "class/misc/iommu/dev", roots);
    case "group":
      return numberFault(found, `class/vfio/${expected.id}/dev`, roots);
    case "device": {
      const isDevice = expected.through === "group" ? link === VFIO_DEVICE : number !== undefined;
      return isDevice ? deviceFault(fd, found, expected, roots) : `it is ${show(found)}`;
    }
  }
}

function memoryFault(fd: number, found: Described, length: number, roots: Roots): string | undefined {
  if (!found.stat.isFile()) return `it is ${show(found)}`;
  const { type } = statfsSync(join(roots.proc, "self/fd", String(fd)));
  // A memfd is in the kernel's own mount of one of the two.
  // What is on a disk moves between memory and disk, and cannot be a device's memory for long.
  if (type !== TMPFS_MAGIC && type !== HUGETLBFS_MAGIC) return `it is ${show(found)}, which is not in memory`;
  if (found.stat.size < BigInt(length)) return `it is ${show(found)}`;
  const flags = Number.parseInt(fdinfo(fd, "flags", roots.proc) ?? "", 8);
  return (flags & ACCESS_MODE) === O_RDWR ? undefined : "it is not open for reading and writing";
}

/** Compares device numbers: that of the descriptor, and that which the kernel gave to what it must be. */
function numberFault(found: Described, attribute: string, roots: Roots): string | undefined {
  const expected = readText(join(roots.sysfs, attribute));
  if (expected !== undefined && found.number === expected) return undefined;
  return `it is ${show(found)}, and ${expected === undefined ? `there is no ${join(roots.sysfs, attribute)}` : `that is the character device ${expected}`}`;
}

function deviceFault(
  fd: number,
  found: Described,
  { address, through }: Extract<DescriptorKind, { kind: "device" }>,
  roots: Roots,
): string | undefined {
  const link = deviceSysfsPath(address, roots);
  const devicePath = realPath(link);
  if (devicePath === undefined) return `there is no ${link}`;
  if (through === "cdev") {
    // .../0000:01:00.0/vfio-dev/vfio3
    const node = realPath(join(roots.sysfs, "dev/char", found.number ?? ""));
    if (node === undefined || basename(dirname(node)) !== "vfio-dev") return `it is ${show(found)}`;
    const actual = dirname(dirname(node));
    if (actual !== devicePath) return `it is the VFIO device ${basename(actual)}`;
  }
  // Older kernels do not say which device it is. sysfs may be mounted elsewhere here; the kernel says /sys.
  const actual = fdinfo(fd, "vfio-device-syspath", roots.proc);
  if (actual === undefined || actual === join("/sys", devicePath.slice(roots.sysfs.length))) return undefined;
  return `it is the VFIO device ${basename(actual)}`;
}

/**
 * Checks that a descriptor is what it is said to be. Nothing is done with it.
 *
 * The length of a memory file is as it is now: whoever else has the descriptor can shorten the file.
 *
 * @param fd borrowed
 * @param what what it is to the program, for the message
 * @throws VfioError `EBADF` if it is something else, with both
 */
export function checkDescriptor(fd: number, expected: DescriptorKind, what: string, paths?: HostPaths): void {
  const roots = rootsOf(paths);
  const refusal = (why: string, cause?: unknown) =>
    new VfioError({
      errno: constants.errno.EBADF,
      syscall: "fstat",
      args: { fd },
      object: what,
      why: `it must be ${expectation(expected)}: ${why}`,
      fix: "the process that sent it is at fault, or a process in between that opened or closed descriptors by number",
      cause,
    });
  let found: Described;
  try {
    found = describe(fd, roots);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw refusal(`${fd} is no open descriptor of this process`, error);
  }
  const why = fault(fd, found, expected, roots);
  if (why !== undefined) throw refusal(why);
}
