/**
 * One interrupt: an eventfd that the kernel signals, and the ways to hear of it.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import { constants } from "node:os";
import { checkListener, checkOptions, checkSignal, checkString, knownOptions } from "../base/arguments.js";
import type { ChangeKind } from "../base/change-lock.js";
import { argTypeError, invalidStateError, outOfRangeError, VfioError } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import { EventFd } from "../kernel/event-fd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native, type PollHandle } from "../kernel/native.js";

const { EAGAIN, EINTR, ETIMEDOUT } = constants.errno;
// Node's timers count up to here, in milliseconds.
const LONGEST = 2 ** 31 - 1;
// A worker that is told to terminate does so between two calls into the addon, never during one.
const SLICE_MS = 100;

/** How long to wait. */
export interface WaitOptions {
  /** In milliseconds. Left out: for ever. */
  readonly timeout?: number;
  /** Ends the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

const nobody: readonly Waiter[] = [];

/** What an interrupt needs of the kind that it belongs to. @internal */
export interface InterruptOwner {
  /** Refuses a change while the device is between two processes. */
  refuseLocked(change?: ChangeKind): void;
  /** Has the kernel signal the eventfd. */
  trigger(interrupt: Interrupt): void;
  /** Takes the eventfd away from the kernel. */
  release(interrupt: Interrupt): void;
}

interface Waiter {
  resolve(count: number | undefined): void;
  reject(error: unknown): void;
}

/**
 * An interrupt that is switched on.
 *
 * The kernel counts: what is delivered is how many came since the last delivery, so nothing is lost while nobody looks,
 * and a burst is one delivery. (The processor may have merged messages of one vector before: read the device's own state,
 * and do not take the count for a number of events.) There are three ways to hear of it:
 *
 * - `on("interrupt", (count) => ...)`, and {@link wait} or `for await`, on the event loop. It is watched only while
 *   there is a listener or somebody waits, and keeps the process (or worker) alive only then, unless {@link unref} says
 *   otherwise. All who listen or wait at that moment hear of the same interrupts.
 * - {@link waitSync}, which blocks the thread: for a worker that has nothing else to do, several times sooner.
 * - {@link take}, which does not wait at all: for a program that polls.
 *
 * The last two read the counter under the feet of the first, and so are refused while somebody listens or waits.
 */
export class Interrupt implements AsyncIterable<number>, Disposable {
  /** Its number within its kind: the vector of MSI and MSI-X, 0 for the others. */
  readonly index: number;
  /** For messages: `msix 3 of 0000:01:00.0`. */
  readonly label: string;
  readonly #owner: InterruptOwner;
  readonly #eventfd: OwnedFd;
  readonly #emitter = new EventEmitter<{ interrupt: [count: number] }>();
  readonly #waiters = new Set<Waiter>();
  #poll: PollHandle | undefined;
  #referenced = true;
  #borrower: string | undefined;
  #suspended = false;

  /**
   * @param eventfd one that the kernel signals already; it belongs to the interrupt from here on. Left out, one is made.
   * @internal
   */
  constructor(owner: InterruptOwner, index: number, label: string, eventfd?: OwnedFd) {
    this.#owner = owner;
    this.index = index;
    this.label = label;
    this.#eventfd = eventfd ?? EventFd.make(label);
  }

  /** Whether it is switched off. */
  get closed(): boolean {
    return this.#eventfd.closed;
  }

  /**
   * The eventfd's descriptor, borrowed: for KVM's irqfd, or another process. Let nobody listen or wait here meanwhile.
   */
  get eventfd(): number {
    this.#live();
    return this.#eventfd.number;
  }

  #live(): void {
    if (this.closed) throw invalidStateError(`${this.label} is off`);
  }

  /** Whether somebody here listens or waits, and so takes every count as it comes. */
  get watched(): boolean {
    return this.#poll !== undefined;
  }

  /** Who has it, if it is lent. @internal */
  get borrower(): string | undefined {
    return this.#borrower;
  }

  /**
   * Lends the eventfd to something that reads it itself, as KVM's irqfd does. Until it is given back, nobody listens, waits
   * or takes here: each would steal counts from the borrower.
   *
   * @param borrower for the message to who tries
   * @returns gives it back; a second call does nothing
   * @throws an error with `code` `ERR_INVALID_STATE` if somebody listens or waits, if it is lent already, or if another process
   *   still owns the device
   */
  lend(borrower: string): () => void {
    checkString("borrower", borrower);
    this.#readable();
    this.#owner.refuseLocked("use");
    if (this.watched) throw invalidStateError(`somebody listens or waits for ${this.label}: stop that first`);
    this.#borrower = borrower;
    let lent = true;
    return () => {
      if (lent) this.#borrower = undefined;
      lent = false;
    };
  }

  #readable(): void {
    this.#live();
    if (this.#borrower !== undefined) throw invalidStateError(`${this.label} is lent to ${this.#borrower}`);
  }

  // ---- events ------------------------------------------------------------------------------------------------------

