/** Containers. @module */

export type { Blocker } from "../base/preserve.js";
export { UserContainer, type UserContainerEvents, type UserContainerOptions } from "../vfio-user/client/container.js";
export {
  type AnyContainerMode,
  type AttachOptions,
  Container,
  type ContainerLimits,
  type ContainerMode,
  containerModes,
  type LegacyMode,
  type MapOptions,
  type MapRequest,
  type UnmapResult,
} from "./container.js";
export { IommufdContainer } from "./iommufd.js";
export { LegacyContainer } from "./legacy.js";
export { DmaMapping } from "./mapping.js";
export type { MemoryPart } from "./mirror.js";
export { type ContainerOptions, openContainer } from "./open.js";
