import type { ProgressListener } from "./progress.js";
/** How a kernel is provided. */
export interface KernelOptions {
    /** Where kernels are kept; {@link cacheDirectory} if left out. */
    readonly directory?: string | undefined;
    /** Told how it gets on. */
    readonly onProgress?: ProgressListener | undefined;
    /** Stops a build. */
    readonly signal?: AbortSignal | undefined;
}
/** The rig's kernel configuration: what differs from `tinyconfig`. */
export declare function kernelConfig(): Promise<string>;
/**
 * The path of the guest's kernel. It is built if the cache has none, which takes minutes and, the first time, installs
 * Debian packages if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` if something is not there and cannot be installed; `ERR_RIG_KERNEL` if the build fails
 */
export declare function ensureKernel(options?: KernelOptions): Promise<string>;
/**
 * Check that a file is a kernel that QEMU can boot.
 *
 * @throws RigError `ERR_RIG_KERNEL` if it is not
 */
export declare function checkKernel(path: string): Promise<void>;
