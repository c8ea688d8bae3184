/**
 * A device's config space as sysfs shows it: for devices that VFIO does not have.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "../base/errors.js";
import { errnoOf, exists, type HostPaths, rootsOf } from "../kernel/files.js";
import { pciAddress } from "./address.js";
import { noSuchPciDevice, pciDevicePath } from "./pci.js";

/**
 * Reads the config space of a PCI device, whatever driver it has. Reading it disturbs nothing.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @returns 256 bytes, or 4096 for PCI Express; only the first 64 without CAP_SYS_ADMIN, which the kernel demands for the rest
 * @throws VfioError `ENODEV` if there is no such device
 */
export function readPciConfig(address: string, paths?: HostPaths): Uint8Array {
  const roots = rootsOf(paths);
  const canonical = pciAddress(address);
  const path = pciDevicePath(canonical, roots);
  if (!exists(path)) throw noSuchPciDevice(canonical, roots);
  try {
    return readFileSync(join(path, "config"));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new VfioError({ errno, syscall: "read", object: canonical, path: join(path, "config"), cause: error });
  }
}
