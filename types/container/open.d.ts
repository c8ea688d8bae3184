/**
 * Opening a container in a mode.
 *
 * @module
 */
import { IommufdContainer } from "./iommufd.js";
import { LegacyContainer } from "./legacy.js";
import { type ContainerMode, type LegacyMode } from "./modes.js";
/** How a container is opened. */
export interface ContainerOptions<Mode extends ContainerMode = ContainerMode> {
    /** Default: `iommufd` where the kernel has it with device nodes, else `type1v2`. */
    readonly mode?: Mode;
}
/**
 * Opens an empty container. Devices are attached to it, then memory is mapped in it.
 *
 * These are the kernel's. A device that another process emulates is behind a `UserContainer` of `vfio/user`.
 *
 * @param options.mode one of the kernel's modes
 * @throws VfioError where the kernel does not have the mode, or the process may not use it
 */
export declare function openContainer(options?: ContainerOptions<"iommufd">): IommufdContainer;
export declare function openContainer(options: ContainerOptions<LegacyMode>): LegacyContainer;
export declare function openContainer(options?: ContainerOptions): IommufdContainer | LegacyContainer;
