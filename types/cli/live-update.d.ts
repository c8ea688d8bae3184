/**
 * `vfio live-update`: whether devices could be handed over to another process while they run, and in which modes; and how that
 * looks.
 *
 * @module
 */
import { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand, with its own. */
export declare function liveUpdateCommand(session: Session): Command;
