import { VfioError } from "../../base/errors.js";
import type { Refuse } from "./schema.js";
/**
 * The longest manifest, in bytes: a million mappings. A carrier takes no more than this from a peer. (The frozen part has the
 * program's own state in it, and is as long as that.)
 */
export declare const MAX_MANIFEST: number;
export declare function tooLong(syscall: "encode" | "decode", length: number): VfioError;
export declare function encodeRefusal(object: string): Refuse;
export declare function decodeRefusal(object: string): Refuse;
