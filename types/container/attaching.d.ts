/**
 * What attaching a device has in common behind both doors: the device's name, and why somebody else's use is in the way.
 *
 * @module
 */
import type { Reason } from "../base/reasons.js";
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
export declare function explainBusy(device: string, fix: string): Explanation;
/**
 * Why the kernel does not let this process own the DMA of a device (EPERM). The kernel does not say which of its reasons
 * it is. Those that no protection has to be given up for come first, and only if all of them are excluded, the last one
 * is named.
 */
export declare function explainNotOwned(device: string, module: "iommufd" | "vfio_iommu_type1"): Explanation;
/**
 * Why a device was refused for its VF token: a virtual function asks for the token that its physical function's user has set, and a
 * physical function whose virtual functions are open asks for the one that they were opened with.
 */
export declare function explainVfToken(device: string, vfToken: string | undefined): Explanation;
/** Why the kernel gives no device of the machine to user space. */
export declare const noRemapping = "the IOMMU does not remap interrupts, so that a device could raise any interrupt of the machine";
/** How to do without interrupt remapping, for those who may. */
export declare function unsafeInterrupts(module: "iommufd" | "vfio_iommu_type1"): string;
/** Whether a device is a mediated one, whose name is a UUID. */
export declare function isMediated(address: string): boolean;
/** The kernel's name of a device in its group: a PCI address in full, or a mediated device's UUID. */
export declare function deviceName(address: string): string;
