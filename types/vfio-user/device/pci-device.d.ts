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
import { type BarOptions, DeviceBar } from "./bar.js";
import { DeviceClient } from "./device-client.js";
import type { ClientMemory, ClientRange } from "./dma.js";
import type { IntxSource, MessageSource, NoticeSource } from "./interrupts.js";
import { type Migration } from "./migration.js";
import { type CapabilityImage, type ExtendedCapabilityImage, PciConfig, type PciIdentity } from "./pci-config.js";
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
export declare class PciDevice implements Disposable {
    #private;
    readonly name: string;
    readonly config: PciConfig;
    /** @throws TypeError, RangeError for what no device can be */
    constructor(options: PciDeviceOptions);
    /**
     * A BAR.
     *
     * @throws RangeError if the device has no such BAR
     */
    bar(index: number): DeviceBar;
    /**
     * The client that is connected. Without one, the client that is to come: `connected` is false, DMA is refused, and nobody
     * receives an interrupt.
     */
    get client(): DeviceClient;
    /** The memory of the {@link client}. */
    get dma(): ClientMemory;
    /** INTx of the {@link client}. */
    get intx(): IntxSource;
    /** MSI of the {@link client}. */
    get msi(): MessageSource;
    /** MSI-X of the {@link client}. */
    get msix(): MessageSource;
    /** Reports an error of the device to the {@link client}. */
    get err(): NoticeSource;
    /** Asks the {@link client} to release the device. */
    get req(): NoticeSource;
    /** Whether the client lets the device do DMA and send MSI. A device looks before it does; nobody stops it otherwise. */
    get busMaster(): boolean;
    /**
     * Tells of a failure in what the device does by itself, outside of its handlers, where nobody would catch it: the server's
     * event `fault`, or a warning of the process.
     *
     * @param what it was doing
     */
    fault(error: unknown, what: string): void;
    /** Gives the memory of the BARs back. The server is closed before. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
