/**
 * The old process's side of a live update.
 *
 * ```text
 *  prepare     manifest and descriptors travel; the devices and the program go on, and nothing is mapped or attached meanwhile
 *  stop        the program stops using the devices
 *  freeze      irqfds are deassigned and readers removed: interrupts are counted in their eventfds, which travel
 *  save        the program's own state
 *  invalidate  legacy containers: the kernel forgets where the memory is in this process
 *  transfer    the rest travels; the successor takes the memory over
 *  commit      the devices are the successor's: from here on this process only closes
 * ```
 *
 * A failure before the commit is rolled back, and this process goes on.
 *
 * @module
 */
import { VfioError } from "../base/errors.js";
import type { Blocker } from "../base/preserve.js";
import type { OutgoingCarrier } from "./carrier.js";
import { type LiveUpdateOptions } from "./plan.js";
import { type LiveUpdateReport } from "./timeline.js";
/** How long each wait may take, in milliseconds; `Infinity` for ever. */
export interface HandOverTimeouts {
    /** Until the successor is ready. Default 60,000. */
    readonly prepare?: number;
    /** Until it has taken the memory over; the devices' interrupts are held back meanwhile. Default 10,000. */
    readonly transfer?: number;
    /** After the commit, until the successor has sent its report. Default 10,000. */
    readonly acknowledge?: number;
}
/** How a hand-over is made. */
export interface HandOverOptions {
    /** Ends it at once, and rolls it back, as long as nothing is committed: also while the program's `stop` or `save` runs. */
    readonly signal?: AbortSignal;
    readonly timeouts?: HandOverTimeouts;
}
/** A hand-over that cannot be made now. Nothing was changed. */
export declare class LiveUpdateBlockedError extends VfioError {
    readonly blockers: readonly Blocker[];
}
/**
 * Hands devices over to a successor while they run: no reset, no unmap, no interrupt lost. One object makes one hand-over; after
 * one that failed it can be tried again.
 *
 * ```ts
 * const update = new LiveUpdate({ containers: { main: container }, memory: { ring }, save: () => driver.state() });
 * await update.handOver(carrier);
 * ```
 *
 * When it is done, everything of the plan (containers, devices, machines, memory) is closed here, and the devices work for the
 * successor, which has called {@link receiveLiveUpdate}.
 */
export declare class LiveUpdate {
    #private;
    /** @throws RangeError if an object stands under two names */
    constructor(options: LiveUpdateOptions);
    /**
     * The reasons why it cannot be handed over now, each with a fix; empty if there are none. Changes nothing.
     *
     * @param carrier asked too, if given
     */
    blockers(carrier?: OutgoingCarrier): readonly Blocker[];
    /**
     * Hands over.
     *
     * @param carrier used up: closed at the end, whatever comes
     * @returns what it took, when the successor works. (A carrier that replaces this process does not return.)
     * @throws {@link LiveUpdateBlockedError}; what the carrier or the kernel refused, the signal's reason or `ETIMEDOUT`, after
     *   everything was undone; an AggregateError if it could not be undone entirely (its first error is what failed). If `committed`
     *   is true afterwards, the hand-over was committed and the successor went away: everything is closed here, and the devices have
     *   no user.
     */
    handOver(carrier: OutgoingCarrier, options?: HandOverOptions): Promise<LiveUpdateReport>;
    /** Whether it is committed: everything of the plan is closed here, and belongs to the successor. */
    get committed(): boolean;
}
