/**
 * Files that memory is mapped from, and what another process that has the file can do to the mapping.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { readText } from "../kernel/files.js";
import { native, PAGE_SIZE } from "../kernel/native.js";

// linux/magic.h
export const TMPFS_MAGIC = 0x0102_1994;
export const HUGETLBFS_MAGIC = 0x9584_58f6;
// linux/fcntl.h
export const F_SEAL_SEAL = 0x1;
export const F_SEAL_SHRINK = 0x2;
export const F_SEAL_GROW = 0x4;
// linux/memfd.h
export const MFD_ALLOW_SEALING = 2;
// Documentation/mm/overcommit-accounting.rst: "Don't overcommit"
const OVERCOMMIT_NEVER = "2";

function fileSystemOf(fd: number): { readonly type: number; readonly bsize: number } {
  return statfsSync(`/proc/self/fd/${fd}`);
}

/**
 * Whether a file's pages are huge pages of the kernel's reserve. Asks the file system, which for one in user space may take
 * for ever.
 */
export function isHuge(fd: number): boolean {
  return fileSystemOf(fd).type === HUGETLBFS_MAGIC;
}

/** The size of a file's pages in bytes: what offsets and lengths of a mapping must be multiples of. Asks as {@link isHuge}. */
export function pageSizeOf(fd: number): number {
  const { type, bsize } = fileSystemOf(fd);
  return type === HUGETLBFS_MAGIC ? bsize : PAGE_SIZE;
}

/**
 * Whether memory that is mapped from a file stays accessible whatever other processes do that have the file.
 *
 * An access to a page that the kernel cannot provide raises SIGBUS, which ends the process:
 *
 * - behind the end of the file, which whoever may write the file can cut, unless it is sealed against it;
 * - in a hole of a file of hugetlbfs, as soon as the reserve of huge pages is used up. Whoever may write the file can punch a hole
 *   into it. Only seals that forbid all later writing prevent that, and with them the memory cannot be mapped for writing;
 * - in a hole of a file of tmpfs, where the file system's size limit is reached (a memfd has none, and a file that was opened by
 *   its name cannot be sealed), or where the kernel promises no more memory than it has (`vm.overcommit_memory` is 2).
 *
 * This never waits for a file system: only files of tmpfs and hugetlbfs have seals.
 *
 * @param fd borrowed
 */
export function cannotFault(fd: number): boolean {
  const seals = native.getSeals(fd);
  if (seals < 0 || (seals & F_SEAL_SHRINK) === 0) return false;
  try {
    return !isHuge(fd) && readText("/proc/sys/vm/overcommit_memory") !== OVERCOMMIT_NEVER;
  } catch {
    // proc is not there, or this process may not read it.
    return false;
  }
}
