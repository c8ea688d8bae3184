/**
 * MSI and MSI-X of a device as interrupts of a guest.
 *
 * ```text
 *                               +--> this process          masked, detached, or not connected
 *  device --> kernel --> eventfd
 *                               +--> irqfd --> GSI --> route --> vCPU
 * ```
 *
 * @module
 */

import { constants } from "node:os";
import {
  checkBoolean,
  checkInteger,
  checkIterable,
  checkOptions,
  checkRequired,
  instanceOf,
  integer,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { invalidStateError, outOfRangeError, VfioError } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import type { AddDescriptor, Blocker, UpdateScope } from "../base/preserve.js";
import { runAll } from "../base/run-all.js";
import type { Interrupt } from "../device/interrupt.js";
import { MessageInterrupts } from "../device/msi.js";
import { EventFd } from "../kernel/event-fd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { claim, connectionBlockers } from "./claim.js";
import type { IrqFd } from "./irqfd.js";
import type { FrozenConnection, FrozenVector, GuestConnection, PreservedConnection, VmPart } from "./part.js";
import { checkMessage, type MsiMessage } from "./routing.js";
import { Vm } from "./vm.js";

const { EAGAIN } = constants.errno;

/** A vector of the device, and what it is to the guest. */
export interface GuestVector {
  /** The vector's number; it must be on. */
  readonly index: number;
  /** What the guest has programmed. Left out, the vector goes to this process until {@link ConnectedVector.unmask}. */
  readonly message?: MsiMessage;
  /** Whether the guest has masked it. Default false. */
  readonly masked?: boolean;
}

/** How a connection is made. */
export interface MessageConnectionOptions {
  /**
   * What happens when the guest masks a vector:
   *
   * - `irqfd`, the default: KVM lets go of the vector's eventfd, which this process can read then. Nothing is ever lost.
   * - `eventfd`, MSI-X only, as QEMU does it: the kernel signals another eventfd, and the guest's stays KVM's. This process may
   *   listen to the vector at any time. A message that is on its way when the guest masks or unmasks can be lost.
   */
  readonly masking?: "irqfd" | "eventfd";
}

/** A vector as a former process has left it. */
export interface RetrievedVector extends FrozenVector {
  /** The second eventfd of masking by eventfd. Belongs to the connection. */
  readonly guest: OwnedFd | undefined;
}

/** How a vector is switched between this process and the guest. */
interface Switch {
  /** The eventfd that the irqfd hangs on. */
  readonly guestEventfd: number;
  /** Whether the irqfd goes when the guest masks the vector. */
  readonly masksByIrqfd: boolean;
  /** Signals go to the guest's eventfd from here on, also those that nobody has read yet. */
  toGuest(): void;
  /** Signals go to the vector's own eventfd from here on, also those that KVM has not taken. */
  toUser(): void;
  close(): void;
  /** Closes what is this process's, and leaves the kernel as it is. */
  disown(): void;
}

/**
 * The kernel is told which of two eventfds to signal. The irqfd stays.
 *
 * Telling it takes the interrupt's handler away for a moment, and a message that has reached a processor which has interrupts
 * off can then find none: with igb in the rig, one of 6,000 messages was lost under 54,000 such changes. So this is not the
 * default.
 */
class TwoEventfds implements Switch {
  readonly masksByIrqfd = false;
  readonly #irq: MessageInterrupts;
  readonly #vector: Interrupt;
  readonly #guest: OwnedFd;

  /** @param inherited the guest's eventfd of a former process, and whether the kernel signals it; belongs to the object */
  constructor(
    irq: MessageInterrupts,
    vector: Interrupt,
    inherited: { readonly guest: OwnedFd; readonly toGuest: boolean } | undefined,
  ) {
    this.#irq = irq;
    this.#vector = vector;
    if (inherited !== undefined) {
      this.#guest = inherited.guest;
      if (inherited.toGuest) irq.inheritRedirection(vector.index, inherited.guest.number);
      return;
    }
    this.#guest = EventFd.make(`guest's ${vector.label}`);
  }

  get guestEventfd(): number {
    return this.#guest.number;
  }

  toGuest(): void {
    this.#irq.redirect(this.#vector.index, this.#guest.number);
    // Somebody who listens has been told of what came before: then it is theirs.
    if (!this.#vector.watched) move(this.#vector.eventfd, this.#guest.number, this.#vector.label);
  }

  toUser(): void {
    this.#irq.redirect(this.#vector.index, undefined);
    move(this.#guest.number, this.#vector.eventfd, this.#vector.label);
  }

  close(): void {
    this.#guest.close();
  }

  disown(): void {
    this.close();
  }
}

/**
 * The irqfd hangs on the vector's own eventfd, which counts while the irqfd is away. The device and the kernel's handler notice
 * nothing, so nothing can be lost.
 */
class OneEventfd implements Switch {
  readonly masksByIrqfd = true;
  readonly #vector: Interrupt;
  #giveBack: (() => void) | undefined;

  constructor(vector: Interrupt) {
    this.#vector = vector;
  }

  get guestEventfd(): number {
    return this.#vector.eventfd;
  }

  toGuest(): void {
    this.#giveBack ??= this.#vector.lend("a guest's irqfd");
  }

  toUser(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }

  close(): void {
    this.toUser();
  }

  disown(): void {
    this.toUser();
  }
}

const checkVm = instanceOf(Vm, "a virtual machine (Vm)");
const connectionOptions = knownOptions<MessageConnectionOptions>({ masking: oneOf(["irqfd", "eventfd"]) });
const vectorOptions = knownOptions<GuestVector>({ index: integer(), message: checkMessage, masked: checkBoolean });

/** One vector of a {@link MessageConnection}. */
export class ConnectedVector {
  /** The device's vector. What this process hears of it (while it is masked or has no message) comes there. */
  readonly interrupt: Interrupt;
  readonly #connection: Connection;
  readonly #switch: Switch;
  readonly #endClaim: () => void;
  #message: MsiMessage | undefined;
  #masked: boolean;
  #gsi: number | undefined;
  #irqfd: IrqFd | undefined;
  #toGuest = false;

  /** @internal */
  constructor(
    connection: Connection,
    irq: MessageInterrupts,
    masking: "irqfd" | "eventfd",
    { index, message, masked = false }: GuestVector,
    inherited?: RetrievedVector,
  ) {
    this.#connection = connection;
    this.interrupt = irq.vector(index);
    this.#message = message;
    this.#masked = masked;
    const vector = this;
    this.#endClaim = claim(this.interrupt, connection.vm, {
      get vm() {
        return connection.vm;
      },
      get attached() {
        return connection.attached;
      },
      get eventfd() {
        return vector.eventfd;
      },
    });
    const guest = inherited?.guest;
    const toGuest = inherited?.toGuest === true;
    this.#switch =
      masking === "eventfd"
        ? new TwoEventfds(irq, this.interrupt, guest === undefined ? undefined : { guest, toGuest })
        : new OneEventfd(this.interrupt);
    // With one eventfd the vector is still to be lent to KVM.
    this.#toGuest = toGuest && masking === "eventfd";
  }

  /** The vector's number. */
  get index(): number {
    return this.interrupt.index;
  }

  /** The GSI that stands for it, while it has a message. */
  get gsi(): number | undefined {
    return this.#gsi;
  }

  /** What the guest has programmed. */
  get message(): MsiMessage | undefined {
    return this.#message;
  }

  /** Whether the guest has masked it. */
  get masked(): boolean {
    return this.#masked;
  }

  /** Whether the kernel's signals reach the guest now, with nothing of this process in between. */
  get delivered(): boolean {
    return this.#toGuest && this.held;
  }

  /**
   * Whether it has come while it was masked, and nobody here has taken it: the bit that the guest finds in the pending bit
   * array.
   */
  get pending(): boolean {
    return !this.#toGuest && native.eventfdPending(this.interrupt.eventfd) > 0;
  }

  /** The eventfd that the guest's interrupt hangs on, borrowed. */
  get eventfd(): number {
    return this.#switch.guestEventfd;
  }

  /** The guest has masked it: from here on it goes to this process, as {@link pending}. */
  mask(): void {
    this.#connection.live();
    if (this.#masked) return;
    this.#masked = true;
    this.settle();
  }

  /**
   * The guest has unmasked it. If it is pending, it is raised now.
   *
   * @param message what the guest has programmed meanwhile, if it has
   */
  unmask(message?: MsiMessage): void {
    if (message !== undefined) checkMessage("message", message);
    this.#connection.live();
    if (message !== undefined) this.#connection.setMessages(new Map([[this.index, message]]));
    if (!this.#masked) return;
    this.#masked = false;
    try {
      this.settle();
    } catch (error) {
      this.#masked = true;
      throw error;
    }
  }

  // ---- what the connection does with it ------------------------------------------------------------------------------

  /** Gives it a GSI, in force with the next commit. @internal */
  route(vm: Vm): void {
    if (this.#message === undefined || this.#gsi !== undefined) return;
    this.#gsi = vm.routing.allocate();
    vm.routing.setMsi(this.#gsi, this.#message);
  }

  /** Takes its GSI away, with the next commit. @internal */
  unroute(vm: Vm): void {
    if (this.#gsi !== undefined && !vm.closed) vm.routing.delete(this.#gsi);
    this.#gsi = undefined;
  }

  /** With the next commit. @internal */
  program(vm: Vm, message: MsiMessage | undefined): void {
    this.#message = message;
    if (message === undefined) this.unroute(vm);
    else if (this.#gsi === undefined) this.route(vm);
    else vm.routing.setMsi(this.#gsi, message);
  }

  /** Whether KVM takes its eventfd now. @internal */
  get held(): boolean {
    return this.#irqfd?.assigned === true;
  }

  /** Brings the kernel to what is wanted: where signals go, and whether KVM takes them there. @internal */
  settle(): void {
    const gsi = this.#masked ? undefined : this.#gsi;
    if (gsi === undefined) this.#goToUser();
    else this.#goToGuest(gsi);
  }

  #goToUser(): void {
    // Taken from KVM first where both have one eventfd: what comes from here on is counted.
    if (this.#switch.masksByIrqfd) this.#irqfd?.deassign();
    if (this.#toGuest) this.#switch.toUser();
    this.#toGuest = false;
  }

  #goToGuest(gsi: number): void {
    const { vm, attached } = this.#connection;
    const before = this.#toGuest;
    if (!before) this.#switch.toGuest();
    this.#toGuest = true;
    if (!attached) return;
    try {
      // What the guest's eventfd has counted until here is raised now.
      this.#irqfd ??= vm.irqfd({ eventfd: this.#switch.guestEventfd, gsi, label: this.interrupt.label });
      this.#irqfd.assign();
    } catch (error) {
      if (!before) this.#goToUser();
      throw error;
    }
  }

  /** Takes it from KVM; the kernel goes on signalling the eventfd that it signals. @internal */
  detach(): void {
    this.#irqfd?.deassign();
  }

  /** The second eventfd of masking by eventfd, borrowed. @internal */
  get secondEventfd(): number | undefined {
    return this.#switch.masksByIrqfd ? undefined : this.#switch.guestEventfd;
  }

  /** What a successor must know, and can change to the last moment. @internal */
  get state(): FrozenVector {
    const toGuest = !this.#switch.masksByIrqfd && this.#toGuest;
    return { index: this.index, message: this.#message, masked: this.#masked, toGuest };
  }

  /** Closes what is this process's, and leaves the vector as it is. @internal */
  disown(): void {
    this.#irqfd?.close();
    this.#irqfd = undefined;
    this.#switch.disown();
    this.#endClaim();
  }

  /** Leaves a machine for good. @internal */
  leave(vm: Vm): void {
    this.#irqfd?.close();
    this.#irqfd = undefined;
    this.unroute(vm);
  }

  /** Gives it back to this process. @internal */
  end(vm: Vm): void {
    runAll(`disconnecting ${this.interrupt.label}`, [
      () => {
        // Of a vector that is off nothing is left to give back.
        if (!this.interrupt.closed) this.#goToUser();
      },
      () => this.leave(vm),
      () => this.#switch.close(),
      () => this.#endClaim(),
    ]);
  }
}

/** What a vector needs of its connection. */
interface Connection {
  readonly vm: Vm;
  readonly attached: boolean;
  live(): void;
  setMessages(messages: ReadonlyMap<number, MsiMessage>): void;
}

/**
 * Vectors of a device that go to a guest. Made by {@link connectMessages}; disposing it gives them back to this process, with
 * everything that has come and the guest has not got.
 *
 * {@link detach} takes them from KVM and lets them count, {@link attach} brings them back, in the same machine or in another:
 * what came meanwhile is raised then. The device does not notice.
 */
export class MessageConnection implements VmPart, GuestConnection, Disposable {
  /** For messages: `msix of 0000:01:00.0`. */
  readonly label: string;
  readonly #irq: MessageInterrupts;
  readonly #masking: "irqfd" | "eventfd";
  readonly #vectors = new Map<number, ConnectedVector>();
  #vm: Vm;
  #attached = true;
  #locked = false;
  #closed = false;

  /** @internal */
  constructor(
    irq: MessageInterrupts,
    vm: Vm,
    vectors: Iterable<GuestVector>,
    { masking = "irqfd" }: MessageConnectionOptions,
    inherited?: ReadonlyMap<number, RetrievedVector>,
  ) {
    if (masking === "eventfd" && irq.name !== "msix") {
      throw outOfRangeError("masking", `"irqfd" for ${irq}, which keeps nothing pending`, masking);
    }
    this.label = irq.toString();
    this.#irq = irq;
    this.#masking = masking;
    this.#vm = vm;
    this.#add(vectors, inherited);
    vm.parts.add(this);
  }

  /** What a former process had connected goes on in a machine of this one. The kernel is told nothing of the vectors. @internal */
  static retrieve(
    irq: MessageInterrupts,
    vm: Vm,
    masking: "irqfd" | "eventfd",
    states: readonly RetrievedVector[],
  ): MessageConnection {
    const vectors = states.map(({ index, message, masked }) => ({
      index,
      masked,
      ...(message === undefined ? {} : { message }),
    }));
    const inherited = new Map(states.map((state) => [state.index, state]));
    return new MessageConnection(irq, vm, vectors, { masking }, inherited);
  }

  /** The machine that it is, or was last, attached to. */
  get vm(): Vm {
    return this.#vm;
  }

  /** Whether KVM has it. */
  get attached(): boolean {
    return this.#attached;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The vectors, by their numbers. */
  get vectors(): ReadonlyMap<number, ConnectedVector> {
    return this.#vectors;
  }

  /**
   * A connected vector.
   *
   * @throws RangeError
   */
  vector(index: number): ConnectedVector {
    checkInteger("index", index);
    const vector = this.#vectors.get(index);
    if (vector === undefined) throw outOfRangeError("index", `a connected vector of ${this.label}`, index);
    return vector;
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
  get source(): MessageInterrupts {
    return this.#irq;
  }

  /** @internal */
  get masking(): "irqfd" | "eventfd" {
    return this.#masking;
  }

  /** @internal */
  blockers(scope: UpdateScope): readonly Blocker[] {
    return connectionBlockers(this, scope);
  }

  /** @internal */
  preserve(add: AddDescriptor): PreservedConnection {
    const vectors = [...this.#vectors.values()].map(({ index, secondEventfd }) => ({
      index,
      guest: secondEventfd === undefined ? undefined : add(secondEventfd),
    }));
    return { kind: this.#irq.name === "msi" ? "msi" : "msix", masking: this.#masking, vectors };
  }

  /** @internal */
  isStill(preserved: PreservedConnection): boolean {
    if (preserved.kind === "intx") return false;
    const now = [...this.#vectors.keys()];
    const { vectors } = preserved;
    return now.length === vectors.length && now.every((index, at) => index === vectors[at]?.index);
  }

  /** Takes every vector from KVM for the time being. What fails on the way leaves the others taken. @internal */
  freeze(): FrozenConnection {
    const vectors = [...this.#vectors.values()];
    try {
      if (this.#attached) {
        runAll(
          `detaching ${this.label}`,
          vectors.map((vector) => () => vector.detach()),
        );
      }
    } finally {
      this.#locked = this.#attached;
    }
    return { vectors: vectors.map(({ state }) => state) };
  }

  /** Ends {@link freeze}: KVM raises what has come. @internal */
  thaw(): void {
    this.#locked = false;
    if (this.#attached) this.attach();
  }

  /** Closes what is this process's, and leaves the vectors as they are. @internal */
  disown(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#vm.parts.delete(this);
    for (const vector of this.#vectors.values()) vector.disown();
    this.#vectors.clear();
  }

  /** What its vectors use. */
  #forVectors(): Connection {
    const connection = this;
    return {
      get vm() {
        return connection.vm;
      },
      get attached() {
        return connection.attached;
      },
      live: () => connection.#live(),
      setMessages: (messages) => connection.setMessages(messages),
    };
  }

  /**
   * Connects more vectors: all, or none. Their routes are put in force with one commit.
   *
   * @throws VfioError `EBUSY` if an eventfd hangs on another machine already; an error with `code` `ERR_INVALID_STATE` if a
   *   vector is off, or if somebody listens to it (unless masking is by `eventfd`)
   */
  add(vectors: Iterable<GuestVector>): void {
    this.#add(vectors);
  }

  #add(vectors: Iterable<GuestVector>, inherited?: ReadonlyMap<number, RetrievedVector>): void {
    this.#live();
    checkIterable("vectors", vectors);
    const vm = this.#vm;
    const added: ConnectedVector[] = [];
    try {
      for (const each of vectors) {
        checkRequired("vectors", each, vectorOptions, "index");
        if (this.#vectors.has(each.index)) throw invalidStateError(`${this.label} ${each.index} is connected already`);
        const former = inherited?.get(each.index);
        const vector = new ConnectedVector(this.#forVectors(), this.#irq, this.#masking, each, former);
        added.push(vector);
        this.#vectors.set(each.index, vector);
        vector.route(vm);
      }
      vm.routing.commit();
      for (const vector of added) vector.settle();
    } catch (error) {
      for (const { index } of added) this.#vectors.delete(index);
      this.#endAll(added, vm);
      throw error;
    }
  }

  /**
   * Says what the guest has programmed: all vectors with one commit. A vector that had no message goes to the guest from here
   * on, unless it is masked.
   */
  setMessages(messages: ReadonlyMap<number, MsiMessage>): void {
    this.#live();
    const vm = this.#vm;
    checkIterable("messages", messages);
    const changed = [...messages].map(([index, message]) => {
      checkMessage("messages", message);
      const vector = this.vector(index);
      return { vector, message, before: vector.message };
    });
    try {
      for (const { vector, message } of changed) vector.program(vm, message);
      vm.routing.commit();
    } catch (error) {
      for (const { vector, before } of changed) vector.program(vm, before);
      throw error;
    }
    for (const { vector } of changed) vector.settle();
  }

  /**
   * Takes every vector from KVM. When this returns, KVM raises nothing any more, and what the device raises is counted. If it
   * is detached, nothing is done.
   */
  detach(): void {
    this.#live();
    this.#attached = false;
    // From here on it outlives the machine.
    this.#vm.parts.delete(this);
    runAll(
      `detaching ${this.label}`,
      [...this.#vectors.values()].map((vector) => () => vector.detach()),
    );
  }

  /**
   * Gives the vectors back to KVM, which raises at once what has come meanwhile. What KVM has is left as it is.
   *
   * @param vm another machine to go to; left out, the one that it was in
   * @throws VfioError `EBUSY` if an eventfd hangs on another machine: it is then detached as before, and can be tried again
   */
  attach(vm: Vm = this.#vm): void {
    checkVm("vm", vm);
    this.#live();
    if (vm !== this.#vm) this.#leave();
    this.#vm = vm;
    this.#route();
    const vectors = [...this.#vectors.values()];
    const had = new Set(vectors.filter(({ held }) => held));
    this.#attached = true;
    vm.parts.add(this);
    try {
      for (const vector of vectors) vector.settle();
    } catch (error) {
      this.#attached = had.size > 0;
      if (!this.#attached) vm.parts.delete(this);
      for (const vector of vectors) if (!had.has(vector)) vector.detach();
      throw error;
    }
  }

  #leave(): void {
    const vm = this.#vm;
    this.detach();
    for (const vector of this.#vectors.values()) vector.leave(vm);
    if (!vm.closed) vm.routing.commit();
  }

  /** Gives a GSI to every vector that has a message and none: all, or none. */
  #route(): void {
    const vm = this.#vm;
    const unrouted = [...this.#vectors.values()].filter(
      ({ message, gsi }) => message !== undefined && gsi === undefined,
    );
    if (unrouted.length === 0) return;
    try {
      for (const vector of unrouted) vector.route(vm);
      vm.routing.commit();
    } catch (error) {
      for (const vector of unrouted) vector.unroute(vm);
      throw error;
    }
  }

  /** Gives every vector back to this process: what has come, and the guest has not got, is there. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#live();
    this.#closed = true;
    this.#vm.parts.delete(this);
    const vectors = [...this.#vectors.values()];
    this.#vectors.clear();
    this.#endAll(vectors, this.#vm);
  }

  #endAll(vectors: readonly ConnectedVector[], vm: Vm): void {
    runAll(`disconnecting ${this.label}`, [
      ...vectors.map((vector) => () => vector.end(vm)),
      () => {
        if (!vm.closed) vm.routing.commit();
      },
    ]);
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Wires vectors of MSI or MSI-X that are on straight into a guest.
 *
 * ```ts
 * device.msix.enable(2);
 * using connection = connectMessages(device.msix, vm, [
 *   { index: 0, message: { address: 0xfee00000, data: 0x41 } },
 *   { index: 1, message: { address: 0xfee00000, data: 0x42 }, masked: true },
 * ]);
 * connection.vector(1).unmask();
 * ```
 *
 * @param irq `device.msix` or `device.msi`. Switching it off ends delivery; the connection is still to be closed.
 * @param vm borrowed; closing it closes the connection first
 */
export function connectMessages(
  irq: MessageInterrupts,
  vm: Vm,
  vectors: Iterable<GuestVector>,
  options: MessageConnectionOptions = {},
): MessageConnection {
  instanceOf(MessageInterrupts, "a device's MSI or MSI-X (MessageInterrupts)")("irq", irq);
  checkVm("vm", vm);
  checkOptions("options", options, connectionOptions);
  return new MessageConnection(irq, vm, vectors, options);
}

/** Moves the count of one eventfd to another. */
function move(from: number, to: number, object: string): void {
  const count = native.eventfdRead(from);
  if (count === -EAGAIN) return;
  const status = count < 0 ? Number(count) : native.eventfdWrite(to, count);
  if (status < 0) throw new VfioError({ errno: status, syscall: count < 0 ? "read" : "write", object });
}

showAs(MessageConnection, (connection) => `${connection.label}, ${openOrClosed(connection)}`);

showAs(ConnectedVector, (vector) => `vector ${vector.index}`);
