/**
 * Checks of what a caller passes: the wrong type is a TypeError (`ERR_INVALID_ARG_TYPE`), a number out of its range a
 * RangeError (`ERR_OUT_OF_RANGE`), each with the argument's name.
 *
 * @module
 */
import { argTypeError, outOfRangeError } from "./errors.js";

/**
 * A number that must be an integer between two others.
 *
 * @throws TypeError, RangeError
 */
export function checkInteger(name: string, value: unknown, low = 0, high: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number") throw argTypeError(name, "a number", value);
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw outOfRangeError(name, `an integer from ${low} to ${high}`, value);
}

/**
 * A part of something that has `size` bytes.
 *
 * @param whole what has these bytes, for the error
 * @throws TypeError, RangeError
 */
export function checkPart(whole: string, size: number, offset: unknown, length: unknown): void {
  const end = checkInteger("offset", offset) + checkInteger("length", length);
  if (end <= size) return;
  throw outOfRangeError("offset and length", `within the ${size} bytes of ${whole}`, { offset, length });
}
