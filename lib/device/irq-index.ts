/**
 * One kind of interrupt of a device: what the kernel says of it, and the `VFIO_DEVICE_SET_IRQS` calls on it.
 *
 * @module
 */

import { constants } from "node:os";
import type { ChangeKind } from "../base/change-lock.js";
import { VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import type { OwnedFd } from "../kernel/fd.js";
import {
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "../kernel/uapi.js";
import type { Interrupt } from "./interrupt.js";
import type { IrqName } from "./irq-name.js";
import type { OpenDevice } from "./open-device.js";
import type { IrqState } from "./state.js";

/** What the kernel says of one kind of interrupt (`VFIO_DEVICE_GET_IRQ_INFO`). */
export interface IrqInfo {
  /** Its index: for a PCI device 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ. */
  readonly index: number;
  /** The `VFIO_IRQ_INFO_*` as they are. */
  readonly flags: number;
  /** How many there are; 0 if the device has none of this kind. */
  readonly count: number;
  /** They are delivered through eventfds. */
  readonly eventfd: boolean;
  /** They can be masked and unmasked. */
  readonly maskable: boolean;
  /** The kernel masks each when it delivers it, until it is unmasked. */
  readonly automasked: boolean;
  /** More of them cannot be enabled without disabling all first. */
  readonly noresize: boolean;
}

const { EBUSY, EINVAL, ENODEV, ENOMEM, ENOSPC, ENOTTY } = constants.errno;

const actions = {
  MASK: VFIO_IRQ_SET_ACTION_MASK,
  UNMASK: VFIO_IRQ_SET_ACTION_UNMASK,
  TRIGGER: VFIO_IRQ_SET_ACTION_TRIGGER,
} as const;

/** One `VFIO_DEVICE_SET_IRQS`. */
export interface SetIrqs {
  readonly action: keyof typeof actions;
  readonly start: number;
  readonly count: number;
  /** Descriptors of eventfds, -1 for none; or booleans; or nothing. */
  readonly data?: { readonly eventfds: readonly number[] } | { readonly bools: readonly boolean[] };
}

/** @internal */
export function readIrqInfo(device: OpenDevice, index: number, object: string): IrqInfo {
  const raw = device.port.getIrqInfo(index);
  // A mediated device answers EINVAL to a kind that it does not have.
  const absent = raw === -EINVAL;
  if (typeof raw === "number" && !absent) {
    const call = { syscall: device.port.calls.request, request: "VFIO_DEVICE_GET_IRQ_INFO" };
    throw new VfioError({ errno: raw, ...call, args: { index }, object });
  }
  const { flags, count } = typeof raw === "number" ? { flags: 0, count: 0 } : raw;
  return {
    index,
    flags,
    count,
    eventfd: (flags & VFIO_IRQ_INFO_EVENTFD) !== 0,
    maskable: (flags & VFIO_IRQ_INFO_MASKABLE) !== 0,
    automasked: (flags & VFIO_IRQ_INFO_AUTOMASKED) !== 0,
    noresize: (flags & VFIO_IRQ_INFO_NORESIZE) !== 0,
  };
}

/** One kind of interrupt of a device. The subclasses say how it is switched on. */
export abstract class IrqIndex {
  readonly name: IrqName;
  /** @internal */
  protected readonly device: OpenDevice;
  readonly #index: number;
  #info: IrqInfo | undefined;

  /** @internal */
  constructor(device: OpenDevice, name: IrqName, index: number) {
    this.device = device;
    this.name = name;
    this.#index = index;
  }

  /** What the kernel says of it. */
  get info(): IrqInfo {
    const info = this.#info ?? readIrqInfo(this.device, this.#index, this.toString());
    // A kind that is absent is asked for again next time: a server may refuse it now and have it later.
    if (info.count > 0) this.#info = info;
    return info;
  }

  /** How many the device has; 0 if none. */
  get count(): number {
    return this.info.count;
  }

  /** Refuses a change while the device is between two processes. @internal */
  refuseLocked(change?: ChangeKind): void {
    this.device.refuseLocked(change);
  }

  /** Whether it is switched on. */
  abstract get enabled(): boolean;

  /** Switches it off and closes its eventfds. Does nothing if it is off. */
  abstract disable(): void;

  /** The interrupts that are on. @internal */
  abstract get on(): readonly Interrupt[];

  /** What a successor must know, if it is on. The descriptors are borrowed. @internal */
  abstract get state(): IrqState<number> | undefined;

  /**
   * It is on already, as another process has left it: the kernel is told nothing.
   *
   * @param state its descriptors belong to the interrupts from here on
   * @internal
   */
  abstract inherit(state: IrqState<OwnedFd>): void;

  /** Closes the eventfds and leaves everything else to another process: the kernel is told nothing. @internal */
  abstract disown(): void;

  /** For messages: the device and the kind of interrupt. */
  toString(): string {
    return `${this.name} of ${this.device.address}`;
  }

  /** 0, a positive answer of the kernel, or -errno. @internal */
  protected trySetIrqs({ action, start, count, data }: SetIrqs): number {
    this.device.refuseLocked("signals");
    const { port } = this.device;
    const flags = actions[action];
    if (data === undefined) {
      return port.setIrqs(flags | VFIO_IRQ_SET_DATA_NONE, this.#index, start, count);
    }
    if ("bools" in data) {
      const bytes = Uint8Array.from(data.bools, Number);
      return port.setIrqs(flags | VFIO_IRQ_SET_DATA_BOOL, this.#index, start, count, bytes);
    }
    const eventfds = Int32Array.from(data.eventfds);
    return port.setIrqs(flags | VFIO_IRQ_SET_DATA_EVENTFD, this.#index, start, count, eventfds);
  }

  /** @throws VfioError @internal */
  protected setIrqs(set: SetIrqs): void {
    const status = this.trySetIrqs(set);
    if (status < 0) throw this.refusal(status, set);
  }

  /** Switches the whole kind off in the kernel. @internal */
  protected switchOff(): void {
    this.setIrqs({ action: "TRIGGER", start: 0, count: 0 });
  }

  /** The kernel has one of INTx, MSI and MSI-X on at a time. @internal */
  protected refuseSecond(): void {
    const active = this.device.activeIrq;
    if (active === undefined || active === this.name) return;
    throw new VfioError({
      errno: EBUSY,
      syscall: this.device.port.calls.request,
      request: "VFIO_DEVICE_SET_IRQS",
      object: this.toString(),
      why: `${active} is on, and a device has one of INTx, MSI and MSI-X on at a time`,
      fix: `switch it off first: device.${active}.disable()`,
    });
  }

  /** The device has none of this kind. @internal */
  protected refuseAbsent(): void {
    if (this.count > 0) return;
    throw new VfioError({
      errno: ENODEV,
      syscall: this.device.port.calls.request,
      request: "VFIO_DEVICE_SET_IRQS",
      object: this.toString(),
      why: `the device has no ${this.name}`,
      fix: "look at the count of device.intx, device.msi and device.msix before you choose",
    });
  }

  /** @internal */
  protected refusal(status: number, { action, start, count, data }: SetIrqs): VfioError {
    const which = count === 1 ? `${this.name} ${start}` : this.name;
    const form = data === undefined ? "none" : "bools" in data ? "bool" : "eventfd";
    const doing = `could not ${phrase(action, form, count)} of ${which}`;
    const why = this.#explain(-status, action);
    return new VfioError({
      errno: status,
      syscall: this.device.port.calls.request,
      request: "VFIO_DEVICE_SET_IRQS",
      args: { index: this.#index, action, data: form, start, count },
      object: this.device.address,
      why: why === undefined ? doing : `${doing}: ${why}`,
    });
  }

  #explain(errno: number, action: keyof typeof actions): string | undefined {
    switch (errno) {
      case EINVAL:
        return "it is not on, another of INTx, MSI and MSI-X is (set through another copy of the descriptor), or the descriptor is no eventfd";
      case ENOTTY:
        return `the device's driver has no ${action} of that form for it`;
      case ENODEV:
        return "the line is not connected to an interrupt controller";
      case EBUSY:
        return action === "UNMASK"
          ? "an unmask eventfd is set already"
          : "another driver has the interrupt line, and this device cannot share it";
      case ENOSPC:
      case ENOMEM:
        return "the machine has no interrupt vectors left";
      default:
        return undefined;
    }
  }
}

function phrase(action: keyof typeof actions, form: "none" | "bool" | "eventfd", count: number): string {
  if (form === "eventfd") return `set the ${action} eventfd${count === 1 ? "" : "s"}`;
  if (action === "TRIGGER") return count === 0 ? "switch off every vector" : "raise the loopback interrupt";
  return action === "MASK" ? "mask the line" : "unmask the line";
}

showAs(IrqIndex, (irq) => String(irq));
