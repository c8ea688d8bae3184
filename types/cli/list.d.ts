/**
 * `vfio list`: the PCI devices, and what matters of each to who wants to drive it.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { type PciDevice, PciNames } from "../pci/index.js";
import { type Session } from "./command.js";
export declare const pciIdsOption: () => Option;
/** The subcommand. */
export declare function listCommand(session: Session): Command;
/** A device as `--json` shows it, in `list` and in `info`. */
export declare function deviceJson(device: PciDevice, names: PciNames, siblings: readonly string[]): Record<string, unknown>;
/** The name of a device, as far as one is known. */
export declare function nameOfDevice({ vendorId, deviceId }: PciDevice, names: PciNames): string;
/** Reads the list of names that the options say. */
export declare function readNames(path: string | undefined): PciNames;
