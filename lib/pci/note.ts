/**
 * Notes of former drivers: how a device gets its driver back after the process that took it has ended.
 *
 * A note is a file of `/run/vfio`. `/run` is empty after a boot, and so are bindings.
 *
 * @module
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { constants as os } from "node:os";
import { dirname, join } from "node:path";
import { VfioError } from "../base/errors.js";
import { errnoOf, type HostPaths, isGone, readLinkName, rootsOf } from "../kernel/files.js";
import { runAsRoot } from "../kernel/user-namespace.js";
import { type PciAddress, pciAddress } from "./address.js";
import { pciDevicePath, readDriverOverride } from "./pci.js";

/** What a device had before it was bound to another driver. */
export interface FormerDriver {
  /** The driver; undefined for none. */
  readonly driver: string | undefined;
  /** The value of `driver_override`; undefined for none. */
  readonly override: string | undefined;
}

/** Where notes of former drivers are kept. */
export interface NotePaths extends HostPaths {
  /**
   * A directory that is empty after each boot, and that only root writes to. It is created if it is missing. It also
   * holds the lock files that keep two processes from changing one device's driver at the same time: all of them must
   * name the same directory. Default `/run/vfio`.
   */
  readonly run?: string;
}

/** A note's content. `to` is the driver that the device was given. */
export interface Note {
  readonly driver: string | null;
  readonly override: string | null;
  readonly to: string | null;
}

/**
 * The path of a device's file in the directory of the notes.
 *
 * @internal
 */
export function runPath(address: PciAddress, { run = "/run/vfio" }: NotePaths, extension: string): string {
  return join(run, `${address}.${extension}`);
}

/**
 * Why a file of the directory of the notes could not be opened or written.
 *
 * @internal
 */
export function noteError(error: unknown, address: PciAddress, path: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const [why, fix] =
    errno === os.errno.EACCES || errno === os.errno.EPERM
      ? ["only root may note the former driver of a device", runAsRoot()]
      : [
          "the former driver of the device could not be noted, and without a note it could be lost",
          `see that ${dirname(path)} can be written to, or name another directory: { run: "/path" }`,
        ];
  return new VfioError({ errno, syscall: "open", object: address, path, why, fix, cause: error });
}

function isNote(value: unknown): value is Note {
  if (typeof value !== "object" || value === null) return false;
  // The names of the drivers become parts of paths; the override is a line that was written to sysfs once.
  const forms = { driver: /^[\w-][\w.-]*$/, override: /^.+$/, to: /^[\w-][\w.-]*$/ };
  return Object.entries(forms).every(([key, form]) => {
    const field: unknown = Reflect.get(value, key);
    return field === null || (typeof field === "string" && form.test(field));
  });
}

/** @internal */
export function readNote(address: PciAddress, paths: NotePaths): Note | undefined {
  try {
    const note: unknown = JSON.parse(readFileSync(runPath(address, paths, "json"), "utf8"));
    return isNote(note) ? note : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isGone(error) || errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}

/**
 * Whether a note is about what the device has now: the driver that it was given, or none, if the process that rebound it
 * was killed half-way or somebody has unbound it since.
 */
function applies(note: Note | undefined, now: string | undefined): note is Note {
  return note !== undefined && (now === undefined || now === note.to);
}

function writeNote(address: PciAddress, note: Note, paths: NotePaths): void {
  const path = runPath(address, paths, "json");
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    // A process that is killed while it writes leaves the previous note, and no half of a new one.
    writeFileSync(`${path}.new`, `${JSON.stringify(note)}\n`);
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw noteError(error, address, path);
  }
}

/**
 * Notes what a device has now, before it is given another driver. A device that is passed on from one binding to the
 * next keeps the first note.
 *
 * @param to the driver that it will have; undefined for none
 * @returns the note that was there before, for {@link revertNote}
 * @throws VfioError if the note cannot be written
 * @internal
 */
export function noteFormerDriver(address: PciAddress, to: string | undefined, paths: NotePaths): Note | undefined {
  const path = pciDevicePath(address, rootsOf(paths));
  const now = readLinkName(join(path, "driver"));
  const before = readNote(address, paths);
  const first = applies(before, now) ? before : { driver: now ?? null, override: readDriverOverride(path) ?? null };
  writeNote(address, { driver: first.driver, override: first.override, to: to ?? null }, paths);
  return before;
}

/**
 * Puts the former note back, after the device was given back. A note that somebody has removed stays away.
 *
 * @internal
 */
export function revertNote(address: PciAddress, before: Note | undefined, paths: NotePaths): void {
  if (before === undefined) removeNote(address, paths);
  else if (readNote(address, paths) !== undefined) writeNote(address, before, paths);
}

/** @internal */
export function removeNote(address: PciAddress, paths: NotePaths): void {
  rmSync(runPath(address, paths, "json"), { force: true });
}

/**
 * What a device had before {@link bindDriver} (or `vfio bind`) gave it to another driver, in this process or another
 * one.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @returns undefined without a note, or if somebody has bound another driver since
 */
export function formerDriver(address: string, paths: NotePaths = {}): FormerDriver | undefined {
  const canonical = pciAddress(address);
  const note = readNote(canonical, paths);
  const now = readLinkName(join(pciDevicePath(canonical, rootsOf(paths)), "driver"));
  if (!applies(note, now)) return undefined;
  return { driver: note.driver ?? undefined, override: note.override ?? undefined };
}
