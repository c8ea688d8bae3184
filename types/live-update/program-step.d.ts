/**
 * A step of a hand-over that the program does itself, and that takes as long as the program likes.
 *
 * @module
 */
import type { CarrierWait } from "./carrier.js";
/**
 * Runs a function of the program's, and waits until it is over or the hand-over is, whichever comes first.
 *
 * @param run gets a signal that is aborted if the hand-over ends first; what the function does from then on is ignored
 * @param ended rejects when the other side has ended the hand-over, and with the reason of its signal
 * @param signal the program's own, which ends the hand-over
 * @throws what the function throws, or what ended the hand-over
 */
export declare function runStep<T>(run: (signal: AbortSignal) => T | Promise<T>, ended: (wait: CarrierWait) => Promise<never>, signal: AbortSignal | undefined): Promise<T>;
/** For a carrier whose successor does not run yet: nothing but the signal ends the hand-over. */
export declare function endedBySignal({ signal }: CarrierWait): Promise<never>;
