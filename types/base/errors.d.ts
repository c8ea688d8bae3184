import { type Reason } from "./reasons.js";
/** What a {@link VfioError} is made from. */
export interface VfioErrorInit {
    /** The error number, positive or negative; stored negative, as Node does. */
    readonly errno: number;
    /** The system call that failed: `ioctl`, `open`, `mmap`, ... */
    readonly syscall: string;
    /** The ioctl's name where `syscall` is `ioctl`: `VFIO_IOMMU_MAP_DMA`, ... */
    readonly request?: string;
    /** The arguments that matter to a reader. Numbers and bigints are shown in hexadecimal. */
    readonly args?: Readonly<Record<string, number | bigint | string | boolean>>;
    /** The object it happened to: a device's address, a node's path, `container (type1v2)`, ... */
    readonly object?: string;
    /** The path of a file, where one was being opened, read or written. */
    readonly path?: string;
    /** The reason, for programs; left out, the one that the errno usually stands for. */
    readonly reason?: Reason;
    /** One sentence that says why, where the library could find out. */
    readonly why?: string;
    /** One sentence that says what to do about it. */
    readonly fix?: string;
    /** The error underneath, if any. */
    readonly cause?: unknown;
}
/** What an errno means for one call: why, what to do about it, and the reason where the errno has another one. */
export type Meaning = Readonly<Pick<VfioErrorInit, "why" | "fix" | "reason">>;
/**
 * The name of an error number, `EINVAL` for 22; `E<number>` where nobody has a name for it.
 *
 * @param errno positive or negative
 */
export declare function errnoName(errno: number): string;
/** What an error number means, in the C library's words. */
export declare function errnoText(errno: number): string;
/**
 * A refusal by the kernel (or by the library, before the kernel was asked), with what was asked, of what, why it was
 * refused and what to do about it.
 *
 * `code`, `errno` and `syscall` are as in Node's own system errors, so `error.code === "EBUSY"` works as everywhere.
 */
export declare class VfioError extends Error {
    /** The error's name: `EBUSY`, `EINVAL`, ... */
    readonly code: string;
    /** The error's number, negative, as in Node's own errors. */
    readonly errno: number;
    /** The system call: `ioctl`, `open`, ... */
    readonly syscall: string;
    /** The ioctl's name, where `syscall` is `ioctl`. */
    readonly request: string | undefined;
    /** What was asked, argument by argument. */
    readonly args: Readonly<Record<string, number | bigint | string | boolean>>;
    /** The object it happened to. */
    readonly object: string | undefined;
    /** The file's path, if the error is about a file. */
    readonly path: string | undefined;
    /** The reason, for programs: one of the words in docs/troubleshooting.md, and more exact than `code`. */
    readonly reason: Reason;
    /** Why, where the library could find out. */
    readonly why: string | undefined;
    /** What to do about it. */
    readonly fix: string | undefined;
    constructor(init: VfioErrorInit);
    /** A plain object for `JSON.stringify`; bigints become hexadecimal strings. */
    toJSON(): Record<string, unknown>;
}
/** What was thrown, as an error. */
export declare function asError(thrown: unknown): Error;
/** What was thrown, in its own words. */
export declare function messageOf(thrown: unknown): string;
/** The `code` of an error, where it has one. */
export declare function codeOf(error: unknown): string | undefined;
/** A call that needs the native addon, in a process that cannot have it. */
export declare class UnsupportedError extends Error {
    readonly code = "ERR_VFIO_UNSUPPORTED";
    /** Why there is no addon. */
    readonly why: string;
    /** What to do about it. */
    readonly fix: string;
    constructor(why: string, fix: string);
}
/** An argument of the wrong type, as Node's own `ERR_INVALID_ARG_TYPE`. */
export declare function argTypeError(name: string, expected: string, actual: unknown): TypeError;
/**
 * An argument of the right type with a value that there is not, as Node's own `ERR_INVALID_ARG_VALUE`.
 *
 * @param hint a sentence that comes last, with the full stop before it
 */
export declare function argValueError(name: string, expected: string, actual: unknown, hint?: string): TypeError;
/** An argument out of range or of an impossible form, as Node's own `ERR_OUT_OF_RANGE`. */
export declare function outOfRangeError(name: string, expected: string, actual: unknown): RangeError;
/** A call on something that is closed, detached or otherwise not in the state for it: `ERR_INVALID_STATE`. */
export declare function invalidStateError(message: string): Error;
/**
 * Throws what a native call was refused with, or returns its result.
 *
 * @param status a value >= 0, or `-errno`
 * @param describe what was asked, of what and why it failed; called only for a refusal
 */
export declare function check(status: number, describe: (errno: number) => Omit<VfioErrorInit, "errno">): number;
