/**
 * A guest's write that signals an eventfd (`KVM_IOEVENTFD`).
 *
 * @module
 */

import { constants } from "node:os";
import { type Check, checkDescriptor, checkRequired, checkU64, knownOptions, oneOf } from "../base/arguments.js";
import { argTypeError, outOfRangeError, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { EventFd } from "../kernel/event-fd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { KVM_IOEVENTFD_FLAG_DATAMATCH, KVM_IOEVENTFD_FLAG_DEASSIGN, KVM_IOEVENTFD_FLAG_PIO } from "../kernel/uapi.js";
import type { VmPart } from "./part.js";

const { EEXIST, EINVAL, ENOSPC } = constants.errno;

const checkLength: Check = (name, value) => {
  if (typeof value !== "number") throw argTypeError(name, "a number", value);
  if (![0, 1, 2, 4, 8].includes(value)) throw outOfRangeError(name, "0, 1, 2, 4 or 8 bytes", value);
};
const ioeventfdOptions = knownOptions<KvmIoeventfdOptions>({
  address: checkU64,
  length: checkLength,
  match: checkU64,
  space: oneOf(["mmio", "pio"]),
  eventfd: checkDescriptor,
});

/** Which writes signal. */
export interface KvmIoeventfdOptions {
  /** Where the guest writes: a physical address, or a port. */
  readonly address: number | bigint;
  /** The width of the write in bytes; 0 for any. */
  readonly length: 0 | 1 | 2 | 4 | 8;
  /** Only writes of this value. Left out, of any. */
  readonly match?: number | bigint;
  /** Default `mmio`. */
  readonly space?: "mmio" | "pio";
  /** Borrowed, and needed only during the call. Left out, one is made, which belongs to the object. */
  readonly eventfd?: number;
}

/**
 * A standing order to KVM: when the guest writes there, it signals the eventfd and lets the guest go on, and nothing of this
 * process runs. With a device's ioeventfd on the same eventfd, the write goes on into the device.
 */
export class KvmIoeventfd implements VmPart, Disposable {
  /** For messages. */
  readonly label: string;
  readonly #vm: { readonly fd: number; readonly parts: Set<VmPart> };
  readonly #eventfd: OwnedFd;
  readonly #order: { readonly address: number | bigint; readonly length: number; readonly match: number | bigint };
  readonly #flags: number;

  /** @internal */
  constructor(
    vm: { readonly fd: number; readonly label: string; readonly parts: Set<VmPart> },
    options: KvmIoeventfdOptions,
  ) {
    checkRequired("options", options, ioeventfdOptions, "address", "length");
    const { address, length, match, space = "mmio", eventfd } = options;
    if (match !== undefined && length === 0) throw outOfRangeError("length", "that of the value to match", length);
    this.label = `ioeventfd at ${space} 0x${address.toString(16)} of ${vm.label}`;
    this.#vm = vm;
    this.#order = { address, length, match: match ?? 0 };
    this.#flags =
      (match === undefined ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH) | (space === "pio" ? KVM_IOEVENTFD_FLAG_PIO : 0);
    this.#eventfd = eventfd === undefined ? EventFd.make(this.label) : EventFd.duplicateOf(eventfd, this.label);
    try {
      this.#set(0);
    } catch (error) {
      this.#eventfd.close();
      throw error;
    }
    vm.parts.add(this);
  }

  #set(flag: number): void {
    const { address, length, match } = this.#order;
    const fd = this.#eventfd.number;
    const status = native.kvmIoeventfd(this.#vm.fd, fd, address, length, this.#flags | flag, match);
    if (status >= 0) return;
    const why = new Map([
      [EEXIST, "a write there has an ioeventfd already"],
      [EINVAL, "the descriptor is no eventfd, or the address and width are none that a write can have"],
      [ENOSPC, "the machine has as many as KVM allows"],
    ]).get(-status);
    throw new VfioError({
      errno: status,
      syscall: "ioctl",
      request: "KVM_IOEVENTFD",
      args: { address, length, match, flags: this.#flags | flag },
      object: this.label,
      ...(why === undefined ? {} : { why }),
    });
  }

  /** The eventfd, borrowed: its own, or a duplicate of the one that it was made with. */
  get eventfd(): number {
    return this.#eventfd.number;
  }

  /** Takes the order back. A second call does nothing. */
  close(): void {
    if (this.#eventfd.closed) return;
    this.#vm.parts.delete(this);
    try {
      this.#set(KVM_IOEVENTFD_FLAG_DEASSIGN);
    } finally {
      this.#eventfd.close();
    }
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

showAs(KvmIoeventfd, (ioeventfd) => ioeventfd.label);
