/**
 * A plan as a manifest: every object says what a successor must know of it.
 *
 * @module
 */
import type { FrozenConnection } from "../kvm/part.js";
import type { DmaMemory } from "../memory/dma-buffer.js";
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
    /** The manifest's memory. */
    readonly memory: readonly DmaMemory[];
}
/** Describes a plan that has no blockers. */
export declare function describe(plan: Plan): Description;
/** A connection that is frozen. */
export interface Frozen extends PlannedConnection {
    readonly state: FrozenConnection;
}
/**
 * What has changed to the last moment.
 *
 * @throws an error with `code` `ERR_INVALID_STATE` if something is connected now that was not when the manifest was written
 */
export declare function describeFrozen(frozen: readonly Frozen[], { connections, manifest }: Description, state: Uint8Array, times: FrozenPart["times"]): FrozenPart;
