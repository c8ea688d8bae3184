/**
 * An eventfd that is an interrupt of a guest (`KVM_IRQFD`).
 *
 * @module
 */

import { constants } from "node:os";
import { checkDescriptor, checkRequired, checkString, knownOptions } from "../base/arguments.js";
import { check, invalidStateError, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { EventFd, eventFdId } from "../kernel/event-fd.js";
import { native } from "../kernel/native.js";
import { KVM_IRQFD_FLAG_DEASSIGN, KVM_IRQFD_FLAG_RESAMPLE } from "../kernel/uapi.js";
import type { VmPart } from "./part.js";
import { checkGsi } from "./routing.js";

const { EAGAIN, EBADF, EBUSY, EINVAL, ENXIO } = constants.errno;

const irqFdOptions = knownOptions<IrqFdOptions>({
  eventfd: checkDescriptor,
  gsi: checkGsi,
  resample: checkDescriptor,
  label: checkString,
});

/** What is wired to what. */
export interface IrqFdOptions {
  /** Borrowed, and needed only during the call: the object keeps a duplicate. */
  readonly eventfd: number;
  /** Must have a route. */
  readonly gsi: number;
  /**
   * For a level-triggered interrupt: an eventfd that KVM signals when the guest has acknowledged (EOI). The interrupt is
   * lowered then. Borrowed, and needed only during the call.
   */
  readonly resample?: number;
  /** For messages: `msix 3 of 0000:01:00.0`. */
  readonly label?: string;
}

/** What an irqfd needs of its machine. @internal */
export interface IrqFdVm {
  readonly fd: number;
  readonly label: string;
  readonly irqchip: "full" | "split" | "none";
  readonly parts: Set<VmPart>;
  /** Undefined if the table is not known. */
  hasRoute(gsi: number): boolean | undefined;
}

/** Every irqfd that this thread has assigned, to name who has an eventfd that is busy. */
const assigned = new Set<WeakRef<IrqFd>>();

/**
 * An eventfd wired to a guest's interrupt. KVM takes every count from the eventfd and raises the GSI, and nothing of this
 * process runs. Made by `vm.irqfd(...)`, assigned from the start.
 *
 * While it is not assigned, the eventfd counts; {@link assign} raises the GSI once for all that came meanwhile, as a device's
 * pending bit would. So it can be taken away and brought back, here or in another machine, and no interrupt is lost.
 * An eventfd has one irqfd, over all machines and processes.
 */
export class IrqFd implements VmPart, Disposable {
  readonly gsi: number;
  /** For messages. */
  readonly label: string;
  readonly #vm: IrqFdVm;
  readonly #eventfd: EventFd;
  readonly #resample: EventFd | undefined;
  #entry: WeakRef<IrqFd> | undefined;

  /** @internal */
  constructor(vm: IrqFdVm, options: IrqFdOptions) {
    checkRequired("options", options, irqFdOptions, "eventfd", "gsi");
    const { eventfd, gsi, resample, label } = options;
    this.#vm = vm;
    this.gsi = gsi;
    this.label = label === undefined ? `eventfd ${eventfd}` : `eventfd ${eventfd} (${label})`;
    // Both before either is duplicated: a duplicate could get the number of the one that is closed.
    refuseClosed(eventfd, this.label);
    if (resample !== undefined) refuseClosed(resample, `the resample eventfd of ${this.label}`);
    this.#eventfd = EventFd.duplicateOf(eventfd, `irqfd of ${this.label}`);
    try {
      this.#resample =
        resample === undefined ? undefined : EventFd.duplicateOf(resample, `resampling of ${this.label}`);
      this.assign();
    } catch (error) {
      this.#resample?.close();
      this.#eventfd.close();
      throw error;
    }
    vm.parts.add(this);
  }

  /** Whether KVM has it now. */
  get assigned(): boolean {
    return this.#entry !== undefined;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#eventfd.closed;
  }

  /**
   * Has KVM take it (again). If it has, nothing is done.
   *
   * @throws VfioError `EBUSY` if the eventfd has an irqfd already, `EAGAIN` if the machine has no interrupt controller in the
   *   kernel, `ENXIO` if the GSI has no route, `EINVAL` if the descriptor is no eventfd, or if the machine cannot resample
   */
  assign(): void {
    if (this.#entry !== undefined) return;
    if (this.closed) throw invalidStateError(`the irqfd of ${this.label} is closed`);
    this.#refuseImpossible();
    const flags = this.#resample === undefined ? 0 : KVM_IRQFD_FLAG_RESAMPLE;
    const status = native.kvmIrqfd(this.#vm.fd, this.#eventfd.number, this.gsi, flags, this.#resample?.number ?? 0);
    if (status < 0) throw this.#refusal("assign", status, explain(status, this.#eventfd, this.#resample, this.#vm));
    this.#entry = new WeakRef(this);
    assigned.add(this.#entry);
    try {
      this.#forgetInjected();
    } catch (error) {
      this.deassign();
      throw error;
    }
  }

  /**
   * Takes it from KVM. When this returns, KVM has raised all that it took from the eventfd, and takes no more. If KVM does
   * not have it, nothing is done.
   *
   * @throws VfioError
   */
  deassign(): void {
    if (this.#entry === undefined) return;
    const flags = KVM_IRQFD_FLAG_DEASSIGN;
    const status = native.kvmIrqfd(this.#vm.fd, this.#eventfd.number, this.gsi, flags, 0);
    if (status < 0) throw this.#refusal("deassign", status, {});
    this.#gone();
  }

  #gone(): void {
    if (this.#entry !== undefined) assigned.delete(this.#entry);
    this.#entry = undefined;
  }

  /**
   * KVM raises the GSI for a count that it finds when it is assigned, but leaves the count: it would be raised a second time
   * at the next assign, or be seen by the next reader. Nothing is lost by taking it: what is signalled once KVM is there, KVM
   * takes itself.
   */
  #forgetInjected(): void {
    this.#eventfd.take();
  }

  // KVM answers EINVAL or EAGAIN to the first, as its version goes, and takes the second without a word.
  #refuseImpossible(): void {
    const { irqchip, label } = this.#vm;
    if (irqchip === "none") {
      throw this.#refusal("assign", EAGAIN, {
        why: `${label} has no interrupt controller in the kernel, so there is nothing to raise an interrupt at`,
        fix: 'make the machine with { irqchip: "full" } or { irqchip: "split" }',
      });
    }
    if (this.#vm.hasRoute(this.gsi) === false) {
      throw this.#refusal("assign", ENXIO, {
        why: `GSI ${this.gsi} has no route, and KVM would drop every interrupt`,
        fix: "give it one, and commit: vm.routing.setMsi(gsi, message).commit()",
      });
    }
  }

  #refusal(action: "assign" | "deassign", errno: number, told: { why?: string; fix?: string }): VfioError {
    return new VfioError({
      errno,
      syscall: "ioctl",
      request: "KVM_IRQFD",
      args: { action, gsi: this.gsi, resample: this.#resample !== undefined },
      object: `${this.label} in ${this.#vm.label}`,
      ...told,
    });
  }

  /** Deassigns it and closes the duplicates. A second call does nothing. */
  close(): void {
    if (this.closed) return;
    this.#vm.parts.delete(this);
    try {
      this.deassign();
    } finally {
      this.#gone();
      this.#resample?.close();
      this.#eventfd.close();
    }
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The irqfd of this thread that has the eventfd. @internal */
  static holderOf(eventfd: number): string | undefined {
    const id = eventFdId(eventfd);
    if (id === undefined) return undefined;
    for (const reference of assigned) {
      const each = reference.deref();
      if (each === undefined) assigned.delete(reference);
      else if (each.#eventfd.id === id) return `${each.label} on GSI ${each.gsi} of ${each.#vm.label}`;
    }
    return undefined;
  }
}

function refuseClosed(eventfd: number, object: string): void {
  check(native.eventfdPending(eventfd), (errno) => ({
    syscall: "poll",
    args: { eventfd },
    object,
    ...(errno === EBADF ? { why: "the eventfd is closed: nothing can signal it any more" } : {}),
  }));
}

function explain(
  errno: number,
  eventfd: EventFd,
  resample: EventFd | undefined,
  vm: IrqFdVm,
): { why?: string; fix?: string } {
  if (errno === -EBUSY) {
    const holder = IrqFd.holderOf(eventfd.number) ?? "an irqfd of another process or thread";
    return {
      why: `an eventfd has one irqfd, over all virtual machines, and this one has it already: ${holder}`,
      fix: "deassign that one first; what is signalled in between is kept in the eventfd",
    };
  }
  if (errno !== -EINVAL) return {};
  if (resample !== undefined && vm.irqchip === "split") {
    return {
      why: "with a split irqchip the IOAPIC is in user space, so KVM cannot tell when the guest has acknowledged its pin",
      fix: "assign it without resample, and signal the device's unmask eventfd when KVM_RUN reports the EOI",
    };
  }
  const stranger = [eventfd, resample].find((each) => each !== undefined && each.id === undefined);
  return stranger === undefined ? {} : { why: `the descriptor of ${stranger.label} is no eventfd` };
}

showAs(
  IrqFd,
  (irqfd) =>
    `${irqfd.label}, GSI ${irqfd.gsi}, ${irqfd.closed ? "closed" : irqfd.assigned ? "assigned" : "deassigned"}`,
);
