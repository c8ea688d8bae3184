import type { OpenDevice } from "./open-device.js";
/** How the memory of a device becomes reachable. */
export declare const switchMemoryOn = "set bit 1 (memory) of its COMMAND register, and bring it to D0";
/**
 * Whether the memory space is switched off in the COMMAND register: the kernel then maps no BAR and refuses accesses to one. For
 * explanations: a device that cannot be asked is not known to be off.
 */
export declare function memorySpaceOff({ port }: OpenDevice): boolean;
