/**
 * A device for the length of one command.
 *
 * The kernel resets a device when it is opened and when it is closed: what one command writes, the next one does not find.
 * That is why `write` can read, and `irq` can write.
 *
 * @module
 */
import { Option } from "commander";
import type { Container } from "../container/container.js";
import type { ContainerMode } from "../container/modes.js";
import type { Device } from "../device/device.js";
import type { Region } from "../device/region.js";
/** How a command opens its device. */
export interface AttachOptions {
    readonly mode?: ContainerMode;
}
/** `--mode` */
export declare function modeOption(): Option;
/** A part of the library that is loaded when a command needs it. That it loads does not say that there is a native addon. */
export declare function loaded<Module>(module: Promise<Module>): Promise<Module>;
/** Attaches a device while `use` works with it. The addon is loaded here: commands that only look do without it. */
export declare function withDevice<T>(address: string, { mode }: AttachOptions, use: (device: Device, container: Container) => T | Promise<T>): Promise<T>;
/** @throws VfioError ENODEV */
export declare function requireDevice(address: string): void;
/** A region by its name (`bar0`, `config`, ...) or index. */
export declare function findRegion(device: Device, name: string): Region;
