/**
 * Calls that must fail, and their errors.
 *
 * @module
 */
import { VfioError } from "../../lib/base/errors.js";

/** Runs something that must fail, and returns its error. */
export function errorOf(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** Runs something that must be refused by the kernel or by the package, and returns the refusal. */
export function refusal(act: () => unknown): VfioError {
  const error = errorOf(act);
  if (error instanceof VfioError) return error;
  throw error;
}
