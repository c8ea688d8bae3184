import { type HostPaths } from "../kernel/files.js";
/** What a device had before it was bound to another driver. */
export interface FormerDriver {
    /** The driver; undefined for none. */
    readonly driver: string | undefined;
    /** The value of `driver_override`; undefined for none. */
    readonly override: string | undefined;
}
/** Where notes of former drivers are kept. */
export interface NotePaths extends HostPaths {
    /**
     * A directory that is empty after each boot, and that only root writes to. It is created if it is missing. It also
     * holds the lock files that keep two processes from changing one device's driver at the same time: all of them must
     * name the same directory. Default `/run/vfio`.
     */
    readonly run?: string;
}
/** A note's content. `to` is the driver that the device was given. */
export interface Note {
    readonly driver: string | null;
    readonly override: string | null;
    readonly to: string | null;
}
/**
 * What a device had before {@link bindDriver} (or `vfio bind`) gave it to another driver, in this process or another
 * one.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @returns undefined without a note, or if somebody has bound another driver since
 */
export declare function formerDriver(address: string, paths?: NotePaths): FormerDriver | undefined;
