/**
 * Where the kernel's objects of a device lie in sysfs: its disks, interfaces, nodes.
 *
 * @module
 */
import { join } from "node:path";
import { exists, listNames, type Roots, realPath } from "../kernel/files.js";

/** Whether a path in sysfs is one of these places or lies below one. */
export function isBelow(path: string | undefined, ...places: readonly string[]): boolean {
  return path !== undefined && places.some((place) => path === place || path.startsWith(`${place}/`));
}

/**
 * The directories below which a device's objects lie: its own, and of an NVMe controller its subsystem's. With NVMe
 * multipath the disks (`nvme0n1`) and their character devices (`ng0n1`) stand for all paths to them, and lie below the
 * subsystem, which is a virtual device.
 *
 * @param devicePath without links
 */
export function placesOf(devicePath: string, roots: Roots): readonly string[] {
  const controllers = listNames(join(devicePath, "nvme"));
  if (controllers.length === 0) return [devicePath];
  const classPath = join(roots.sysfs, "class/nvme-subsystem");
  const subsystems = listNames(classPath).flatMap((name) => {
    const path = realPath(join(classPath, name));
    // A subsystem has links to its controllers.
    return path !== undefined && controllers.some((controller) => exists(join(path, controller))) ? [path] : [];
  });
  return [devicePath, ...subsystems];
}
