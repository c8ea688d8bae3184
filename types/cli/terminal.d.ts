/**
 * What a command prints: words on a terminal as wide as it is, or JSON for programs.
 *
 * @module
 */
import type { Writable } from "node:stream";
import pc from "picocolors";
/** A stream that may be a terminal. */
export interface TerminalStream extends Writable {
    readonly isTTY?: boolean;
    readonly columns?: number | undefined;
}
/** The streams and the environment of a command. */
export interface Terminal {
    readonly stdout: TerminalStream;
    readonly stderr: TerminalStream;
    readonly env: Readonly<Record<string, string | undefined>>;
}
/** Colours as functions. */
export type Colors = ReturnType<typeof pc.createColors>;
/** The version of what `--json` prints. It grows when a field goes away or changes its meaning. */
export declare const schemaVersion = 1;
/** Colour only on a terminal, unless the environment says otherwise (no-color.org, force-color.org). */
export declare function wantsColor(stream: TerminalStream, { env }: Pick<Terminal, "env">): boolean;
/** How wide a stream's lines may be: a terminal's columns, what COLUMNS says, or any length into a file or a pipe. */
export declare function widthOf(stream: TerminalStream, { env }: Pick<Terminal, "env">): number;
/** Breaks a text into lines between its words, as a terminal does not. Colours take no place. */
export declare function wrap(text: string, width: number): string;
/** {@link wrap} for advice. A command in it stays in one line, whatever its length: a reader would copy a line break, too. */
export declare function wrapAdvice(text: string, width: number): string;
/** A sentence on a stream: wrapped on a terminal, one line for whoever reads it by lines. What has lines keeps them. */
export declare function sentence({ isTTY, columns }: TerminalStream, text: string): string;
/** What one command prints with. */
export declare class Output {
    readonly terminal: Terminal;
    /** Whether a program reads. */
    readonly json: boolean;
    readonly verbose: boolean;
    /** Colours of standard output. */
    readonly colors: Colors;
    readonly width: number;
    constructor(terminal: Terminal, options?: {
        readonly json?: boolean;
        readonly verbose?: boolean;
    });
    /** Lines for people; nothing with `--json`. */
    print(text: string): void;
    /** One object for programs; nothing without `--json`. */
    printJson(value: Readonly<Record<string, unknown>>): void;
    /** A line beside the result: what happens meanwhile, a warning. */
    note(text: string): void;
}
