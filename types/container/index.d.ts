/** Containers. @module */
export { type AnyContainerMode, type AttachOptions, Container, type ContainerLimits, type ContainerMode, containerModes, type LegacyMode, type MapOptions, type MapRequest, type UnmapResult, } from "./container.js";
export { IommufdContainer } from "./iommufd.js";
export { LegacyContainer } from "./legacy.js";
export { DmaMapping } from "./mapping.js";
export type { MemoryPart } from "./mirror.js";
export { type ContainerOptions, openContainer } from "./open.js";
