import type { Native } from "./contract.js";
import { type Unsupported } from "./load-addon.js";
export type * from "./contract.js";
/** Whether this package can do anything here, and if not, why and what to do about it. */
export type Support = {
    readonly supported: true;
} | Unsupported;
/**
 * Whether the package works on this system. To import it works everywhere; the first call that needs the kernel fails with
 * the same words (`code` is `ERR_VFIO_UNSUPPORTED`) where this says no. It does not say that there is a device:
 * {@link diagnose} does.
 *
 * ```ts
 * import { support } from "vfio";
 * if (!support.supported) console.error(`${support.why}. To do: ${support.fix}`);
 * ```
 */
export declare const support: Support;
/** Whether building the addon in this package would help. */
export declare const buildHelps: boolean;
/**
 * The addon's functions. In an object of their own: that of the addon is a dictionary to the engine, and a call through it
 * took 4 ns more.
 *
 * Call them through this object, always: tracing replaces them in it.
 */
export declare const native: Native;
/** The bytes in a page of memory. */
export declare const PAGE_SIZE: number;