  /** Calls `listener` with the count of each delivery. */
  on(event: "interrupt", listener: (count: number) => void): this {
    checkListener(["interrupt"], event, listener);
    this.#readable();
    this.#emitter.on(event, listener);
    this.#watch();
    return this;
  }

  /** Calls `listener` with the count of the next delivery. */
  once(event: "interrupt", listener: (count: number) => void): this {
    checkListener(["interrupt"], event, listener);
    this.#readable();
    this.#emitter.once(event, listener);
    this.#watch();
    return this;
  }

  /** Takes a listener away. */
  off(event: "interrupt", listener: (count: number) => void): this {
    checkListener(["interrupt"], event, listener);
    this.#emitter.off(event, listener);
    this.#watch();
    return this;
  }

  /** Keeps the event loop alive while somebody listens or waits. The default. */
  ref(): this {
    this.#referenced = true;
    if (this.#poll !== undefined) native.pollSetRef(this.#poll, true);
    return this;
  }

  /** Lets the process end although somebody listens or waits. */
  unref(): this {
    this.#referenced = false;
    if (this.#poll !== undefined) native.pollSetRef(this.#poll, false);
    return this;
  }

  /**
   * Nobody here reads the counter from now on: what comes is kept in it, for this process or for another one. Who listens or
   * waits goes on doing so, and hears nothing.
   *
   * @internal
   */
  suspend(): void {
    this.#suspended = true;
    this.#unwatch();
  }

  /** Ends {@link suspend}: who listens or waits hears of all that has come. @internal */
  resume(): void {
    this.#suspended = false;
    this.#watch();
  }

  /** Watches the eventfd exactly while somebody wants to know. */
  #watch(): void {
    const listened = this.#waiters.size > 0 || this.#emitter.listenerCount("interrupt") > 0;
    const wanted = !this.closed && !this.#suspended && listened;
    if (wanted === (this.#poll !== undefined)) return;
    if (!wanted) {
      this.#unwatch();
      return;
    }
    const poll = native.pollStart(this.#eventfd.number, (count) => this.#deliver(count));
    if (typeof poll === "number") throw new VfioError({ errno: poll, syscall: "epoll_ctl", object: this.label });
    this.#poll = poll;
    if (!this.#referenced) native.pollSetRef(poll, false);
  }

  #unwatch(): void {
    if (this.#poll === undefined) return;
    native.pollStop(this.#poll);
    this.#poll = undefined;
  }

  #deliver(count: number): void {
    // Mostly there are listeners only, who are not to wait for a copy of nothing.
    const waiters = this.#waiters.size === 0 ? nobody : [...this.#waiters];
    this.#waiters.clear();
    if (count < 0) {
      const error = new VfioError({ errno: count, syscall: "read", object: this.label });
      this.#unwatch();
      for (const waiter of waiters) waiter.reject(error);
      if (waiters.length === 0) throw error;
      return;
    }
    for (const waiter of waiters) waiter.resolve(count);
    try {
      this.#emitter.emit("interrupt", count);
    } finally {
      this.#watch();
    }
  }

  // ---- waiting -----------------------------------------------------------------------------------------------------

  /**
   * Waits for the next delivery.
   *
   * @returns its count; 0 if none came within the timeout
   * @throws the signal's reason; an error with `code` `ERR_INVALID_STATE` if it is switched off meanwhile
   */
  async wait(options: WaitOptions = {}): Promise<number> {
    checkOptions("options", options, waitOptions);
    const count = await this.#next(options);
    if (count === undefined) throw invalidStateError(`${this.label} was switched off`);
    return count;
  }

  /** The count; 0 for a timeout; undefined when it is switched off, or `stop` was called. */
  #next({ timeout, signal }: WaitOptions, onWaiting?: (stop: () => void) => void): Promise<number | undefined> {
    this.#readable();
    signal?.throwIfAborted();
    // What came before is the answer, unless somebody else is to hear of it too.
    const count = this.#poll === undefined && !this.#suspended ? this.#read() : 0;
    if (count > 0 || timeout === 0) return Promise.resolve(count);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const settle = () => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      const waiter: Waiter = {
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const abort = () => {
        waiter.reject(signal?.reason);
        this.#watch();
      };
      const stopWith = (value: 0 | undefined) => () => {
        waiter.resolve(value);
        this.#watch();
      };
      this.#waiters.add(waiter);
      try {
        this.#watch();
      } catch (error) {
        waiter.reject(error);
        return;
      }
      signal?.addEventListener("abort", abort, { once: true });
      if (timeout !== undefined && timeout !== Number.POSITIVE_INFINITY) {
        timer = setTimeout(stopWith(0), timeout);
        if (!this.#referenced) timer.unref();
      }
      onWaiting?.(stopWith(undefined));
    });
  }

  /** Goes through the deliveries, as {@link interrupts} without options. */
  [Symbol.asyncIterator](): AsyncIterableIterator<number> {
    return this.interrupts();
  }

  /**
   * The counts of the deliveries, one after the other. It ends when the interrupt is switched off. While the loop's body
   * runs, the kernel goes on counting.
   *
   * @param options.signal ends it: the loop throws the signal's reason
   */
  interrupts(options: Pick<WaitOptions, "signal"> = {}): AsyncIterableIterator<number> {
    checkOptions("options", options, iterateOptions);
    return this.iterate(options);
  }

  /**
   * @param again called before each wait but the first
   * @internal
   */
  protected iterate(options: Pick<WaitOptions, "signal">, again?: () => void): AsyncIterableIterator<number> {
    let stop: (() => void) | undefined;
    const deliveries = this.#deliveries(options, again, (next) => {
      stop = next;
    });
    // A generator that waits hears of return() only when its wait is over: end the wait first.
    const iterator: AsyncIterableIterator<number> = {
      next: () => deliveries.next(),
      return: () => {
        stop?.();
        return deliveries.return(undefined);
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  async *#deliveries(
    options: Pick<WaitOptions, "signal">,
    again: (() => void) | undefined,
    onWaiting: (stop: () => void) => void,
  ): AsyncGenerator<number, undefined, undefined> {
    while (!this.closed) {
      const count = await this.#next(options, onWaiting);
      if (count === undefined) return undefined;
      yield count;
      if (!this.closed) again?.();
    }
    return undefined;
  }

  /**
   * Blocks this thread until the next delivery. For a worker: on the main thread nothing else happens meanwhile.
   *
   * @param timeout in milliseconds; left out, for ever
   * @returns its count; 0 if none came within the timeout
   */
  waitSync(timeout?: number): number {
    if (timeout !== undefined) checkTimeout("timeout", timeout);
    this.#aloneOnly("waitSync()");
    const deadline = timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeout;
    for (;;) {
      const left = Math.max(0, deadline - performance.now());
      const count = native.eventfdWait(this.#eventfd.number, Math.min(Math.ceil(left), SLICE_MS));
      if (count > 0) return Number(count);
      // A slice is over; or a signal came, or another reader was first.
      if (count === -ETIMEDOUT && left <= SLICE_MS) return 0;
      if (count === -ETIMEDOUT || count === -EAGAIN || count === -EINTR) continue;
      throw new VfioError({ errno: Number(count), syscall: "poll", object: this.label });
    }
  }

  /** How many came since the last delivery, without waiting: 0 for none. */
  take(): number {
    this.#aloneOnly("take()");
    return this.#read();
  }

  #aloneOnly(what: string): void {
    this.#readable();
    if (this.#suspended) throw invalidStateError(`${this.label} is between two processes: what comes is counted`);
    if (!this.watched) return;
    throw invalidStateError(`${what} would take the count of ${this.label} from those who listen or wait for it`);
  }

  #read(): number {
    const count = native.eventfdRead(this.#eventfd.number);
    if (count === -EAGAIN) return 0;
    if (count < 0) throw new VfioError({ errno: Number(count), syscall: "read", object: this.label });
    return Number(count);
  }

  // ---- the kernel's side -------------------------------------------------------------------------------------------

  /**
   * Has the kernel signal the eventfd as if the device had raised the interrupt: to test a program, or to inject what
   * came meanwhile.
   *
   * @throws VfioError
   */
  trigger(): void {
    this.#live();
    this.#owner.trigger(this);
  }

  /**
   * Switches it off and closes its eventfd: who waits is told, loops end, listeners are gone. A second call does nothing.
   *
   * @throws VfioError where the kernel refuses; the eventfd is closed nevertheless. An error with `code` `ERR_INVALID_STATE` while
   *   the device is handed over; nothing is closed then
   */
  close(): void {
    if (this.closed) return;
    // Before anything is done: the kernel goes on signalling the eventfd, for whoever has the device next.
    this.#owner.refuseLocked();
    try {
      this.#owner.release(this);
    } finally {
      this.end();
    }
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Stops watching and closes the eventfd, without a word to the kernel. @internal */
  end(): void {
    if (this.closed) return;
    // Stopped before it is closed: a watched number could be another file's by the next turn of the loop.
    this.#unwatch();
    this.#eventfd.close();
    this.#emitter.removeAllListeners();
    for (const waiter of [...this.#waiters]) waiter.resolve(undefined);
  }

  toString(): string {
    return this.label;
  }
}

function checkTimeout(name: string, timeout: unknown): void {
  if (typeof timeout !== "number") throw argTypeError(name, "a number of milliseconds", timeout);
  if ((timeout >= 0 && timeout <= LONGEST) || timeout === Number.POSITIVE_INFINITY) return;
  throw outOfRangeError(name, `a number of milliseconds from 0 to ${LONGEST}, or Infinity`, timeout);
}

const waitOptions = knownOptions<WaitOptions>({ timeout: checkTimeout, signal: checkSignal });
const iterateOptions = knownOptions<Pick<WaitOptions, "signal">>({ signal: checkSignal });

showAs(Interrupt, (interrupt) => `${interrupt.label}, ${openOrClosed(interrupt)}`);
