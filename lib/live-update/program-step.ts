/**
 * A step of a hand-over that the program does itself, and that takes as long as the program likes.
 *
 * @module
 */
import type { CarrierWait } from "./carrier.js";

/** Ends the watch over a step that is over: it says nothing about the hand-over. */
const STEP_IS_OVER = new Error("the step is over");

/**
 * Runs a function of the program's, and waits until it is over or the hand-over is, whichever comes first.
 *
 * @param run gets a signal that is aborted if the hand-over ends first; what the function does from then on is ignored
 * @param ended rejects when the other side has ended the hand-over, and with the reason of its signal
 * @param signal the program's own, which ends the hand-over
 * @throws what the function throws, or what ended the hand-over
 */
export async function runStep<T>(
  run: (signal: AbortSignal) => T | Promise<T>,
  ended: (wait: CarrierWait) => Promise<never>,
  signal: AbortSignal | undefined,
): Promise<T> {
  signal?.throwIfAborted();
  const watch = new AbortController();
  const abort = () => watch.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const step = new AbortController();
  const watching = ended({ signal: watch.signal });
  watching.catch((reason) => {
    if (reason !== STEP_IS_OVER) step.abort(reason);
  });
  try {
    // The race handles a rejection that comes too late: it is no unhandled one.
    return await Promise.race([(async () => await run(step.signal))(), watching]);
  } finally {
    signal?.removeEventListener("abort", abort);
    watch.abort(STEP_IS_OVER);
    // The end may have come in the same turn as the function's result, and is read by nobody else.
    await watching.catch((reason) => {
      if (reason !== STEP_IS_OVER) throw reason;
    });
  }
}

/** For a carrier whose successor does not run yet: nothing but the signal ends the hand-over. */
export function endedBySignal({ signal }: CarrierWait): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
