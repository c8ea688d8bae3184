/**
 * A virtqueue of the split form (virtio 1.2, section 2.7), from the device's side, in the client's memory.
 *
 * @module
 */
import type { ClientMemory } from "../device/dma.js";

const DESCRIPTOR_SIZE = 16;
const DESCRIPTOR_NEXT = 1;
const DESCRIPTOR_WRITE = 2;
const DESCRIPTOR_INDIRECT = 4;
const AVAILABLE_NO_INTERRUPT = 1;

/** Where a queue lies, as the driver told. */
export interface QueuePlace {
  /** A power of two: how many descriptors it has. */
  readonly size: number;
  readonly descriptors: bigint;
  /** The ring of what the driver offers. */
  readonly available: bigint;
  /** The ring of what the device has done. */
  readonly used: bigint;
}

/** A piece of memory that the driver offers. */
export interface QueueBuffer {
  readonly iova: bigint;
  readonly length: number;
}

/** A request: what the device is to read, and then what it may write. */
export interface QueueRequest {
  /** Its name in the rings. */
  readonly head: number;
  readonly readable: readonly QueueBuffer[];
  readonly writable: readonly QueueBuffer[];
}

/** What a driver must not do. The device that meets it needs a reset. */
export class DriverError extends Error {}

/** The device's side of a virtqueue. */
export class Virtqueue {
  readonly #dma: ClientMemory;
  readonly #place: QueuePlace;
  /** How many requests were taken and given back, modulo 2^16. */
  #taken = 0;
  #returned = 0;

  constructor(dma: ClientMemory, place: QueuePlace) {
    this.#dma = dma;
    this.#place = place;
  }

  /**
   * The next request that the driver offers; undefined if there is none.
   *
   * @throws DriverError, or what the memory throws
   */
  async next(): Promise<QueueRequest | undefined> {
    const { size, available } = this.#place;
    const offered = await this.#load16(available + 2n);
    const waiting = (offered - this.#taken) & 0xffff;
    if (waiting === 0) return undefined;
    if (waiting > size) throw new DriverError(`${waiting} requests are offered in a queue of ${size}`);
    const head = await this.#load16(available + 4n + 2n * BigInt(this.#taken % size));
    const request = await this.#chain(head);
    this.#taken = (this.#taken + 1) & 0xffff;
    return request;
  }

  /** Goes through the descriptors of a request. */
  async #chain(head: number): Promise<QueueRequest> {
    let table = this.#place.descriptors;
    let count = this.#place.size;
    let indirect = false;
    const readable: QueueBuffer[] = [];
    const writable: QueueBuffer[] = [];
    for (let index = head, steps = 0; ; ) {
      if (index >= count) throw new DriverError(`descriptor ${index}, and there are ${count}`);
      if (steps++ >= count) throw new DriverError("the descriptors of a request lead in a circle");
      const bytes = await this.#load(table + BigInt(DESCRIPTOR_SIZE * index), DESCRIPTOR_SIZE);
      const view = new DataView(bytes.buffer, bytes.byteOffset, DESCRIPTOR_SIZE);
      const iova = view.getBigUint64(0, true);
      const length = view.getUint32(8, true);
      const flags = view.getUint16(12, true);
      if ((flags & DESCRIPTOR_INDIRECT) !== 0) {
        // A whole table in the place of a descriptor, at the beginning and once.
        if (indirect || steps > 1 || (flags & DESCRIPTOR_NEXT) !== 0 || length % DESCRIPTOR_SIZE !== 0) {
          throw new DriverError("an indirect descriptor where there can be none");
        }
        [table, count, indirect, index, steps] = [iova, Math.min(length / DESCRIPTOR_SIZE, 0x10000), true, 0, 0];
        continue;
      }
      if ((flags & DESCRIPTOR_WRITE) !== 0) writable.push({ iova, length });
      else if (writable.length > 0) throw new DriverError("memory to read behind memory to write");
      else readable.push({ iova, length });
      if ((flags & DESCRIPTOR_NEXT) === 0) return { head, readable, writable };
      index = view.getUint16(14, true);
    }
  }

  /**
   * Gives a request back.
   *
   * @param written how many bytes of its memory were written, from the beginning
   */
  async finish(request: QueueRequest, written: number): Promise<void> {
    const { size, used } = this.#place;
    const entry = new Uint8Array(8);
    const view = new DataView(entry.buffer);
    view.setUint32(0, request.head, true);
    view.setUint32(4, written, true);
    await this.#dma.write(used + 4n + 8n * BigInt(this.#returned % size), entry);
    this.#returned = (this.#returned + 1) & 0xffff;
    await this.#store16(used + 2n, this.#returned);
  }

  /** Whether the driver wants to be interrupted. */
  async wantsInterrupt(): Promise<boolean> {
    return ((await this.#load16(this.#place.available)) & AVAILABLE_NO_INTERRUPT) === 0;
  }

  async #load(iova: bigint, length: number): Promise<Uint8Array> {
    return this.#dma.view(iova, length) ?? (await this.#dma.read(iova, length));
  }

  // The driver runs at the same time on another processor: what it stored before an index is seen behind it, and the other
  // way round. Atomics order the accesses; messages have an order anyway.

  async #load16(iova: bigint): Promise<number> {
    const bytes = await this.#load(iova, 2);
    if (bytes.byteOffset % 2 !== 0) throw new DriverError("a ring at an odd address");
    return Atomics.load(new Uint16Array(bytes.buffer, bytes.byteOffset, 1), 0);
  }

  async #store16(iova: bigint, value: number): Promise<void> {
    const view = this.#dma.view(iova, 2);
    if (view === undefined) {
      await this.#dma.write(iova, Uint8Array.of(value & 0xff, value >> 8));
      return;
    }
    if (view.byteOffset % 2 !== 0) throw new DriverError("a ring at an odd address");
    this.#dma.markDirty(iova, 2);
    Atomics.store(new Uint16Array(view.buffer, view.byteOffset, 1), 0, value);
  }
}
