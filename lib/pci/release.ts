/**
 * Giving a device back, by another process than the one that took it: `vfio unbind`, and after a program that was ended
 * by a signal.
 *
 * A {@link Binding} remembers the former driver as long as its process lives, and {@link bindDriver} notes it for
 * afterwards. Without a note the kernel chooses, as it did when the device appeared.
 *
 * @module
 */
import { join } from "node:path";
import { exists, readLinkName, rootsOf } from "../kernel/files.js";
import { type PciAddress, pciAddress } from "./address.js";
import { type BindingPlan, carryOut, requireUnused, requireWritable } from "./bind.js";
import { isVfioDriver } from "./group.js";
import { withDeviceLock } from "./lock.js";
import { formerDriver, type NotePaths, removeNote } from "./note.js";
import { noSuchPciDevice, pciDevicePath, readDriverOverride } from "./pci.js";
import { type DriverState, rebindSteps } from "./rebind.js";
import { findDeviceUses } from "./uses.js";

/** Options of {@link releaseDevice}. */
export interface ReleaseOptions extends NotePaths {
  /** As in {@link BindOptions}. */
  readonly force?: boolean;
}

/** What {@link releaseDevice} would do. */
export interface ReleasePlan extends BindingPlan {
  /** Who says which driver comes next: a note of the former one, or the kernel, which then chooses among its drivers. */
  readonly chosenBy: "note" | "kernel";
}

/**
 * Plans to give a device back to the driver that it had, without changing anything.
 *
 * @returns without steps if the device has a driver that is not VFIO's, and no `driver_override`: there is nothing to give back
 * @throws VfioError `ENODEV` if there is no such device
 */
export function planRelease(address: string, options: NotePaths = {}): ReleasePlan {
  const plan = planWrites(address, options);
  return plan.steps.length === 0 ? plan : { ...plan, uses: findDeviceUses(plan.address, options) };
}

/** A plan that has not asked yet what uses the device. */
function planWrites(address: string, options: NotePaths): ReleasePlan {
  const roots = rootsOf(options);
  const canonical = pciAddress(address);
  const path = pciDevicePath(canonical, roots);
  if (!exists(path)) throw noSuchPciDevice(canonical, roots);
  const now: DriverState = { driver: readLinkName(join(path, "driver")), override: readDriverOverride(path) };
  const plan = { address: canonical, from: now.driver, uses: [] };
  const former = formerDriver(canonical, options);
  if (former !== undefined) {
    const steps = rebindSteps(canonical, now, former, roots);
    return { ...plan, to: former.driver, chosenBy: "note", steps };
  }
  if (now.driver !== undefined && !isVfioDriver(now.driver) && now.override === undefined) {
    return { ...plan, to: now.driver, chosenBy: "kernel", steps: [] };
  }
  const steps = rebindSteps(canonical, now, { driver: undefined, override: undefined }, roots);
  // What the probe binds, if anything, only the kernel knows; undoing would first have to ask.
  const probe = { path: join(roots.sysfs, "bus/pci/drivers_probe"), value: canonical };
  return { ...plan, to: undefined, chosenBy: "kernel", steps: [...steps, { ...probe, undo: probe }] };
}

/**
 * Gives a device back to the driver that it had before {@link bindDriver} (or `vfio bind`), also if the process that
 * called it has ended. If a step fails, the earlier ones are undone.
 *
 * @returns the driver that is bound now; undefined for none
 * @throws VfioError `EBUSY` if the device is in use; as {@link bindDriver}
 */
export function releaseDevice(address: string, options: ReleaseOptions = {}): string | undefined {
  const roots = rootsOf(options);
  const draft = planWrites(address, options);
  if (draft.steps.length > 0) {
    requireWritable(draft, roots);
    withDeviceLock(draft.address, options, () => release(draft.address, options));
  }
  return readLinkName(join(pciDevicePath(draft.address, roots), "driver"));
}

function release(address: PciAddress, options: ReleaseOptions): void {
  const roots = rootsOf(options);
  const plan = planRelease(address, options);
  requireUnused(plan, options);
  requireWritable(plan, roots);
  carryOut(plan, roots, () => {});
  removeNote(address, options);
}
