/**
 * `vfio dump`: a region's contents in a file.
 *
 * @module
 */
import { type Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function dumpCommand(session: Session): Command;
