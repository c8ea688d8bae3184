/**
 * The contents of PCI capabilities, in words: the fields that a person looks for first.
 *
 * @module
 */
import { checkObject } from "../base/arguments.js";
import type { ConfigReader, PciCapability } from "./pci-capabilities.js";

/** The fields of a capability by name; numbers where they count something. */
export type CapabilityFields = Readonly<Record<string, string | number | boolean>>;

// linux/pci_regs.h: PCI_EXP_FLAGS_TYPE
const expressTypes: ReadonlyMap<number, string> = new Map([
  [0, "endpoint"],
  [1, "legacy endpoint"],
  [4, "root port"],
  [5, "upstream port"],
  [6, "downstream port"],
  [7, "bridge to PCI"],
  [8, "bridge from PCI"],
  [9, "integrated endpoint"],
  [10, "event collector"],
]);

const gigatransfers = [undefined, 2.5, 5, 8, 16, 32, 64];

function link(register: number): string {
  const speed = gigatransfers[register & 0xf];
  const width = (register >>> 4) & 0x3f;
  return width === 0 ? "down" : `x${width} ${speed === undefined ? "?" : speed} GT/s`;
}

function bar(register: number): string {
  return `bar${register & 7}+0x${((register & ~7) >>> 0).toString(16)}`;
}

type Decoder = (config: ConfigReader, at: number) => CapabilityFields;

const conventional: Readonly<Record<string, Decoder>> = {
  pm: (config, at) => ({ state: `D${config.read16(at + 4) & 3}`, keepsState: (config.read16(at + 4) & 8) !== 0 }),
  msi: (config, at) => {
    const control = config.read16(at + 2);
    return {
      vectors: 1 << ((control >>> 1) & 7),
      enabled: (control & 1) !== 0,
      wide: (control & 0x80) !== 0,
      maskable: (control & 0x100) !== 0,
    };
  },
  msix: (config, at) => {
    const control = config.read16(at + 2);
    return {
      vectors: (control & 0x7ff) + 1,
      enabled: (control & 0x8000) !== 0,
      table: bar(config.read32(at + 4)),
      pending: bar(config.read32(at + 8)),
    };
  },
  express: (config, at) => {
    const flags = config.read16(at + 2);
    const abilities = config.read32(at + 4);
    return {
      type: expressTypes.get((flags >>> 4) & 0xf) ?? "?",
      functionReset: (abilities & 0x1000_0000) !== 0,
      maxPayload: 128 << (abilities & 7),
      link: link(config.read16(at + 0x12)),
      linkMost: link(config.read32(at + 0x0c) & 0xffff),
    };
  },
  "advanced-features": (config, at) => ({ functionReset: (config.read8(at + 3) & 2) !== 0 }),
  vendor: (config, at) => ({ length: config.read8(at + 2) }),
};

const extended: Readonly<Record<string, Decoder>> = {
  sriov: (config, at) => ({ totalVfs: config.read16(at + 0x0e), numVfs: config.read16(at + 0x10) }),
  "serial-number": (config, at) => ({
    serial: [config.read32(at + 8), config.read32(at + 4)].map((word) => word.toString(16).padStart(8, "0")).join("-"),
  }),
  ats: (config, at) => ({ enabled: (config.read16(at + 6) & 0x8000) !== 0 }),
  pasid: (config, at) => ({
    width: (config.read16(at + 4) >>> 8) & 0x1f,
    enabled: (config.read16(at + 6) & 1) !== 0,
  }),
};

/**
 * What a capability says: its main fields, or none where this package does not know it, or where it is cut off.
 *
 * @param config a device's config space
 */
export function decodeCapability(config: ConfigReader, capability: PciCapability): CapabilityFields {
  checkObject("config", config);
  checkObject("capability", capability);
  const decode = (capability.extended ? extended : conventional)[capability.name];
  // The longest of those that are decoded.
  if (decode === undefined || capability.offset + 0x14 > config.size) return {};
  return decode(config, capability.offset);
}
