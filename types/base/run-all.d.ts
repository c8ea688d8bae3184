/**
 * Steps of which every one is taken, whatever becomes of the others: closing, undoing.
 *
 * @module
 */
/** Runs every step, also after one that fails. Returns what they threw. */
export declare function failuresOf(steps: Iterable<() => void>): readonly unknown[];
/** A step with a name, which may take its time. */
export type NamedStep = readonly [what: string, step: () => unknown];
/** Runs every step, one after the other, also after one that fails. Returns what failed, and at which step. */
export declare function failuresOfEach(steps: Iterable<NamedStep>): Promise<readonly {
    readonly what: string;
    readonly error: unknown;
}[]>;
/**
 * Runs every step, also after one that fails.
 *
 * @throws what failed: the error itself if it was one, an AggregateError if there were several
 */
export declare function runAll(what: string, steps: Iterable<() => void>): void;
