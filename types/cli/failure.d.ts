import { type Output } from "./terminal.js";
/** What the command's exit codes mean. docs/command.md and the manual page list them. */
export declare const exitCodes: {
    readonly done: 0;
    /** What was asked for was refused or failed; or the answer is no. */
    readonly failed: 1;
    /** Wrong arguments. */
    readonly usage: 2;
    readonly noDevice: 3;
    readonly permission: 4;
    readonly busy: 5;
    /** Ctrl-C: 128 + SIGINT. */
    readonly interrupted: 130;
};
/** A refusal in the command's own words. */
export declare class CommandError extends Error {
    readonly fix: string;
    readonly exitCode: number;
    constructor(message: string, fix: string, exitCode?: number);
}
/** A file of the user's that could not be opened for writing. */
export declare function cannotWrite(file: string, error: unknown): CommandError;
interface Failure {
    readonly message: string;
    readonly fix: string | undefined;
    readonly code: string | undefined;
    readonly exitCode: number;
}
/** What an error comes to. */
export declare function failureOf(error: unknown): Failure;
/** Says what went wrong: in one line, or in JSON. Returns the exit code. */
export declare function reportFailure(name: string, error: unknown, output: Output): number;
export {};
