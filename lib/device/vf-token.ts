/**
 * The secret that a physical function's user shares with those of its virtual functions.
 *
 * @module
 */
import { argTypeError, argValueError } from "../base/errors.js";

/**
 * The 16 bytes of a VF token, in the order in which its UUID is written.
 *
 * @throws TypeError, RangeError
 */
export function vfTokenBytes(token: string): Uint8Array {
  if (typeof token !== "string") throw argTypeError("vfToken", "a UUID", token);
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(token)) {
    throw argValueError("vfToken", "a UUID like 2ab74924-c335-45f4-9b16-8569e5b08258", token);
  }
  return Uint8Array.from(Buffer.from(token.replaceAll("-", ""), "hex"));
}
