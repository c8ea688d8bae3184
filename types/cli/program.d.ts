/**
 * The program: all subcommands, in the order in which one needs them.
 *
 * @module
 */
import { Command } from "commander";
import { Session } from "./command.js";
import type { Terminal } from "./terminal.js";
/** The program with its subcommands. */
export declare function createProgram(session: Session): Command;
/**
 * Runs the command.
 *
 * @param args without the program's name
 * @returns the exit code
 */
export declare function run(args: readonly string[], terminal: Terminal): Promise<number>;
