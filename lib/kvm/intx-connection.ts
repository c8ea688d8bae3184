/**
 * INTx of a device as an interrupt of a guest.
 *
 * ```text
 *  device --> kernel, which masks the line --> eventfd --> irqfd --> GSI, raised --> vCPU
 *               ^                                                                    |
 *               +---- unmask eventfd <--- KVM: GSI lowered <--- the guest's EOI -----+
 * ```
 *
 * @module
 */

import { checkFunction, checkRequired, instanceOf, knownOptions } from "../base/arguments.js";
import { invalidStateError, VfioError } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import type { Blocker, UpdateScope } from "../base/preserve.js";
import { runAll } from "../base/run-all.js";
import { IntxLine } from "../device/intx.js";
import { EventFd } from "../kernel/event-fd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { claim, connectionBlockers } from "./claim.js";
import type { IrqFd } from "./irqfd.js";
import type { FrozenConnection, GuestConnection, PreservedConnection, VmPart } from "./part.js";
import { checkGsi } from "./routing.js";
import { Vm } from "./vm.js";

/** How a line goes to a guest. */
export interface IntxConnectionOptions {
  /** The GSI that the line is wired to on the guest's board. It has a route. */
  readonly gsi: number;
  /**
   * Raises and lowers the line in a machine whose interrupt controllers are all in user space. Needed there only: it is
   * called with true when the device raises the line, with false by {@link IntxConnection.eoi}.
   */
  readonly setLevel?: (level: boolean) => void;
}

/**
 * Who does what:
 *
 * - `resample`: KVM all of it. With the full irqchip.
 * - `irqfd`: KVM raises the interrupt, the program tells of the guest's EOI with {@link IntxConnection.eoi}. With the split
 *   irqchip, whose IOAPIC is the program's own.
 * - `user`: the program does both. Without an irqchip in the kernel.
 */
export type IntxDelivery = "resample" | "irqfd" | "user";

const checkVm = instanceOf(Vm, "a virtual machine (Vm)");
const connectionOptions = knownOptions<IntxConnectionOptions>({ gsi: checkGsi, setLevel: checkFunction });

/**
 * A line that goes to a guest. Made by {@link connectIntx}; disposing it gives the line back to this process, unmasked: what
 * the device raises still is heard there.
 */
export class IntxConnection implements VmPart, GuestConnection, Disposable {
  readonly delivery: IntxDelivery;
  readonly gsi: number;
  /** For messages. */
  readonly label: string;
  readonly #line: IntxLine;
  readonly #setLevel: ((level: boolean) => void) | undefined;
  readonly #unmask: OwnedFd | undefined;
  readonly #listener = () => this.#setLevel?.(true);
  readonly #endClaim: () => void;
  #vm: Vm;
  #irqfd: IrqFd | undefined;
  #giveBack: (() => void) | undefined;
  #attached = false;
  #locked = false;
  #closed = false;

