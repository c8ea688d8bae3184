import type { FrozenPart, Manifest } from "./manifest.js";
/** The version of the format that this package writes, and the newest that it reads. */
export declare const FORMAT_VERSION = 1;
/**
 * The longest manifest, in bytes: a million mappings. A carrier takes no more than this from a peer. (The frozen part has the
 * program's own state in it, and is as long as that.)
 */
export declare const MAX_MANIFEST: number;
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
/**
 * Decodes a manifest and checks it. The descriptors have not been touched when it throws, and can be closed.
 *
 * @param bytes what came; borrowed
 * @param descriptorCount how many descriptors came with it
 * @throws VfioError `EPROTONOSUPPORT` for a newer version of the format, `EPROTO` for bytes that are none, `EINVAL` for what
 *   contradicts itself or the descriptors, `EMSGSIZE` for more than {@link MAX_MANIFEST}
 */
export declare function decodeManifest(bytes: Uint8Array, descriptorCount: number): Manifest;
/**
 * Decodes the part that follows when everything is frozen, and checks that it is its manifest's.
 *
 * @param bytes what came; the program's state in the result is a view of it
 * @throws VfioError as {@link decodeManifest}
 */
export declare function decodeFrozen(bytes: Uint8Array, manifest: Manifest): FrozenPart;
