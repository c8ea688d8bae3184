/**
 * What the parts of one device (regions, interrupts, resets, features) share: its port while it is open, its
 * address for messages, and the list of what must go before the port does.
 *
 * @module
 */

import { type ChangeKind, type ChangeLock, lockedError, refuseChange } from "../base/change-lock.js";
import { invalidStateError } from "../base/errors.js";
import type { Attachment } from "./attachment.js";
import type { DevicePort } from "./port.js";
import { ReadOnlyPort } from "./read-only-port.js";

/** Something that a device made and that must be gone before its port is closed. */
export interface DevicePart {
  /** Why it cannot go now: a container has it mapped. */
  readonly holdup: string | undefined;
  close(): void;
  /** Gives back what is this process's of it, and leaves the device as it is, for another process. @internal */
  disown(): void;
}

/** An open device, as its parts see it. */
export class OpenDevice {
  /** The PCI address, or a mediated device's UUID. */
  readonly address: string;
  readonly attachment: Attachment;
  /** Memory mappings and ioeventfds, in the order in which they were made. */
  readonly parts = new Set<DevicePart>();
  /** Which of INTx, MSI and MSI-X is on: the kernel allows one at a time. */
  activeIrq: string | undefined;
  /** What is under way on another thread: a reset. */
  underWay: string | undefined;
  #port: DevicePort;
  #lock: ChangeLock | undefined;
  #open = true;

  constructor(attachment: Attachment) {
    this.attachment = attachment;
    this.address = attachment.address;
    this.#port = attachment.port;
  }

  /** Where it is asked. Throws once the device is closed. */
  get port(): DevicePort {
    if (!this.#open) throw invalidStateError(`${this} is closed`);
    return this.#port;
  }

  /** Refuses changes from now on; undefined ends that. */
  lock(lock: ChangeLock | undefined): void {
    this.#lock = lock;
    const { port } = this.attachment;
    const readOnly = lock?.refuses === "use";
    this.#port = readOnly ? new ReadOnlyPort(port, () => lockedError(lock, this.toString())) : port;
  }

  get open(): boolean {
    return this.#open;
  }

  /**
   * Refuses a change while the device is between two processes.
   *
   * @throws an error with `code` `ERR_INVALID_STATE`
   */
  refuseLocked(change: ChangeKind = "structure"): void {
    refuseChange(this.#lock, this.toString(), change);
  }

  toString(): string {
    return `the device ${this.address}`;
  }

  /** From here on every use throws. The port is still to be closed. */
  shut(): void {
    this.#open = false;
  }
}
