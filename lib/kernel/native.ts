/**
 * The native addon, or what stands in for it where there is none.
 *
 * @module
 */
import { UnsupportedError } from "../base/errors.js";
import type { Native } from "./contract.js";
import { loadAddon, type Unsupported } from "./load-addon.js";
import { offerTracing } from "./tracing.js";

export type * from "./contract.js";

/** Whether this package can do anything here, and if not, why and what to do about it. */
export type Support = { readonly supported: true } | Unsupported;

/** Stands in for an addon that is not there, so that a program that may not need it can be loaded. */
function absent({ why, fix }: Unsupported): Native {
  return new Proxy(Object.create(null), {
    get() {
      throw new UnsupportedError(why, fix);
    },
  });
}

const loaded = loadAddon();

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
export const support: Support = "unsupported" in loaded ? loaded.unsupported : { supported: true };

/** Whether building the addon in this package would help. */
export const buildHelps: boolean = "unsupported" in loaded && loaded.buildHelps;

/**
 * The addon's functions. In an object of their own: that of the addon is a dictionary to the engine, and a call through it
 * took 4 ns more.
 *
 * Call them through this object, always: tracing replaces them in it.
 */
export const native: Native = "unsupported" in loaded ? absent(loaded.unsupported) : { ...loaded.addon };

/** The bytes in a page of memory. */
export const PAGE_SIZE = support.supported ? native.pageSize() : 4096;

if (support.supported) offerTracing(native);
