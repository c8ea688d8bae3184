/**
 * A PCI device, written here.
 *
 * ```text
 *  PciDevice --- VfioUserServer --- client (QEMU, this package's UserContainer)
 *    |- config            who it is, capabilities
 *    |- bar(n)            registers with handlers, memory
 *    `- client            the client at hand
 *         |- dma                        its memory
 *         `- intx, msi, msix, err, req  its interrupts
 * ```
 *
 * @module
 */

import { constants } from "node:os";
import {
  type Check,
  checkArray,
  checkBoolean,
  checkBytes,
  checkFunction,
  checkInteger,
  checkObject,
  checkRequired,
  checkString,
  integer,
  type KnownOptions,
  knownOptions,
  optionsOf,
} from "../../base/arguments.js";
import { invalidStateError, outOfRangeError } from "../../base/errors.js";
import { showAs } from "../../base/inspect.js";
import { failuresOfEach } from "../../base/run-all.js";
import { ProtocolError } from "../protocol/constants.js";
import { type BarOptions, DeviceBar } from "./bar.js";
import { DeviceClient, type InterruptSetup } from "./device-client.js";
import type { ClientMemory, ClientRange, MemoryLink } from "./dma.js";
import type { IntxSource, MessageSource, NoticeSource } from "./interrupts.js";
import { type Migration, MigrationMachine } from "./migration.js";
import {
  type CapabilityImage,
  type ExtendedCapabilityImage,
  idsOf,
  PciConfig,
  type PciConfigInit,
  type PciIdentity,
} from "./pci-config.js";

/** Where a device's MSI-X table lies. */
export interface MsixOptions {
  /** 1 to 2048. */
  readonly vectors: number;
  /** The BAR that holds the table. Left out, one of its own: the last one that is free. */
  readonly bar?: number;
  /** Where in that BAR the table begins (16 bytes a vector), in bytes: a multiple of 8. Default 0. */
  readonly table?: number;
  /** Where in that BAR the pending bits begin: a multiple of 8. Default: behind the table. */
  readonly pendingBits?: number;
}

/** Which interrupts a device has. */
export interface InterruptOptions {
  /** Whether it has a line (INTA). */
  readonly intx?: boolean;
  /** How many vectors of MSI it has: a power of two up to 32. */
  readonly msi?: number;
  /** How many vectors of MSI-X it has, and where their table lies. */
  readonly msix?: number | MsixOptions;
}

/** What a {@link PciDevice} is. */
export interface PciDeviceOptions extends PciIdentity {
  /** For messages. Default `vendor:device`. */
  readonly name?: string;
  /** BAR 0 to 5; `undefined` for one that it does not have. What follows a 64-bit BAR is left out or `undefined`. */
  readonly bars?: readonly (BarOptions | undefined)[];
  /** The contents of its expansion ROM. */
  readonly rom?: Uint8Array;
  readonly interrupts?: InterruptOptions;
  /**
   * Whether it is a PCI Express endpoint, with 4096 bytes of config space and a function-level reset; else a conventional one with
   * 256.
   */
  readonly express?: boolean;
  /** Capabilities besides MSI, MSI-X and PCI Express: {@link powerManagement}, {@link vendorSpecific}. */
  readonly capabilities?: readonly CapabilityImage[];
  /** Extended capabilities, for a PCI Express endpoint. */
  readonly extendedCapabilities?: readonly ExtendedCapabilityImage[];
  /**
   * The client resets the device: by a request, or with `express` by a function-level reset in config space. Config space is put
   * back before (see {@link PciConfig.bytes}), except what the client's side keeps: COMMAND, the BARs, the interrupt line.
   */
  reset?(): void | Promise<void>;
  /**
   * The client takes memory back, or is gone. When this is done, nothing of the device uses the ranges any more: what it had
   * under way is ended, and views of them are not touched again. Reads and writes through {@link PciDevice.dma} need no such
   * care. It is called once for each request, with all of the request's ranges.
   *
   * A client waits for the reply, so this is bounded by {@link ServerOptions.drainTimeout}: after that the client's request is
   * refused with ETIMEDOUT, and the memory stays mapped. What this throws refuses the request too.
   */
  quiesce?(ranges: readonly ClientRange[]): void | Promise<void>;
  /** The client wrote its config space; the new contents are in {@link PciDevice.config}. */
  configWritten?(offset: number, length: number): void;
  /** A client is there. */
  connected?(): void;
  /**
   * The client is gone: its memory and its eventfds are not there any more, and the device keeps the rest of its state for the
   * next one, which waits until this is done.
   */
  disconnected?(): void | Promise<void>;
  /** How it is saved and restored, if it can be. */
  readonly migration?: Migration;
}

