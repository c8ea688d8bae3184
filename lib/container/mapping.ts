/**
 * One mapping: memory of ours that a device may reach at an IOVA.
 *
 * @module
 */

import { checkInteger } from "../base/arguments.js";
import { listed, showAs } from "../base/inspect.js";
import type { DmaMemory } from "../memory/dma-buffer.js";

/** What a mapping needs of the container that made it. @internal */
export interface MappingOwner {
  unmapOne(mapping: DmaMapping): void;
  unmapOneAsync(mapping: DmaMapping): Promise<void>;
  toString(): string;
}

/**
 * Memory that the devices of a container can reach at {@link iova}, until {@link unmap}.
 *
 * It keeps its memory alive (a buffer refuses to close while it is mapped), and dies with its container.
 */
export class DmaMapping implements Disposable {
  /** The first I/O virtual address. */
  readonly iova: bigint;
  /** In bytes. */
  readonly length: number;
  /** Whether a device may read the memory. */
  readonly read: boolean;
  /** Whether a device may write the memory. */
  readonly write: boolean;
  /** The memory that is mapped. */
  readonly memory: DmaMemory;
  /** Where in the memory the mapping begins, in bytes. */
  readonly offset: number;
  #owner: MappingOwner | undefined;

  /** @internal */
  constructor(
    owner: MappingOwner,
    parts: Pick<DmaMapping, "iova" | "length" | "read" | "write" | "memory" | "offset">,
  ) {
    this.#owner = owner;
    this.iova = parts.iova;
    this.length = parts.length;
    this.read = parts.read;
    this.write = parts.write;
    this.memory = parts.memory;
    this.offset = parts.offset;
  }

  /** The last I/O virtual address, inclusive. */
  get last(): bigint {
    return this.iova + BigInt(this.length) - 1n;
  }

  /** The address of the mapped memory in this process. */
  get address(): number {
    return this.memory.address + this.offset;
  }

  /** Whether the devices can still reach it. While {@link unmapAsync} is under way they may, so its memory stays held. */
  get mapped(): boolean {
    return this.#owner !== undefined;
  }

  /** The IOVA of a byte of the mapping, for a descriptor or a register. */
  at(offset: number): bigint {
    checkInteger("offset", offset, 0, this.length - 1);
    return this.iova + BigInt(offset);
  }

  /**
   * Takes it away from the devices. Does nothing when it is gone already, also by way of `container.unmap` or `close`.
   *
   * Unpinning takes time in proportion to the length: for more than a few MiB prefer {@link unmapAsync}.
   *
   * @throws VfioError where the kernel refuses; the mapping then still stands. `EBUSY` while {@link unmapAsync} is under way
   */
  unmap(): void {
    this.#owner?.unmapOne(this);
  }

  /**
   * {@link unmap} without blocking: the event loop goes on while a large buffer is unpinned, on another thread. With vfio-user it
   * goes on until the server has answered.
   *
   * While it is under way, the container does not find the mapping any more, and nothing else can be mapped at its addresses. The
   * memory refuses to close, a second unmap is refused with `EBUSY`, and so are closing the container and closing its last device.
   * A live update waits for it. It cannot be called off: the kernel cannot be interrupted.
   *
   * @throws what {@link unmap} throws. The mapping then stands again, as before
   */
  async unmapAsync(): Promise<void> {
    await this.#owner?.unmapOneAsync(this);
  }

  /** {@link unmap}, for `using`. */
  [Symbol.dispose](): void {
    this.unmap();
  }

  /** The container has removed it. @internal */
  ended(): void {
    this.#owner = undefined;
  }

  toString(): string {
    const where = `0x${this.iova.toString(16)}..0x${this.last.toString(16)}`;
    return this.#owner === undefined ? `${where} (unmapped)` : `${where} of ${this.#owner}`;
  }
}

showAs(DmaMapping, ({ iova, length, memory, read, write, mapped }) => {
  const may = listed([read ? "read" : "", write ? "write" : ""].filter(Boolean));
  const where = `IOVA 0x${iova.toString(16)}, 0x${length.toString(16)} bytes of ${memory.label}`;
  return `${where}, devices may ${may}${mapped ? "" : ", unmapped"}`;
});
