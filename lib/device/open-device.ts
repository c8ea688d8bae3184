/**
 * What the parts of one device (regions, interrupts, resets, features) share: its port while it is open, its
 * address for messages, and the list of what must go before the port does.
 *
 * @module
 */
import { invalidStateError } from "../errors.js";
import type { Attachment } from "./attachment.js";
import type { DevicePort } from "./port.js";

/** Something that a device made and that must be gone before its port is closed. */
export interface DevicePart {
  /** Why it cannot go now: a container has it mapped. */
  readonly holdup: string | undefined;
  close(): void;
  /** Gives back what is this process's of it, and leaves the device as it is, for another process. @internal */
  disown(): void;
}

/** Why a device cannot be changed now. */
export interface DeviceLock {
  /** Ends a sentence that begins with the device: `is being handed over to another process`. */
  readonly why: string;
  /** Whether even what changes nothing for good is refused: masking a line, triggering an interrupt. */
  readonly still: boolean;
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
  /** Set while the device is between two processes. */
  lock: DeviceLock | undefined;
  /** What is under way on another thread: a reset. */
  underWay: string | undefined;
  #open = true;

  constructor(attachment: Attachment) {
    this.attachment = attachment;
    this.address = attachment.address;
  }

  /** Where it is asked. Throws once the device is closed. */
  get port(): DevicePort {
    if (!this.#open) throw invalidStateError(`the device ${this.address} is closed`);
    return this.attachment.port;
  }

  get open(): boolean {
    return this.#open;
  }

  /**
   * Refuses a change while the device is between two processes.
   *
   * @throws an error with `code` `ERR_INVALID_STATE`
   */
  refuseLocked(): void {
    if (this.lock !== undefined) throw invalidStateError(`the device ${this.address} ${this.lock.why}`);
  }

  /** From here on every use throws. The port is still to be closed. */
  shut(): void {
    this.#open = false;
  }
}
