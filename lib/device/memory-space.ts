/**
 * Whether a PCI device answers at the addresses of its memory BARs.
 *
 * @module
 */
import { VFIO_PCI_CONFIG_REGION_INDEX } from "../kernel/uapi.js";
import type { OpenDevice } from "./open-device.js";

// linux/vfio.h: sizeof(struct vfio_region_info).
const INFO_SIZE = 32;
// linux/pci_regs.h: PCI_COMMAND, and its bit "memory space".
const COMMAND = 0x04;
const COMMAND_MEMORY = 0x2;

/** How the memory of a device becomes reachable. */
export const switchMemoryOn = "set bit 1 (memory) of its COMMAND register, and bring it to D0";

/**
 * Whether the memory space is switched off in the COMMAND register: the kernel then maps no BAR and refuses accesses to one. For
 * explanations: a device that cannot be asked is not known to be off.
 */
export function memorySpaceOff({ port }: OpenDevice): boolean {
  const info = port.getRegionInfo(VFIO_PCI_CONFIG_REGION_INDEX, INFO_SIZE);
  if (typeof info === "number") return false;
  const config = { index: VFIO_PCI_CONFIG_REGION_INDEX, fileOffset: info.offset };
  const bytes = new Uint8Array(2);
  return port.read(config, COMMAND, bytes) === bytes.length && ((bytes[0] ?? 0) & COMMAND_MEMORY) === 0;
}
