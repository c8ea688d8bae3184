import { type Output } from "./terminal.js";
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
