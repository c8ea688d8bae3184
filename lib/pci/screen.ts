/**
 * The graphics card that shows the kernel's console.
 *
 * @module
 */
import { join } from "node:path";
import { listNames, type Roots, readLinkName, readNumber, readText, realPath } from "../kernel/files.js";
import { isVfioDriver } from "./group.js";
import { isBelow } from "./places.js";
import type { DeviceUse } from "./use.js";

/** A console driver that has virtual terminals: `VGA+` (text mode), `frame buffer device`. */
interface Console {
  readonly path: string;
  readonly driver: string;
}

function activeConsoles(roots: Roots): Console[] {
  const classPath = join(roots.sysfs, "class/vtconsole");
  return listNames(classPath)
    .map((name) => join(classPath, name))
    .filter((path) => readNumber(join(path, "bind")) === 1)
    .map((path) => ({ path, driver: readText(join(path, "name")) ?? "" }));
}

/** The frame buffers, by number: the kernel's console is on the first one unless it was told otherwise. */
function frameBuffers(roots: Roots): string[] {
  const classPath = join(roots.sysfs, "class/graphics");
  return listNames(classPath)
    .filter((name) => /^fb[0-9]+$/.test(name))
    .sort((a, b) => Number(a.slice(2)) - Number(b.slice(2)))
    .flatMap((name) => realPath(join(classPath, name)) ?? []);
}

/** Whether a path in sysfs is that of a PCI device's own object, and not of a platform device of the firmware. */
function belongsToPci(path: string): boolean {
  return /\/pci[0-9a-f]{4,8}:/.test(path);
}

function showsFrameBuffer(devicePath: string, firmwares: boolean, roots: Roots): boolean {
  const [first, ...others] = frameBuffers(roots);
  if (first === undefined) return false;
  if (isBelow(first, devicePath)) return true;
  // The card that the firmware chose: the kernel prefers its frame buffer, and drives it by the firmware's until then.
  return firmwares && (!belongsToPci(first) || others.some((path) => isBelow(path, devicePath)));
}

/** The console that a graphics card shows; none if another card does, or a VFIO driver is bound to it. */
export function screenUses(devicePath: string, roots: Roots): DeviceUse[] {
  const driver = readLinkName(join(devicePath, "driver"));
  const isDisplay = (readNumber(join(devicePath, "class")) ?? 0) >> 16 === 0x03;
  // The text console stays with a card that VFIO has, and has nobody to show it to.
  if (!isDisplay || (driver !== undefined && isVfioDriver(driver))) return [];
  const firmwares = readNumber(join(devicePath, "boot_vga")) === 1;
  return activeConsoles(roots)
    .filter(({ driver: name }) =>
      /frame buffer/.test(name) ? showsFrameBuffer(devicePath, firmwares, roots) : firmwares && /VGA/.test(name),
    )
    .map(({ path, driver: name }) => ({
      kind: "console",
      name: "console",
      why: `it shows the kernel's console (${name.replace(/^\(\w+\) /, "")})`,
      fix: `choose another graphics card, or take the console away from this one: echo 0 > ${join(path, "bind")}`,
    }));
}
