/**
 * Names of vendors, devices and classes, from the list that most systems carry (`pci.ids`, of the package hwdata or
 * pciutils).
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { checkInteger, checkString } from "../base/arguments.js";

// Where Debian, Fedora, Arch, NixOS and older systems keep it. pciutils can have it compressed.
const places = [
  "/usr/share/misc/pci.ids",
  "/usr/share/hwdata/pci.ids",
  "/usr/share/pci.ids",
  "/usr/share/misc/pci.ids.gz",
];

/**
 * Classes by their first two bytes, for systems without the list: those that somebody gives to user space, or that stand
 * beside them. (PCI Code and ID Assignment, `linux/pci_ids.h`.)
 */
const commonClasses: ReadonlyMap<number, string> = new Map([
  [0x0101, "IDE interface"],
  [0x0104, "RAID bus controller"],
  [0x0106, "SATA controller"],
  [0x0107, "Serial Attached SCSI controller"],
  [0x0108, "Non-Volatile memory controller"],
  [0x0200, "Ethernet controller"],
  [0x0207, "Infiniband controller"],
  [0x0280, "Network controller"],
  [0x0300, "VGA compatible controller"],
  [0x0302, "3D controller"],
  [0x0403, "Audio device"],
  [0x0500, "RAM memory"],
  [0x0600, "Host bridge"],
  [0x0601, "ISA bridge"],
  [0x0604, "PCI bridge"],
  [0x0700, "Serial controller"],
  [0x0c03, "USB controller"],
  [0x0c05, "SMBus"],
]);

const baseClasses: ReadonlyMap<number, string> = new Map([
  [0x00, "Unclassified device"],
  [0x01, "Mass storage controller"],
  [0x02, "Network controller"],
  [0x03, "Display controller"],
  [0x04, "Multimedia controller"],
  [0x05, "Memory controller"],
  [0x06, "Bridge"],
  [0x07, "Communication controller"],
  [0x08, "Generic system peripheral"],
  [0x09, "Input device controller"],
  [0x0a, "Docking station"],
  [0x0b, "Processor"],
  [0x0c, "Serial bus controller"],
  [0x0d, "Wireless controller"],
  [0x0e, "Intelligent controller"],
  [0x0f, "Satellite communications controller"],
  [0x10, "Encryption controller"],
  [0x11, "Signal processing controller"],
  [0x12, "Processing accelerator"],
  [0x13, "Non-Essential Instrumentation"],
  [0x40, "Coprocessor"],
  [0xff, "Unassigned class"],
]);

/** Names of PCI's numbers. What has no name is undefined, except classes, whose base class always has one. */
export class PciNames {
  readonly #vendors = new Map<number, string>();
  readonly #devices = new Map<number, string>();
  readonly #classes = new Map<number, string>();

  /** @param text a `pci.ids`; empty for a system without one */
  constructor(text: string) {
    checkString("text", text);
    let vendor: number | undefined;
    let baseClass: number | undefined;
    for (const line of text.split("\n")) {
      const [, tabs = "", letter, id, name] = /^(\t{0,2})(C )?([0-9a-f]{2,4}) {2}(.*)$/.exec(line) ?? [];
      if (id === undefined || name === undefined) continue;
      const number = Number.parseInt(id, 16);
      if (tabs === "") {
        vendor = letter === undefined ? number : undefined;
        baseClass = letter === undefined ? undefined : number;
        if (vendor !== undefined) this.#vendors.set(vendor, name);
      } else if (tabs === "\t" && vendor !== undefined) {
        this.#devices.set(vendor * 0x1_0000 + number, name);
      } else if (tabs === "\t" && baseClass !== undefined) {
        this.#classes.set(baseClass * 0x100 + number, name);
      }
    }
  }

  /**
   * Reads the system's list.
   *
   * @param path of a list of one's own
   * @returns without names if the system has no list
   * @throws Node's own error if the file that was named cannot be read
   */
  static read(path?: string): PciNames {
    if (path !== undefined) checkString("path", path);
    if (path !== undefined) return new PciNames(readList(path));
    for (const place of places) {
      try {
        return new PciNames(readList(place));
      } catch {
        // The next place, then.
      }
    }
    return new PciNames("");
  }

  /** A vendor's name, if the list has it. */
  vendor(vendorId: number): string | undefined {
    checkInteger("vendorId", vendorId, 0, 0xffff);
    return this.#vendors.get(vendorId);
  }

  /** A device's name, if the list has it. */
  device(vendorId: number, deviceId: number): string | undefined {
    checkInteger("vendorId", vendorId, 0, 0xffff);
    checkInteger("deviceId", deviceId, 0, 0xffff);
    return this.#devices.get(vendorId * 0x1_0000 + deviceId);
  }

  /**
   * The most exact name that is known for a class of devices.
   *
   * @param classCode 24 bits, as in {@link PciDevice.classCode}
   */
  class(classCode: number): string {
    checkInteger("classCode", classCode, 0, 0xff_ffff);
    const kind = classCode >> 8;
    return this.#classes.get(kind) ?? commonClasses.get(kind) ?? this.baseClass(classCode);
  }

  /**
   * The name of the base class, which several classes share: "Network controller" for Ethernet and InfiniBand.
   *
   * @param classCode 24 bits, as in {@link PciDevice.classCode}
   */
  baseClass(classCode: number): string {
    return baseClasses.get(classCode >> 16) ?? "Unknown class";
  }
}

function readList(path: string): string {
  const bytes = readFileSync(path);
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
}
