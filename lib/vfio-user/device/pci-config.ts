/**
 * The config space of a device that is written here: the header, the BARs' registers and the capabilities, with what the
 * client may write of each.
 *
 * @module
 */

import { checkBytes, checkInteger } from "../../base/arguments.js";
import { outOfRangeError } from "../../base/errors.js";
import { showAs } from "../../base/inspect.js";

/** Who a device is. */
export interface PciIdentity {
  /** 16 bits. */
  readonly vendorId: number;
  /** 16 bits. */
  readonly deviceId: number;
  /** 24 bits: base class, subclass, programming interface. 0x018000 is a storage controller of no common kind. */
  readonly classCode: number;
  /** 8 bits. Default 0. */
  readonly revision?: number;
  /** 16 bits. Default: the vendor. */
  readonly subsystemVendorId?: number;
  /** 16 bits. Default: the device. */
  readonly subsystemId?: number;
}

/** A capability in the list of config space. */
export interface CapabilityImage {
  /** Its number, as in `linux/pci_regs.h`: 0x01 power management, 0x09 vendor-specific, 0x10 PCI Express. */
  readonly id: number;
  /** What follows its two first bytes (number and next). */
  readonly body: Uint8Array;
  /** Which bits of the body the client may write; none, if it is left out. */
  readonly writable?: Uint8Array;
}

/** An extended capability of a PCI Express device, in config space from 0x100 on. */
export interface ExtendedCapabilityImage {
  /** Its number, as in `linux/pci_regs.h`: 0x0001 advanced error reporting, 0x0003 serial number, 0x000b vendor-specific. 16 bits. */
  readonly id: number;
  /** The version of its layout. 4 bits. Default 1. */
  readonly version?: number;
  /** What follows its four first bytes (number, version and next). */
  readonly body: Uint8Array;
  /** Which bits of the body the client may write; none, if it is left out. */
  readonly writable?: Uint8Array;
}

/** What a BAR's register says. */
export interface BarRegister {
  readonly index: number;
  /** A power of two. */
  readonly size: number;
  readonly space: "memory" | "io";
  readonly wide: boolean;
  readonly prefetchable: boolean;
}

/** MSI and MSI-X, whose capabilities follow from the number of vectors. @internal */
export interface MessageCapabilities {
  readonly msi: number;
  readonly msix:
    | { readonly vectors: number; readonly bar: number; readonly table: number; readonly pba: number }
    | undefined;
}

/** @internal */
export interface PciConfigInit extends PciIdentity, MessageCapabilities {
  readonly express: boolean;
  readonly bars: readonly BarRegister[];
  /** A power of two, or 0. */
  readonly romSize: number;
  readonly intx: boolean;
  readonly capabilities: readonly CapabilityImage[];
  readonly extendedCapabilities: readonly ExtendedCapabilityImage[];
  /** Something was written: where, and how much. */
  written(offset: number, length: number): void;
  /** The client has initiated a function-level reset. */
  resetFunction(): Promise<void>;
}

// linux/pci_regs.h
const COMMAND = 0x04;
const STATUS = 0x06;
const STATUS_INTERRUPT = 0x08;
const STATUS_CAPABILITIES = 0x10;
const COMMAND_BUS_MASTER = 0x4;
const COMMAND_INTX_DISABLE = 0x400;
// I/O, memory, bus master, parity, SERR, INTx disable.
const COMMAND_WRITABLE = 0x0547;
const BAR0 = 0x10;
const ROM = 0x30;
const FIRST_CAPABILITY = 0x34;
const INTERRUPT_LINE = 0x3c;
const INTERRUPT_PIN = 0x3d;
const HEADER_SIZE = 0x40;
const CONVENTIONAL_SIZE = 256;
const FIRST_EXTENDED_CAPABILITY = 0x100;
const EXPRESS_SIZE = 4096;
const CAP_PM = 0x01;
const CAP_MSI = 0x05;
const CAP_VENDOR = 0x09;
const CAP_EXPRESS = 0x10;
const CAP_MSIX = 0x11;
// Registers of the PCI Express capability, and their bits for a function-level reset.
const EXP_DEVICE_CAPABILITIES = 0x04;
const EXP_DEVICE_CAPABILITIES_FLR = 0x1000_0000;
const EXP_DEVICE_CONTROL = 0x08;
const EXP_DEVICE_CONTROL_FLR = 0x8000;

