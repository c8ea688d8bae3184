/**
 * What attaching a device has in common behind both doors: the device's name, and the words for what is in the way.
 *
 * @module
 */
import { findDeviceUses, pciAddress, readPciDevice } from "../sysfs/index.js";

/** A sentence for each process that has a PCI device, or its group, open; empty where none can be seen. */
export function holdersOf(device: string): string[] {
  // Mediated devices are not in the list of PCI devices, where uses are looked up.
  if (!/^[0-9a-f]{4,8}:[0-9a-f]{2}:/.test(device)) return [];
  return findDeviceUses(device)
    .filter(({ kind }) => kind === "process")
    .map(({ why }) => why);
}

/**
 * Why a device was refused for its VF token: a virtual function asks for the token that its physical function's user has set, and a
 * physical function whose virtual functions are open asks for the one that they were opened with.
 */
export function explainVfToken(device: string, vfToken: string | undefined): { why: string; fix: string } {
  const virtual = !isMediated(device) && readPciDevice(device).isVf;
  const wanted = virtual
    ? "the token that the user of its physical function has set"
    : "the token that its virtual functions, which are open, were opened with";
  const kind = virtual ? "a virtual function" : "a physical function";
  return {
    why: `it is ${kind}, which takes ${wanted}${vfToken === undefined ? "" : ", and this is another one"}`,
    fix: "pass that token as vfToken",
  };
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
