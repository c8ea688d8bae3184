/**
 * One mapping: memory of ours that a device may reach at an IOVA.
 *
 * @module
 */
import type { DmaMemory } from "../dma-buffer.js";
import { outOfRangeError } from "../errors.js";

/** What a mapping needs of the container that made it. @internal */
export interface MappingOwner {
  unmapOne(mapping: DmaMapping): void;
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

  /** Whether the devices can still reach it. */
  get mapped(): boolean {
    return this.#owner !== undefined;
  }

  /** The IOVA of a byte of the mapping, for a descriptor or a register. */
  at(offset: number): bigint {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset >= this.length) {
      throw outOfRangeError("offset", `within the ${this.length} bytes of the mapping`, offset);
    }
    return this.iova + BigInt(offset);
  }

  /**
   * Takes it away from the devices. Does nothing when it is gone already, also by way of `container.unmap` or `close`.
   *
   * @throws VfioError where the kernel refuses; the mapping then still stands
   */
  unmap(): void {
    this.#owner?.unmapOne(this);
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
