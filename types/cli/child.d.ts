/**
 * Runs a program with this process' streams until it ends.
 *
 * @returns its exit code, or 128 and the signal's number
 * @throws CommandError if it cannot be started
 */
export declare function runInPlace([program, ...args]: readonly string[], env?: Readonly<Record<string, string | undefined>>): Promise<number>;
