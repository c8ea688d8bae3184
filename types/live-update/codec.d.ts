/**
 * The manifest and its frozen part as bytes. `docs/live-update-manifest.md` describes the format.
 *
 * @module
 */
export { decodeFrozen, decodeManifest } from "./decode.js";
export { FORMAT_VERSION } from "./document.js";
export { encodeFrozen, encodeManifest } from "./encode.js";
export { MAX_MANIFEST } from "./rules.js";
