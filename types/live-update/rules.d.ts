import { VfioError } from "../base/errors.js";
import type { FrozenPart, Manifest } from "./manifest.js";
/**
 * The longest manifest, in bytes: a million mappings. A carrier takes no more than this from a peer. (The frozen part has the
 * program's own state in it, and is as long as that.)
 */
export declare const MAX_MANIFEST: number;
/** The error for a manifest that is longer. */
export declare function tooLong(syscall: "encode" | "decode", length: number): VfioError;
/** Makes the error for what is wrong. */
export type Refuse = (why: string) => Error;
/** The most vectors that a device can have. */
export declare const MAX_VECTORS: 2048;
/** A bound that no host comes near. */
export declare const MAX_CONNECTIONS = 65536;
/** A hand-over has six. */
export declare const MAX_PHASES = 64;
/**
 * Checks a manifest.
 *
 * @param descriptorCount how many descriptors travel with it
 * @param refuse makes the error that is thrown at the first fault
 */
export declare function checkManifest(manifest: Manifest, descriptorCount: number, refuse: Refuse): void;
/** Checks a frozen part by itself. */
export declare function checkFrozen({ connections, times }: FrozenPart, refuse: Refuse): void;
/** Checks that a frozen part speaks of its manifest's connections, one to one. */
export declare function checkFrozenFits({ connections }: FrozenPart, manifest: Manifest, refuse: Refuse): void;
