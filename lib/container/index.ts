/** Containers. @module */

export { Container } from "./container.js";
export { IommufdContainer } from "./iommufd.js";
export { LegacyContainer } from "./legacy.js";
export { DmaMapping } from "./mapping.js";
export type { MemoryPart } from "./mirror.js";
export { type AnyContainerMode, type ContainerMode, containerModes, type LegacyMode } from "./modes.js";
export { type ContainerOptions, openContainer } from "./open.js";
export type { AttachOptions, ContainerLimits, MapOptions, MapRequest, UnmapResult } from "./options.js";
