/**
 * What the parts of one device (regions, interrupts, resets, features) share: its descriptor while it is open, its
 * address for messages, and the list of what must go before the descriptor does.
 *
 * @module
 */
import { invalidStateError } from "../errors.js";
import type { Attachment } from "./attachment.js";

/** Something that a device made and that must be gone before its descriptor is closed. */
export interface DevicePart {
  /** Why it cannot go now: a container has it mapped. */
  readonly holdup: string | undefined;
  close(): void;
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
  #open = true;

  constructor(attachment: Attachment) {
    this.attachment = attachment;
    this.address = attachment.address;
  }

  /** The descriptor, borrowed. Throws once the device is closed. */
  get fd(): number {
    if (!this.#open) throw invalidStateError(`the device ${this.address} is closed`);
    return this.attachment.fd.number;
  }

  get open(): boolean {
    return this.#open;
  }

  /** From here on every use throws. The descriptor is still to be closed. */
  shut(): void {
    this.#open = false;
  }
}
