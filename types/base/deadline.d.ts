/**
 * Runs a wait with a signal that aborts after a time, or with the program's own signal.
 *
 * @param what begins the sentence "... took longer than 60000 ms"
 * @param milliseconds `Infinity` for ever
 * @param fix what to do about a wait that took too long
 * @throws what the wait throws: the signal's reason, or VfioError `ETIMEDOUT`; RangeError for a time that a timer cannot take
 */
export declare function withDeadline<T>(what: string, milliseconds: number, signal: AbortSignal | undefined, wait: (wait: {
    readonly signal: AbortSignal;
}) => Promise<T>, fix?: string): Promise<T>;
