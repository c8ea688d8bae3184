/**
 * One use of a device, whichever part of the system makes it.
 *
 * @module
 */

/** One reason not to take a device away from its driver. */
export interface DeviceUse {
  /**
   * - `mount`: a file system on one of its block devices is mounted
   * - `swap`: the kernel swaps to one of its block devices
   * - `holder`: another block device (device mapper, md, bcache) stands on one of its block devices
   * - `claim`: something else in the kernel holds one of its block devices for itself (btrfs, ZFS, a mount elsewhere)
   * - `network`: one of its network interfaces is up
   * - `console`: it is the graphics card that shows the kernel's console
   * - `vfs`: it has virtual functions
   * - `process`: a process has one of its device nodes open, or its VFIO group
   */
  readonly kind: "mount" | "swap" | "holder" | "claim" | "network" | "console" | "vfs" | "process";
  /** The name of the part in use: a block device, a network interface, the path of a node. */
  readonly name: string;
  /** Where it is used, in a sentence. */
  readonly why: string;
  /** What to do about it. */
  readonly fix: string;
  /** Whether the running system itself depends on it: the use cannot be ended, only another device be chosen. */
  readonly system?: boolean;
  /** The process, for `process`, as `proc` numbers it. */
  readonly pid?: number;
  /** Whether that process is this one. */
  readonly own?: boolean;
}
