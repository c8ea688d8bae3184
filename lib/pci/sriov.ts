/**
 * Creating and removing the virtual functions of a device with SR-IOV (`Documentation/PCI/pci-iov-howto.rst` in the
 * kernel).
 *
 * @module
 */
import { constants as os } from "node:os";
import { join } from "node:path";
import { checkInteger } from "../base/arguments.js";
import { outOfRangeError, VfioError } from "../base/errors.js";
import {
  errnoOf,
  type HostPaths,
  type Roots,
  readLinkName,
  rootsOf,
  withUndoErrors,
  writeAttribute,
  writeRefusal,
} from "../kernel/files.js";
import { type PciAddress, pciAddress } from "./address.js";
import { pciDevicePath, readPciDevice } from "./pci.js";
import { findDeviceUses } from "./uses.js";

/** Options of {@link setNumVfs}. */
export interface NumVfsOptions extends HostPaths {
  /**
   * Whether the kernel looks for drivers for the virtual functions. With `false` they come up without one and keep
   * so, except for a driver that is named by `driver_override`, as {@link bindDriver} does. Left as it is if not
   * given. It stays as it was set, for the functions made later too.
   */
  readonly autoprobe?: boolean;
  /** Remove virtual functions even if they are in use by others than this process. */
  readonly force?: boolean;
}

/**
 * Makes a device have so many virtual functions, or none.
 *
 * The kernel does it while the call lasts: when it returns, the functions are there, with their drivers if
 * `autoprobe` is on, or gone.
 *
 * @param address the physical function: `0000:01:00.0`, or `01:00.0` in domain 0
 * @param count how many; 0 removes them all. Another number than there are can only be had by way of 0: the hardware
 * has no other.
 * @returns the addresses of the virtual functions, in the order of their numbers
 * @throws RangeError (`ERR_OUT_OF_RANGE`) if the device has not so many; VfioError `EOPNOTSUPP` if it has no SR-IOV,
 * `ENOENT` if no driver is bound that can do it, `EBUSY` if there is another number of them or one of them is in use,
 * `EACCES` without the permission
 */
export function setNumVfs(address: string, count: number, options: NumVfsOptions = {}): PciAddress[] {
  checkInteger("count", count);
  const roots = rootsOf(options);
  const canonical = pciAddress(address);
  const { sriov } = readPciDevice(canonical, options);
  const path = pciDevicePath(canonical, roots);
  if (sriov === undefined) {
    throw new VfioError({
      errno: os.errno.EOPNOTSUPP,
      syscall: "write",
      object: canonical,
      path: join(path, "sriov_numvfs"),
      why: "the device has no SR-IOV, or it is switched off in the firmware (or CONFIG_PCI_IOV in the kernel)",
      fix: "name a physical function with SR-IOV: listPciDevices() shows them with `sriov`",
    });
  }
  if (count < 0 || count > sriov.totalVfs) {
    throw outOfRangeError("count", `an integer from 0 to ${sriov.totalVfs}, all that ${canonical} has`, count);
  }
  if (sriov.numVfs !== count) {
    if (count > 0 && sriov.numVfs > 0) {
      throw new VfioError({
        errno: os.errno.EBUSY,
        syscall: "write",
        object: canonical,
        path: join(path, "sriov_numvfs"),
        args: { count },
        why: `it has ${sriov.numVfs} virtual functions, and SR-IOV can only remove all of them at once`,
        fix: `remove them first: setNumVfs("${canonical}", 0)`,
      });
    }
    if (count === 0) requireUnused(canonical, sriov.vfs, options);
  }

  const probing = { path: join(path, "sriov_drivers_autoprobe"), before: Number(sriov.driversAutoprobe) };
  const autoprobe = options.autoprobe === undefined ? probing.before : Number(options.autoprobe);
  if (autoprobe !== probing.before) write(probing.path, String(autoprobe), canonical, roots);
  if (sriov.numVfs === count) return [...sriov.vfs];
  try {
    write(join(path, "sriov_numvfs"), String(count), canonical, roots);
  } catch (error) {
    if (autoprobe === probing.before) throw error;
    throw unwound(error, () => write(probing.path, String(probing.before), canonical, roots));
  }
  return [...(readPciDevice(canonical, options).sriov?.vfs ?? [])];
}

function unwound(error: unknown, undo: () => void): unknown {
  try {
    undo();
    return error;
  } catch (undoError) {
    return withUndoErrors(error, [undoError], "sriov_drivers_autoprobe is not what it was");
  }
}

function requireUnused(address: PciAddress, vfs: readonly PciAddress[], options: NumVfsOptions): void {
  const uses = vfs
    .flatMap((vf) => findDeviceUses(vf, options).map((use) => ({ ...use, why: `${vf}: ${use.why}` })))
    // Removing a function that this process has open would wait for itself.
    .filter((use) => use.own || options.force !== true);
  if (uses.length === 0) return;
  throw new VfioError({
    errno: os.errno.EBUSY,
    syscall: "write",
    object: address,
    why: `its virtual functions are in use: ${uses.map((use) => use.why).join("; ")}`,
    fix: [...new Set(uses.map((use) => use.fix))].join("; "),
  });
}

function write(path: string, value: string, address: PciAddress, roots: Roots): void {
  try {
    writeAttribute(path, value);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const [why, fix] = writeRefusal(error, roots) ?? reason(errno, address, roots);
    throw new VfioError({ errno, syscall: "write", object: address, path, args: { value }, why, fix, cause: error });
  }
}

function reason(errno: number, address: PciAddress, roots: Roots): readonly [why: string, fix: string] {
  const driver = readLinkName(join(pciDevicePath(address, roots), "driver"));
  if (errno !== os.errno.ENOENT) {
    return [`the driver ${driver ?? "(none)"} did not do it`, "see the end of the kernel's log: dmesg | tail"];
  }
  if (driver === undefined) {
    return ["no driver is bound to it, and SR-IOV is its driver's job", "bind its driver first"];
  }
  return driver === "vfio-pci"
    ? [
        "vfio-pci does not create virtual functions unless it is told to",
        `echo 1 > ${join(roots.sysfs, "module/vfio_pci/parameters/enable_sriov")} (or vfio-pci.enable_sriov=1 at boot)`,
      ]
    : [`the driver ${driver} cannot create virtual functions through sysfs`, "bind one that can"];
}
