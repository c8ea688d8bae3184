import { type BarOptions, DeviceBar } from "./bar.js";
import { ClientMemory, type ClientRange } from "./dma.js";
import { IntxSource, MessageSource, NoticeSource } from "./interrupts.js";
import { type Migration } from "./migration.js";
import { type CapabilityImage, PciConfig, type PciIdentity } from "./pci-config.js";
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
    /** Whether it is a PCI Express endpoint, with 4096 bytes of config space; else a conventional one with 256. */
    readonly express?: boolean;
    /** Capabilities besides MSI, MSI-X and PCI Express: {@link powerManagement}, {@link vendorSpecific}. */
    readonly capabilities?: readonly CapabilityImage[];
    /** The client resets the device. Config space is put back before, except what the client's side keeps (the BARs). */
    reset?(): void | Promise<void>;
    /**
     * The client takes memory back. When this is done, nothing of the device uses the range any more: what it had under way
     * is ended, and views of it are not touched again. Reads and writes through {@link PciDevice.dma} need no such care.
     */
    quiesce?(range: ClientRange): void | Promise<void>;
    /** The client wrote its config space; the new contents are in {@link PciDevice.config}. */
    configWritten?(offset: number, length: number): void;
    /** A client is there. */
    connected?(): void;
    /**
     * The client is gone: its memory and its eventfds are not there any more, and the device keeps the rest of its state for the
     * next one.
     */
    disconnected?(): void | Promise<void>;
    /** How it is saved and restored, if it can be. */
    readonly migration?: Migration;
}
/**
 * A PCI device. A `VfioUserServer` serves it, to one client at a time; without a client it simply stands there.
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
    /** The client's memory. */
    readonly dma: ClientMemory;
    readonly intx: IntxSource;
    readonly msi: MessageSource;
    readonly msix: MessageSource;
    /** Tells the client of an error of the device. */
    readonly err: NoticeSource;
    /** Asks the client to let the device go. */
    readonly req: NoticeSource;
    /** @throws TypeError, RangeError for what no device can be */
    constructor(options: PciDeviceOptions);
    /**
     * A BAR.
     *
     * @throws RangeError if the device has no such BAR
     */
    bar(index: number): DeviceBar;
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
