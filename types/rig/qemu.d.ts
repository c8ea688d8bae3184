import type { IommuKind } from "./machine.js";
import { type Missing, type ProvideOptions } from "./provide.js";
/** How QEMU is provided. */
export interface QemuOptions extends ProvideOptions {
    /** A QEMU of the user's: a path, or a name in `PATH`. */
    readonly qemu?: string | undefined;
    /** The IOMMU that it shall emulate. Every QEMU that has the devices has `intel` and `virtio`. */
    readonly iommu?: IommuKind | undefined;
}
/**
 * Refuse a host whose programs cannot run in the guest.
 *
 * @throws RigError `ERR_RIG_MISSING` if it is one
 */
export declare function checkHost(): void;
/** What is missing for want of a QEMU that can be the rig's machine; undefined if one is there, or if the user names one. */
export declare function missingQemu(options?: QemuOptions): Promise<Missing | undefined>;
/**
 * The path of a QEMU that can be the rig's machine. If there is none, Debian's is installed, if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` if there is none and none can be installed
 */
export declare function ensureQemu(options?: QemuOptions): Promise<string>;
