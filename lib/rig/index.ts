/**
 * The rig: a guest with a real kernel, an emulated IOMMU and emulated devices, in which commands and tests run.
 *
 * {@link runInGuest} runs a command there; {@link ensureRig} only prepares what a guest needs, which takes minutes the first time.
 *
 * @module
 */
export { cacheDirectory } from "./cache.js";
export { RigError, type RigErrorCode } from "./errors.js";
export type { GuestResult } from "./guest.js";
export { guestEnvironment } from "./job.js";
export { type IommuKind, iommuKinds } from "./machine.js";
export { type Progress, type ProgressListener, ProgressPrinter, type ProgressStream } from "./progress.js";
export type { ProvideOptions } from "./provide.js";
export type { QemuOptions } from "./qemu.js";
export { type EnsureRigOptions, ensureRig, type RunInGuestOptions, type RunInGuestResult, runInGuest } from "./run.js";
