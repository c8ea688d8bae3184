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
/** The page. */
export declare function manualPage(entries: readonly Entry[], version: string): string;
