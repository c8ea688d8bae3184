/**
 * Why a device or a container cannot be changed for the time being: it is between two processes.
 *
 * @module
 */
import { invalidStateError } from "./errors.js";

/**
 * The kinds of change. A lock refuses its own kind and every kind before it.
 *
 * - `structure`: attach, close, map, unmap, reset, switch interrupts on and off.
 * - `signals`: mask and unmask a line, trigger an interrupt.
 * - `use`: everything else that the device or its owner would notice, such as a register write.
 */
const kinds = ["structure", "signals", "use"] as const;

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
export function refuseChange(lock: ChangeLock | undefined, object: string, change: ChangeKind): void {
  if (lock === undefined || kinds.indexOf(change) > kinds.indexOf(lock.refuses)) return;
  throw lockedError(lock, object);
}

/** What a change is refused with. */
export function lockedError({ why }: ChangeLock, object: string): Error {
  return invalidStateError(`${object} ${why}`);
}
