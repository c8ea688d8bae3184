/**
 * What carries a hand-over from the old process to its successor.
 *
 * The steps are the same whatever carries them; a carrier that is no conversation (an exec in place, a store that outlives
 * the process) has nothing to wait for in some of them.
 *
 * ```text
 *  old: OutgoingCarrier                      successor: IncomingCarrier
 *  prepare(parcel)    -- manifest, fds -->   receive()
 *                     <------ ready -------  ready() ...
 *  ended()            <------ (end) -------  (fail())
 *  transfer(late)     ------ frozen ----->   ... ready() has the late part
 *                     <------ taken -------  taken() ...
 *  commit()           ------ commit ----->   ... taken() is over: the devices are the successor's
 *  released()         ----- released ---->   released()
 *  acknowledged()     <------ done --------  done(report)
 * ```
 *
 * Until `commit` either side can end it: `abort` here, `fail` there. Every wait takes an `AbortSignal`, and rejects with
 * its reason.
 *
 * @module
 */
import { type Check, checkObject } from "../base/arguments.js";
import { argTypeError } from "../base/errors.js";
import type { OwnedFd } from "../kernel/fd.js";

/** How a wait can end before its time. */
export interface CarrierWait {
  readonly signal: AbortSignal;
}

/** What goes to the successor while the devices still run here. */
export interface Parcel {
  /** The encoded manifest. */
  readonly manifest: Uint8Array;
  /** The descriptors that it speaks of, by their indexes. Borrowed. */
  readonly descriptors: readonly number[];
}

/** What came. */
export interface ReceivedParcel {
  readonly manifest: Uint8Array;
  /** Close-on-exec; they belong to whoever received them. */
  readonly descriptors: readonly OwnedFd[];
}

/** The old process's side. Made for one hand-over. */
export interface OutgoingCarrier {
  /** For messages: `socket`, `exec`. */
  readonly name: string;
  /** What stands in the way of this carrier, a sentence each with what to do. Looks only. */
  blockers(): readonly { readonly why: string; readonly fix: string }[];
  /** Brings manifest and descriptors to the successor; resolves when it is ready to take over. */
  prepare(parcel: Parcel, wait: CarrierWait): Promise<void>;
  /**
   * Between {@link prepare} and {@link transfer}, while the program stops and saves: rejects as soon as the successor gives up or
   * is gone. Left out by a carrier whose successor does not run yet.
   */
  ended?(wait: CarrierWait): Promise<never>;
  /** Everything is frozen: brings the last part; resolves when the successor has taken the memory over and waits for the word. */
  transfer(late: Uint8Array, wait: CarrierWait): Promise<void>;
  /**
   * Gives the word. What throws has not given it, and can be rolled back; when it returns, this process can only close. (An
   * exec does not return.)
   */
  commit(): void;
  /** What the successor could stumble over is closed here. Does not throw. */
  released(): void;
  /** Waits for the successor's last word: its report. Rejects if it went away before it gave that. */
  acknowledged(wait: CarrierWait): Promise<Uint8Array>;
  /** Ends a hand-over that is not committed, and tells the successor. Does not throw; does nothing when it has ended. */
  abort(reason: string): void;
  /** Gives the carrier's own descriptors back. */
  close(): void;
}

/** The successor's side. Made for one hand-over. */
export interface IncomingCarrier {
  /** For messages: `socket`, `exec`. */
  readonly name: string;
  /** Waits for manifest and descriptors. What fails has closed every descriptor that came. */
  receive(wait: CarrierWait): Promise<ReceivedParcel>;
  /** Says that it is ready, and waits until everything is frozen: the last part. */
  ready(wait: CarrierWait): Promise<Uint8Array>;
  /** Says that the memory is taken over, and waits for the word: when this resolves, the devices are this process's. */
  taken(wait: CarrierWait): Promise<void>;
  /** Waits until the old process has closed what this one could stumble over. */
  released(wait: CarrierWait): Promise<void>;
  /** The last word. Does not throw: the devices are this process's, whether the old one hears it or not. */
  done(report: Uint8Array): void;
  /** Ends a hand-over that is not committed, and tells the old process why. Does not throw; does nothing when it has ended. */
  fail(reason: string): void;
  /** Gives the carrier's own descriptors back. */
  close(): void;
}

function checkMethods(what: string, ...methods: readonly string[]): Check {
  return (name, value) => {
    checkObject(name, value);
    for (const method of methods) {
      if (typeof Reflect.get(Object(value), method) !== "function") throw argTypeError(name, what, value);
    }
  };
}

/** @throws TypeError */
export const checkOutgoing: Check = checkMethods(
  "an OutgoingCarrier (execInPlace(), socketToSuccessor())",
  "prepare",
  "transfer",
  "commit",
  "abort",
  "close",
);

/** @throws TypeError */
export const checkIncoming: Check = checkMethods(
  "an IncomingCarrier (incomingExec(), socketFromOldProcess())",
  "receive",
  "ready",
  "taken",
  "fail",
  "close",
);
