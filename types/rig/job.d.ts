/**
 * The job that the guest runs, as a small shell script: where, in which environment, and what.
 *
 * @module
 */
/** Quote a word for a POSIX shell. */
export declare function quote(word: string): string;
/**
 * The part of an environment that means something in the guest: the user's paths and habits, Node's and this package's
 * settings. The rest (sockets of agents, session buses, ...) belongs to the host. `vfio` is in the guest's PATH.
 *
 * @param env the host's environment
 */
export declare function guestEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string>;
/** What the guest runs. */
export interface Job {
    /** Program and arguments; empty for a shell. */
    readonly command: readonly string[];
    /** Working directory, absolute. */
    readonly cwd: string;
    /** The whole environment. */
    readonly env: Readonly<Record<string, string>>;
    /** `after`: a shell follows the command on the same terminal. `only`: nothing but a shell. */
    readonly shell?: "only" | "after" | undefined;
}
/** The script `job.sh` that `init.sh` sources. */
export declare function jobScript(job: Job): string;
/** The guest's file systems, for one `mount -a`. */
export declare const fstab = "devtmpfs /dev devtmpfs mode=0755 0 0\nsysfs /sys sysfs nosuid,nodev,noexec 0 0\ndebugfs /sys/kernel/debug debugfs mode=0700 0 0\ndevpts /dev/pts devpts mode=0620,ptmxmode=0666 0 0\ntmpfs /dev/shm tmpfs mode=1777 0 0\nhugetlbfs /dev/hugepages hugetlbfs mode=1777 0 0\ntmpfs /run tmpfs mode=0755 0 0\n";
