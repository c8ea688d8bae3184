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

import { constants } from "node:os";
import { checkBoolean, checkInteger, checkObject, checkString } from "../base/arguments.js";
import type { ChangeLock } from "../base/change-lock.js";
import { VfioError } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import { watchForLeak } from "../base/leak.js";
import type { AddDescriptor, Blocker, Preservable } from "../base/preserve.js";
import { runAll } from "../base/run-all.js";
import type { OwnedFd } from "../kernel/fd.js";
import {
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "../kernel/uapi.js";
import type { DmaMemory } from "../memory/dma-buffer.js";
import type { Attachment } from "./attachment.js";
import { ConfigSpace, PciCommand } from "./config-space.js";
import { DeviceFeatures } from "./feature.js";
import { type DeviceInfo, readDeviceInfo } from "./info.js";
import type { Interrupt } from "./interrupt.js";
import { Intx } from "./intx.js";
import { Ioeventfd } from "./ioeventfd.js";
import type { IrqIndex } from "./irq-index.js";
import { MessageInterrupts } from "./msi.js";
import { Notification } from "./notification.js";
import { OpenDevice } from "./open-device.js";
import { Region } from "./region.js";
import { type RegionName, type RegionType, readRegionInfo, regionIndex, regionName } from "./region-info.js";
import { RegionMap } from "./region-map.js";
import { type HotResetInfo, hotReset, hotResetInfo, reset, resetAsync } from "./reset.js";
import { type DeviceState, mapDeviceState, type PreservedDevice } from "./state.js";

const { EBUSY, ENODEV } = constants.errno;

/**
 * A device that is attached to a container: its registers, config space, interrupts and resets. Made by
 * `container.attach(address)`.
 *
 * It belongs to the thread that attached it. Every method of a closed device, and of what it gave out, throws an error
 * with `code` `ERR_INVALID_STATE`.
 */
export class Device implements Preservable<PreservedDevice>, Disposable {
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
  readonly #device: OpenDevice;
  readonly #regions = new Map<number, Region>();
  readonly #forget: () => void;
  #frozen: readonly Interrupt[] = [];
  #config: ConfigSpace | undefined;

  /**
   * @param attachment belongs to the device from here on; if this throws, it is still the caller's
   * @param inherited what another process has left: its interrupts are on, and the kernel is told nothing. Belongs to the
   *   device as `attachment` does.
   * @throws VfioError
   * @internal
   */
  constructor(attachment: Attachment, inherited: DeviceState<OwnedFd> = { irqs: [], ioeventfds: [] }) {
    const device = new OpenDevice(attachment);
    // Before anything else: a mediated device answers about its interrupts only once it was asked for this.
    this.info = readDeviceInfo(device);
    this.address = attachment.address;
    this.#device = device;
    this.intx = new Intx(device, "intx", VFIO_PCI_INTX_IRQ_INDEX);
    this.msi = new MessageInterrupts(device, "msi", VFIO_PCI_MSI_IRQ_INDEX);
    this.msix = new MessageInterrupts(device, "msix", VFIO_PCI_MSIX_IRQ_INDEX);
    this.err = new Notification(device, "err", VFIO_PCI_ERR_IRQ_INDEX);
    this.req = new Notification(device, "req", VFIO_PCI_REQ_IRQ_INDEX);
    this.features = new DeviceFeatures(device);
    // All that may fail comes before any of the descriptors has a new owner.
    const orders = inherited.ioeventfds.map((order) => ({ ...order, of: this.region(order.region) }));
    for (const irq of inherited.irqs) this[irq.kind].inherit(irq);
    for (const { of, eventfd, ...order } of orders) new Ioeventfd(device, of, order, eventfd);
    this.#forget = watchForLeak(this, `the device ${this.address}`, "close()");
  }

  // ---- regions -----------------------------------------------------------------------------------------------------

  /** The regions that the device has. */
  get regions(): readonly Region[] {
    return Array.from({ length: this.info.regionCount }, (_, index) => this.#region(index)).filter(
      (region) => region !== undefined,
    );
  }

  /** A region, or undefined if the device does not have it. */
  findRegion(which: RegionName | RegionType | number): Region | undefined {
    if (typeof which === "object") {
      checkObject("which", which);
      return this.regions.find(({ type }) => type?.type === which.type && type.subtype === which.subtype);
    }
    if (typeof which === "number") checkInteger("which", which);
    else checkString("which", which);
    const index = typeof which === "number" ? which : this.info.isPci ? regionIndex(which) : -1;
    return index >= 0 && index < this.info.regionCount ? this.#region(index) : undefined;
  }

  /**
   * A region.
   *
   * @param which its name or index, or what a device-specific region is
   * @throws VfioError `ENODEV` if the device does not have it
   */
  region(which: RegionName | RegionType | number): Region {
    const found = this.findRegion(which);
    if (found !== undefined) return found;
    const name = typeof which === "object" ? `region of type ${which.type}, subtype ${which.subtype}` : `${which}`;
    throw new VfioError({
      errno: ENODEV,
      syscall: this.#device.port.calls.request,
      request: "VFIO_DEVICE_GET_REGION_INFO",
      object: this.address,
      why: `the device has no ${name}; it has ${this.regions.map((region) => region.name).join(", ")}`,
    });
  }

  #region(index: number): Region | undefined {
    const known = this.#regions.get(index);
    if (known !== undefined) return known;
    const { isPci } = this.info;
    const info = readRegionInfo(this.#device, index, `${regionName(index, isPci)} of ${this.address}`);
    // A region that is absent is asked for again next time: a server may refuse it now and have it later.
    if (info === undefined) return undefined;
    const region = new Region(this.#device, info, isPci);
    this.#regions.set(index, region);
    return region;
  }

  /** PCI config space. */
  get config(): ConfigSpace {
    this.#config ??= new ConfigSpace(this.region("config"));
    return this.#config;
  }

  /** Whether the device may do DMA and send MSI: a bit of its COMMAND register. Off when it is opened. */
  get busMaster(): boolean {
    return (this.config.command & PciCommand.busMaster) !== 0;
  }

  /** One write of COMMAND, with its other bits as they are. */
  set busMaster(on: boolean) {
    checkBoolean("busMaster", on);
    const { command } = this.config;
    this.config.command = on ? command | PciCommand.busMaster : command & ~PciCommand.busMaster;
  }

  // ---- interrupts --------------------------------------------------------------------------------------------------

  /** The kinds of interrupt that the device has. */
  get irqs(): readonly IrqIndex[] {
    return this.#irqs.filter((irq) => irq.count > 0);
  }

  get #irqs(): readonly (Intx | MessageInterrupts | Notification)[] {
    return [this.intx, this.msi, this.msix, this.err, this.req];
  }

  // ---- resets ------------------------------------------------------------------------------------------------------

  /**
   * Resets the device's function (`VFIO_DEVICE_RESET`). It blocks for 100 ms and more; while something else holds the
   * device, it tries again for 200 ms.
   *
   * Interrupts stay switched on. Config space is as it was before the reset, the BARs' contents are the
   * device's own business. A dma-buf that was made of a BAR has lost its memory in every importer.
   *
   * @throws VfioError `EINVAL` if the device has no reset of its own, `EAGAIN` if something else holds it
   */
  reset(): void {
    reset(this.#device);
  }

  /** {@link reset} on another thread. An access to a mapped BAR waits for its end. */
  resetAsync(): Promise<void> {
    return resetAsync(this.#device);
  }

  /**
   * What a reset of the device's slot or bus would take along.
   *
   * @returns undefined if there can be no such reset
   * @throws VfioError
   */
  hotResetInfo(): HotResetInfo | undefined {
    return hotResetInfo(this.#device);
  }

  /**
   * Resets the slot or bus of the device, and every device there. It blocks for a second and more.
   *
   * @returns what it took along
   * @throws VfioError `EPERM` if a device there is not this process's (which, and what to do), `ENODEV` if there can be no
   *   such reset
   */
  hotReset(): HotResetInfo {
    return hotReset(this.#device);
  }

  /** The writes that the kernel makes for eventfds, in the order in which they were set up. */
  get ioeventfds(): readonly Ioeventfd[] {
    return [...this.#device.parts].filter((part) => part instanceof Ioeventfd);
  }

  // ---- between two processes ---------------------------------------------------------------------------------------

  /** A device that is being migrated is stopped, or about to be: the successor would not know. @internal */
  blockers(): readonly Blocker[] {
    if (!this.features.has(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, "get")) return [];
    // struct vfio_device_feature_mig_state: the state, and a descriptor that a read does not make.
    const state = new Uint32Array(2);
    this.features.get(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, new Uint8Array(state.buffer));
    if (state[0] === VFIO_DEVICE_STATE_RUNNING) return [];
    return [
      {
        device: this.address,
        object: this.address,
        why: `a migration is under way: its state is ${state[0]}, and not RUNNING`,
        fix: "finish or cancel the migration first",
      },
    ];
  }

  /** @internal */
  preserve(add: AddDescriptor): PreservedDevice {
    const { address, port, group, iommufdId, pageTableId } = this.attachment;
    return { address, descriptor: add(port.fd), group, iommufdId, pageTableId, ...mapDeviceState(this.state, add) };
  }

  /** Interrupts are counted from here on, and nobody here reads them. @internal */
  freeze(): void {
    this.#frozen = this.interrupts;
    for (const interrupt of this.#frozen) interrupt.suspend();
  }

  /** Ends {@link freeze}: listeners get all that has come. @internal */
  thaw(): void {
    const frozen = this.#frozen;
    this.#frozen = [];
    runAll(
      `resuming the interrupts of ${this.address}`,
      frozen.map((interrupt) => () => interrupt.resume()),
    );
  }

  /** What a successor must know of it. The descriptors are borrowed. @internal */
  get state(): DeviceState<number> {
    const irqs = this.#irqs.map((irq) => irq.state).filter((state) => state !== undefined);
    return { irqs, ioeventfds: this.ioeventfds.map((each) => each.state) };
  }

  /** How it is tied to its container. @internal */
  get attachment(): Attachment {
    return this.#device.attachment;
  }

  /** The mapping of one of its BARs that memory is, if it is one. @internal */
  mapOf(memory: DmaMemory): RegionMap | undefined {
    if (!(memory instanceof RegionMap)) return undefined;
    return this.#regions.get(memory.region.index) === memory.region ? memory : undefined;
  }

  /** What is under way on another thread, if anything. @internal */
  get underWay(): string | undefined {
    return this.#device.underWay;
  }

  /** Refuses changes from now on, or with undefined no more. @internal */
  lock(lock: ChangeLock | undefined): void {
    this.#device.lock(lock);
  }

  /** Every interrupt that is on. @internal */
  get interrupts(): readonly Interrupt[] {
    return this.#irqs.flatMap((irq) => irq.on);
  }

  /**
   * Closes what is this process's of the device, and leaves the device to another one: no interrupt is switched off, nothing is
   * detached or reset.
   *
   * @internal
   */
  disown(): void {
    const device = this.#device;
    if (!device.open) return;
    for (const irq of this.#irqs) irq.disown();
    for (const part of [...device.parts]) part.disown();
    device.shut();
    this.#forget();
    device.attachment.port.close();
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Whether it has been closed. */
  get closed(): boolean {
    return !this.#device.open;
  }

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
  close(): void {
    const device = this.#device;
    if (!device.open) return;
    device.refuseLocked();
    this.#refuseHeld();
    device.attachment.refuseClose?.();
    runAll(`closing the device ${this.address}`, [
      ...this.#irqs.map((irq) => () => irq.disable()),
      ...[...device.parts].reverse().map((part) => () => part.close()),
      () => {
        device.shut();
        this.#forget();
      },
      () => device.attachment.beforeClose(),
      () => device.attachment.port.close(),
      () => device.attachment.afterClose(),
    ]);
  }

  #refuseHeld(): void {
    for (const { holdup } of this.#device.parts) {
      if (holdup === undefined) continue;
      throw new VfioError({
        errno: EBUSY,
        syscall: "close",
        object: this.address,
        why: `other devices can still reach its memory: ${holdup}`,
        fix: "unmap its BARs from the container first",
      });
    }
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    return this.address;
  }
}

showAs(Device, (device) => `${device.address}, ${openOrClosed(device)}`);
