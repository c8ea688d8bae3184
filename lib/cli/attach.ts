/**
 * A device for the length of one command.
 *
 * The kernel resets a device when it is opened and when it is closed: what one command writes, the next one does not find.
 * That is why `write` can read, and `irq` can write.
 *
 * @module
 */
import { Option } from "commander";
import { messageOf } from "../base/errors.js";
import type { Container } from "../container/container.js";
import type { ContainerMode } from "../container/modes.js";
import type { Device } from "../device/device.js";
import type { Region } from "../device/region.js";
import { readMdevDevice, readPciDevice } from "../pci/index.js";
import { CommandError } from "./failure.js";

/** How a command opens its device. */
export interface AttachOptions {
  readonly mode?: ContainerMode;
}

// Written out, because the list that the library has comes with the native addon, which a mere --help need not load.
const modes: readonly ContainerMode[] = ["type1", "type1v2", "compat-type1", "compat-type1v2", "iommufd"];

/** `--mode` */
export function modeOption(): Option {
  return new Option(
    "--mode <mode>",
    "the container's mode; by default iommufd where the kernel has it, else type1v2",
  ).choices(modes);
}

/** A part of the library that is loaded when a command needs it. That it loads does not say that there is a native addon. */
export async function loaded<Module>(module: Promise<Module>): Promise<Module> {
  try {
    return await module;
  } catch (error) {
    const reason = messageOf(error);
    throw new CommandError(
      `the package cannot be loaded: ${reason}`,
      "install it again: npm install vfio; in a checkout: npm ci && npm run build",
    );
  }
}

/** Attaches a device while `use` works with it. The addon is loaded here: commands that only look do without it. */
export async function withDevice<T>(
  address: string,
  { mode }: AttachOptions,
  use: (device: Device, container: Container) => T | Promise<T>,
): Promise<T> {
  // Before all else, or a mistyped address would come out as whatever the container lacks.
  requireDevice(address);
  const { openContainer } = await loaded(import("../container/open.js"));
  using container: Container = openContainer(mode === undefined ? {} : { mode });
  return await use(container.attach(address), container);
}

/** @throws VfioError ENODEV */
export function requireDevice(address: string): void {
  if (address.length === 36) readMdevDevice(address);
  else readPciDevice(address);
}

/** A region by its name (`bar0`, `config`, ...) or index. */
export function findRegion(device: Device, name: string): Region {
  const found = device.regions.find((region) => region.name === name || String(region.index) === name);
  if (found !== undefined) return found;
  throw new CommandError(
    `${device.address} has no region ${name}`,
    `name one of ${device.regions.map((region) => region.name).join(", ")}`,
  );
}
