import type { ProgressListener } from "../rig/progress.js";
/** How the addon is provided. */
interface EnsureAddonOptions {
    /** Install a compiler, make and Python where they are missing and this process may. */
    readonly install: boolean;
    readonly onProgress: ProgressListener;
}
/**
 * Builds a checkout's addon if it is not built yet.
 *
 * @throws RigError `ERR_RIG_MISSING` that says what to do or to install, or shows why the build failed
 */
export declare function ensureAddon({ install, onProgress }: EnsureAddonOptions): Promise<void>;
export {};
