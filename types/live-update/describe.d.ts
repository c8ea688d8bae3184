/**
 * A plan as a manifest: what the objects are, and the descriptors that say which.
 *
 * @module
 */
import { DmaBuffer } from "../memory/dma-buffer.js";
import type { FrozenPart } from "./manifest/frozen.js";
import type { Manifest } from "./manifest/manifest.js";
import type { Plan, PlannedConnection } from "./plan.js";
/** What a plan is at this moment. */
export interface Description {
    readonly manifest: Manifest;
    /** Borrowed. */
    readonly descriptors: readonly number[];
    /** The manifest's connections. */
    readonly connections: readonly PlannedConnection[];
    /** All memory of it that is not a device's. */
    readonly buffers: readonly DmaBuffer[];
}
/** Describes a plan that has no blockers. */
export declare function describe(plan: Plan): Description;
/**
 * What has changed to the last moment.
 *
 * @throws an error with `code` `ERR_INVALID_STATE` if something is connected now that was not when the manifest was written
 */
export declare function describeFrozen(plan: Plan, described: Description, state: Uint8Array, times: FrozenPart["times"]): FrozenPart;
