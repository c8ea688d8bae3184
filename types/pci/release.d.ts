import { type BindingPlan } from "./bind.js";
import { type NotePaths } from "./note.js";
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
export declare function planRelease(address: string, options?: NotePaths): ReleasePlan;
/**
 * Gives a device back to the driver that it had before {@link bindDriver} (or `vfio bind`), also if the process that
 * called it has ended. If a step fails, the earlier ones are undone.
 *
 * @returns the driver that is bound now; undefined for none
 * @throws VfioError `EBUSY` if the device is in use; as {@link bindDriver}
 */
export declare function releaseDevice(address: string, options?: ReleaseOptions): string | undefined;
