/**
 * Whether another process still lives.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { OwnedFd } from "../kernel/fd.js";
import { fdinfo } from "../kernel/fdinfo.js";
import { native } from "../kernel/native.js";
import { READABLE, Readiness } from "../kernel/readiness.js";
import type { SocketWait } from "../kernel/unix-socket.js";

// linux/sched.h: set when a task begins to end, before its descriptors are closed.
const PF_EXITING = 0x4;

/**
 * The pid behind a pidfd, in this process's pid namespace: 0 where it has none there, -1 when the process is gone altogether,
 * undefined if the descriptor is no pidfd.
 */
function pidOf(pidfd: number): number | undefined {
  const pid = fdinfo(pidfd, "Pid");
  return pid === undefined ? undefined : Number(pid);
}

/** Another process, by a pidfd: no other process can take its place, as one can with a pid. */
export class PeerProcess implements Disposable {
  readonly #pidfd: OwnedFd;

  private constructor(pidfd: OwnedFd) {
    this.#pidfd = pidfd;
  }

  /** Takes the descriptor, or returns undefined, and leaves it alone, if it is no pidfd. */
  static of(pidfd: OwnedFd): PeerProcess | undefined {
    return pidOf(pidfd.number) === undefined ? undefined : new PeerProcess(pidfd);
  }

  /**
   * Says whether the process is dead, of one that has closed something: either because it ended, or of its own will.
   *
   * A process closes its descriptors before it counts as dead, and closing those of devices can take a while. So an end that has
   * begun is waited for.
   *
   * @returns true once it is dead, false if it lives
   */
  async died({ signal }: SocketWait): Promise<boolean> {
    signal?.throwIfAborted();
    if (native.pollFd(this.#pidfd.number, READABLE, 0) === READABLE) return true;
    if (this.#lives()) return false;
    const readiness = new Readiness(this.#pidfd.number, this.#pidfd.label);
    try {
      await readiness.wait(READABLE, signal);
      return true;
    } finally {
      readiness.close();
    }
  }

  close(): void {
    this.#pidfd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Whether it lives for certain. Where /proc does not show the process, it cannot be told from one that is about to end. */
  #lives(): boolean {
    const pid = pidOf(this.#pidfd.number);
    if (pid === undefined || pid <= 0) return false;
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    } catch {
      return false;
    }
    // The name is in parentheses and may hold anything. After it come the state, five numbers, and the flags.
    const [state, ...numbers] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const flags = Number(numbers[5]);
    const same = pidOf(this.#pidfd.number) === pid;
    return same && state !== "Z" && state !== "X" && (flags & PF_EXITING) === 0;
  }
}
