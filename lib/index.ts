/**
 * `vfio`: containers, devices and memory, for user-space drivers in Node.js.
 *
 * @module
 */
export { errnoName, VfioError, type VfioErrorInit } from "./base/errors.js";
export type { Reason } from "./base/reasons.js";
export * from "./container/index.js";
export * from "./device/index.js";
export * from "./doctor/index.js";
export { Ioas, type IoasMapOptions, type IoasRanges, Iommufd } from "./iommufd/iommufd.js";
export { EventFd } from "./kernel/event-fd.js";
export { OwnedFd } from "./kernel/fd.js";
export type { Unsupported } from "./kernel/load-addon.js";
export { type LockedMemory, lockedMemory } from "./kernel/memlock.js";
export { type Support, support } from "./kernel/native.js";
export {
  AddressSpace,
  type AddressSpaceListener,
  type Section,
  SectionError,
  type SectionInit,
  type Subscription,
  type UndoFailure,
} from "./memory/address-space.js";
export { type DirtyRange, dirtyRanges } from "./memory/dirty-bitmap.js";
export { DmaBuffer, type DmaBufferOptions, type DmaMemory, type ForeignMemoryOptions } from "./memory/dma-buffer.js";
export { DmaBlock, DmaPool, type DmaPoolMapping, type DmaPoolOptions } from "./memory/dma-pool.js";
export {
  type IovaAllocateOptions,
  IovaAllocator,
  type IovaAllocatorOptions,
  type IovaRange,
  type IovaStatistics,
} from "./memory/iova.js";
export * from "./trace/index.js";
