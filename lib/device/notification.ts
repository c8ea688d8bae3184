/**
 * ERR and REQ: what the kernel itself has to tell about a device.
 *
 * @module
 */

import type { ChangeKind } from "../base/change-lock.js";
import { invalidStateError } from "../base/errors.js";
import type { OwnedFd } from "../kernel/fd.js";
import { Interrupt } from "./interrupt.js";
import { IrqIndex } from "./irq-index.js";
import { type IrqState, stateOf } from "./state.js";

/**
 * One of the kernel's two notifications, which may be on beside any interrupt:
 *
 * - ERR: an uncorrectable PCI Express error of the device. Do not trust what it did last; reset it.
 * - REQ: the host wants the device back (its driver is being unbound, or it is being removed). Close it soon: whoever asked
 *   waits, and asks again every few seconds.
 */
export class Notification extends IrqIndex {
  #interrupt: Interrupt | undefined;

  get enabled(): boolean {
    return this.#interrupt !== undefined;
  }

  /**
   * Switches it on.
   *
   * @throws VfioError `ENODEV` if the device has none; an error with `code` `ERR_INVALID_STATE` if it is on already
   */
  enable(): Interrupt {
    this.refuseAbsent();
    this.device.refuseLocked();
    if (this.#interrupt !== undefined) throw invalidStateError(`${this} is on already`);
    const interrupt = this.#make();
    try {
      this.#set(interrupt.eventfd);
    } catch (error) {
      interrupt.end();
      throw error;
    }
    this.#interrupt = interrupt;
    return interrupt;
  }

  disable(): void {
    const interrupt = this.#interrupt;
    if (interrupt === undefined) return;
    this.device.refuseLocked();
    this.#interrupt = undefined;
    try {
      this.#set(-1);
    } finally {
      interrupt.end();
    }
  }

  #make(eventfd?: OwnedFd): Interrupt {
    const owner = {
      trigger: () => this.setIrqs({ action: "TRIGGER", start: 0, count: 1 }),
      release: () => this.disable(),
      refuseLocked: (change?: ChangeKind) => this.refuseLocked(change),
    };
    return new Interrupt(owner, 0, this.toString(), eventfd);
  }

  /** @internal */
  get on(): readonly Interrupt[] {
    return this.#interrupt === undefined ? [] : [this.#interrupt];
  }

  /** @internal */
  get state(): IrqState<number> | undefined {
    return stateOf(this.name, this.on);
  }

  /** @internal */
  inherit({ vectors }: IrqState<OwnedFd>): void {
    const [only] = vectors;
    if (only !== undefined) this.#interrupt = this.#make(only.eventfd);
  }

  /** @internal */
  disown(): void {
    this.#interrupt?.end();
    this.#interrupt = undefined;
  }

  #set(eventfd: number): void {
    this.setIrqs({ action: "TRIGGER", start: 0, count: 1, data: { eventfds: [eventfd] } });
  }
}
