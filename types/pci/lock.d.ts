import type { PciAddress } from "./address.js";
import { type NotePaths } from "./note.js";
/**
 * Runs `work` while no other process, nor another thread of this one, holds the lock of the device. It waits for as
 * long as the other one takes, as the kernel would. The kernel releases the lock of a process that dies.
 *
 * @throws VfioError if the lock file cannot be opened
 */
export declare function withDeviceLock<T>(address: PciAddress, paths: NotePaths, work: () => T): T;
