import { type VfioErrorInit } from "../base/errors.js";
import type { RawInfo } from "../kernel/native.js";
/** What the kernel says of a device. */
export interface DeviceInfo {
    /** The `VFIO_DEVICE_FLAGS_*` as they are. */
    readonly flags: number;
    /** Whether `reset()` works. A mediated device may accept a reset without saying so here. */
    readonly canReset: boolean;
    /** Whether it is a PCI device, so that its regions and interrupts have the fixed indexes of PCI. */
    readonly isPci: boolean;
    /** How many regions there are, empty ones included. */
    readonly regionCount: number;
    /** How many kinds of interrupt (not: how many interrupts) there are, empty ones included. */
    readonly irqCount: number;
}
/**
 * Makes an info call whose answer carries a capability chain: again with more room, as long as the kernel says that its
 * answer needs more.
 *
 * @param ask makes the call with so many bytes of room
 * @returns the answer, or `-errno`
 * @throws VfioError EIO if no room is ever enough
 */
export declare function growingInfo<Info extends RawInfo>(size: number, ask: (argsz: number) => Info | number, about: Pick<VfioErrorInit, "syscall" | "request" | "object">): Info | number;
