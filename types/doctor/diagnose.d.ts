/**
 * Everything that stands between a program and a working device, each with its state and what to do about it.
 *
 * It looks, and changes nothing: no device is opened, bound or reset. ({@link tryModes} does open it.)
 *
 * @module
 */
import { VfioError } from "../base/errors.js";
import { type ContainerMode } from "../container/modes.js";
import { type HostPaths, type PciAddress } from "../pci/index.js";
/**
 * - `ok`
 * - `info`: neither good nor bad
 * - `warning`: something is missing, and devices work without it, or in fewer modes
 * - `problem`: no device (or not this one) works until it is solved
 */
export type CheckState = "ok" | "info" | "warning" | "problem";
/** One thing that was looked at. */
export interface Check {
    /** For programs, and the same in every version: `iommu`, `driver`, `group.viable`. */
    readonly id: string;
    /** For people: `IOMMU`. */
    readonly title: string;
    readonly state: CheckState;
    /** What was found, in a few words. */
    readonly found: string;
    /** What to do about it; undefined if there is nothing to do. Commands are those of the `vfio` command. */
    readonly fix: string | undefined;
}
/** What {@link diagnose} found. */
export interface Diagnosis {
    /** The device; undefined if only the system was asked about. */
    readonly address: PciAddress | undefined;
    readonly checks: readonly Check[];
    /** The container modes in which it should work, as far as can be seen without trying. */
    readonly modes: readonly ContainerMode[];
    /** Whether it should work: there is no problem, and at least one mode. */
    readonly works: boolean;
}
/** What came of one mode. */
export interface Attempt {
    readonly mode: ContainerMode;
    /** Why it failed; undefined if the device was attached. */
    readonly error: VfioError | undefined;
}
/**
 * Finds out what stands between this process and a working device: of the system alone, or of one device too.
 *
 * @param address `0000:01:00.0`, or `01:00.0` in domain 0
 * @throws VfioError `ENODEV` if there is no such device
 */
export declare function diagnose(address?: string, paths?: HostPaths): Diagnosis;
/**
 * Attaches a device in each mode, one after the other, and closes it again. The kernel resets the device each time.
 *
 * @param modes which; by default all five
 */
export declare function tryModes(address: string, modes?: readonly ContainerMode[]): Attempt[];
