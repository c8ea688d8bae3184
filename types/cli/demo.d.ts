import { Command } from "commander";
import { type Session } from "./command.js";
/** Runs the demonstrations in a process of their own: a Ctrl-C is for them, and their guest has to be ended. */
export declare function demonstrate(...args: readonly string[]): Promise<number>;
/** The subcommand. */
export declare function demoCommand(session: Session): Command;
