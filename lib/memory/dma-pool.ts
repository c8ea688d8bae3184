/**
 * Small pieces of one mapping: descriptors, command blocks, packet buffers.
 *
 * @module
 */

import { constants } from "node:os";
import { checkObject, checkPart, checkRequired, integer, knownOptions } from "../base/arguments.js";
import { argTypeError, invalidStateError, outOfRangeError, VfioError } from "../base/errors.js";
import { counted, showAs } from "../base/inspect.js";
import { DmaBuffer, type DmaMemory } from "./dma-buffer.js";

/** The mapping that a {@link DmaPool} needs; a `DmaMapping` of a container is one. */
export interface DmaPoolMapping {
  /** The first I/O virtual address. */
  readonly iova: bigint;
  /** In bytes. */
  readonly length: number;
  /** The memory that is mapped: a {@link DmaBuffer}. */
  readonly memory: DmaMemory;
  /** Where in the memory the mapping begins, in bytes. */
  readonly offset: number;
  /** Whether devices can still reach it. */
  readonly mapped: boolean;
  /** Names the mapping in errors. */
  toString(): string;
}

/** How a {@link DmaPool} cuts its mapping. */
export interface DmaPoolOptions {
  /** The length of each block, in bytes. */
  readonly blockSize: number;
  /**
   * What each block's IOVA is a multiple of: a power of two. Default 64, a cache line: two blocks then never share one. A block
   * whose size and alignment are the same power of two crosses no boundary of that size.
   */
  readonly alignment?: number;
  /** Where in the mapping the pool begins, in bytes. Default 0. */
  readonly offset?: number;
  /** How much of the mapping it has, in bytes. Default: all that is left. */
  readonly length?: number;
}

/** What a block needs of its pool. */
interface Blocks {
  /** Checks that its memory is still there. */
  arrayBuffer(): ArrayBuffer;
  /** Those that nobody has, the last to be given back at the end. */
  readonly free: DmaBlock[];
}

/**
 * A piece of a {@link DmaPool}. It is the holder's until {@link free}; what it contains at first is what its last holder left.
 */
export class DmaBlock implements Disposable {
  /** What the device is told. */
  readonly iova: bigint;
  /** Where it is in the mapping, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  readonly #blocks: Blocks;
  #taken = true;
  #bytes: Uint8Array | undefined;

  /** @internal */
  constructor(blocks: Blocks, iova: bigint, offset: number, length: number) {
    this.#blocks = blocks;
    this.iova = iova;
    this.offset = offset;
    this.length = length;
  }

  /** Its memory. Made at the first use (some 100 ns), and kept: the next holder of the block gets the same view. */
  get bytes(): Uint8Array {
    // A view of a buffer that was closed is empty.
    if (this.#bytes === undefined || this.#bytes.length === 0) {
      this.#bytes = new Uint8Array(this.#blocks.arrayBuffer(), this.offset, this.length);
    }
    return this.#bytes;
  }

  /** @internal */
  take(): void {
    this.#taken = true;
  }

