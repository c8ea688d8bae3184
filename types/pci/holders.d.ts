import { type Roots } from "../kernel/files.js";
import type { DeviceUse } from "./use.js";
/**
 * The processes that have one of some devices open, as far as this one can see.
 *
 * @param devicePaths in sysfs, without links
 */
export declare function processUses(devicePaths: readonly string[], roots: Roots): DeviceUse[];
