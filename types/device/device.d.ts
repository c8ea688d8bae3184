/**
 * One attached device.
 *
 * ```text
 *  Device --- OpenDevice (port, address)
 *    |- regions: Region --- RegionMap            bar0, config, ...: registers, and memory for other devices
 *    |- config:  ConfigSpace                     over the config region
 *    |- intx, msi, msix, err, req --- Interrupt  one eventfd each
 *    `- features
 * ```
 *
 * @module
 */
import type { Preservable } from "../base/preserve.js";
import { ConfigSpace } from "./config-space.js";
import { DeviceFeatures } from "./feature.js";
import { type DeviceInfo } from "./info.js";
import { Intx } from "./intx.js";
import { Ioeventfd } from "./ioeventfd.js";
import type { IrqIndex } from "./irq-index.js";
import { MessageInterrupts } from "./msi.js";
import { Notification } from "./notification.js";
import { Region } from "./region.js";
import { type RegionName, type RegionType } from "./region-info.js";
import { type HotResetInfo } from "./reset.js";
import { type PreservedDevice } from "./state.js";
/**
 * A device that is attached to a container: its registers, config space, interrupts and resets. Made by
 * `container.attach(address)`.
 *
 * It belongs to the thread that attached it. Every method of a closed device, and of what it gave out, throws an error
 * with `code` `ERR_INVALID_STATE`.
 */
export declare class Device implements Preservable<PreservedDevice>, Disposable {
    #private;
    /** Its PCI address (`0000:01:00.0`), or a mediated device's UUID. */
    readonly address: string;
    /** What the kernel says of it. */
    readonly info: DeviceInfo;
    /** INTx, its line. */
    readonly intx: Intx;
    /** MSI. */
    readonly msi: MessageInterrupts;
    /** MSI-X. */
    readonly msix: MessageInterrupts;
    /** The kernel's notification of an uncorrectable error of the device. */
    readonly err: Notification;
    /** The kernel's wish to have the device back. */
    readonly req: Notification;
    /** Optional abilities. */
    readonly features: DeviceFeatures;
    /** The regions that the device has. */
    get regions(): readonly Region[];
    /** A region, or undefined if the device does not have it. */
    findRegion(which: RegionName | RegionType | number): Region | undefined;
    /**
     * A region.
     *
     * @param which its name or index, or what a device-specific region is
     * @throws VfioError `ENODEV` if the device does not have it
     */
    region(which: RegionName | RegionType | number): Region;
    /** PCI config space. */
    get config(): ConfigSpace;
    /** Whether the device may do DMA and send MSI: a bit of its COMMAND register. Off when it is opened. */
    get busMaster(): boolean;
    /** One write of COMMAND, with its other bits as they are. */
    set busMaster(on: boolean);
    /** The kinds of interrupt that the device has. */
    get irqs(): readonly IrqIndex[];
    /**
     * Resets the device's function (`VFIO_DEVICE_RESET`). It blocks for 100 ms and more; while something else holds the
     * device, it tries again for 200 ms.
     *
     * Interrupts stay switched on. Config space is as it was before the reset, the BARs' contents are the
     * device's own business. A dma-buf that was made of a BAR has lost its memory in every importer.
     *
     * @throws VfioError `EINVAL` if the device has no reset of its own, `EAGAIN` if something else holds it
     */
    reset(): void;
    /** {@link reset} on another thread. An access to a mapped BAR waits for its end. */
    resetAsync(): Promise<void>;
    /**
     * What a reset of the device's slot or bus would take along.
     *
     * @returns undefined if there can be no such reset
     * @throws VfioError
     */
    hotResetInfo(): HotResetInfo | undefined;
    /**
     * Resets the slot or bus of the device, and every device there. It blocks for a second and more.
     *
     * @returns what it took along
     * @throws VfioError `EPERM` if a device there is not this process's (which, and what to do), `ENODEV` if there can be no
     *   such reset
     */
    hotReset(): HotResetInfo;
    /** The writes that the kernel makes for eventfds, in the order in which they were set up. */
    get ioeventfds(): readonly Ioeventfd[];
    /** Whether it has been closed. */
    get closed(): boolean;
    /**
     * Closes the device. A second call does nothing.
     *
     * In this order: interrupts are switched off, so that nothing signals an eventfd that is closed next; ioeventfds and
     * mappings of BARs go, since a mapping keeps the device open in the kernel; the container lets go; the descriptor is
     * closed, which makes the kernel stop the device's DMA and reset it; the container tidies up. What fails on the way does
     * not keep the rest from being done: it is thrown at the end.
     *
     * @throws VfioError `EBUSY` while one of its BARs is mapped for other devices, and while an asynchronous unmap is under way if
     *   it is the container's last device: then nothing was done
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
