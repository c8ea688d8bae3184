/**
 * What a virtual machine made: it goes before the machine's descriptor does.
 *
 * @module
 */
export interface VmPart {
    close(): void;
}
/**
 * Runs every step, also after one that fails.
 *
 * @throws what failed: the error itself if it was one, an AggregateError if there were several
 */
export declare function runAll(what: string, steps: Iterable<() => void>): void;
