import type { Writable } from "node:stream";
/** How a program ended. */
export interface Outcome {
    /** Its exit code, or the name of the signal that ended it. */
    readonly status: number | NodeJS.Signals;
    /** All that it wrote, both streams in the order of arrival. */
    readonly output: string;
}
/** How a program is run. */
export interface RunOptions {
    readonly cwd?: string;
    readonly env?: NodeJS.ProcessEnv;
    /** Kills the program, and what it started. */
    readonly signal?: AbortSignal | undefined;
    /** Called with every whole line, as it comes. */
    readonly onLine?: (line: string) => void;
    /** Receives all that the program writes. */
    readonly log?: Writable | undefined;
}
/**
 * Run a program to its end and collect what it says. Its input is empty.
 *
 * @throws the system error, if it cannot be started; the signal's reason, if it was aborted
 */
export declare function runProgram(program: string, args: readonly string[], options?: RunOptions): Promise<Outcome>;
/**
 * A command line that ends with this process, however this process ends: `setpriv` of util-linux sees to it, where it
 * is installed.
 *
 * @returns the program to start, and its arguments
 */
export declare function withParent(program: string, args: readonly string[]): [string, readonly string[]];
