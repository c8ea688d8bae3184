import type { Roots } from "../kernel/files.js";
import type { PciAddress } from "./address.js";
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
export declare function rebindSteps(address: PciAddress, from: DriverState, to: DriverState, roots: Roots): BindingStep[];
