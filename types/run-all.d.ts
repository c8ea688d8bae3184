/**
 * Steps of which every one is taken, whatever becomes of the others: closing, undoing.
 *
 * @module
 */
/** Runs every step, also after one that fails. Returns what they threw. */
export declare function failuresOf(steps: Iterable<() => void>): readonly unknown[];
/**
 * Runs every step, also after one that fails.
 *
 * @throws what failed: the error itself if it was one, an AggregateError if there were several
 */
export declare function runAll(what: string, steps: Iterable<() => void>): void;
