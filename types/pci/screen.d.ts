import { type Roots } from "../kernel/files.js";
import type { DeviceUse } from "./use.js";
/** The console that a graphics card shows; none if another card does, or a VFIO driver is bound to it. */
export declare function screenUses(devicePath: string, roots: Roots): DeviceUse[];
