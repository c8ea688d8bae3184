import { type Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function traceCommand(session: Session): Command;
