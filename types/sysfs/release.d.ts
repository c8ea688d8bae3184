import { type BindingPlan } from "./bind.js";
import { type HostPaths } from "./files.js";
/** What a device had before it was given away. */
export interface FormerDriver {
    /** The driver; undefined for none. */
    readonly driver: string | undefined;
    /** What `driver_override` said; undefined for nothing. */
    readonly override: string | undefined;
}
/** Where notes of former drivers are kept. */
export interface NotePaths extends HostPaths {
    /** A directory that is empty after each boot, and that only root writes to. Default `/run/vfio`. */
    readonly run?: string;
}
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
 * Notes which driver a device had, for {@link releaseDevice} of another process. A device that is passed on from one
 * binding to the next keeps the first note.
 *
 * @param plan what was carried out, from {@link planBinding} before that
 * @throws Node's own error if the note cannot be written
 */
export declare function noteFormerDriver(plan: BindingPlan, paths?: NotePaths): void;
/** What a device had before, as noted; undefined without a note, or if somebody has bound another driver since. */
export declare function formerDriver(address: string, paths?: NotePaths): FormerDriver | undefined;
/**
 * Plans to give a device back to the driver that it had, without changing anything.
 *
 * @returns without steps if the device has a driver that is not VFIO's, and no `driver_override`: there is nothing to give back
 * @throws VfioError `ENODEV` if there is no such device
 */
export declare function planRelease(address: string, options?: NotePaths): ReleasePlan;
/**
 * Gives a device back to the driver that it had. If a step fails, the earlier ones are undone.
 *
 * @returns the driver that is bound now; undefined for none
 * @throws VfioError `EBUSY` if the device is in use; as {@link bindDriver}
 */
export declare function releaseDevice(address: string, options?: ReleaseOptions): string | undefined;
