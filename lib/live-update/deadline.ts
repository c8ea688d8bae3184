/**
 * A wait that ends: after a time, or when the program says so.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../errors.js";

/**
 * Runs a wait with a signal that aborts after a time, or with the program's own signal.
 *
 * @param what ends the sentence "nothing came within 10 s: ..."
 */
export async function withDeadline<T>(
  what: string,
  milliseconds: number,
  signal: AbortSignal | undefined,
  wait: (wait: { readonly signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  const expire = () => {
    const why = `${what} took longer than ${milliseconds} ms`;
    controller.abort(new VfioError({ errno: constants.errno.ETIMEDOUT, syscall: "live update", why }));
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
