/**
 * `VFIO_DEVICE_IOEVENTFD`: a register that the kernel writes whenever an eventfd is signalled.
 *
 * @module
 */

import { constants } from "node:os";
import { checkDescriptor } from "../base/arguments.js";
import { check, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { EventFd } from "../kernel/event-fd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import type { DevicePart, OpenDevice } from "./open-device.js";
import { checkValue, type Width } from "./registers.js";
import type { IoeventfdState } from "./state.js";

const { EBUSY, EEXIST, EINVAL, ENOSPC, ENOTTY } = constants.errno;

/** What is written where. */
export interface IoeventfdOptions {
  /** The register, from the start of the region. */
  readonly offset: number;
  /** Its width in bytes. */
  readonly width: Width;
  /** What is written. */
  readonly value: number | bigint;
  /**
   * The eventfd whose signals are turned into writes: borrowed, and needed only during the call, since the object keeps a
   * duplicate. Left out, one is made.
   */
  readonly eventfd?: number;
}

/** What it needs of its region. */
interface IoeventfdRegion {
  readonly index: number;
  readonly label: string;
  readonly fileOffset: bigint;
}

function labelOf(region: IoeventfdRegion, offset: number): string {
  return `ioeventfd at 0x${offset.toString(16)} in ${region.label}`;
}

/**
 * A standing order to the kernel. It ends with {@link close}, or with the device.
 *
 * Several signals that come together may become one write.
 */
export class Ioeventfd implements DevicePart, Disposable {
  /** For messages. */
  readonly label: string;
  /** What is written: the value, to the register at this offset of the region of this number. */
  readonly order: Readonly<{ region: number; offset: number; width: Width; value: bigint }>;
  readonly holdup = undefined;
  readonly #device: OpenDevice;
  readonly #region: IoeventfdRegion;
  readonly #eventfd: OwnedFd;

  /** @internal */
  constructor(
    device: OpenDevice,
    region: IoeventfdRegion,
    { width, offset, value }: Pick<IoeventfdState<number>, "width" | "offset" | "value">,
    eventfd: OwnedFd,
  ) {
    this.label = labelOf(region, offset);
    this.#device = device;
    this.#region = region;
    this.order = { region: region.index, offset, width, value };
    this.#eventfd = eventfd;
    device.parts.add(this);
  }

  /** Gives the order. @internal */
  static make(device: OpenDevice, region: IoeventfdRegion, options: IoeventfdOptions): Ioeventfd {
    device.refuseLocked();
    const { eventfd, offset, width } = options;
    const value = checkValue(
      width !== 8 && typeof options.value === "bigint" ? Number(options.value) : options.value,
      width,
    );
    // -1 would take an order back.
    if (eventfd !== undefined) checkDescriptor("eventfd", eventfd);
    const label = labelOf(region, offset);
    const own = eventfd === undefined ? EventFd.make(label) : EventFd.duplicateOf(eventfd, label);
    let made: Ioeventfd | undefined;
    try {
      made = new Ioeventfd(device, region, { offset, width, value }, own);
      const status = made.#set(own.number);
      if (status < 0) throw made.#refusal(status);
      return made;
    } catch (error) {
      if (made !== undefined) device.parts.delete(made);
      own.close();
      throw error;
    }
  }

  #set(eventfd: number): number {
    const { width, offset, value } = this.order;
    return this.#device.port.ioeventfd(this.#region, width, offset, value, eventfd);
  }

  #refusal(status: number): VfioError {
    const { width, value } = this.order;
    const reasons = new Map<number, string>([
      [
        EINVAL,
        "the kernel writes into BARs only, not into the MSI-X table, and only for a descriptor that is an eventfd",
      ],
      [EEXIST, "the same write is set up already"],
      [EBUSY, "the eventfd is in use for it already"],
      [ENOSPC, "the device has as many as the kernel allows (1000)"],
      [ENOTTY, "the device's VFIO driver has none"],
    ]);
    const why = reasons.get(-status);
    return new VfioError({
      errno: status,
      syscall: this.#device.port.calls.request,
      request: "VFIO_DEVICE_IOEVENTFD",
      args: { width, value },
      object: this.label,
      ...(why === undefined ? {} : { why }),
    });
  }

  /** The eventfd's descriptor, borrowed: its own, or a duplicate of the one that it was made with. */
  get eventfd(): number {
    return this.#eventfd.number;
  }

  /** What a successor must know. The descriptor is borrowed. @internal */
  get state(): IoeventfdState<number> {
    return { ...this.order, eventfd: this.eventfd };
  }

  /** Signals the eventfd, so that the kernel makes the write. */
  signal(): void {
    this.#device.refuseLocked("use");
    check(native.eventfdWrite(this.eventfd, 1), () => ({ syscall: "write", object: this.label }));
  }

  /** Takes the order back. A second call does nothing. */
  close(): void {
    if (this.#eventfd.closed) return;
    this.#device.refuseLocked();
    const status = this.#device.open ? this.#set(-1) : 0;
    this.disown();
    if (status < 0) throw this.#refusal(status);
  }

  /** Closes the eventfd and leaves the order standing, for another process. @internal */
  disown(): void {
    this.#device.parts.delete(this);
    this.#eventfd.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

showAs(Ioeventfd, (ioeventfd) => ioeventfd.label);
