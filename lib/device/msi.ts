/**
 * MSI and MSI-X: interrupts that the device sends as memory writes, a vector each.
 *
 * @module
 */

import { constants } from "node:os";
import { checkDescriptor, checkInteger, checkIterable } from "../base/arguments.js";
import { invalidStateError, outOfRangeError, VfioError } from "../base/errors.js";
import type { OwnedFd } from "../kernel/fd.js";
import { Interrupt } from "./interrupt.js";
import { IrqIndex, type SetIrqs } from "./irq-index.js";
import { type IrqState, stateOf } from "./state.js";

/**
 * MSI or MSI-X of a device.
 *
 * It is on while it has vectors: {@link enable} or {@link enableVector} switches it on, {@link disable} or the closing of
 * the last vector switches it off.
 */
export class MessageInterrupts extends IrqIndex {
  readonly #vectors = new Map<number, Interrupt>();
  /** The eventfds that vectors signal instead of their own. */
  readonly #redirected = new Map<number, number>();
  /** How many vectors the kernel set aside when it was switched on; all those below can be set singly. */
  #allocated = 0;

  get enabled(): boolean {
    return this.#vectors.size > 0;
  }

  /** The vectors that are on, by their numbers. */
  get vectors(): ReadonlyMap<number, Interrupt> {
    return this.#vectors;
  }

  /**
   * A vector that is on.
   *
   * @throws an error with `code` `ERR_INVALID_STATE` if it is off
   */
  vector(index: number): Interrupt {
    checkInteger("index", index);
    const vector = this.#vectors.get(index);
    if (vector === undefined) throw invalidStateError(`${this.#label(index)} is off`);
    return vector;
  }

