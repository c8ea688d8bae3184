/**
 * One process at a time changes the driver of a device.
 *
 * Rebinding is several writes to sysfs, and the values that undo them are read first. Two processes whose writes
 * interleave would each undo the other's.
 *
 * @module
 */
import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { constants as os } from "node:os";
import { dirname } from "node:path";
import { check } from "../base/errors.js";
import { native } from "../kernel/native.js";
import type { PciAddress } from "./address.js";
import { type NotePaths, noteError, runPath } from "./note.js";

/** flock(2): exclusive. */
const LOCK_EX = 2;

/**
 * Runs `work` while no other process, nor another thread of this one, holds the lock of the device. It waits for as
 * long as the other one takes, as the kernel would. The kernel releases the lock of a process that dies.
 *
 * @throws VfioError if the lock file cannot be opened
 */
export function withDeviceLock<T>(address: PciAddress, paths: NotePaths, work: () => T): T {
  const fd = openLockFile(address, paths);
  try {
    lock(fd, address);
    return work();
  } finally {
    closeSync(fd);
  }
}

/** The file stays: if it were removed, a process that waits for it would hold a lock that the next one does not see. */
function openLockFile(address: PciAddress, paths: NotePaths): number {
  const path = runPath(address, paths, "lock");
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    // A user who can open the file can hold the lock for ever.
    return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (error) {
    throw noteError(error, address, path);
  }
}

function lock(fd: number, address: PciAddress): void {
  let status: number;
  do {
    status = native.flock(fd, LOCK_EX);
  } while (status === -os.errno.EINTR);
  check(status, () => ({ syscall: "flock", object: address }));
}
