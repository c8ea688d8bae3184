/**
 * The kinds of change. A lock refuses its own kind and every kind before it.
 *
 * - `structure`: attach, close, map, unmap, reset, switch interrupts on and off.
 * - `signals`: mask and unmask a line, trigger an interrupt.
 * - `use`: everything else that the device or its owner would notice, such as a register write.
 */
declare const kinds: readonly ["structure", "signals", "use"];
/** A kind of change. */
export type ChangeKind = (typeof kinds)[number];
/** A lock: the kinds of change that it refuses, and the reason. */
export interface ChangeLock {
    /** Ends a sentence that begins with the object: `is being handed over to another process`. */
    readonly why: string;
    /** The last of the {@link ChangeKind}s that are refused. */
    readonly refuses: ChangeKind;
}
/**
 * Refuses a change that a lock forbids.
 *
 * @param object begins the message
 * @throws an error with `code` `ERR_INVALID_STATE`
 */
export declare function refuseChange(lock: ChangeLock | undefined, object: string, change: ChangeKind): void;
/** What a change is refused with. */
export declare function lockedError({ why }: ChangeLock, object: string): Error;
export {};