const BARS = 6;

/** What serves a device. @internal */
export interface DeviceServer {
  /** For messages. */
  readonly name: string;
  /** Reports a fault of the device's program. @returns whether anybody listened */
  fault(error: unknown, what: string): boolean;
}

/** @throws TypeError, RangeError */
function checkVectors(name: string, count: number, most: number): number {
  return checkInteger(name, count, 0, most);
}

const u16 = integer(0, 0xffff);
const msixOptions = knownOptions<MsixOptions>({
  vectors: integer(0, 2048),
  bar: integer(0, BARS - 1),
  table: integer(0, 0xffff_ffff),
  pendingBits: integer(0, 0xffff_ffff),
});

const checkMsix: Check = (name, value) => {
  if (typeof value === "number") checkInteger(name, value, 0, 2048);
  else checkRequired(name, value, msixOptions, "vectors");
};

const interruptOptions = knownOptions<InterruptOptions>({ intx: checkBoolean, msi: integer(0, 32), msix: checkMsix });
const capabilityImage = knownOptions<CapabilityImage>({
  id: integer(0, 0xff),
  body: checkBytes,
  writable: checkBytes,
});

const extendedCapabilityImage = knownOptions<ExtendedCapabilityImage>({
  id: integer(0, 0xffff),
  version: integer(0, 0xf),
  body: checkBytes,
  writable: checkBytes,
});

function imagesOf(known: KnownOptions): Check {
  return (name, value) => {
    checkArray(name, value);
    for (const each of [value].flat()) checkRequired(name, each, known, "id", "body");
  };
}

const checkMigration: Check = (name, value) => {
  checkObject(name, value);
  for (const method of ["save", "load"]) checkFunction(`${name}.${method}`, Reflect.get(Object(value), method));
};

const deviceOptions = knownOptions<PciDeviceOptions>({
  vendorId: u16,
  deviceId: u16,
  classCode: integer(0, 0xff_ffff),
  revision: integer(0, 0xff),
  subsystemVendorId: u16,
  subsystemId: u16,
  name: checkString,
  bars: checkArray,
  rom: checkBytes,
  interrupts: optionsOf(interruptOptions),
  express: checkBoolean,
  capabilities: imagesOf(capabilityImage),
  extendedCapabilities: imagesOf(extendedCapabilityImage),
  reset: checkFunction,
  quiesce: checkFunction,
  configWritten: checkFunction,
  connected: checkFunction,
  disconnected: checkFunction,
  migration: checkMigration,
});

/**
 * A PCI device. A `VfioUserServer` serves it, to one client at a time; without a client it simply stands there.
 *
 * `dma`, `intx`, `msi`, `msix`, `err` and `req` are those of the {@link client} at hand, and others for the next one: work that goes
 * on after its handler has returned takes `client` at its beginning, and uses that.
 *
 * ```ts
 * const device = new PciDevice({
 *   vendorId: 0x1234,
 *   deviceId: 0x0001,
 *   classCode: 0xff0000,
 *   bars: [{ size: 4096, read: (offset) => offset + counter, write: (offset, value) => start(offset, value) }],
 *   interrupts: { msi: 1 },
 * });
 * using server = VfioUserServer.listen(device, "/tmp/device.sock");
 * ```
 */