/** Power management with the states D0 and D3hot, which Linux puts an idle device into. */
export function powerManagement(): CapabilityImage {
  const body = new Uint8Array(6);
  const view = new DataView(body.buffer);
  view.setUint16(0, 0x0003, true); // version 3 of the capability
  view.setUint16(2, 0x0008, true); // nothing is lost on the way back from D3hot
  const writable = new Uint8Array(6);
  writable[2] = 0x03; // the state
  return { id: CAP_PM, body, writable };
}

/**
 * A vendor-specific capability, as virtio has them.
 *
 * @param data what follows the length byte
 */
export function vendorSpecific(data: Uint8Array, writable?: Uint8Array): CapabilityImage {
  checkBytes("data", data);
  if (writable !== undefined) checkBytes("writable", writable);
  const body = Uint8Array.of(data.length + 3, ...data);
  return writable === undefined
    ? { id: CAP_VENDOR, body }
    : { id: CAP_VENDOR, body, writable: Uint8Array.of(0, ...writable) };
}

/**
 * PCI Express, version 2, of an endpoint with a function-level reset, and a link of one lane at 2.5 GT/s: numbers without meaning
 * here.
 */
function express(): CapabilityImage {
  const body = new Uint8Array(0x3a);
  const view = new DataView(body.buffer);
  view.setUint16(0, 0x0002, true);
  view.setUint32(2, 0x0000_8000 | EXP_DEVICE_CAPABILITIES_FLR, true); // role-based error reporting
  view.setUint32(0xa, 0x11, true); // link capabilities
  view.setUint16(0x10, 0x11, true); // link status
  const writable = new Uint8Array(body.length);
  const masks = new DataView(writable.buffer);
  masks.setUint16(6, 0xffff & ~EXP_DEVICE_CONTROL_FLR, true); // device control; Initiate FLR always reads 0
  masks.setUint16(0xe, 0x03ff, true); // link control
  return { id: CAP_EXPRESS, body, writable };
}

function msi(vectors: number): CapabilityImage {
  const body = new Uint8Array(12);
  const view = new DataView(body.buffer);
  const log2 = Math.ceil(Math.log2(vectors));
  view.setUint16(0, (log2 << 1) | 0x80, true); // 64-bit addresses
  const writable = new Uint8Array(12);
  const masks = new DataView(writable.buffer);
  masks.setUint16(0, 0x71, true); // enable, and how many vectors
  masks.setUint32(2, 0xffff_fffc, true);
  masks.setUint32(6, 0xffff_ffff, true);
  masks.setUint16(10, 0xffff, true);
  return { id: CAP_MSI, body, writable };
}

function msix({ vectors, bar, table, pba }: NonNullable<MessageCapabilities["msix"]>): CapabilityImage {
  const body = new Uint8Array(10);
  const view = new DataView(body.buffer);
  view.setUint16(0, vectors - 1, true);
  view.setUint32(2, table | bar, true);
  view.setUint32(6, pba | bar, true);
  const writable = new Uint8Array(10);
  new DataView(writable.buffer).setUint16(0, 0xc000, true); // enable, and the mask of all
  return { id: CAP_MSIX, body, writable };
}

/** @throws TypeError, RangeError */
export function checkBits(name: string, value: number, bits: number): number {
  return checkInteger(name, value, 0, 2 ** bits - 1);
}

