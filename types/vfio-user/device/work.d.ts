/**
 * Called between the steps of a request: those that were not begun when the client goes are left out.
 *
 * @throws VfioError ECANCELED if the client is gone
 */
export declare function checkPresent(signal: AbortSignal | undefined): void;
/** The work of a device for one client. The end of the client waits for it. */
export declare class WorkUnderWay {
    #private;
    /** The names of what is not finished. */
    get names(): readonly string[];
    /** Counts a promise as work until it is settled, and returns it. */
    add<T>(name: string, work: Promise<T>): Promise<T>;
    /** Resolves when everything is settled, also what was added meanwhile. */
    over(): Promise<void>;
}
/**
 * Waits until a promise is settled, but no longer than a time.
 *
 * @returns whether it is settled
 */
export declare function settledWithin(work: Promise<unknown>, milliseconds: number): Promise<boolean>;
