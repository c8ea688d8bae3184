/**
 * The commands as data, for what is made from their definitions: completions and the manual page.
 *
 * @module
 */
import type { Argument, Command, Option } from "commander";
/** A command and its path: `["live-update", "check"]`; empty for the program itself. */
export interface Entry {
    readonly path: readonly string[];
    readonly command: Command;
    readonly children: readonly Entry[];
    readonly options: readonly Option[];
    readonly arguments: readonly Argument[];
}
/** All commands below one, itself first. */
export declare function outline(command: Command, path?: readonly string[]): readonly Entry[];
/** What a word of the command line is, for completion. */
export type WordKind = {
    readonly choices: readonly string[];
} | "device" | "file" | "anything";
/** What an argument or an option's value is. */
export declare function wordKind({ name, choices, }: {
    readonly name: string;
    readonly choices: readonly string[] | undefined;
}): WordKind;
/** The name of an option's value: `file` of `--pci-ids <file>`. */
export declare function valueName(option: Option): string | undefined;
