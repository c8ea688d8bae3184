/**
 * What attaching a device has in common behind both doors: the device's name, and the words for what is in the way.
 *
 * @module
 */
import { findDeviceUses, pciAddress } from "../sysfs/index.js";

/** A sentence for each process that has a PCI device, or its group, open; empty where none can be seen. */
export function holdersOf(device: string): string[] {
  // Mediated devices are not in the list of PCI devices, where uses are looked up.
  if (!/^[0-9a-f]{4,8}:[0-9a-f]{2}:/.test(device)) return [];
  return findDeviceUses(device)
    .filter(({ kind }) => kind === "process")
    .map(({ why }) => why);
}

/** How to do without interrupt remapping, for those who may. */
export function unsafeInterrupts(module: "iommufd" | "vfio_iommu_type1"): string {
  return (
    "switch interrupt remapping on (firmware, kernel parameters); where the device is trusted: " +
    `echo Y > /sys/module/${module}/parameters/allow_unsafe_interrupts`
  );
}

/** Whether a device is a mediated one, whose name is a UUID. */
export function isMediated(address: string): boolean {
  return /^[0-9a-f]{8}-/i.test(address);
}

/** The kernel's name of a device in its group: a PCI address in full, or a mediated device's UUID. */
export function deviceName(address: string): string {
  return isMediated(address) ? address.toLowerCase() : pciAddress(address);
}
