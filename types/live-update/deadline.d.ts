/**
 * Runs a wait with a signal that aborts after a time, or with the program's own signal.
 *
 * @param what ends the sentence "nothing came within 10 s: ..."
 */
export declare function withDeadline<T>(what: string, milliseconds: number, signal: AbortSignal | undefined, wait: (wait: {
    readonly signal: AbortSignal;
}) => Promise<T>): Promise<T>;
