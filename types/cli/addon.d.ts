import type { ProgressListener } from "../rig/progress.js";
/**
 * Builds the addon if it is not built yet, after installing what that takes where this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` that says what to install, or shows why the build failed
 */
export declare function ensureAddon(onProgress?: ProgressListener): Promise<void>;