/** The config space of a {@link PciDevice}. The device's own program may read and write all of it. */
export class PciConfig {
  /**
   * All of it. The device's program may store anything here, also where the client may not write.
   *
   * A reset restores the bytes of the moment at which the device was first served (`VfioUserServer.listen` or `serve`). Bytes that
   * the device's program stores later are state and are lost at a reset: store them again in {@link PciDeviceOptions.reset}.
   */
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #writable: Uint8Array;
  readonly #written: (offset: number, length: number) => void;
  readonly #resetFunction: () => Promise<void>;
  readonly #interrupt: () => boolean;
  #resetState: Uint8Array | undefined;
  /** Where the PCI Express capability begins. */
  #express: number | undefined;
  /** The registers that a reset does not put back: the client's side keeps them, as the kernel's VFIO does. */
  readonly #kept: readonly (readonly [offset: number, length: number])[];

  /** @param interrupt whether the device raises its line now @internal */
  constructor(init: PciConfigInit, interrupt: () => boolean) {
    this.bytes = new Uint8Array(init.express ? EXPRESS_SIZE : CONVENTIONAL_SIZE);
    this.#view = new DataView(this.bytes.buffer);
    this.#writable = new Uint8Array(this.bytes.length);
    this.#written = init.written;
    this.#resetFunction = init.resetFunction;
    this.#interrupt = interrupt;
    this.#header(init);
    const list = [
      ...(init.express ? [express()] : []),
      ...(init.msi > 0 ? [msi(init.msi)] : []),
      ...(init.msix === undefined ? [] : [msix(init.msix)]),
      ...init.capabilities,
    ];
    this.#chain(list);
    this.#chainExtended(init.extendedCapabilities);
    this.#kept = [
      [COMMAND, 2],
      [0x0c, 2],
      [BAR0, 24],
      [ROM, 4],
      [INTERRUPT_LINE, 1],
    ];
  }

  #header(init: PciConfigInit): void {
    const masks = new DataView(this.#writable.buffer);
    this.#view.setUint16(0x00, checkBits("vendorId", init.vendorId, 16), true);
    this.#view.setUint16(0x02, checkBits("deviceId", init.deviceId, 16), true);
    const classCode = checkBits("classCode", init.classCode, 24);
    this.#view.setUint32(0x08, ((classCode << 8) | checkBits("revision", init.revision ?? 0, 8)) >>> 0, true);
    this.#view.setUint16(0x2c, checkBits("subsystemVendorId", init.subsystemVendorId ?? init.vendorId, 16), true);
    this.#view.setUint16(0x2e, checkBits("subsystemId", init.subsystemId ?? init.deviceId, 16), true);
    masks.setUint16(COMMAND, COMMAND_WRITABLE, true);
    masks.setUint16(0x0c, 0xffff, true); // cache line size, latency timer
    masks.setUint8(INTERRUPT_LINE, 0xff);
    if (init.intx) this.#view.setUint8(INTERRUPT_PIN, 1); // INTA
    for (const { index, size, space, wide, prefetchable } of init.bars) {
      const at = BAR0 + 4 * index;
      const flags = space === "io" ? 0x1 : (wide ? 0x4 : 0) | (prefetchable ? 0x8 : 0);
      this.#view.setUint32(at, flags, true);
      // Of an address, the bits above the size can be written: that is how its size is found out.
      const mask = ~(BigInt(size) - 1n) & 0xffff_ffff_ffff_ffffn;
      masks.setUint32(at, Number(mask & (space === "io" ? 0xffff_fffcn : 0xffff_fff0n)), true);
      if (wide) masks.setUint32(at + 4, Number(mask >> 32n), true);
    }
    if (init.romSize > 0) masks.setUint32(ROM, (~(init.romSize - 1) | 0x1) >>> 0, true);
  }

  #chain(list: readonly CapabilityImage[]): void {
    let at = HEADER_SIZE;
    let link = FIRST_CAPABILITY;
    for (const { id, body, writable } of list) {
      const end = at + 2 + body.length;
      if (end > CONVENTIONAL_SIZE) throw outOfRangeError("capabilities", "short enough for 192 bytes", end);
      this.#view.setUint8(link, at);
      this.#view.setUint8(at, checkBits("id", id, 8));
      this.#place(at + 2, body, writable);
      if (id === CAP_EXPRESS) this.#express = at;
      link = at + 1;
      at = (end + 3) & ~3;
    }
    if (list.length > 0) this.#view.setUint16(STATUS, STATUS_CAPABILITIES, true);
  }

  #chainExtended(list: readonly ExtendedCapabilityImage[]): void {
    if (list.length > 0 && this.bytes.length < EXPRESS_SIZE) {
      throw outOfRangeError("extendedCapabilities", "empty for a device that is not `express`", list.length);
    }
    let at = FIRST_EXTENDED_CAPABILITY;
    for (const [i, { id, version = 1, body, writable }] of list.entries()) {
      const end = at + 4 + body.length;
      if (end > EXPRESS_SIZE) throw outOfRangeError("extendedCapabilities", "short enough for 3840 bytes", end);
      const next = i + 1 < list.length ? (end + 3) & ~3 : 0;
      const header = checkBits("id", id, 16) | (checkBits("version", version, 4) << 16) | (next << 20);
      this.#view.setUint32(at, header >>> 0, true);
      this.#place(at + 4, body, writable);
      at = next;
    }
  }

  #place(at: number, body: Uint8Array, writable: Uint8Array | undefined): void {
    this.bytes.set(body, at);
    if (writable === undefined) return;
    if (writable.length !== body.length) {
      throw outOfRangeError("writable", `as long as the capability's body (${body.length} bytes)`, writable.length);
    }
    this.#writable.set(writable, at);
  }

  /** Whether the client lets the device do DMA and send MSI. */
  get busMaster(): boolean {
    return (this.#view.getUint16(COMMAND, true) & COMMAND_BUS_MASTER) !== 0;
  }

  /** Whether the client lets the line through. @internal */
  get intxAllowed(): boolean {
    return (this.#view.getUint16(COMMAND, true) & COMMAND_INTX_DISABLE) === 0;
  }

  /** The client reads. @internal */
  read(offset: number, length: number): Uint8Array {
    const status = this.#view.getUint16(STATUS, true) & ~STATUS_INTERRUPT;
    this.#view.setUint16(STATUS, status | (this.#interrupt() ? STATUS_INTERRUPT : 0), true);
    return this.bytes.slice(offset, offset + length);
  }

  /**
   * The client writes: what it may. Where it initiates a function-level reset, the promise is of its end.
   *
   * @internal
   */
  write(offset: number, data: Uint8Array): Promise<void> | undefined {
    for (const [i, value] of data.entries()) {
      const at = offset + i;
      const mask = this.#writable[at] ?? 0;
      this.bytes[at] = ((this.bytes[at] ?? 0) & ~mask) | (value & mask);
    }
    this.#written(offset, data.length);
    return this.#initiatesReset(offset, data) ? this.#resetFunction() : undefined;
  }

  #initiatesReset(offset: number, data: Uint8Array): boolean {
    const express = this.#express;
    if (express === undefined) return false;
    const capabilities = this.#view.getUint32(express + EXP_DEVICE_CAPABILITIES, true);
    // The bit is in the register's second byte.
    const written = data[express + EXP_DEVICE_CONTROL + 1 - offset] ?? 0;
    return (capabilities & EXP_DEVICE_CAPABILITIES_FLR) !== 0 && (written & (EXP_DEVICE_CONTROL_FLR >> 8)) !== 0;
  }

  /** The contents at the first call are what {@link reset} puts back. @internal */
  fixResetState(): void {
    this.#resetState ??= this.bytes.slice();
  }

  /** @internal */
  reset(): void {
    if (this.#resetState === undefined) return;
    const kept = this.#kept.map(([offset, length]) => [offset, this.bytes.slice(offset, offset + length)] as const);
    this.bytes.set(this.#resetState);
    for (const [offset, bytes] of kept) this.bytes.set(bytes, offset);
  }
}

const hex16 = (value: number) => value.toString(16).padStart(4, "0");

/** The vendor and the device, as `lspci` writes them: `1234:11e8`. */
export function idsOf({ bytes }: PciConfig): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return `${hex16(view.getUint16(0, true))}:${hex16(view.getUint16(2, true))}`;
}

showAs(PciConfig, (config) => `${idsOf(config)}, ${config.bytes.length} bytes`);