export class PciDevice implements Disposable {
  readonly name: string;
  readonly config: PciConfig;
  /** The expansion ROM; empty for none. A power of two long. @internal */
  readonly rom: Uint8Array;
  /** @internal */
  readonly options: PciDeviceOptions;
  /** @internal */
  readonly migration: MigrationMachine;
  readonly #interrupts: InterruptSetup;
  #client: DeviceClient;
  /** The last client, while it is gone and not yet released. */
  #ending: DeviceClient | undefined;
  #server: DeviceServer | undefined;
  readonly #bars: readonly (DeviceBar | undefined)[];

  /** @throws TypeError, RangeError for what no device can be */
  constructor(options: PciDeviceOptions) {
    checkRequired("options", options, deviceOptions, "vendorId", "deviceId", "classCode");
    this.options = options;
    const id = (value: number) => value.toString(16).padStart(4, "0");
    this.name = options.name ?? `${id(options.vendorId)}:${id(options.deviceId)}`;
    const { intx = false, msi = 0, msix = 0 } = options.interrupts ?? {};
    checkVectors("msi", msi, 32);
    if (msi > 0 && !Number.isInteger(Math.log2(msi))) throw outOfRangeError("msi", "a power of two", msi);
    const { vectors, ...where } = typeof msix === "number" ? { vectors: msix } : msix;
    checkVectors("msix", vectors, 2048);
    this.#interrupts = {
      intx,
      msi,
      msix: vectors,
      line: { asserted: false },
      intxAllowed: () => this.config.intxAllowed,
    };
    this.#client = new DeviceClient(this.#interrupts);
    this.migration = new MigrationMachine(options.migration);
    this.rom = paddedRom(options.rom);
    const bars: (DeviceBar | undefined)[] = [];
    try {
      for (const [index, bar] of (options.bars ?? []).entries()) {
        if (bar !== undefined) bars[index] = new DeviceBar(index, bar, this.name);
      }
      const table = vectors > 0 ? this.#placeTable(bars, vectors, where) : undefined;
      checkPlaces(bars);
      this.#bars = bars;
      this.config = this.#makeConfig(bars, { intx, msi, msix: table });
    } catch (error) {
      for (const bar of bars) bar?.close();
      throw error;
    }
  }

  #makeConfig(
    bars: readonly (DeviceBar | undefined)[],
    interrupts: Pick<PciConfigInit, "intx" | "msi" | "msix">,
  ): PciConfig {
    const { options } = this;
    return new PciConfig(
      {
        ...options,
        ...interrupts,
        express: options.express ?? false,
        bars: bars.filter((bar) => bar !== undefined),
        romSize: this.rom.length,
        capabilities: options.capabilities ?? [],
        extendedCapabilities: options.extendedCapabilities ?? [],
        resetFunction: () => this.reset(),
        written: (offset, length) => {
          // The command register may let the line through again.
          this.intx.update();
          options.configWritten?.(offset, length);
        },
      },
      () => this.intx.asserted,
    );
  }

  /** Puts the MSI-X table into its BAR. */
  #placeTable(bars: (DeviceBar | undefined)[], vectors: number, where: Omit<MsixOptions, "vectors">) {
    const { table = 0, pendingBits = (table + 16 * vectors + 7) & ~7 } = where;
    const pendingLength = 8 * Math.ceil(vectors / 64);
    const end = Math.max(table + 16 * vectors, pendingBits + pendingLength);
    const index = where.bar ?? lastFree(bars);
    if (where.bar === undefined) {
      const size = 2 ** Math.ceil(Math.log2(Math.max(4096, end)));
      bars[index] = new DeviceBar(index, { size }, this.name);
    }
    const bar = bars[index];
    if (bar === undefined || bar.space === "io" || end > bar.size || table % 8 !== 0 || pendingBits % 8 !== 0) {
      throw outOfRangeError("msix", "within a memory BAR of the device, at multiples of 8", {
        index,
        table,
        pendingBits,
      });
    }
    const overlaps = (offset: number, length: number) =>
      bar.areas.some((area) => offset < area.offset + area.length && area.offset < offset + length);
    if (overlaps(table, 16 * vectors) || overlaps(pendingBits, pendingLength)) {
      throw outOfRangeError("msix", "outside of what the client maps of the BAR", { index, table, pendingBits });
    }
    // The client's kernel or VMM programs the interrupts by SET_IRQS; the table is there for those who look at it.
    const entries = new Uint8Array(16 * vectors);
    for (let vector = 0; vector < vectors; vector++) entries[16 * vector + 12] = 1; // masked
    bar.add({
      offset: table,
      length: entries.length,
      read: (offset, into) => into.set(entries.subarray(offset, offset + into.length)),
      write: (offset, bytes) => entries.set(bytes, offset),
    });
    bar.add({
      offset: pendingBits,
      length: pendingLength,
      read: (offset, into) => {
        for (const [i] of into.entries()) {
          let byte = 0;
          for (let bit = 0; bit < 8; bit++) if (this.msix.pending.has(8 * (offset + i) + bit)) byte |= 1 << bit;
          into[i] = byte;
        }
      },
      write: () => {},
    });
    return { vectors, bar: index, table, pba: pendingBits };
  }

  /**
   * A BAR.
   *
   * @throws RangeError if the device has no such BAR
   */
  bar(index: number): DeviceBar {
    checkInteger("index", index);
    const bar = this.#bars[index];
    if (bar === undefined) throw outOfRangeError("index", "that of a BAR of the device", index);
    return bar;
  }

  /** A BAR, or undefined. @internal */
  findBar(index: number): DeviceBar | undefined {
    return index < BARS ? this.#bars[index] : undefined;
  }

  /**
   * The client that is connected. Without one, the client that is to come: `connected` is false, DMA is refused, and nobody
   * receives an interrupt.
   */
  get client(): DeviceClient {
    return this.#client;
  }

  /** The memory of the {@link client}. */
  get dma(): ClientMemory {
    return this.#client.dma;
  }

  /** INTx of the {@link client}. */
  get intx(): IntxSource {
    return this.#client.intx;
  }

  /** MSI of the {@link client}. */
  get msi(): MessageSource {
    return this.#client.msi;
  }

  /** MSI-X of the {@link client}. */
  get msix(): MessageSource {
    return this.#client.msix;
  }

  /** Reports an error of the device to the {@link client}. */
  get err(): NoticeSource {
    return this.#client.err;
  }

  /** Asks the {@link client} to release the device. */
  get req(): NoticeSource {
    return this.#client.req;
  }

  /** Whether the client lets the device do DMA and send MSI. A device looks before it does; nobody stops it otherwise. */
  get busMaster(): boolean {
    return this.config.busMaster;
  }

  /**
   * Tells of a failure in what the device does by itself, outside of its handlers, where nobody would catch it: the server's
   * event `fault`, or a warning of the process.
   *
   * @param what it was doing
   */
  fault(error: unknown, what: string): void {
    if (this.#server?.fault(error, what) === true) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`${this} failed at ${what}: ${text}`, { type: "VfioUserWarning", code: "VFIO_USER_FAULT" });
  }

  // ---- its server and its clients ----------------------------------------------------------------------------------

  /**
   * Takes the device for a server, until {@link unclaim}.
   *
   * @throws an error with `code` `ERR_INVALID_STATE` if a server has it. Nothing has changed then
   * @internal
   */
  claim(server: DeviceServer): void {
    if (this.#server !== undefined) {
      const why = `${this.#server.name} has it: close that server and await its idle() first`;
      throw invalidStateError(`${server.name} cannot serve the device '${this}': ${why}`);
    }
    this.#server = server;
  }

  /** @internal */
  unclaim(server: DeviceServer): void {
    if (this.#server === server) this.#server = undefined;
  }

  /** The device's work for a client that is gone; undefined if there is no such client. @internal */
  get unfinished(): readonly string[] | undefined {
    return this.#ending?.work.names;
  }

  /**
   * Begins with a client.
   *
   * @throws ProtocolError EBUSY while there is another client, or work for one that is gone
   * @internal
   */
  connect(link: MemoryLink): DeviceClient {
    const refuse = (why: string) => new ProtocolError(constants.errno.EBUSY, "VFIO_USER_VERSION", why);
    if (this.unfinished !== undefined) {
      throw refuse(`the device still works for a client that is gone (${this.unfinished.join(", ")})`);
    }
    if (this.#client.connected) throw refuse("the device has a client");
    this.#client.connect(link);
    return this.#client;
  }

  /**
   * Ends with a client. It is cut off at once; what the device does for it is waited for before anything else is done.
   *
   * @param introduced whether {@link PciDeviceOptions.connected} was called for it
   * @returns what failed. Every step is taken all the same
   * @internal
   */
  async disconnect(client: DeviceClient, introduced: boolean): ReturnType<typeof failuresOfEach> {
    const { options } = this;
    const { work } = client;
    this.#ending = client;
    const failures = await failuresOfEach([
      ["the end of the client's doorbells", () => this.#silence()],
      ["the end of the client", () => client.leave()],
      ["the requests under way", () => work.over()],
      ["quiesce", () => work.add("quiesce", this.#quiesce(client.dma.ranges))],
      ["the client's memory", () => client.release()],
    ]);
    this.migration.leave();
    this.#client = new DeviceClient(this.#interrupts);
    const late = await failuresOfEach([
      ["disconnected", () => introduced && work.add("disconnected", (async () => options.disconnected?.())())],
    ]);
    this.#ending = undefined;
    return [...failures, ...late];
  }

  async #quiesce(ranges: readonly ClientRange[]): Promise<void> {
    if (ranges.length > 0) await this.options.quiesce?.(ranges);
  }

  #silence(): void {
    for (const bar of this.#bars) bar?.disconnect();
  }

  /** A reset. It begins while the device stands still, if it does. @internal */
  async reset(): Promise<void> {
    this.config.reset();
    this.intx.deassert();
    await this.options.reset?.();
    await this.migration.reset();
  }

  /** Gives the memory of the BARs back. The server is closed before. A second call does nothing. */
  close(): void {
    for (const bar of this.#bars) bar?.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    return this.name;
  }
}

/** A ROM's BAR has a power of two of at least 2 KiB. */
function paddedRom(rom: Uint8Array | undefined): Uint8Array {
  if (rom === undefined || rom.length === 0) return new Uint8Array(0);
  const padded = new Uint8Array(2 ** Math.max(11, Math.ceil(Math.log2(rom.length))));
  padded.set(rom);
  return padded;
}

function lastFree(bars: readonly (DeviceBar | undefined)[]): number {
  for (let index = BARS - 1; index >= 0; index--) {
    if (bars[index] === undefined && bars[index - 1]?.wide !== true) return index;
  }
  throw outOfRangeError("bars", "few enough to leave one for the MSI-X table", bars.length);
}

function checkPlaces(bars: readonly (DeviceBar | undefined)[]): void {
  for (const [index, bar] of bars.entries()) {
    if (index >= BARS || (bar?.wide === true && index === BARS - 1)) {
      throw outOfRangeError("bars", "six at most, a 64-bit one taking two places", index);
    }
    if (bar?.wide === true && bars[index + 1] !== undefined) {
      throw outOfRangeError("bars", `without a BAR ${index + 1}, whose place the 64-bit BAR ${index} takes`, index + 1);
    }
  }
}

showAs(PciDevice, (device) => `${device.name}, ${idsOf(device.config)}`);
