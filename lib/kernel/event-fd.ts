/**
 * Eventfds: counters behind a descriptor, which the kernel adds to when an interrupt comes. See eventfd(2).
 *
 * @module
 */
import { constants } from "node:os";
import { checkDescriptor, checkInteger, checkString, checkU64 } from "../base/arguments.js";
import { OwnedFd } from "./fd.js";
import { fdinfo } from "./fdinfo.js";
import { native } from "./native.js";
import { ask, refusal } from "./refusal.js";

const { EAGAIN, EBADF, EINTR, EINVAL, EOPNOTSUPP, ETIMEDOUT } = constants.errno;

/** Whether a descriptor of this process is an eventfd. It must be open. */
export function isEventFd(fd: number): boolean {
  return fdinfo(fd, "eventfd-count") !== undefined;
}

/**
 * The kernel's number of an eventfd, which all descriptors of it share, in every process.
 *
 * @returns undefined if the descriptor is no eventfd
 */
export function eventFdId(fd: number): string | undefined {
  return fdinfo(fd, "eventfd-id")?.trim();
}

/**
 * An eventfd with one owner. What signals it (the kernel, another process) has a descriptor or a reference of its own, and what
 * it signals after {@link close} is lost.
 */
export class EventFd extends OwnedFd {
  readonly #object: string;

  /**
   * @param fd belongs to this object from here on
   * @param object what it signals, for messages: `msix 3 of 0000:01:00.0`
   */
  private constructor(fd: number, object: string) {
    super(fd, `eventfd (${object})`);
    this.#object = object;
  }

  /**
   * A new eventfd, with a count of 0: close-on-exec and non-blocking.
   *
   * @param object what it signals, for messages
   * @throws VfioError `EMFILE`, `ENFILE`, `ENOMEM`
   */
  static make(object: string): EventFd {
    checkString("object", object);
    return new EventFd(ask("eventfd", { object }), object);
  }

  /**
   * Takes an eventfd from elsewhere: it becomes close-on-exec and belongs to the object.
   *
   * @throws VfioError `EBADF`, or `EINVAL` if the descriptor is something else. It is still the caller's then
   */
  static override adopt(fd: number, object: string): EventFd {
    checkDescriptor("fd", fd);
    checkString("object", object);
    ask("eventfdPending", { args: { fd }, object, reason: "bad-descriptor", why: "the eventfd is closed" }, fd);
    if (!isEventFd(fd)) {
      throw refusal("adopt", EINVAL, { args: { fd }, object, reason: "bad-descriptor", why: "it is no eventfd" });
    }
    ask("adopt", { args: { fd }, object }, fd);
    return new EventFd(fd, object);
  }

  /**
   * A descriptor of its own for an eventfd that belongs to somebody else.
   *
   * @param fd borrowed, and needed only during the call. Whether it is an eventfd is left to the kernel, where it is used
   * @throws VfioError `EBADF` if it is closed, `EMFILE`
   */
  static duplicateOf(fd: number, object: string): EventFd {
    checkDescriptor("fd", fd);
    checkString("object", object);
    const why = { reason: "bad-descriptor", why: "the eventfd is closed" } as const;
    return new EventFd(
      ask("dup", (errno) => ({ args: { fd }, object, ...(errno === EBADF ? why : {}) }), fd),
      object,
    );
  }

  override duplicate(): EventFd {
    return EventFd.duplicateOf(this.number, this.#object);
  }

  /** The kernel's number of it, the same for every descriptor of it in every process. Undefined before Linux 5.2. */
  get id(): string | undefined {
    return eventFdId(this.number);
  }

  /** Whether its count is not 0. Leaves the count as it is. */
  get pending(): boolean {
    return ask("eventfdPending", { object: this.#object }, this.number) > 0;
  }

  /**
   * Adds to the count.
   *
   * @param count from 1 to 2^64 - 2
   * @throws VfioError `EAGAIN` if the count would be too large; it is as it was then
   */
  signal(count: number | bigint = 1): void {
    checkU64("count", count);
    ask("eventfdWrite", { object: this.#object }, this.number, count);
  }

  /**
   * Takes the count, without waiting, also from an eventfd that was made a blocking one.
   *
   * @returns the count, which is 0 again then; 0 if nothing has signalled it
   * @throws VfioError
   */
  take(): number {
    let count = native.eventfdReadNow(this.number);
    // Linux before 5.8 cannot tell, by preadv2, whether an eventfd would block.
    if (count === -EOPNOTSUPP) count = this.pending ? native.eventfdRead(this.number) : 0;
    if (count === -EAGAIN) return 0;
    if (count < 0) throw refusal("eventfdReadNow", Number(count), { object: this.#object });
    return Number(count);
  }

  /**
   * Blocks this thread until something signals it, and takes the count. For a worker: on the main thread nothing else happens
   * meanwhile.
   *
   * @param timeout in milliseconds; at most 2^31 - 1
   * @returns the count; 0 if the timeout, a signal of the process or another reader came first
   */
  wait(timeout: number): number {
    checkInteger("timeout", timeout, 0, 0x7fff_ffff);
    const count = native.eventfdWait(this.number, timeout);
    if (count === -ETIMEDOUT || count === -EAGAIN || count === -EINTR) return 0;
    if (count < 0) throw refusal("eventfdWait", Number(count), { object: this.#object });
    return Number(count);
  }
}
