/**
 * The two lists of capabilities in PCI config space: the conventional one in the first 256 bytes, and the extended one of
 * PCI Express behind them.
 *
 * Both are linked lists made by a device, and a device may be broken or hostile: a walk visits no offset twice and says
 * so when a list leads back.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";

/** Names of conventional capabilities, by their number (PCI Code and ID Assignment, `linux/pci_regs.h`). */
export const pciCapabilityIds = {
  pm: 0x01,
  agp: 0x02,
  vpd: 0x03,
  "slot-id": 0x04,
  msi: 0x05,
  "compact-hotswap": 0x06,
  "pci-x": 0x07,
  hypertransport: 0x08,
  vendor: 0x09,
  "debug-port": 0x0a,
  "compact-pci": 0x0b,
  "hotplug-controller": 0x0c,
  "subsystem-ids": 0x0d,
  agp3: 0x0e,
  "secure-device": 0x0f,
  express: 0x10,
  msix: 0x11,
  sata: 0x12,
  "advanced-features": 0x13,
  "enhanced-allocation": 0x14,
} as const;

/** Names of PCI Express extended capabilities, by their number. */
export const pciExtendedCapabilityIds = {
  aer: 0x01,
  vc: 0x02,
  "serial-number": 0x03,
  "power-budgeting": 0x04,
  rcrb: 0x0a,
  vendor: 0x0b,
  acs: 0x0d,
  ari: 0x0e,
  ats: 0x0f,
  sriov: 0x10,
  mriov: 0x11,
  multicast: 0x12,
  pri: 0x13,
  "resizable-bar": 0x15,
  "dynamic-power-allocation": 0x16,
  "tph-requester": 0x17,
  ltr: 0x18,
  "secondary-express": 0x19,
  pasid: 0x1b,
  dpc: 0x1d,
  "l1-substates": 0x1e,
  ptm: 0x1f,
  "designated-vendor": 0x23,
  "vf-resizable-bar": 0x24,
  "data-link-feature": 0x25,
  "physical-layer-16gt": 0x26,
  "lane-margining": 0x27,
  "native-enclosure": 0x29,
  "physical-layer-32gt": 0x2a,
  doe: 0x2e,
  ide: 0x30,
  "physical-layer-64gt": 0x31,
} as const;

/** The name of a conventional capability. */
export type PciCapabilityName = keyof typeof pciCapabilityIds;

/** The name of an extended capability. */
export type PciExtendedCapabilityName = keyof typeof pciExtendedCapabilityIds;

/** A capability in config space. */
export interface PciCapability {
  readonly id: number;
  /** Its name, or `capability 0x..` if it has none here. */
  readonly name: string;
  /** Where it begins in config space. */
  readonly offset: number;
  /** Whether it is one of PCI Express's extended capabilities, whose numbers are their own. */
  readonly extended: boolean;
  /** An extended capability's version; 0 for a conventional one, which has none. */
  readonly version: number;
}

/** Config space, as the walk sees it. */
export interface ConfigReader {
  /** For errors. */
  readonly label: string;
  /** In bytes: 256, or 4096 for PCI Express; a mediated device may have less. */
  readonly size: number;
  /** One read of 8 bits. */
  read8(offset: number): number;
  /** One read of 16 bits. */
  read16(offset: number): number;
  /** One read of 32 bits. */
  read32(offset: number): number;
}

// linux/pci_regs.h
const STATUS = 0x06;
const STATUS_CAP_LIST = 0x10;
const HEADER_TYPE = 0x0e;
const HEADER_TYPE_MASK = 0x7f;
const HEADER_TYPE_CARDBUS = 2;
const CAPABILITY_LIST = 0x34;
const CARDBUS_CAPABILITY_LIST = 0x14;
const FIRST_CAPABILITY = 0x40;
const CONVENTIONAL_SIZE = 0x100;

const names = new Map<number, string>(Object.entries(pciCapabilityIds).map(([name, id]) => [id, name]));
const extendedNames = new Map<number, string>(Object.entries(pciExtendedCapabilityIds).map(([name, id]) => [id, name]));

function nameOf(id: number, known: ReadonlyMap<number, string>): string {
  return known.get(id) ?? `capability 0x${id.toString(16)}`;
}

function loop(config: ConfigReader, offset: number): VfioError {
  return new VfioError({
    errno: constants.errno.ELOOP,
    syscall: "pread",
    object: config.label,
    why: `its list of capabilities comes back to offset 0x${offset.toString(16)}`,
    fix: "the device is broken, or what emulates it is: read the registers that you need by their offsets",
  });
}

/**
 * Walks the conventional list.
 *
 * @throws VfioError ELOOP where it leads back to an offset; what came before was yielded
 */
export function* walkPciCapabilities(config: ConfigReader): Generator<PciCapability, void, undefined> {
  if (config.size < FIRST_CAPABILITY || (config.read16(STATUS) & STATUS_CAP_LIST) === 0) return;
  const type = config.read8(HEADER_TYPE) & HEADER_TYPE_MASK;
  const end = Math.min(config.size, CONVENTIONAL_SIZE);
  const visited = new Set<number>();
  // The lowest two bits of a pointer are reserved.
  let offset = config.read8(type === HEADER_TYPE_CARDBUS ? CARDBUS_CAPABILITY_LIST : CAPABILITY_LIST) & 0xfc;
  // A pointer into the header, or to a header that does not fit, ends the list, as 0 does.
  while (offset >= FIRST_CAPABILITY && offset + 2 <= end) {
    if (visited.has(offset)) throw loop(config, offset);
    visited.add(offset);
    const id = config.read8(offset);
    // Nobody answers there: the device is gone, or its list ends in the void.
    if (id === 0xff) return;
    const next = config.read8(offset + 1) & 0xfc;
    yield { id, name: nameOf(id, names), offset, extended: false, version: 0 };
    offset = next;
  }
}

/**
 * Walks the extended list.
 *
 * @throws VfioError ELOOP where it leads back to an offset; what came before was yielded
 */
export function* walkPciExtendedCapabilities(config: ConfigReader): Generator<PciCapability, void, undefined> {
  const visited = new Set<number>();
  let offset = CONVENTIONAL_SIZE;
  while (offset >= CONVENTIONAL_SIZE && offset + 4 <= config.size) {
    if (visited.has(offset)) throw loop(config, offset);
    visited.add(offset);
    const header = config.read32(offset);
    if (header === 0 || header === 0xffff_ffff) return;
    const id = header & 0xffff;
    // The kernel hides a capability at the head of the list by giving it the number 0: the list goes on behind it.
    if (id !== 0) {
      yield { id, name: nameOf(id, extendedNames), offset, extended: true, version: (header >>> 16) & 0xf };
    }
    offset = (header >>> 20) & 0xffc;
  }
}
