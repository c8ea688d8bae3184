import type { FrozenPart, Manifest } from "./manifest.js";
/**
 * Encodes a manifest, after checking it by the same rules as its reader.
 *
 * The indexes of its descriptors must be 0, 1, 2, ..., each of them spoken of once.
 *
 * @throws VfioError `EINVAL` for a manifest that no reader would accept, `EMSGSIZE` for one longer than {@link MAX_MANIFEST}
 */
export declare function encodeManifest(manifest: Manifest): Uint8Array;
/**
 * Encodes the part that follows when everything is frozen.
 *
 * @throws VfioError `EINVAL` for numbers and names out of their ranges
 */
export declare function encodeFrozen(part: FrozenPart): Uint8Array;
