import { type Roots } from "../kernel/files.js";
/** Whether a path in sysfs is one of these places or lies below one. */
export declare function isBelow(path: string | undefined, ...places: readonly string[]): boolean;
/**
 * The directories below which a device's objects lie: its own, and of an NVMe controller its subsystem's. With NVMe
 * multipath the disks (`nvme0n1`) and their character devices (`ng0n1`) stand for all paths to them, and lie below the
 * subsystem, which is a virtual device.
 *
 * @param devicePath without links
 */
export declare function placesOf(devicePath: string, roots: Roots): readonly string[];
