import type { FrozenPart, Manifest } from "./manifest.js";
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
