/**
 * `vfio completion`: scripts that complete the command's words in a shell, made from the commands' definitions.
 *
 * @module
 */
import { type Command } from "commander";
import { type Session } from "./command.js";
import { type Entry } from "./outline.js";
declare const shells: readonly ["bash", "zsh", "fish"];
type Shell = (typeof shells)[number];
/** The subcommand. */
export declare function completionCommand(session: Session): Command;
/** The script for a shell. */
export declare function completionScript(shell: Shell, entries: readonly Entry[]): string;
export {};
