/**
 * The interrupts of a device that is written here: raised by the device, delivered through eventfds that the client gave.
 *
 * @module
 */

import { constants } from "node:os";
import { checkInteger } from "../../base/arguments.js";
import { outOfRangeError, VfioError } from "../../base/errors.js";
import { isEventFd } from "../../kernel/event-fd.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { native, type PollHandle } from "../../kernel/native.js";
import { WRITABLE } from "../../kernel/readiness.js";
import {
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "../../kernel/uapi.js";
import { ProtocolError } from "../protocol/constants.js";
import type { SetIrqsRequest } from "../protocol/messages.js";

const { EBUSY, EINVAL } = constants.errno;

const DATA_MASK = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD;
const ACTION_MASK = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER;

function refuse(why: string, errno = EINVAL): ProtocolError {
  return new ProtocolError(errno, "VFIO_USER_DEVICE_SET_IRQS", why);
}

/**
 * Only an eventfd may be written to on the device's behalf: anything else (a pipe that is full) could hold this thread.
 *
 * @returns a descriptor of our own
 */
function adoptEventfd(fd: OwnedFd): OwnedFd {
  if (!isEventFd(fd.number)) throw refuse("a descriptor that came with it is no eventfd");
  return fd.duplicate();
}

/** Adds one to an eventfd, unless its owner let it fill up: then a write would block if it is a blocking one. */
function signal(eventfd: OwnedFd): void {
  if ((native.pollFd(eventfd.number, WRITABLE, 0) & WRITABLE) !== 0) native.eventfdWrite(eventfd.number, 1);
}

/** What a client asks of one kind of interrupt. */
export interface InterruptKind {
  /** `VFIO_IRQ_INFO_*` */
  readonly flags: number;
  readonly count: number;
  /** @param fds borrowed; none for a request that is not about eventfds. @throws ProtocolError @internal */
  set(request: SetIrqsRequest, fds: readonly OwnedFd[]): void;
  /** Takes everything that belongs to the client away. @internal */
  disconnect(): void;
}

/**
 * Checks a request against what every kind has in common.
 *
 * @internal
 */
export function checkSetIrqs(kind: InterruptKind, { flags, start, count, data }: SetIrqsRequest, fds: number): void {
  const form = flags & DATA_MASK;
  const action = flags & ACTION_MASK;
  const isOne = (bits: number) => bits !== 0 && (bits & (bits - 1)) === 0;
  if ((flags & ~(DATA_MASK | ACTION_MASK)) !== 0 || !isOne(form) || !isOne(action)) {
    throw refuse(`flags 0x${flags.toString(16)} are not of one kind of data and one action`);
  }
  if (start >= kind.count || count > kind.count - start) {
    throw refuse(`interrupts ${start} to ${start + count - 1}, and there are ${kind.count}`);
  }
  if (count === 0 && (start !== 0 || form !== VFIO_IRQ_SET_DATA_NONE || action !== VFIO_IRQ_SET_ACTION_TRIGGER)) {
    throw refuse("a count of 0 switches everything off, and takes neither a start, nor data, nor another action");
  }
  // No descriptor at all takes the eventfds of the range away.
  if (form === VFIO_IRQ_SET_DATA_EVENTFD && fds !== 0 && fds !== count) {
    throw refuse(`${fds} descriptors for ${count} interrupts`);
  }
  if (data.length !== (form === VFIO_IRQ_SET_DATA_BOOL ? count : 0)) {
    throw refuse(`${data.length} bytes of data for ${count} interrupts`);
  }
}

/** The interrupts of a range that a request without eventfds is about. */
function* chosen({ flags, start, count, data }: SetIrqsRequest): Generator<number, void, undefined> {
  for (let i = 0; i < count; i++) {
    if ((flags & VFIO_IRQ_SET_DATA_NONE) !== 0 || data[i] !== 0) yield start + i;
  }
}

/** The level of a device's line, which stays when a client goes. @internal */
export interface IntxLine {
  asserted: boolean;
}

/** INTx: the device's line. It is raised by level: it stays until the device lowers it. */
export class IntxSource implements InterruptKind {
  readonly flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  readonly count: number;
  readonly #allowed: () => boolean;
  readonly #line: IntxLine;
  /** The client is gone, and the line is not this object's any more. */
  #released = false;
  #masked = false;
  #eventfd: OwnedFd | undefined;
  #unmask: { readonly fd: OwnedFd; readonly poll: PollHandle } | undefined;

  /** @param allowed whether the command register lets the line through @internal */
  constructor(present: boolean, allowed: () => boolean, line: IntxLine) {
    this.count = present ? 1 : 0;
    this.#allowed = allowed;
    this.#line = line;
  }

  /** Whether the device raises the line, heard or not. */
  get asserted(): boolean {
    return this.#line.asserted;
  }

  /** Whether the client listens to it. */
  get enabled(): boolean {
    return this.#eventfd !== undefined;
  }

  /** Raises the line. Does nothing through a {@link DeviceClient} that is gone. */
  assert(): void {
    if (this.count === 0) throw outOfRangeError("intx", "a line of the device", "a device without INTx");
    if (this.#released) return;
    this.#line.asserted = true;
    this.update();
  }

  /** Lowers the line. Does nothing through a {@link DeviceClient} that is gone. */
  deassert(): void {
    if (!this.#released) this.#line.asserted = false;
  }

  /** Delivers what is raised, once: the line is masked then until the client unmasks it. @internal */
  update(): void {
    if (!this.#line.asserted || this.#masked || this.#eventfd === undefined || !this.#allowed()) return;
    this.#masked = true;
    signal(this.#eventfd);
  }

  /** @internal */
  set(request: SetIrqsRequest, fds: readonly OwnedFd[]): void {
    checkSetIrqs(this, request, fds.length);
    if (request.count === 0) {
      this.disconnect();
      return;
    }
    const withEventfd = (request.flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0;
    const [fd] = fds;
    if (withEventfd && (request.flags & VFIO_IRQ_SET_ACTION_TRIGGER) !== 0) {
      const eventfd = fd === undefined ? undefined : adoptEventfd(fd);
      this.#eventfd?.close();
      this.#eventfd = eventfd;
      this.#masked = false;
      if (eventfd === undefined) this.#stopUnmask();
      this.update();
      return;
    }
    if (this.#eventfd === undefined) throw refuse("the line is off");
    if (withEventfd && (request.flags & VFIO_IRQ_SET_ACTION_UNMASK) !== 0) {
      this.#setUnmask(fd);
      return;
    }
    if (withEventfd) throw refuse("nothing tells of the masking of a line");
    for (const _ of chosen(request)) {
      if ((request.flags & VFIO_IRQ_SET_ACTION_MASK) !== 0) this.#masked = true;
      else if ((request.flags & VFIO_IRQ_SET_ACTION_UNMASK) !== 0) this.#unmaskNow();
      else signal(this.#eventfd);
    }
  }

  #unmaskNow(): void {
    this.#masked = false;
    this.update();
  }

  /** What KVM calls resampling: the eventfd unmasks the line, as the kernel's VFIO has it. */
  #setUnmask(fd: OwnedFd | undefined): void {
    if (fd === undefined) {
      this.#stopUnmask();
      return;
    }
    if (this.#unmask !== undefined) throw refuse("an eventfd unmasks the line already", EBUSY);
    const own = adoptEventfd(fd);
    const poll = native.pollStart(own.number, (count) => {
      if (count > 0) this.#unmaskNow();
    });
    if (typeof poll === "number") {
      own.close();
      throw new VfioError({ errno: poll, syscall: "epoll_ctl", object: "the eventfd that unmasks the line" });
    }
    this.#unmask = { fd: own, poll };
  }

  #stopUnmask(): void {
    if (this.#unmask === undefined) return;
    native.pollStop(this.#unmask.poll);
    this.#unmask.fd.close();
    this.#unmask = undefined;
  }

  /** @internal */
  disconnect(): void {
    this.#stopUnmask();
    this.#eventfd?.close();
    this.#eventfd = undefined;
    this.#masked = false;
  }

  /** The line belongs to the next client from here on. @internal */
  release(): void {
    this.#released = true;
  }
}

/** MSI or MSI-X: vectors, each a message of its own. */
export class MessageSource implements InterruptKind {
  readonly flags = VFIO_IRQ_INFO_EVENTFD;
  /** How many vectors the device has. */
  readonly count: number;
  readonly #name: string;
  readonly #eventfds: (OwnedFd | undefined)[] = [];
  readonly #pending: Set<number> | undefined;
  #connected = false;

  /**
   * @param keeps whether what nobody listens to is kept until somebody does, as MSI-X keeps it in its pending bits
   * @internal
   */
  constructor(name: string, count: number, keeps: boolean) {
    this.#name = name;
    this.count = count;
    this.#pending = keeps ? new Set() : undefined;
  }

  /** Whether the client listens to any of the vectors. */
  get enabled(): boolean {
    return this.#eventfds.some((eventfd) => eventfd !== undefined);
  }

  /** The vectors that were raised while nobody listened to them. */
  get pending(): ReadonlySet<number> {
    return this.#pending ?? new Set();
  }

  /**
   * Raises a vector.
   *
   * @returns whether it was delivered. If not, MSI-X keeps it until the client listens to the vector, and MSI loses it. Without
   *   a client both lose it
   * @throws RangeError if the device has no such vector
   */
  trigger(vector = 0): boolean {
    if (typeof vector !== "number" || !Number.isInteger(vector) || vector < 0 || vector >= this.count) {
      checkInteger("vector", vector);
      throw outOfRangeError("vector", `one of the device's ${this.count} vectors of ${this.#name}`, vector);
    }
    const eventfd = this.#eventfds[vector];
    if (eventfd === undefined) {
      if (this.#connected) this.#pending?.add(vector);
      return false;
    }
    signal(eventfd);
    return true;
  }

  /** @internal */
  set(request: SetIrqsRequest, fds: readonly OwnedFd[]): void {
    checkSetIrqs(this, request, fds.length);
    if ((request.flags & VFIO_IRQ_SET_ACTION_TRIGGER) === 0) throw refuse(`vectors of ${this.#name} are not masked so`);
    if (request.count === 0) {
      this.#off();
      return;
    }
    if ((request.flags & VFIO_IRQ_SET_DATA_EVENTFD) === 0) {
      for (const vector of chosen(request)) {
        const eventfd = this.#eventfds[vector];
        if (eventfd !== undefined) signal(eventfd);
      }
      return;
    }
    // All of them are good, or none is taken.
    const adopted: OwnedFd[] = [];
    try {
      for (const fd of fds) adopted.push(adoptEventfd(fd));
    } catch (error) {
      for (const eventfd of adopted) eventfd.close();
      throw error;
    }
    for (let i = 0; i < request.count; i++) {
      const vector = request.start + i;
      const eventfd = adopted[i];
      this.#eventfds[vector]?.close();
      this.#eventfds[vector] = eventfd;
      if (eventfd !== undefined && this.#pending?.delete(vector) === true) signal(eventfd);
    }
  }

  #off(): void {
    for (const eventfd of this.#eventfds.splice(0)) eventfd?.close();
    this.#pending?.clear();
  }

  /** @internal */
  connect(): void {
    this.#connected = true;
  }

  /** @internal */
  disconnect(): void {
    this.#connected = false;
    this.#off();
  }
}

/** A notification: of an error of the device, or of the wish to have the device back. */
export class NoticeSource implements InterruptKind {
  readonly flags = VFIO_IRQ_INFO_EVENTFD;
  readonly count = 1;
  #eventfd: OwnedFd | undefined;

  /** Whether the client listens. */
  get enabled(): boolean {
    return this.#eventfd !== undefined;
  }

  /**
   * Tells the client.
   *
   * @returns whether it listens
   */
  signal(): boolean {
    if (this.#eventfd === undefined) return false;
    signal(this.#eventfd);
    return true;
  }

  /** @internal */
  set(request: SetIrqsRequest, fds: readonly OwnedFd[]): void {
    checkSetIrqs(this, request, fds.length);
    if ((request.flags & VFIO_IRQ_SET_ACTION_TRIGGER) === 0) throw refuse("a notification is not masked");
    if (request.count === 0 || (request.flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0) {
      const [fd] = fds;
      const eventfd = fd === undefined ? undefined : adoptEventfd(fd);
      this.disconnect();
      this.#eventfd = eventfd;
      return;
    }
    for (const _ of chosen(request)) this.signal();
  }

  /** @internal */
  disconnect(): void {
    this.#eventfd?.close();
    this.#eventfd = undefined;
  }
}
