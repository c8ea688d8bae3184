/**
 * `vfio info`: everything about one device: from sysfs for every device, and from VFIO for one that it has.
 *
 * @module
 */
import type { Command } from "commander";
import { type Session } from "./command.js";
/** The subcommand. */
export declare function infoCommand(session: Session): Command;
/** Sixteen bytes a line, each with its offset. Lines of zeros that repeat are left out, as hexdump does. */
export declare function hexDump(bytes: Uint8Array, base?: number): string;