  /**
   * Gives it back to the pool. The device must have done with it: the next holder may be given it at once.
   *
   * @throws an error with `code` `ERR_INVALID_STATE` if it was given back already
   */
  free(): void {
    if (!this.#taken) throw invalidStateError(`the block at 0x${this.iova.toString(16)} is free already`);
    this.#taken = false;
    this.#blocks.free.push(this);
  }

  /** {@link free}, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}

const poolOptions = knownOptions<DmaPoolOptions>({
  blockSize: integer(),
  alignment: integer(),
  offset: integer(),
  length: integer(),
});

/**
 * Hands out blocks of one size from memory that is mapped already. Neither {@link allocate} nor `free` asks the kernel, and once
 * a block has been handed out before, neither makes garbage.
 *
 * ```ts
 * const pool = new DmaPool(container.map(DmaBuffer.allocate(1 << 20)), { blockSize: 256 });
 * using command = pool.allocate();
 * command.bytes.set(request);
 * registers.write64(0x10, command.iova);
 * ```
 *
 * The block that was freed last is the next one to go, as it is most likely to be in the processor's cache. The pool owns
 * nothing: the mapping and its buffer are the caller's to end, when the device uses no block any more. For several sizes make
 * several pools, in parts of one mapping.
 */
export class DmaPool {
  /** The mapping that it cuts. */
  readonly mapping: DmaPoolMapping;
  /** The length of each block, in bytes. */
  readonly blockSize: number;
  /** How many blocks there are. */
  readonly capacity: number;
  readonly #memory: DmaBuffer;
  readonly #free: DmaBlock[] = [];
  readonly #blocks: Blocks;
  readonly #stride: number;
  readonly #first: number;
  #made = 0;
  #window: ArrayBuffer | undefined;

  /**
   * @param mapping of a {@link DmaBuffer}
   * @throws TypeError, RangeError for a mapping of something else, and for options that leave no room for a block
   */
  constructor(mapping: DmaPoolMapping, options: DmaPoolOptions) {
    checkObject("mapping", mapping);
    checkRequired("options", options, poolOptions, "blockSize");
    const { memory } = mapping;
    if (!(memory instanceof DmaBuffer)) throw argTypeError("mapping", "a mapping of a DmaBuffer", mapping);
    const { blockSize, alignment = 64, offset = 0, length = mapping.length - offset } = options;
    if (alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
      throw outOfRangeError("alignment", "a power of two", alignment);
    }
    checkPart("the mapping", mapping.length, offset, length);
    const begin = Number(-(mapping.iova + BigInt(offset)) & BigInt(alignment - 1));
    const stride = Math.ceil(blockSize / alignment) * alignment;
    // The last one needs no gap after it.
    const capacity = Math.floor((length - begin + stride - blockSize) / stride);
    if (blockSize < 1 || capacity < 1) {
      throw outOfRangeError("blockSize", `from 1 to what fits into ${length} bytes`, blockSize);
    }
    this.mapping = mapping;
    this.blockSize = blockSize;
    this.capacity = capacity;
    this.#memory = memory;
    this.#stride = stride;
    this.#first = offset + begin;
    this.#blocks = {
      free: this.#free,
      arrayBuffer: () => {
        if (this.#window === undefined || this.#window.byteLength === 0) {
          this.#window = this.#memory.window(mapping.offset, mapping.length);
        }
        return this.#window;
      },
    };
  }

  /** How many blocks are handed out. */
  get allocated(): number {
    return this.#made - this.#free.length;
  }

  /**
   * Hands out a block.
   *
   * @throws VfioError `ENOMEM` if all of them are handed out; an error with `code` `ERR_INVALID_STATE` once the mapping is gone
   */
  allocate(): DmaBlock {
    const block = this.tryAllocate();
    if (block !== undefined) return block;
    throw new VfioError({
      errno: constants.errno.ENOMEM,
      syscall: "allocate",
      object: `the pool in ${this.mapping}`,
      why: `all of its ${this.capacity} blocks are in use`,
      fix: "free one, or map more memory for a larger pool",
    });
  }

  /**
   * Hands out a block, or `undefined` if there is none: for a driver that waits until the device has finished something.
   *
   * @throws an error with `code` `ERR_INVALID_STATE` once the mapping is gone
   */
  tryAllocate(): DmaBlock | undefined {
    if (!this.mapping.mapped) throw invalidStateError(`the mapping ${this.mapping} is gone, and its pool with it`);
    const block = this.#free.pop();
    if (block !== undefined) {
      block.take();
      return block;
    }
    if (this.#made === this.capacity) return undefined;
    const offset = this.#first + this.#made * this.#stride;
    this.#made++;
    return new DmaBlock(this.#blocks, this.mapping.iova + BigInt(offset), offset, this.blockSize);
  }
}

showAs(DmaPool, (pool) => `${pool.allocated} of ${counted(pool.capacity, "block")} of ${pool.blockSize} bytes in use`);
showAs(DmaBlock, (block) => `IOVA 0x${block.iova.toString(16)}, ${block.length} bytes`);
