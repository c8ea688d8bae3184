/**
 * The errors for documents that contradict themselves or are too long.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../../base/errors.js";
import type { Refuse } from "./schema.js";

const { EINVAL, EMSGSIZE } = constants.errno;

/**
 * The longest manifest, in bytes: a million mappings. A carrier takes no more than this from a peer. (The frozen part has the
 * program's own state in it, and is as long as that.)
 */
export const MAX_MANIFEST = 32 << 20;

export function tooLong(syscall: "encode" | "decode", length: number): VfioError {
  return new VfioError({
    errno: EMSGSIZE,
    syscall,
    object: "the manifest",
    why: `it is ${length} bytes long, and ${MAX_MANIFEST} is the most`,
    fix: "map in larger pieces: each mapping takes 32 bytes",
  });
}

export function encodeRefusal(object: string): Refuse {
  return (why) => new VfioError({ errno: EINVAL, syscall: "encode", object, why });
}

export function decodeRefusal(object: string): Refuse {
  return (why) =>
    new VfioError({
      errno: EINVAL,
      syscall: "decode",
      object,
      why,
      fix: "the process that wrote it is at fault: nothing of it was used",
    });
}
