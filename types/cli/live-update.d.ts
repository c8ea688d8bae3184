/**
 * `vfio live-update check`: whether devices could be handed over to another process while they run, and in which modes.
 *
 * @module
 */
import { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand, with its own. */
export declare function liveUpdateCommand(session: Session): Command;
