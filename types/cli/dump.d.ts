import { type Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function dumpCommand(session: Session): Command;
