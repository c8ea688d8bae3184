/**
 * INTx: the line interrupt of conventional PCI. One for a device, level-triggered, perhaps shared with other devices.
 *
 * @module
 */
import { checkBoolean, checkDescriptor, checkOptions, checkSignal, knownOptions } from "../base/arguments.js";
import type { ChangeKind } from "../base/change-lock.js";
import { invalidStateError } from "../base/errors.js";
import { EventFd } from "../kernel/event-fd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { Interrupt, type InterruptOwner, type WaitOptions } from "./interrupt.js";
import { IrqIndex } from "./irq-index.js";
import { type IrqState, stateOf } from "./state.js";

/** What a line needs of INTx beyond what every interrupt does. @internal */
interface LineOwner extends InterruptOwner {
  readonly automasked: boolean;
  mask(): void;
  unmask(): void;
  setUnmaskEventfd(eventfd: number): void;
}

const lineOptions = knownOptions<NonNullable<Parameters<IntxLine["interrupts"]>[0]>>({
  signal: checkSignal,
  unmask: checkBoolean,
});

/**
 * The device's line, switched on.
 *
 * A line stays raised until the device is told that it was heard. So the kernel masks it when it delivers, or nothing else
 * would run any more: **the program acknowledges the interrupt at the device, then unmasks the line**. Unmasked while the
 * device still raises it, the line is delivered again at once.
 *
 * `for await` unmasks by itself each time around: the loop's body acknowledges. After an event, {@link wait},
 * {@link waitSync} and {@link take} the program calls {@link unmask}. A loop that is left leaves the line masked.
 */
export class IntxLine extends Interrupt {
  readonly #intx: LineOwner;
  #unmaskEventfd: OwnedFd | undefined;

  /** @internal */
  constructor(
    intx: LineOwner,
    label: string,
    inherited?: { readonly eventfd: OwnedFd; readonly unmask: OwnedFd | undefined },
  ) {
    super(intx, 0, label, inherited?.eventfd);
    this.#intx = intx;
    this.#unmaskEventfd = inherited?.unmask;
  }

  /** Masks the line: what the device raises is delivered once it is unmasked. */
  mask(): void {
    this.#on();
    this.#intx.mask();
  }

  /** Unmasks the line. Delivered at once is what the device raises still, or raised meanwhile. */
  unmask(): void {
    this.#on();
    this.#intx.unmask();
  }

  #on(): void {
    if (this.closed) throw invalidStateError(`${this.label} is off`);
  }

  /**
   * The counts of the deliveries, one after the other; the line is unmasked each time around.
   *
   * @param options.unmask `false` leaves unmasking to the program
   */
  override interrupts(
    options: Pick<WaitOptions, "signal"> & { readonly unmask?: boolean } = {},
  ): AsyncIterableIterator<number> {
    checkOptions("options", options, lineOptions);
    const unmask = this.#intx.automasked && options.unmask !== false;
    return this.iterate(options, unmask ? () => this.unmask() : undefined);
  }

  /**
   * Has the kernel unmask the line whenever an eventfd is signalled, without this process: what KVM's irqfd calls
   * resampling. Mask the line first, hand both eventfds to KVM, then set this, then unmask (otherwise an interrupt that is
   * delivered in between stays masked for ever).
   *
   * @param eventfd borrowed, and needed only during the call, since the line keeps a duplicate; left out, one is made
   * @returns the line's own descriptor of the eventfd, borrowed
   * @throws VfioError `EBUSY` if one is set, `ENOTTY` if the device's driver has none
   */
  setUnmaskEventfd(eventfd?: number): number {
    this.#on();
    this.#intx.refuseLocked();
    // -1 would take the eventfd back.
    if (eventfd !== undefined) checkDescriptor("eventfd", eventfd);
    const object = `unmask of ${this.label}`;
    const own = eventfd === undefined ? EventFd.make(object) : EventFd.duplicateOf(eventfd, object);
    try {
      this.#intx.setUnmaskEventfd(own.number);
    } catch (error) {
      own.close();
      throw error;
    }
    this.#unmaskEventfd = own;
    return own.number;
  }

  /** Takes the eventfd of {@link setUnmaskEventfd} back. Does nothing if there is none. */
  clearUnmaskEventfd(): void {
    if (this.#unmaskEventfd === undefined) return;
    this.#on();
    this.#intx.refuseLocked();
    this.#intx.setUnmaskEventfd(-1);
    this.#unmaskEventfd.close();
    this.#unmaskEventfd = undefined;
  }

  /** The eventfd that unmasks the line, borrowed, if one is set. */
  get unmaskEventfd(): number | undefined {
    return this.#unmaskEventfd?.number;
  }

  /** @internal */
  override end(): void {
    super.end();
    this.#unmaskEventfd?.close();
    this.#unmaskEventfd = undefined;
  }
}

/** INTx of a device. */
export class Intx extends IrqIndex {
  #line: IntxLine | undefined;

  get enabled(): boolean {
    return this.#line !== undefined;
  }

  /** The line, while it is on. */
  get line(): IntxLine | undefined {
    return this.#line;
  }

  /**
   * Switches the line on, unmasked.
   *
   * @throws VfioError `EBUSY` if MSI or MSI-X is on, or if the line is shared with another driver and the device cannot be
   *   told apart; `ENODEV` if the device has no line; an error with `code` `ERR_INVALID_STATE` if it is on already
   */
  enable(): IntxLine {
    this.refuseAbsent();
    this.device.refuseLocked();
    this.refuseSecond();
    if (this.#line !== undefined) throw invalidStateError(`${this} is on already`);
    const line = new IntxLine(this.#owner(), this.toString());
    try {
      this.setIrqs({ action: "TRIGGER", start: 0, count: 1, data: { eventfds: [line.eventfd] } });
    } catch (error) {
      line.end();
      throw error;
    }
    this.#line = line;
    this.device.activeIrq = this.name;
    return line;
  }

  #owner(): LineOwner {
    return {
      automasked: this.info.automasked,
      trigger: () => this.setIrqs({ action: "TRIGGER", start: 0, count: 1 }),
      release: () => this.disable(),
      mask: () => this.setIrqs({ action: "MASK", start: 0, count: 1 }),
      unmask: () => this.setIrqs({ action: "UNMASK", start: 0, count: 1 }),
      setUnmaskEventfd: (fd) => this.setIrqs({ action: "UNMASK", start: 0, count: 1, data: { eventfds: [fd] } }),
      refuseLocked: (change?: ChangeKind) => this.refuseLocked(change),
    };
  }

  /** @internal */
  get on(): readonly IntxLine[] {
    return this.#line === undefined ? [] : [this.#line];
  }

  /** @internal */
  get state(): IrqState<number> | undefined {
    return stateOf(this.name, this.on, { unmask: this.#line?.unmaskEventfd });
  }

  /** @internal */
  inherit({ vectors, unmask }: IrqState<OwnedFd>): void {
    const [only] = vectors;
    if (only === undefined) return;
    this.#line = new IntxLine(this.#owner(), this.toString(), { eventfd: only.eventfd, unmask });
    this.device.activeIrq = this.name;
  }

  /** @internal */
  disown(): void {
    this.#line?.end();
    this.#line = undefined;
  }

  disable(): void {
    const line = this.#line;
    if (line === undefined) return;
    this.device.refuseLocked();
    this.#line = undefined;
    try {
      this.switchOff();
    } finally {
      this.device.activeIrq = undefined;
      line.end();
    }
  }
}
