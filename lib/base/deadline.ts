/**
 * A wait that ends: after a time, or when the program says so.
 *
 * @module
 */
import { constants } from "node:os";
import { outOfRangeError, VfioError } from "./errors.js";

// Node's timers count up to here, in milliseconds.
const LONGEST = 2 ** 31 - 1;

/**
 * Runs a wait with a signal that aborts after a time, or with the program's own signal.
 *
 * @param what begins the sentence "... took longer than 60000 ms"
 * @param milliseconds `Infinity` for ever
 * @param fix what to do about a wait that took too long
 * @throws what the wait throws: the signal's reason, or VfioError `ETIMEDOUT`; RangeError for a time that a timer cannot take
 */
export async function withDeadline<T>(
  what: string,
  milliseconds: number,
  signal: AbortSignal | undefined,
  wait: (wait: { readonly signal: AbortSignal }) => Promise<T>,
  fix?: string,
): Promise<T> {
  signal?.throwIfAborted();
  if (!(milliseconds >= 0 && milliseconds <= LONGEST) && milliseconds !== Number.POSITIVE_INFINITY) {
    throw outOfRangeError("timeout", `a number of milliseconds from 0 to ${LONGEST}, or Infinity`, milliseconds);
  }
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  const expire = () => {
    const why = `${what} took longer than ${milliseconds} ms`;
    const error = { errno: constants.errno.ETIMEDOUT, syscall: "live update", why };
    controller.abort(new VfioError(fix === undefined ? error : { ...error, fix }));
  };
  signal?.addEventListener("abort", abort, { once: true });
  const timer = Number.isFinite(milliseconds) ? setTimeout(expire, milliseconds) : undefined;
  try {
    return await wait({ signal: controller.signal });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
