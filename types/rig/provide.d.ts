import type { ProgressListener } from "./progress.js";
/** How something is provided. */
export interface ProvideOptions {
    /** Where kernels and apt's private state are kept; {@link cacheDirectory} if left out. */
    readonly directory?: string | undefined;
    /** Told how it gets on. */
    readonly onProgress?: ProgressListener | undefined;
    /** Stops it. */
    readonly signal?: AbortSignal | undefined;
}
/** Something that is not on this machine. */
export interface Missing {
    /** What, and what for. */
    readonly what: string;
    /** Debian's packages that have it. */
    readonly packages: readonly string[];
    /** The suite that they must come from, where the release's own will not do. */
    readonly suite?: string | undefined;
    /** What to do on another distribution. */
    readonly elsewhere: string;
}
/**
 * Install what is missing, if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING`, with the whole list and the commands, if it may not
 */
export declare function installMissing(missing: readonly Missing[], options: ProvideOptions): Promise<void>;
