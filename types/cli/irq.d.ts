/**
 * `vfio irq`: what interrupts a device has, and watching them come.
 *
 * @module
 */
import { type Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function irqCommand(session: Session): Command;
