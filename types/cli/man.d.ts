/**
 * `vfio man`: the manual page, made from the commands' definitions.
 *
 * @module
 */
import type { Command } from "commander";
import { type Session } from "./command.js";
import { type Entry } from "./outline.js";
/** The subcommand. */
export declare function manCommand(session: Session): Command;
/** What the exit codes mean, for the manual page; docs/command.md has the same table. */
export declare const exitStatus: readonly (readonly [code: string, meaning: string])[];
/** The page. */
export declare function manualPage(entries: readonly Entry[], version: string): string;
