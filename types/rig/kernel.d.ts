import { type Missing, type ProvideOptions } from "./provide.js";
/** The rig's kernel configuration: what differs from `tinyconfig`. */
export declare function kernelConfig(): Promise<string>;
/**
 * The path of the guest's kernel. It is built if the cache has none, which takes minutes and, the first time, installs
 * Debian packages if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` if something is not there and cannot be installed; `ERR_RIG_KERNEL` if the build fails
 */
export declare function ensureKernel(options?: ProvideOptions): Promise<string>;
/**
 * Check that a file is a kernel that QEMU can boot.
 *
 * @throws RigError `ERR_RIG_KERNEL` if it is not
 */
export declare function checkKernel(path: string): Promise<void>;
/** What is missing to build the kernel; undefined if nothing, or if the cache has it. */
export declare function missingKernel(options?: ProvideOptions): Promise<Missing | undefined>;
/** What {@link ensureKernel} would do, a clause for each step; empty if the cache has the kernel. */
export declare function kernelPreparation(options?: ProvideOptions): Promise<readonly string[]>;
