import { type HostPaths } from "../kernel/files.js";
import type { DeviceUse } from "./use.js";
/**
 * Finds what uses a PCI device; empty if nothing does, as far as this process can see.
 *
 * Not seen: interfaces in another network namespace, descriptors of processes that the caller may not look into (it
 * takes root, and the host's `/proc`), a device that was opened through a group whose descriptor was closed since (except
 * on recent kernels), and memory that is still mapped although its descriptor is closed.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError `ENODEV` if there is no such device
 */
export declare function findDeviceUses(address: string, paths?: HostPaths): DeviceUse[];
