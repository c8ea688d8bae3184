/**
 * `vfio reset`: of a device alone, or of its slot or bus.
 *
 * @module
 */
import type { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function resetCommand(session: Session): Command;
