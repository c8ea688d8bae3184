/**
 * A carrier takes a hand-over from the old process to its successor.
 *
 * The steps are the same for every carrier. A carrier without a conversation (an exec in place, a store that outlives the process)
 * has nothing to wait for in some of them.
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
import { type Check } from "../base/arguments.js";
import type { OwnedFd } from "../kernel/fd.js";
/** How a wait can end before its time. */
export interface CarrierWait {
    readonly signal: AbortSignal;
}
/** The part that goes to the successor while the devices still run here. */
export interface Parcel {
    /** The encoded manifest. */
    readonly manifest: Uint8Array;
    /** The descriptors that it names, by their indexes. Borrowed. */
    readonly descriptors: readonly number[];
}
/** A {@link Parcel} that arrived. */
export interface ReceivedParcel {
    readonly manifest: Uint8Array;
    /** Close-on-exec; they belong to the receiver. */
    readonly descriptors: readonly OwnedFd[];
}
/** The old process's side. Made for one hand-over. */
export interface OutgoingCarrier {
    /** For messages: `socket`, `exec`. */
    readonly name: string;
    /** The reasons why this carrier cannot be used now, each with a fix. Changes nothing. */
    blockers(): readonly {
        readonly why: string;
        readonly fix: string;
    }[];
    /** Brings manifest and descriptors to the successor; resolves when it is ready to take over. */
    prepare(parcel: Parcel, wait: CarrierWait): Promise<void>;
    /**
     * Between {@link prepare} and {@link transfer}, while the program stops and saves: rejects as soon as the successor gives up or
     * is gone. Left out by a carrier whose successor does not run yet.
     */
    ended?(wait: CarrierWait): Promise<never>;
    /** Everything is frozen: brings the last part; resolves when the successor has taken the memory over and waits for the commit. */
    transfer(late: Uint8Array, wait: CarrierWait): Promise<void>;
    /**
     * Commits. If it throws, nothing is committed, and the hand-over can be rolled back; when it returns, this process can only
     * close. (An exec does not return.)
     */
    commit(): void;
    /** Says that everything is closed here that would be in the successor's way. Does not throw. */
    released(): void;
    /** Waits for the successor's report, its last message. Rejects if the successor goes away before. */
    acknowledged(wait: CarrierWait): Promise<Uint8Array>;
    /** Ends a hand-over that is not committed, and gives the successor the reason. Does not throw; a second call does nothing. */
    abort(reason: string): void;
    /** Gives the carrier's own descriptors back. */
    close(): void;
}
/** The successor's side. Made for one hand-over. */
export interface IncomingCarrier {
    /** For messages: `socket`, `exec`. */
    readonly name: string;
    /** Waits for manifest and descriptors. Where it fails, it has closed every descriptor that came. */
    receive(wait: CarrierWait): Promise<ReceivedParcel>;
    /** Says that it is ready, and waits until everything is frozen: the last part. */
    ready(wait: CarrierWait): Promise<Uint8Array>;
    /** Says that the memory is taken over, and waits for the commit: when this resolves, the devices are this process's. */
    taken(wait: CarrierWait): Promise<void>;
    /** Waits until the old process has closed everything that would be in the way here. */
    released(wait: CarrierWait): Promise<void>;
    /** Sends the report. Does not throw: the devices are this process's, whether the report arrives or not. */
    done(report: Uint8Array): void;
    /** Ends a hand-over that is not committed, and gives the old process the reason. Does not throw; a second call does nothing. */
    fail(reason: string): void;
    /** Gives the carrier's own descriptors back. */
    close(): void;
}
/** @throws TypeError */
export declare const checkOutgoing: Check;
/** @throws TypeError */
export declare const checkIncoming: Check;
