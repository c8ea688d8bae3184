/** Containers. @module */
export { type AttachOptions, Container, type ContainerLimits, type ContainerMode, containerModes, type MapOptions, type MapRequest, type UnmapResult, } from "./container.js";
export { IommufdContainer } from "./iommufd.js";
export { LegacyContainer, type LegacyMode } from "./legacy.js";
export { DmaMapping } from "./mapping.js";
export type { MemoryPart } from "./mirror.js";
export { type ContainerOptions, openContainer } from "./open.js";
