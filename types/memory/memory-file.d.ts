export declare const TMPFS_MAGIC = 16914836;
export declare const HUGETLBFS_MAGIC = 2508478710;
export declare const F_SEAL_SEAL = 1;
export declare const F_SEAL_SHRINK = 2;
export declare const F_SEAL_GROW = 4;
export declare const MFD_ALLOW_SEALING = 2;
/**
 * Whether a file's pages are huge pages of the kernel's reserve. Asks the file system, which for one in user space may take
 * for ever.
 */
export declare function isHuge(fd: number): boolean;
/** The size of a file's pages in bytes: what offsets and lengths of a mapping must be multiples of. Asks as {@link isHuge}. */
export declare function pageSizeOf(fd: number): number;
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
export declare function cannotFault(fd: number): boolean;
