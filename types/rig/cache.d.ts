/**
 * Where built kernels are kept, under what name, and how two processes that want the same one do not build it twice.
 *
 * @module
 */
/** The rig's cache directory: `$XDG_CACHE_HOME/vfio/rig`, or the same under `~/.cache`. */
export declare function cacheDirectory(env?: Readonly<Record<string, string | undefined>>): string;
/** What a configuration is called in the cache: the start of its SHA-256, without comments and empty lines. */
export declare function configHash(config: string): string;
/** The key of a kernel in the cache: the version of its source package and its configuration's hash. */
export declare function kernelKey(sourceVersion: string, config: string): string;
/**
 * The kernel for a configuration that was built last, whatever its source's version, so that a run with a full cache asks
 * no mirror. To have a newer source, remove the older kernel.
 *
 * @returns its path, or undefined
 */
export declare function cachedKernel(directory: string, config: string): Promise<string | undefined>;
/**
 * Hold a lock while a function runs. Others that ask for it wait.
 *
 * The lock is a socket in the abstract namespace: the kernel releases it with the process, however it ends. It saves
 * work, nothing more; in another network namespace somebody else may hold it too.
 *
 * @param name the lock's name; at most 90 bytes
 * @param onWait called when the lock is somebody else's
 * @param signal ends the wait, with the signal's reason
 */
export declare function withLock<T>(name: string, onWait: () => void, run: () => Promise<T>, signal?: AbortSignal): Promise<T>;
