/**
 * PCI config space.
 *
 * @module
 */

import { checkInteger, oneOf } from "../base/arguments.js";
import { showAs } from "../base/inspect.js";
import {
  type PciCapability,
  type PciCapabilityName,
  type PciExtendedCapabilityName,
  pciCapabilityIds,
  pciExtendedCapabilityIds,
  walkPciCapabilities,
  walkPciExtendedCapabilities,
} from "./pci-capabilities.js";
import type { Region } from "./region.js";

/** The bits of {@link ConfigSpace.command}. */
export const PciCommand = {
  /** The device answers at its I/O ports. */
  io: 0x1,
  /** The device answers at its memory BARs. Off, a mapped BAR cannot be touched. */
  memory: 0x2,
  /** The device may do DMA and send MSI. */
  busMaster: 0x4,
  /** The device may not raise INTx. */
  intxDisable: 0x400,
} as const;

/** The bits of {@link ConfigSpace.status}. */
export const PciStatus = {
  /** The device is raising INTx, seen or not. */
  interrupt: 0x8,
  /** There is a list of capabilities. */
  capabilities: 0x10,
} as const;

/** A base address register. */
export interface PciBar {
  /** 0 to 5. */
  readonly index: number;
  readonly space: "memory" | "io";
  /** Whether it is a 64-bit memory BAR, which takes the place of the next one too. */
  readonly wide: boolean;
  readonly prefetchable: boolean;
  /** What the register holds, without its flag bits. The kernel keeps it for the program and does not move the device. */
  readonly address: bigint;
}

// linux/pci_regs.h
const COMMAND = 0x04;
const BAR0 = 0x10;
const BARS = 6;
const BAR_IO = 0x1;
const BAR_MEMORY_64 = 0x4;
const BAR_PREFETCHABLE = 0x8;

/**
 * A PCI device's config space, as VFIO shows it: the kernel passes harmless fields through, keeps others (BARs, interrupt
 * enables) for the program only, and hides what is not safe, such as a bridge's or an unknown capability.
 *
 * Each access is one access of its width, at an offset that is a multiple of the width; RangeError otherwise.
 */
export class ConfigSpace {
  readonly #region: Region;

  /** @internal */
  constructor(region: Region) {
    this.#region = region;
  }

  /** For messages. */
  get label(): string {
    return this.#region.label;
  }

  /** In bytes: 256, or 4096 for PCI Express; a mediated device may have less. */
  get size(): number {
    return this.#region.size;
  }

  /** One read of 8 bits. */
  read8(offset: number): number {
    return this.#region.read8(offset);
  }

  /** One read of 16 bits. */
  read16(offset: number): number {
    return this.#region.read16(offset);
  }

  /** One read of 32 bits. */
  read32(offset: number): number {
    return this.#region.read32(offset);
  }

  /** One write of 8 bits. */
  write8(offset: number, value: number): void {
    this.#region.write8(offset, value);
  }

  /** One write of 16 bits. */
  write16(offset: number, value: number): void {
    this.#region.write16(offset, value);
  }

  /** One write of 32 bits. */
  write32(offset: number, value: number): void {
    this.#region.write32(offset, value);
  }

  /** Bytes of it, for a dump. */
  read(offset = 0, length: number = this.size - offset): Uint8Array {
    return this.#region.read(offset, length);
  }

  // ---- the header --------------------------------------------------------------------------------------------------

  /** Who made it. */
  get vendorId(): number {
    return this.read16(0x00);
  }

  /** What its maker calls it. */
  get deviceId(): number {
    return this.read16(0x02);
  }

  /** See {@link PciCommand}. */
  get command(): number {
    return this.read16(COMMAND);
  }

  /** One write of all its bits. */
  set command(value: number) {
    this.write16(COMMAND, value);
  }

  /** See {@link PciStatus}. */
  get status(): number {
    return this.read16(0x06);
  }

  /** Its maker's count. */
  get revision(): number {
    return this.read8(0x08);
  }

  /** 24 bits: base class, subclass, programming interface. 0x010802 is an NVMe controller. */
  get classCode(): number {
    return this.read32(0x08) >>> 8;
  }

  /** 0 for a device, 1 for a bridge; without the bit that says that it has several functions. */
  get headerType(): number {
    return this.read8(0x0e) & 0x7f;
  }

  /** Whether the device in its slot has several functions. */
  get multifunction(): boolean {
    return (this.read8(0x0e) & 0x80) !== 0;
  }

  /** Who made the card that it is on. */
  get subsystemVendorId(): number {
    return this.read16(0x2c);
  }

  /** What the card's maker calls it. */
  get subsystemId(): number {
    return this.read16(0x2e);
  }

  /** What firmware wrote there; VFIO and Linux do not look at it. */
  get interruptLine(): number {
    return this.read8(0x3c);
  }

  /** 1 to 4 for INTA to INTD; 0 for a device without INTx. */
  get interruptPin(): number {
    return this.read8(0x3d);
  }

  /** The BARs. A 64-bit one takes two registers and is listed once; an empty register is listed as memory at 0. */
  get bars(): readonly PciBar[] {
    const bars: PciBar[] = [];
    for (let index = 0; index < BARS; index++) {
      const low = this.read32(BAR0 + 4 * index);
      if ((low & BAR_IO) !== 0) {
        bars.push({ index, space: "io", wide: false, prefetchable: false, address: BigInt((low & ~0x3) >>> 0) });
        continue;
      }
      const wide = (low & BAR_MEMORY_64) !== 0 && index + 1 < BARS;
      const high = wide ? this.read32(BAR0 + 4 * (index + 1)) : 0;
      const address = (BigInt(high) << 32n) | BigInt((low & ~0xf) >>> 0);
      bars.push({ index, space: "memory", wide, prefetchable: (low & BAR_PREFETCHABLE) !== 0, address });
      if (wide) index++;
    }
    return bars;
  }

  // ---- capabilities ------------------------------------------------------------------------------------------------

  /**
   * All capabilities that the kernel shows: the conventional ones, then the extended ones.
   *
   * @throws VfioError ELOOP if a list leads back to itself
   */
  get capabilities(): readonly PciCapability[] {
    return [...walkPciCapabilities(this), ...walkPciExtendedCapabilities(this)];
  }

  /**
   * The first conventional capability of a kind, or undefined.
   *
   * @param which its name or number
   */
  capability(which: PciCapabilityName | number): PciCapability | undefined {
    const id = capabilityId(which, pciCapabilityIds);
    for (const capability of walkPciCapabilities(this)) if (capability.id === id) return capability;
    return undefined;
  }

  /**
   * The first extended capability of a kind, or undefined.
   *
   * @param which its name or number
   */
  extendedCapability(which: PciExtendedCapabilityName | number): PciCapability | undefined {
    const id = capabilityId(which, pciExtendedCapabilityIds);
    for (const capability of walkPciExtendedCapabilities(this)) if (capability.id === id) return capability;
    return undefined;
  }

  /** {@link label} */
  toString(): string {
    return this.label;
  }
}

/** The number of a capability, which one may be asked for by. */
function capabilityId<Name extends string>(which: Name | number, ids: Readonly<Record<Name, number>>): number {
  if (typeof which === "number") return checkInteger("which", which, 0, 0xffff);
  oneOf(Object.keys(ids))("which", which);
  return ids[which];
}

showAs(ConfigSpace, (config) => config.label);