  /**
   * Switches it on with vectors 0 to `count - 1`.
   *
   * @returns the vectors, in order
   * @throws RangeError for more than the device has; VfioError `ENOSPC` if the machine has fewer left (`error.args.available`
   *   says how many), `EBUSY` if INTx or the other kind of MSI is on, `ENODEV` if the device has none; an error with `code`
   *   `ERR_INVALID_STATE` if it is on already
   */
  enable(count: number): readonly Interrupt[] {
    this.refuseAbsent();
    checkInteger("count", count, 1, this.count);
    this.device.refuseLocked();
    this.refuseSecond();
    if (this.enabled) {
      throw invalidStateError(
        `${this} is on with ${this.#vectors.size} vectors: use enableVector(), or disable() it first`,
      );
    }
    const vectors: Interrupt[] = [];
    try {
      for (let index = 0; index < count; index++) vectors.push(this.#make(index));
      this.#setFirst(vectors.map((vector) => vector.eventfd));
    } catch (error) {
      for (const vector of vectors) vector.end();
      throw error;
    }
    for (const vector of vectors) this.#vectors.set(vector.index, vector);
    this.#allocated = count;
    this.device.activeIrq = this.name;
    return vectors;
  }

  /**
   * Switches one more vector on, or the first.
   *
   * A device whose `info.noresize` is set (MSI; MSI-X on an older kernel or without an interrupt-remapping-style MSI
   * domain) cannot have more vectors than it was switched on with: then all are switched off and on again, with the same
   * eventfds, and what the device raises in between is lost. Enable as many as will be needed at once, or keep the device
   * quiet meanwhile.
   *
   * @throws as {@link enable}; those that were on stay on
   */
  enableVector(index: number): Interrupt {
    this.refuseAbsent();
    checkInteger("index", index, 0, this.count - 1);
    this.device.refuseLocked();
    this.refuseSecond();
    if (this.#vectors.has(index)) throw invalidStateError(`${this.#label(index)} is on already`);
    const vector = this.#make(index);
    try {
      if (!this.enabled) this.#switchOnWith(vector);
      else if (index < this.#allocated || !this.info.noresize) this.#setOne(index, vector.eventfd);
      else this.#grow(vector);
    } catch (error) {
      vector.end();
      throw error;
    }
    this.#vectors.set(index, vector);
    this.device.activeIrq = this.name;
    return vector;
  }

  /** Switches every vector off. Does nothing if it is off. */
  disable(): void {
    if (!this.enabled) return;
    this.device.refuseLocked();
    try {
      this.switchOff();
    } finally {
      this.#forgetAll();
    }
  }

  /**
   * Has the kernel signal several vectors as if the device had raised them, in one call.
   *
   * @throws VfioError
   */
  trigger(vectors: Interrupt | Iterable<number>): void {
    if (vectors instanceof Interrupt) {
      this.setIrqs({ action: "TRIGGER", start: vectors.index, count: 1 });
      return;
    }
    checkIterable("vectors", vectors);
    const wanted = new Set(vectors);
    for (const index of wanted) {
      if (!this.#vectors.has(index)) throw outOfRangeError("vectors", `vectors of ${this} that are on`, index);
    }
    const bools = Array.from({ length: Math.max(-1, ...wanted) + 1 }, (_, index) => wanted.has(index));
    if (bools.length > 0) this.setIrqs({ action: "TRIGGER", start: 0, count: bools.length, data: { bools } });
  }

  /**
   * Has the kernel signal another eventfd for a vector that is on, instead of the vector's own: one that a guest's
   * interrupt hangs on.
   *
   * The kernel takes its handler away for a moment. What the device raises then stays pending in an MSI-X vector, and is lost
   * in one of MSI, which need not have such a bit. A message that is on its way to a processor just then can be lost in both:
   * keep the device quiet where that matters.
   *
   * @param eventfd borrowed, and to be kept open until it is taken back or the vector is off; undefined takes it back
   * @throws VfioError; the vector then signals what it did before
   */
  redirect(index: number, eventfd: number | undefined): void {
    const vector = this.vector(index);
    // -1 would take the vector's eventfd away.
    if (eventfd !== undefined) checkDescriptor("eventfd", eventfd);
    this.#setOne(index, eventfd ?? vector.eventfd);
    if (eventfd === undefined) this.#redirected.delete(index);
    else this.#redirected.set(index, eventfd);
  }

  /** @internal */
  release(vector: Interrupt): void {
    if (this.#vectors.size === 1) {
      this.disable();
      return;
    }
    this.device.refuseLocked();
    this.#vectors.delete(vector.index);
    this.#redirected.delete(vector.index);
    this.#setOne(vector.index, -1);
  }

  /** @internal */
  get on(): readonly Interrupt[] {
    return [...this.#vectors.values()];
  }

  /** @internal */
  get state(): IrqState<number> | undefined {
    return stateOf(this.name, this.on, { allocated: this.#allocated });
  }

  /** @internal */
  inherit({ allocated, vectors }: IrqState<OwnedFd>): void {
    for (const { index, eventfd } of vectors) this.#vectors.set(index, this.#make(index, eventfd));
    this.#allocated = allocated;
    this.device.activeIrq = this.name;
  }

  /** The kernel signals another eventfd for a vector already, as another process has left it. @internal */
  inheritRedirection(index: number, eventfd: number): void {
    this.#redirected.set(index, eventfd);
  }

  /** @internal */
  disown(): void {
    this.#forgetAll();
  }

  #label(index: number): string {
    return `${this.name} ${index} of ${this.device.address}`;
  }

  #make(index: number, eventfd?: OwnedFd): Interrupt {
    return new Interrupt(this, index, this.#label(index), eventfd);
  }

  #forgetAll(): void {
    for (const vector of this.#vectors.values()) vector.end();
    this.#vectors.clear();
    this.#redirected.clear();
    this.#allocated = 0;
    this.device.activeIrq = undefined;
  }

  /** Vectors 0 to n - 1 while it is off: all of them, or none. */
  #setFirst(eventfds: readonly number[]): void {
    const set: SetIrqs = { action: "TRIGGER", start: 0, count: eventfds.length, data: { eventfds } };
    const status = this.trySetIrqs(set);
    if (status < 0) throw this.refusal(status, set);
    // A number above 0 is not success: so many could be had, and none was switched on.
    if (status > 0) throw this.#tooFew(eventfds.length, status);
  }

  #setOne(index: number, eventfd: number): void {
    this.setIrqs({ action: "TRIGGER", start: index, count: 1, data: { eventfds: [eventfd] } });
  }

  #switchOnWith(vector: Interrupt): void {
    const { index } = vector;
    if (this.info.noresize || index === 0) {
      this.#setFirst([...new Array<number>(index).fill(-1), vector.eventfd]);
      this.#allocated = index + 1;
      return;
    }
    // Switched on with nothing in vector 0, the kernel sets aside one vector and not `index + 1`.
    this.#setFirst([-1]);
    this.#allocated = 1;
    try {
      this.#setOne(index, vector.eventfd);
    } catch (error) {
      this.#allocated = 0;
      this.switchOff();
      throw error;
    }
  }

  /** Off and on again, with one vector more. */
  #grow(vector: Interrupt): void {
    const before = this.#eventfds(this.#allocated);
    this.switchOff();
    try {
      const eventfds = this.#eventfds(vector.index + 1);
      eventfds[vector.index] = vector.eventfd;
      this.#setFirst(eventfds);
      this.#allocated = vector.index + 1;
    } catch (error) {
      try {
        this.#setFirst(before);
      } catch {
        // Not even those that were on can be had any more: nobody is to believe that they are.
        this.#forgetAll();
      }
      throw error;
    }
  }

  #eventfds(count: number): number[] {
    return Array.from(
      { length: count },
      (_, index) => this.#redirected.get(index) ?? this.#vectors.get(index)?.eventfd ?? -1,
    );
  }

  #tooFew(wanted: number, available: number): VfioError {
    return new VfioError({
      errno: constants.errno.ENOSPC,
      syscall: "ioctl",
      request: "VFIO_DEVICE_SET_IRQS",
      args: { wanted, available },
      object: this.toString(),
      why: `the machine has ${available} of the ${wanted} vectors: without interrupt remapping a device gets one vector of MSI`,
      fix: `enable ${available}, or use MSI-X`,
    });
  }
}
