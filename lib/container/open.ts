/**
 * Opening a container in a mode.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { checkOptions, knownOptions, oneOf } from "../base/arguments.js";
import { IommufdContainer } from "./iommufd.js";
import { LegacyContainer } from "./legacy.js";
import { type ContainerMode, containerModes, type LegacyMode } from "./modes.js";

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
export function openContainer(options?: ContainerOptions<"iommufd">): IommufdContainer;
export function openContainer(options: ContainerOptions<LegacyMode>): LegacyContainer;
export function openContainer(options?: ContainerOptions): IommufdContainer | LegacyContainer;
export function openContainer(options: ContainerOptions = {}): IommufdContainer | LegacyContainer {
  checkOptions("options", options, containerOptions);
  const { mode = defaultMode() } = options;
  return mode === "iommufd" ? IommufdContainer.open() : LegacyContainer.open(mode);
}

const containerOptions = knownOptions<ContainerOptions>({ mode: oneOf(containerModes) });

function defaultMode(): ContainerMode {
  // The class exists where the kernel was built with CONFIG_VFIO_DEVICE_CDEV; a device's group can always be used instead.
  return existsSync("/dev/iommu") && existsSync("/sys/class/vfio-dev") ? "iommufd" : "type1v2";
}
