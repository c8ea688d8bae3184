import type { IommuKind } from "./machine.js";
import type { ProgressListener } from "./progress.js";
/** How QEMU is provided. */
export interface QemuOptions {
    /** The IOMMU that it shall emulate. Every QEMU that has the devices has `intel` and `virtio`. */
    readonly iommu?: IommuKind | undefined;
    /** A QEMU of the user's: a path, or a name in `PATH`. */
    readonly qemu?: string | undefined;
    /** Where apt's private state may live; {@link cacheDirectory} if left out. */
    readonly directory?: string | undefined;
    /** Told how it gets on. */
    readonly onProgress?: ProgressListener | undefined;
    /** Stops an installation. */
    readonly signal?: AbortSignal | undefined;
}
/**
 * The path of a QEMU that can be the rig's machine. If there is none, Debian's is installed, if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` if there is none and none can be installed
 */
export declare function ensureQemu(options?: QemuOptions): Promise<string>;
