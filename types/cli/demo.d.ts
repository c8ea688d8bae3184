import { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function demoCommand(session: Session): Command;