  /**
   * @param inherited the line is as a former process has connected it, and the kernel is told nothing
   * @internal
   */
  constructor(line: IntxLine, vm: Vm, { gsi, setLevel }: IntxConnectionOptions, inherited = false) {
    this.#line = line;
    this.#vm = vm;
    this.gsi = gsi;
    this.label = line.label;
    this.#setLevel = setLevel;
    if (vm.irqchip === "full") this.delivery = "resample";
    else this.delivery = vm.irqchip === "none" && setLevel !== undefined ? "user" : "irqfd";
    const connection = this;
    this.#endClaim = claim(line, vm, {
      get vm() {
        return connection.vm;
      },
      get attached() {
        return connection.attached;
      },
      get eventfd() {
        return line.eventfd;
      },
    });
    try {
      if (this.delivery === "resample") this.#unmask = this.#unmaskEventfd(inherited);
      if (inherited) this.#reconnect();
      else this.#connect();
    } catch (error) {
      this.#unmask?.close();
      this.#endClaim();
      if (inherited) this.#giveUp();
      throw error;
    }
    vm.parts.add(this);
  }

  /** A line that a former process had connected goes on in a machine of this one. @internal */
  static retrieve(line: IntxLine, vm: Vm, options: IntxConnectionOptions): IntxConnection {
    return new IntxConnection(line, vm, options, true);
  }

  /** The line is this process's own then, as after {@link close}, and can be connected anew. */
  #giveUp(): void {
    try {
      this.#line.clearUnmaskEventfd();
      this.#line.unmask();
    } catch {
      // The kernel refused something before, and that is what is thrown.
    }
  }

  /** The eventfd that KVM signals for the guest's EOI: a new one, or that of a former process. */
  #unmaskEventfd(inherited: boolean): OwnedFd {
    const { unmaskEventfd } = this.#line;
    const object = `unmask of ${this.label}`;
    return inherited && unmaskEventfd !== undefined ? EventFd.duplicateOf(unmaskEventfd, object) : EventFd.make(object);
  }

  /** The machine that it is, or was last, attached to. */
  get vm(): Vm {
    return this.#vm;
  }

  /** Whether the guest gets it. */
  get attached(): boolean {
    return this.#attached;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  #live(): void {
    if (this.#closed) throw invalidStateError(`the connection of ${this.label} is closed`);
    if (this.#locked)
      throw invalidStateError(`the connection of ${this.label} is being handed over to another process`);
  }

  // ---- between two processes ---------------------------------------------------------------------------------------

  /** @internal */
  get connection(): GuestConnection {
    return this;
  }

  /** @internal */
  get source(): IntxLine {
    return this.#line;
  }

  /** @internal */
  blockers(scope: UpdateScope): readonly Blocker[] {
    return connectionBlockers(this, scope);
  }

  /** Its eventfds are the device's. @internal */
  preserve(): PreservedConnection {
    return { kind: "intx", gsi: this.gsi, delivery: this.delivery };
  }

  /** @internal */
  isStill(preserved: PreservedConnection): boolean {
    return preserved.kind === "intx";
  }

  /** Takes the line from KVM for the time being: what comes is counted. @internal */
  freeze(): FrozenConnection {
    try {
      if (this.#attached) this.#irqfd?.deassign();
    } finally {
      this.#locked = true;
    }
    return { vectors: [] };
  }

  /** Ends {@link freeze}. @internal */
  thaw(): void {
    this.#locked = false;
    if (!this.#attached) return;
    try {
      this.#irqfd?.assign();
    } catch (error) {
      // As after detach(), so that it can be attached.
      this.#attached = false;
      this.#vm.parts.delete(this);
      throw error;
    }
    this.#signalUnmask();
  }

  /** Closes what is this process's, and leaves the line as it is. @internal */
  disown(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#vm.parts.delete(this);
    this.#line.off("interrupt", this.#listener);
    this.#irqfd?.close();
    this.#irqfd = undefined;
    this.#unmask?.close();
    this.#giveBack?.();
    this.#endClaim();
  }

  /** As {@link #connect}, with everything set in the kernel. */
  #reconnect(): void {
    if (this.delivery !== "user") this.#giveBack = this.#line.lend("a guest's irqfd");
    try {
      this.#wire();
      this.#signalUnmask();
    } catch (error) {
      this.#unwire();
      this.#giveBack?.();
      throw error;
    }
  }

  /**
   * The guest's EOI may have come while nobody here heard of it, and the line would stay masked: unmasked once more, it is
   * raised again if the device still does. Signalled, and not asked for by ioctl, it needs no word to the device's file.
   */
  #signalUnmask(): void {
    if (this.#unmask !== undefined) signal(this.#unmask.number, this.label);
  }

  /**
   * Masked meanwhile: an interrupt that KVM raised before the kernel has the unmask eventfd would stay masked for ever.
   */
  #connect(): void {
    if (this.delivery !== "user") this.#giveBack = this.#line.lend("a guest's irqfd");
    try {
      this.#line.mask();
      try {
        this.#wire();
        if (this.#unmask !== undefined) this.#line.setUnmaskEventfd(this.#unmask.number);
      } catch (error) {
        this.#unwire();
        throw error;
      } finally {
        this.#line.unmask();
      }
    } catch (error) {
      this.#giveBack?.();
      throw error;
    }
  }

  #wire(): void {
    if (this.delivery === "user") {
      this.#line.on("interrupt", this.#listener);
    } else {
      const { gsi, label } = this;
      const resample = this.#unmask === undefined ? {} : { resample: this.#unmask.number };
      this.#irqfd ??= this.#vm.irqfd({ eventfd: this.#line.eventfd, gsi, label, ...resample });
      this.#irqfd.assign();
    }
    this.#attached = true;
  }

  #unwire(): void {
    this.#attached = false;
    this.#line.off("interrupt", this.#listener);
    this.#irqfd?.close();
    this.#irqfd = undefined;
  }

  /**
   * The guest has acknowledged the interrupt at its controller: lowers it, and unmasks the line. With `resample` KVM does that
   * itself, and this does nothing.
   */
  eoi(): void {
    this.#live();
    if (this.delivery === "resample") return;
    if (this.delivery === "user") this.#setLevel?.(false);
    this.#line.unmask();
  }

  /** Takes the line from the guest. What the device raises is counted. If it is detached, nothing is done. */
  detach(): void {
    this.#live();
    if (!this.#attached) return;
    if (this.delivery === "user") this.#line.off("interrupt", this.#listener);
    else this.#irqfd?.deassign();
    this.#attached = false;
    // From here on it outlives the machine.
    this.#vm.parts.delete(this);
  }

  /**
   * Gives the line back to the guest, which gets at once what has come meanwhile. If it is attached there, nothing is done.
   *
   * @param vm another machine to go to, of the same kind of irqchip; left out, the one that it was in
   * @throws VfioError; it is then detached, and can be tried again
   */
  attach(vm: Vm = this.#vm): void {
    checkVm("vm", vm);
    this.#live();
    if (vm !== this.#vm) this.#moveTo(vm);
    if (this.#attached) return;
    this.#wire();
    vm.parts.add(this);
    this.#signalUnmask();
  }

  #moveTo(vm: Vm): void {
    if (vm.irqchip !== this.#vm.irqchip) {
      throw invalidStateError(
        `${this.label} was connected to a machine with irqchip ${this.#vm.irqchip}, and ${vm} has ${vm.irqchip}: connect it anew`,
      );
    }
    this.detach();
    this.#irqfd?.close();
    this.#irqfd = undefined;
    this.#vm = vm;
  }

  /** Gives the line back to this process, unmasked. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#live();
    this.#closed = true;
    this.#vm.parts.delete(this);
    const off = this.#line.closed;
    runAll(`disconnecting ${this.label}`, [
      () => {
        if (!off) this.#line.mask();
      },
      () => this.#unwire(),
      () => {
        if (this.delivery === "user") this.#setLevel?.(false);
      },
      () => {
        if (!off) this.#line.clearUnmaskEventfd();
      },
      () => this.#unmask?.close(),
      () => this.#giveBack?.(),
      () => this.#endClaim(),
      () => {
        if (!off) this.#line.unmask();
      },
    ]);
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Wires a device's line straight into a guest, as far as the guest's irqchip allows: {@link IntxConnection.delivery} says how
 * far.
 *
 * @param line `device.intx.enable()`. Switching it off ends delivery; the connection is still to be closed.
 * @param vm borrowed; closing it closes the connection first
 * @throws VfioError `EAGAIN` if the machine has no irqchip in the kernel and there is no `setLevel`, `ENXIO` if the GSI has no
 *   route, `EBUSY` if the line has an unmask eventfd or its eventfd an irqfd; the line is then as it was, unmasked
 */
export function connectIntx(line: IntxLine, vm: Vm, options: IntxConnectionOptions): IntxConnection {
  instanceOf(IntxLine, "an INTx line that is on (IntxLine)")("line", line);
  checkVm("vm", vm);
  checkRequired("options", options, connectionOptions, "gsi");
  return new IntxConnection(line, vm, options);
}

function signal(eventfd: number, object: string): void {
  const status = native.eventfdWrite(eventfd, 1);
  if (status < 0) throw new VfioError({ errno: status, syscall: "write", object });
}

showAs(IntxConnection, (connection) => `${connection.label}, GSI ${connection.gsi}, ${openOrClosed(connection)}`);
