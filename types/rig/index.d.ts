/**
 * The rig: a real kernel, an emulated IOMMU and emulated devices, in which commands and tests run.
 *
 * @module
 */
export { cacheDirectory } from "./cache.js";
export * from "./errors.js";
export * from "./guest.js";
export * from "./job.js";
export * from "./kernel.js";
export * from "./machine.js";
export * from "./progress.js";
export type { Missing, ProvideOptions } from "./provide.js";
export * from "./qemu.js";
export * from "./run.js";
