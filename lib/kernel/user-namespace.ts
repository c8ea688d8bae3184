/**
 * User namespaces. Root of one, in a rootless container for example, has every capability there, and none over the host: VFIO,
 * iommufd, `mlock` and sysfs ask for capabilities in the initial namespace (`capable()` in the kernel).
 *
 * @module
 */
import { readlinkSync } from "node:fs";

// PROC_USER_INIT_INO of include/linux/proc_ns.h, since Linux 3.8.
const INITIAL = "user:[4026531837]";

/** Whether this process is in the initial user namespace, so that its capabilities count for the host. */
export function isInitialUserNamespace(): boolean {
  try {
    return readlinkSync("/proc/self/ns/user") === INITIAL;
  } catch {
    // A kernel without user namespaces (CONFIG_USER_NS) has no such file. Node's permission model may hide it, from an error's fix too.
    return true;
  }
}

/** How a process without the permission gets it: the beginning of a fix. */
export function runAsRoot(): string {
  return isInitialUserNamespace()
    ? "run it as root (sudo)"
    : "run it as the host's root: root of this user namespace has no power over the host";
}
