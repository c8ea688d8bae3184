/** Registers with which tests make devices do something. */
import type { Device } from "vfio";

/** QEMU, docs/specs/edu.rst */
export const EDU = {
  status: 0x24,
  raise: 0x60,
  acknowledge: 0x64,
  source: 0x80,
  destination: 0x88,
  count: 0x90,
  command: 0x98,
} as const;

/** Intel's 82576 datasheet: "General Purpose Interrupt Enable", "Extended Interrupt Cause Set", "Mask Set", "Auto Clear" */
export const IGB = { general: 0x1514, cause: 0x1520, mask: 0x1524, autoClear: 0x152c } as const;
const MULTIPLE_MSIX = 1 << 4;

/** Lets an 82576 raise the first vectors of its MSI-X by {@link IGB}.cause. */
export function startIgb(device: Device, vectors: number): void {
  device.busMaster = true;
  const registers = device.region("bar0").registers();
  registers.write32(IGB.general, MULTIPLE_MSIX);
  for (const register of [IGB.mask, IGB.autoClear]) registers.write32(register, (1 << vectors) - 1);
}
