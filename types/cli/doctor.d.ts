/**
 * `vfio doctor`: what stands between the user and a working device, line by line, with the way out.
 *
 * @module
 */
import type { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function doctorCommand(session: Session): Command;
