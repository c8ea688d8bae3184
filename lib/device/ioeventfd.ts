/**
 * `VFIO_DEVICE_IOEVENTFD`: a register that the kernel writes whenever an eventfd is signalled.
 *
 * @module
 */
import { constants } from "node:os";
import { check, outOfRangeError, VfioError } from "../errors.js";
import { OwnedFd } from "../fd.js";
import { native } from "../native.js";
import type { DevicePart, OpenDevice } from "./open-device.js";
import { checkValue, checkValue64, type Width } from "./registers.js";

const { EBUSY, EEXIST, EINVAL, ENOSPC, ENOTTY } = constants.errno;

/** What is written where. */
export interface IoeventfdOptions {
  /** The register, from the start of the region. */
  readonly offset: number;
  /** Its width in bytes. */
  readonly width: Width;
  /** What is written. */
  readonly value: number | bigint;
  /**
   * The eventfd whose signals are turned into writes: borrowed, and needed only during the call, since the kernel keeps
   * the file. Left out, one is made, which belongs to the object.
   */
  readonly eventfd?: number;
}

const masks: Readonly<Record<Exclude<Width, 8>, number>> = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff };

/**
 * A standing order to the kernel. It ends with {@link close}, or with the device.
 *
 * Several signals that come together may become one write.
 */
export class Ioeventfd implements DevicePart, Disposable {
  /** For messages. */
  readonly label: string;
  readonly holdup = undefined;
  readonly #device: OpenDevice;
  readonly #own: OwnedFd | undefined;
  readonly #eventfd: number;
  readonly #arguments: { readonly width: Width; readonly at: bigint; readonly value: bigint };
  #closed = false;

  /** @internal */
  constructor(
    device: OpenDevice,
    region: { readonly label: string; readonly fileOffset: bigint },
    options: IoeventfdOptions,
  ) {
    const { width, offset } = options;
    const value =
      width === 8 || typeof options.value === "bigint"
        ? checkValue64(options.value)
        : checkValue(options.value, masks[width]);
    // -1 would take an order back.
    if (options.eventfd !== undefined && !(Number.isInteger(options.eventfd) && options.eventfd >= 0)) {
      throw outOfRangeError("eventfd", "a file descriptor", options.eventfd);
    }
    this.label = `ioeventfd at 0x${offset.toString(16)} in ${region.label}`;
    this.#device = device;
    this.#arguments = { width, at: region.fileOffset + BigInt(offset), value };
    if (options.eventfd === undefined) {
      const fd = check(native.eventfd(), () => ({ syscall: "eventfd2", object: this.label }));
      this.#own = new OwnedFd(fd, `eventfd (${this.label})`);
    }
    this.#eventfd = this.#own?.number ?? options.eventfd ?? -1;
    const status = this.#set(this.#eventfd);
    if (status < 0) {
      this.#own?.close();
      throw this.#refusal(status);
    }
    device.parts.add(this);
  }

  #set(eventfd: number): number {
    const { width, at, value } = this.#arguments;
    // The flag of an access of n bytes is n.
    return native.vfioDeviceIoeventfd(this.#device.fd, width, at, value, eventfd);
  }

  #refusal(status: number): VfioError {
    const { width, value } = this.#arguments;
    const reasons = new Map<number, string>([
      [
        EINVAL,
        "the kernel writes into BARs only, not into the MSI-X table, and only for a descriptor that is an eventfd",
      ],
      [EEXIST, "the same write is set up already"],
      [EBUSY, "the eventfd is in use for it already"],
      [ENOSPC, "the device has as many as the kernel allows (1000)"],
      [ENOTTY, "the device's VFIO driver has none"],
    ]);
    const why = reasons.get(-status);
    return new VfioError({
      errno: status,
      syscall: "ioctl",
      request: "VFIO_DEVICE_IOEVENTFD",
      args: { width, value },
      object: this.label,
      ...(why === undefined ? {} : { why }),
    });
  }

  /** The eventfd's descriptor, borrowed: its own, or the one that it was made with. */
  get eventfd(): number {
    return this.#own?.number ?? this.#eventfd;
  }

  /** Signals the eventfd, so that the kernel makes the write. */
  signal(): void {
    check(native.eventfdWrite(this.eventfd, 1), () => ({ syscall: "write", object: this.label }));
  }

  /** Takes the order back. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#device.parts.delete(this);
    const status = this.#device.open ? this.#set(-1) : 0;
    this.#own?.close();
    if (status < 0) throw this.#refusal(status);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
