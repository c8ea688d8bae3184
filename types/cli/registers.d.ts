/**
 * `vfio read` and `vfio write`: a device's registers from the shell.
 *
 * @module
 */
import { type Command } from "commander";
import type { Device } from "../device/device.js";
import { type Session } from "./command.js";
/** A register and what to write to it. */
export interface Assignment {
    readonly offset: number;
    readonly value: bigint;
}
/** `0x60=1` */
export declare function parseAssignment(text: string): Assignment;
/** The subcommand `read`. */
export declare function readCommand(session: Session): Command;
/** The subcommand `write`. */
export declare function writeCommand(session: Session): Command;
/** Writes to `bar0:0x60=1` and the like, for commands that have to stir their device. */
export declare function writeAll(device: Device, writes: readonly {
    readonly region: string;
    readonly assignment: Assignment;
}[]): void;
