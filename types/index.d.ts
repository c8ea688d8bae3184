/**
 * `vfio`: user-space devices for Node.js.
 *
 * @module
 */
import "./inspection.js";
export { AddressSpace, type AddressSpaceListener, type Section, SectionError, type SectionInit, type Subscription, type UndoFailure, } from "./address-space.js";
export * from "./container/index.js";
export * from "./device/index.js";
export { type DirtyRange, dirtyRanges } from "./dirty-bitmap.js";
export { DmaBuffer, type DmaBufferOptions, type DmaMemory, type ForeignMemoryOptions } from "./dma-buffer.js";
export { DmaBlock, DmaPool, type DmaPoolOptions } from "./dma-pool.js";
export * from "./doctor/index.js";
export { errnoName, VfioError, type VfioErrorInit } from "./errors.js";
export { OwnedFd } from "./fd.js";
export { Ioas, type IoasMapOptions, type IoasRanges, Iommufd } from "./iommufd/iommufd.js";
export { type IovaAllocateOptions, IovaAllocator, type IovaAllocatorOptions, type IovaRange, type IovaStatistics, } from "./iova.js";
export * from "./kvm/index.js";
export * from "./live-update/index.js";
export type { Unsupported } from "./load-addon.js";
export { type LockedMemory, lockedMemory } from "./memlock.js";
export { type Support, support } from "./native.js";
export * from "./sysfs/index.js";
export * from "./trace/index.js";
