/**
 * Who has a device open, for an error that says "busy".
 *
 * @module
 */
import { findDeviceUses } from "../sysfs/index.js";

/** A sentence for each process that has a PCI device, or its group, open; empty where none can be seen. */
export function holdersOf(device: string): string[] {
  // Mediated devices are not in the list of PCI devices, where uses are looked up.
  if (!/^[0-9a-f]{4,8}:[0-9a-f]{2}:/.test(device)) return [];
  return findDeviceUses(device)
    .filter(({ kind }) => kind === "process")
    .map(({ why }) => why);
}
