/**
 * `vfio rig`: a command of the user's in the rig's guest.
 *
 * @module
 */
import { Command } from "commander";
import { RigError } from "../rig/index.js";
/** The subcommand. */
export declare function rigCommand(): Command;
/** Say what went wrong, and show the console or log that belongs to it. A panic's message has its text already. */
export declare function reportRigError(error: RigError): void;
