/**
 * `vfio bind` and `vfio unbind`: giving devices to user space, and back.
 *
 * @module
 */
import type { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand `bind`. */
export declare function bindCommand(session: Session): Command;
/** The subcommand `unbind`. */
export declare function unbindCommand(session: Session): Command;
