/**
 * What all subcommands have in common: their options, their help, and how they end.
 *
 * @module
 */
import { Argument, Command, Option } from "commander";
import { type HostPaths } from "../pci/index.js";
import { Output, type Terminal } from "./terminal.js";
/** One run of the program. */
export declare class Session {
    readonly terminal: Terminal;
    exitCode: number;
    constructor(terminal: Terminal);
    /** Ends quietly when the reader of the output has gone, as in `vfio list | head`. */
    endWithReader(): void;
}
/** The options that every command has. */
export interface CommonOptions {
    readonly json?: true;
    readonly verbose?: true;
}
/** Those of the commands that only look into the host's files. */
export interface HostOptions extends CommonOptions {
    readonly host?: string;
}
/** A root that was given by `--host`, as the library takes it. */
export declare function hostPaths({ host }: HostOptions): HostPaths & {
    readonly run?: string;
};
/** Words for commander: where it writes, how wide, and errors in one line; and its exits are ours. */
export declare function configure(session: Session, command: Command): Command;
/** {@link configure} for a command that has exit codes of its own. */
export declare function configureWords(session: Session, command: Command): Command;
/** A subcommand, with the options that every one has. */
export declare function subcommand(session: Session, name: string, description: string): Command;
/** `--host`, for commands that only look into files. */
export declare function hostOption(): Option;
/** What there is to know, below a command's help and its examples. */
export declare function remark(command: Command, text: string): Command;
/** Examples below a command's help, and in the manual page. */
export declare function examples(command: Command, lines: readonly (readonly [example: string, what: string])[]): Command;
/** For the manual page. */
export declare const remarkOf: WeakMap<Command, string>;
/** For the manual page. */
export declare const examplesOf: WeakMap<Command, readonly (readonly [example: string, what: string])[]>;
type Outcome = number | undefined;
/**
 * Runs a command's action: what it returns is the exit code, what it throws is said in one line.
 *
 * @param action gets the output, then what commander gives
 */
export declare function act<Args extends readonly unknown[]>(session: Session, action: (output: Output, ...args: Args) => Outcome | Promise<Outcome>): (...args: Args) => Promise<void>;
/** A PCI address in full. */
export declare function parseAddress(text: string): string;
/** A PCI address in full, or a mediated device's UUID. */
export declare function parseDevice(text: string): string;
/** `<address>`: a PCI device. */
export declare function addressArgument(form?: string): Argument;
/** `<address>` of a device that is opened. */
export declare function deviceArgument(): Argument;
/** Makes a parser of numbers in decimal or hexadecimal. */
export declare function parseNumber(least: number, most: number): (text: string) => number;
/** An offset in a region. */
export declare const parseOffset: (text: string) => number;
export {};
