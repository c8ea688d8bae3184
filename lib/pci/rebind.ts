/**
 * The writes that take a PCI device from one driver to another.
 *
 * @module
 */
import { join } from "node:path";
import type { Roots } from "../kernel/files.js";
import type { PciAddress } from "./address.js";
import { pciDevicePath } from "./pci.js";

/** One write to a file of sysfs. The value is written with a newline after it; an empty value clears the attribute. */
export interface SysfsWrite {
  readonly path: string;
  readonly value: string;
}

/** A write, and the write that undoes it. */
export interface BindingStep extends SysfsWrite {
  readonly undo: SysfsWrite;
}

/** A device's driver and its `driver_override`; undefined for none. */
export interface DriverState {
  readonly driver: string | undefined;
  readonly override: string | undefined;
}

/**
 * The writes from one state to another.
 *
 * A driver whose name differs from `driver_override` does not match, and the kernel refuses to bind it (ENODEV). But a
 * driver stays bound when the override is changed afterwards, so a state in which the two differ is possible, and must
 * be possible to come back to. So the override names the driver (or nobody) when a driver is bound, in both directions:
 * undoing goes from the last write to the first.
 */
export function rebindSteps(address: PciAddress, from: DriverState, to: DriverState, roots: Roots): BindingStep[] {
  const steps: BindingStep[] = [];
  const overridePath = join(pciDevicePath(address, roots), "driver_override");
  let override = from.override;
  const setOverride = (value: string | undefined) => {
    if (value === override) return;
    const undo = { path: overridePath, value: override ?? "" };
    steps.push({ path: overridePath, value: value ?? "", undo });
    override = value;
  };
  const write = (driver: string, file: "bind" | "unbind") => ({
    path: join(roots.sysfs, "bus/pci/drivers", driver, file),
    value: address,
  });

  if (from.driver !== undefined) {
    if (override !== undefined) setOverride(from.driver);
    steps.push({ ...write(from.driver, "unbind"), undo: write(from.driver, "bind") });
  }
  if (to.driver !== undefined) {
    setOverride(to.override === undefined ? undefined : to.driver);
    steps.push({ ...write(to.driver, "bind"), undo: write(to.driver, "unbind") });
  }
  setOverride(to.override);
  return steps;
}
