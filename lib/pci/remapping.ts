/**
 * Whether the machine tells the interrupts of devices apart.
 *
 * @module
 */
import { join } from "node:path";
import { type HostPaths, readText, rootsOf } from "../kernel/files.js";

/**
 * Which hardware remaps interrupts: `IOMMU`, or `ITS` (Arm's interrupt controller tells devices apart by itself).
 * Undefined where no sign of it can be seen, which is no proof that it is off.
 *
 * @internal
 */
export function interruptRemapping(paths?: HostPaths): "IOMMU" | "ITS" | undefined {
  const interrupts = readText(join(rootsOf(paths).proc, "interrupts")) ?? "";
  // The x86 kernel names its interrupt controllers so where remapping stands between: IR-IO-APIC, IR-PCI-MSIX-0000:...
  if (/\sIR-/.test(interrupts)) return "IOMMU";
  return /\sITS-|GICv[34]/.test(interrupts) ? "ITS" : undefined;
}
