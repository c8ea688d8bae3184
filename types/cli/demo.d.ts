/**
 * `vfio demo`: three devices driven from TypeScript, in the rig. It is what `npm start` runs in a checkout.
 *
 * @module
 */
import { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function demoCommand(session: Session): Command;
