import type { FrozenConnection } from "../../kvm/part.js";
import type { Manifest } from "./manifest.js";
import { type Part, type ValueOf } from "./schema.js";
/** A bound: a hand-over has six. */
export declare const MAX_PHASES = 64;
declare const writerKind: {
    number: number;
    name: string;
    records: {
        connections: import("./document.js").DocumentRecord<readonly FrozenConnection[]>;
        /** When each phase began, in nanoseconds of the monotonic clock, which all processes share. */
        times: import("./document.js").DocumentRecord<readonly import("./schema.js").ItemValue<{
            readonly phase: Part<string>;
            readonly at: Part<bigint>;
        }>[]>;
        /** The program's own state. */
        state: import("./document.js").DocumentRecord<Uint8Array<ArrayBufferLike>>;
    };
};
/** The part that follows when everything is frozen. */
export interface FrozenPart {
    readonly connections: readonly FrozenConnection[];
    readonly times: ValueOf<typeof writerKind.records.times.part>;
    readonly state: Uint8Array;
}
/**
 * Encodes the part that follows when everything is frozen.
 *
 * @throws VfioError `EINVAL` for numbers and names out of their ranges
 */
export declare function encodeFrozen(part: FrozenPart): Uint8Array;
/**
 * Decodes the part that follows when everything is frozen, and checks that it is its manifest's.
 *
 * @param bytes what came; the program's state in the result is a view of it
 * @throws VfioError as `decodeManifest`
 */
export declare function decodeFrozen(bytes: Uint8Array, manifest: Manifest): FrozenPart;
export {};
