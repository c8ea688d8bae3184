import { Command } from "commander";
import { RigError } from "../rig/errors.js";
/** The subcommand. */
export declare function rigCommand(): Command;
/**
 * Says what went wrong, in one line where the message is no list of commands; then, where a guest or a build has ended, what it
 * said last: it cannot be asked again.
 */
export declare function reportRigError(name: string, error: RigError, verbose?: boolean): void;
