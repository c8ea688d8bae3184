/**
 * Reading and writing the kernel's small files, in the presence of devices that go away at any moment.
 *
 * @module
 */

import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  writeSync,
} from "node:fs";
import { constants as os } from "node:os";
import { basename } from "node:path";
import { checkBoolean, checkOptions, checkString, knownOptions } from "../base/arguments.js";
import { argTypeError, VfioError } from "../base/errors.js";
import { runAsRoot } from "./user-namespace.js";

/**
 * Where the kernel's file systems are mounted. The defaults are right on every ordinary host; a container that was
 * given the host's trees elsewhere (`/host/sys`, `/host/dev`, `/host/proc`) names them here.
 */
export interface HostPaths {
  /** Where sysfs is mounted; `/sys`. */
  readonly sysfs?: string;
  /** Where the device nodes are; `/dev`. */
  readonly dev?: string;
  /** Where proc is mounted; `/proc`. */
  readonly proc?: string;
}

/** {@link HostPaths} with its defaults, links resolved. */
export interface Roots {
  readonly sysfs: string;
  readonly dev: string;
  readonly proc: string;
}

function checkDriver(name: string, value: unknown): void {
  if (value !== null && typeof value !== "string") throw argTypeError(name, "a driver's name, or null for none", value);
}

/** The options of all functions that look at the host: they are handed on from one to the other. */
const hostOptions = knownOptions<Record<"sysfs" | "dev" | "proc" | "run" | "driver" | "force" | "autoprobe", unknown>>({
  sysfs: checkString,
  dev: checkString,
  proc: checkString,
  run: checkString,
  driver: checkDriver,
  force: checkBoolean,
  autoprobe: checkBoolean,
});

/**
 * Fills in the defaults. sysfs is full of links, so its root must be a real path for paths to be comparable.
 *
 * @throws TypeError
 */
export function rootsOf(paths: HostPaths = {}): Roots {
  checkOptions("options", paths, hostOptions);
  const { sysfs = "/sys", dev = "/dev", proc = "/proc" } = paths;
  return { sysfs: realPath(sysfs) ?? sysfs, dev, proc };
}

/** The error number (positive) of an error that Node's `fs` threw; undefined for any other. */
export function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errno" in error) || typeof error.errno !== "number") return undefined;
  return Math.abs(error.errno);
}

// A file of a device that has gone is not there (ENOENT, ENOTDIR) or, if it was opened just before, says ENODEV or
// ENXIO.
const goneErrnos = new Set<number>([os.errno.ENOENT, os.errno.ENOTDIR, os.errno.ENODEV, os.errno.ENXIO]);

/** Whether an error says that the file, and so the device, is not there (any more). */
export function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno !== undefined && goneErrnos.has(errno);
}

function unlessGone<T>(syscall: string, path: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isGone(error)) return undefined;
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new VfioError({ errno, syscall, path, cause: error });
  }
}

/** An attribute's text without its newline; undefined if there is no such attribute, or no such device any more. */
export function readText(path: string): string | undefined {
  return unlessGone("read", path, () => readFileSync(path, "utf8").trimEnd());
}

/** An attribute's number, in any notation that C knows; undefined if it is not there or not a number. */
export function readNumber(path: string): number | undefined {
  const text = readText(path);
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}

/** The last component of what a link points to: the name of a driver, of a group; undefined without the link. */
export function readLinkName(path: string): string | undefined {
  const target = unlessGone("readlink", path, () => readlinkSync(path));
  return target === undefined ? undefined : basename(target);
}

/** The names in a directory, sorted; none if it is not there. */
export function listNames(path: string): string[] {
  return (unlessGone("readdir", path, () => readdirSync(path)) ?? []).sort();
}

/** The path without links; undefined if it leads nowhere. */
export function realPath(path: string): string | undefined {
  return unlessGone("realpath", path, () => realpathSync.native(path));
}

/** Whether there is something at this path. */
export function exists(path: string): boolean {
  return unlessGone("stat", path, () => statSync(path)) !== undefined;
}

/** `major:minor` of a device node, as sysfs' `dev` files spell it; undefined if there is no node of this type. */
export function nodeNumber(path: string, type: "char" | "block"): string | undefined {
  const stat = unlessGone("stat", path, () => statSync(path, { bigint: true }));
  if (stat === undefined || !(type === "char" ? stat.isCharacterDevice() : stat.isBlockDevice())) return undefined;
  return deviceNumber(stat.rdev);
}

/** `major:minor` from the number that stat(2) gives: glibc's layout, 12 + 20 bits low, the rest high. */
export function deviceNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}

/**
 * Writes one attribute, in one write(2), as sysfs requires. The file is not created: sysfs answers EACCES to that,
 * which would hide that there is no such file.
 *
 * @throws Node's own error, for the caller to explain
 */
export function writeAttribute(path: string, value: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, `${value}\n`);
  } finally {
    closeSync(fd);
  }
}

/**
 * Why a file of sysfs could not be opened for writing; undefined if it could: write(2) fails with the
 * driver's own error.
 *
 * @internal
 */
export function writeRefusal(error: unknown, roots: Roots): readonly [why: string, fix: string] | undefined {
  const errno = errnoOf(error);
  if (error instanceof Error && "syscall" in error && error.syscall === "write") return undefined;
  if (errno === os.errno.EACCES || errno === os.errno.EPERM) {
    return ["only root may change a device's driver", runAsRoot()];
  }
  if (errno !== os.errno.EROFS) return undefined;
  const fix = `bind the device on the host, or give the container a ${roots.sysfs} that it may write to (-v /sys:/sys)`;
  return [`${roots.sysfs} is mounted read-only, as containers have it`, fix];
}

/**
 * The error to throw when undoing failed too: the first one, which says at its end what is left undone, and has all
 * errors in its cause, an AggregateError with the first one first.
 */
export function withUndoErrors(first: unknown, later: readonly unknown[], left: string): unknown {
  if (later.length === 0) return first;
  const cause = new AggregateError([first, ...later], "a step failed, and undoing the earlier ones too");
  if (!(first instanceof VfioError)) return cause;
  const codes = later.map((error) => (error instanceof VfioError ? error.code : String(error))).join(", ");
  return new VfioError({
    errno: first.errno,
    syscall: first.syscall,
    args: first.args,
    ...(first.path === undefined ? {} : { path: first.path }),
    ...(first.object === undefined ? {} : { object: first.object }),
    ...(first.fix === undefined ? {} : { fix: first.fix }),
    why: `${first.why ?? "it failed"}; undoing the earlier steps failed too (${codes}), and ${left}`,
    cause,
  });
}
