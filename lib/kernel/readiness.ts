/**
 * Waiting until a descriptor is readable or writable, on this thread's event loop.
 *
 * @module
 */
import { check, invalidStateError } from "../base/errors.js";
import { native, type PollHandle } from "./native.js";

/** What to wait for: 1 and 2, and their sum for either. */
export const READABLE = 1;
/** See {@link READABLE}. */
export const WRITABLE = 2;

interface Waiter {
  readonly events: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Waits on one descriptor, which it borrows. It is closed before the descriptor is: a number that is closed and used again
 * would silently be watched as another file.
 *
 * The event loop stays alive while somebody waits or listens, unless {@link setReferenced} says otherwise.
 */
export class Readiness implements Disposable {
  readonly #fd: number;
  readonly #label: string;
  readonly #waiters = new Set<Waiter>();
  #listener: (() => void) | undefined;
  #poll: PollHandle | undefined;
  #watched = 0;
  #referenced = true;
  #closed = false;

  /**
   * @param fd anything that `poll` takes: a socket, an eventfd, a pidfd. It becomes non-blocking at the first wait (the event
   *   loop sees to that), for everybody who shares the open file
   * @param label for messages
   */
  constructor(fd: number, label: string) {
    this.#fd = fd;
    this.#label = label;
  }

  /**
   * Resolves when one of the events is there. An error and a hang-up count as every event: the next call on the descriptor
   * says what it is. Rejects with the signal's reason, or when this is closed.
   */
  wait(events: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw invalidStateError(`${this.#label} is closed`);
      signal?.throwIfAborted();
      const end = (settle: () => void): void => {
        signal?.removeEventListener("abort", abort);
        this.#waiters.delete(waiter);
        settle();
      };
      const waiter: Waiter = {
        events,
        resolve: () => end(resolve),
        reject: (reason) => end(() => reject(reason)),
      };
      const abort = (): void => {
        waiter.reject(signal?.reason);
        this.#update();
      };
      signal?.addEventListener("abort", abort);
      this.#waiters.add(waiter);
      try {
        this.#update();
      } catch (error) {
        waiter.reject(error);
      }
    });
  }

  /**
   * Calls back as long as the descriptor is readable: whoever listens reads all there is. One listener at a time; `undefined`
   * ends it.
   */
  listen(listener: (() => void) | undefined): void {
    if (this.#closed) throw invalidStateError(`${this.#label} is closed`);
    this.#listener = listener;
    this.#update();
  }

  /** Whether the event loop stays alive while somebody waits or listens. The default is that it does. */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    if (this.#poll !== undefined) native.pollSetRef(this.#poll, referenced);
  }

  /** Ends every wait with `ERR_INVALID_STATE`. A second call does nothing. */
  close(): void {
    this.#closed = true;
    this.#listener = undefined;
    if (this.#poll !== undefined) native.pollStop(this.#poll);
    this.#poll = undefined;
    for (const waiter of [...this.#waiters]) waiter.reject(invalidStateError(`${this.#label} was closed`));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #update(): void {
    if (this.#closed) return;
    let wanted = this.#listener === undefined ? 0 : READABLE;
    for (const waiter of this.#waiters) wanted |= waiter.events;
    if (wanted === this.#watched) return;
    if (this.#poll === undefined) {
      const poll = native.watchStart(this.#fd, wanted, (ready) => this.#ready(ready));
      if (typeof poll === "number") {
        check(poll, () => ({ syscall: "epoll_ctl", object: this.#label }));
        return;
      }
      this.#poll = poll;
      if (!this.#referenced) native.pollSetRef(poll, false);
    } else {
      check(native.watchSetEvents(this.#poll, wanted), () => ({ syscall: "epoll_ctl", object: this.#label }));
    }
    this.#watched = wanted;
  }

  #ready(status: number): void {
    // An error is whatever the next call says; the event loop has stopped watching.
    const ready = status < 0 ? READABLE | WRITABLE : status;
    if (status < 0) this.#watched = 0;
    for (const waiter of [...this.#waiters]) if ((waiter.events & ready) !== 0) waiter.resolve();
    try {
      if ((ready & READABLE) !== 0) this.#listener?.();
    } finally {
      this.#update();
    }
  }
}
