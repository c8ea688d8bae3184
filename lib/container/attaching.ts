/**
 * What attaching a device has in common behind both doors: the device's name, and why somebody else's use is in the way.
 *
 * @module
 */
import type { Reason } from "../base/reasons.js";
import { groupHolders, whyUnseen } from "../pci/holders.js";
import { groupViability, pciAddress, readPciDevice } from "../pci/index.js";
import { interruptRemapping } from "../pci/remapping.js";

/** Why something was refused, and what to do about it. */
export interface Explanation {
  readonly why: string;
  readonly fix: string;
  readonly reason: Reason;
}

/**
 * Why a device, or its group, is busy: the processes that have it open, or why they cannot be seen.
 *
 * @param fix what to do about a process that has it open
 */
export function explainBusy(device: string, fix: string): Explanation {
  const holders = groupHolders(device);
  if (holders.length > 0) return { why: holders.join("; "), fix, reason: "busy" };
  const unseen = whyUnseen();
  if (unseen !== undefined) {
    return {
      why: `a process that cannot be seen from here has it, or its group, open: ${unseen}`,
      fix: `find the process as root on the host; ${fix}`,
      reason: "busy",
    };
  }
  return {
    why: "it, or its group, is open, and no process has a descriptor of it: a message on its way between two processes may hold it, or KVM",
    fix,
    reason: "busy",
  };
}

/**
 * Why the kernel does not let this process own the DMA of a device (EPERM). The kernel does not say which of its reasons
 * it is. Those that no protection has to be given up for come first, and only if all of them are excluded, the last one
 * is named.
 */
export function explainNotOwned(device: string, module: "iommufd" | "vfio_iommu_type1"): Explanation {
  const answer = groupViability(device);
  if (!answer.viable) {
    return {
      why: `its IOMMU group is not viable: ${answer.blockers.map(({ why }) => why).join("; ")}`,
      fix: answer.blockers.map(({ fix }) => fix).join("; "),
      reason: "group-not-viable",
    };
  }
  const fix = "an IOMMU group has one user: attach the device where the others of its group are, or close them first";
  if (groupHolders(device).length > 0 || interruptRemapping() !== undefined) return explainBusy(device, fix);
  const unseen = whyUnseen();
  if (unseen !== undefined) {
    return {
      why: `another process has a device of its IOMMU group open, and cannot be seen from here (${unseen}); or the IOMMU does not remap interrupts`,
      fix: `as root on the host, find out which: vfio doctor ${device}. ${fix}`,
      reason: "busy",
    };
  }
  return {
    why: noRemapping,
    fix: unsafeInterrupts(module),
    reason: "interrupts-not-remapped",
  };
}

/**
 * Why a device was refused for its VF token: a virtual function asks for the token that its physical function's user has set, and a
 * physical function whose virtual functions are open asks for the one that they were opened with.
 */
export function explainVfToken(device: string, vfToken: string | undefined): Explanation {
  const virtual = !isMediated(device) && readPciDevice(device).isVf;
  const wanted = virtual
    ? "the token that the user of its physical function has set"
    : "the token that its virtual functions, which are open, were opened with";
  const kind = virtual ? "a virtual function" : "a physical function";
  return {
    why: `it is ${kind}, which takes ${wanted}${vfToken === undefined ? "" : ", and this is another one"}`,
    fix: "pass that token as vfToken",
    reason: "wrong-vf-token",
  };
}

/** Why the kernel gives no device of the machine to user space. */
export const noRemapping =
  "the IOMMU does not remap interrupts, so that a device could raise any interrupt of the machine";

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
