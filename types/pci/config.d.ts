import { type HostPaths } from "../kernel/files.js";
/**
 * Reads the config space of a PCI device, whatever driver it has. Reading it disturbs nothing.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @returns 256 bytes, or 4096 for PCI Express; only the first 64 without CAP_SYS_ADMIN, which the kernel demands for the rest
 * @throws VfioError `ENODEV` if there is no such device
 */
export declare function readPciConfig(address: string, paths?: HostPaths): Uint8Array;
