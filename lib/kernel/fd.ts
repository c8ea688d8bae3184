/**
 * Descriptors that the package owns: closed once, never retried, and reported (not closed) when forgotten.
 *
 * @module
 */

import { checkDescriptor, checkString } from "../base/arguments.js";
import { check, invalidStateError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { watchForLeak } from "../base/leak.js";
import { native } from "./native.js";

/** A file descriptor with one owner. Close-on-exec, and closed with the thread that made it. */
export class OwnedFd implements Disposable {
  /** What the descriptor is, for messages: `/dev/vfio/12`, `eventfd (msix 3)`. */
  readonly label: string;
  #fd: number;
  readonly #forget: () => void;

  /**
   * @param fd a descriptor that the addon made (or adopted): it belongs to this object from here on
   * @param label what it is, for messages
   */
  constructor(fd: number, label: string) {
    this.#fd = fd;
    this.label = label;
    this.#forget = watchForLeak(this, `${label} (descriptor ${fd})`, "close()");
  }

  /**
   * Takes a descriptor from elsewhere (another library, `stdio` of the parent process): it becomes close-on-exec and
   * belongs to the object.
   *
   * @throws VfioError EBADF
   */
  static adopt(fd: number, label: string): OwnedFd {
    checkDescriptor("fd", fd);
    checkString("label", label);
    check(native.adopt(fd), () => ({
      syscall: "fcntl",
      args: { fd },
      object: label,
      why: "the number is not an open descriptor of this process",
    }));
    return new OwnedFd(fd, label);
  }

  /** The number, to borrow. */
  get number(): number {
    if (this.#fd < 0) throw invalidStateError(`${this.label} is closed`);
    return this.#fd;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /** An object that warns when it is forgotten owns the descriptor: one warning is enough. @internal */
  leaveWarningToOwner(): void {
    this.#forget();
  }

  /** A second descriptor of the same file, with an owner of its own. */
  duplicate(): OwnedFd {
    const copy = check(native.dup(this.number), () => ({ syscall: "dup", object: this.label }));
    return new OwnedFd(copy, this.label);
  }

  /**
   * Closes the descriptor. A second call does nothing. Linux gives the descriptor back even where `close` reports an
   * error, so an error is not thrown: there is nothing left to do about it.
   */
  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#forget();
    native.close(fd);
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

showAs(OwnedFd, (fd) => `${fd.label}, ${fd.closed ? "closed" : `descriptor ${fd.number}`}`);
