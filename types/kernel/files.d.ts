/**
 * Reading and writing the kernel's small files, in the presence of devices that go away at any moment.
 *
 * @module
 */
/**
 * Where the kernel's file systems are mounted. The defaults are right on every ordinary host; a container that was
 * given the host's trees elsewhere (`/host/sys`, `/host/dev`, `/host/proc`) names them here.
 */
export interface HostPaths {
    /** Where sysfs is mounted; `/sys`. */
    readonly sysfs?: string;
    /** Where the device nodes are; `/dev`. */
    readonly dev?: string;
    /** Where proc is mounted; `/proc`. */
    readonly proc?: string;
}
/** {@link HostPaths} with its defaults, links resolved. */
export interface Roots {
    readonly sysfs: string;
    readonly dev: string;
    readonly proc: string;
}
/**
 * Fills in the defaults. sysfs is full of links, so its root must be a real path for paths to be comparable.
 *
 * @throws TypeError
 */
export declare function rootsOf(paths?: HostPaths): Roots;
/** The error number (positive) of an error that Node's `fs` threw; undefined for any other. */
export declare function errnoOf(error: unknown): number | undefined;
/** Whether an error says that the file, and so the device, is not there (any more). */
export declare function isGone(error: unknown): boolean;
/** An attribute's text without its newline; undefined if there is no such attribute, or no such device any more. */
export declare function readText(path: string): string | undefined;
/** An attribute's number, in any notation that C knows; undefined if it is not there or not a number. */
export declare function readNumber(path: string): number | undefined;
/** The last component of what a link points to: the name of a driver, of a group; undefined without the link. */
export declare function readLinkName(path: string): string | undefined;
/** The names in a directory, sorted; none if it is not there. */
export declare function listNames(path: string): string[];
/** The path without links; undefined if it leads nowhere. */
export declare function realPath(path: string): string | undefined;
/** Whether there is something at this path. */
export declare function exists(path: string): boolean;
/** `major:minor` of a device node, as sysfs' `dev` files spell it; undefined if there is no node of this type. */
export declare function nodeNumber(path: string, type: "char" | "block"): string | undefined;
/** `major:minor` from the number that stat(2) gives: glibc's layout, 12 + 20 bits low, the rest high. */
export declare function deviceNumber(rdev: bigint): string;
/**
 * Writes one attribute, in one write(2), as sysfs requires. The file is not created: sysfs answers EACCES to that,
 * which would hide that there is no such file.
 *
 * @throws Node's own error, for the caller to explain
 */
export declare function writeAttribute(path: string, value: string): void;
/**
 * The error to throw when undoing failed too: the first one, which says at its end what is left undone, and has all
 * errors in its cause, an AggregateError with the first one first.
 */
export declare function withUndoErrors(first: unknown, later: readonly unknown[], left: string): unknown;
