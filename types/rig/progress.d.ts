/**
 * Telling a person how a long preparation gets on: a bar that is redrawn on a terminal, one plain line a step elsewhere.
 *
 * @module
 */
import type { Writable } from "node:stream";
/** A step of a preparation has begun, or has got further. */
export interface Progress {
    /** What is being done: `compiling the kernel`. */
    readonly step: string;
    /** How much is done, where it can be counted. */
    readonly done?: number;
    /** How much there is to do. It may be an estimate; `done` may reach it early. */
    readonly total?: number;
}
/** Receives the progress of a preparation; `undefined` when all is ready and something else may use the screen. */
export type ProgressListener = (progress: Progress | undefined) => void;
/** Where progress is shown. */
export interface ProgressStream extends Writable {
    readonly isTTY?: boolean;
    readonly columns?: number | undefined;
}
/**
 * Shows progress on a stream.
 *
 * On a terminal the current step is one line, redrawn in place; it stays, with the time it took, when the next begins.
 * Elsewhere a step is one line when it begins and one when it has ended; a step that is counted also has one every half minute.
 */
export declare class ProgressPrinter implements Disposable {
    #private;
    /**
     * @param stream stays the caller's
     * @param prefix stands before every line: `rig`
     */
    constructor(stream: ProgressStream, prefix: string);
    /** Show one more progress; give this to a function that takes a {@link ProgressListener}. */
    readonly listener: ProgressListener;
    /** End the current step's line. */
    [Symbol.dispose](): void;
}
