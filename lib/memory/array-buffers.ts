/**
 * The `ArrayBuffer`s over a mapping.
 *
 * @module
 */
import { type MappingHandle, native } from "../kernel/native.js";

/**
 * The `ArrayBuffer`s over one mapping. Each is kept until {@link detach}, so the same part again is the same `ArrayBuffer`.
 *
 * They are not kept weakly: one whose memory was moved to another `ArrayBuffer` has to be noticed before the memory is unmapped.
 */
export class ArrayBuffers {
  /** By offset and length. */
  readonly #parts = new Map<number, Map<number, ArrayBuffer>>();
  /** Those that were moved. */
  readonly #moved: ArrayBuffer[] = [];

  /**
   * An `ArrayBuffer` over a part of the mapping.
   *
   * @returns an errno, negative, if it cannot be
   */
  of(mapping: MappingHandle, offset: number, length: number): ArrayBuffer | number {
    const known = this.#parts.get(offset)?.get(length);
    if (known !== undefined && known.byteLength === length) return known;
    if (known !== undefined) this.#moved.push(known);
    const buffer = native.mappingArrayBuffer(mapping, offset, length);
    if (typeof buffer === "number") return buffer;
    const lengths = this.#parts.get(offset) ?? new Map<number, ArrayBuffer>();
    this.#parts.set(offset, lengths.set(length, buffer));
    return buffer;
  }

  /**
   * Empties all of them, with every view of them.
   *
   * @returns false if the memory of one was moved (`transfer()`): it is reachable still, and must stay mapped
   */
  detach(): boolean {
    let all = this.#moved.length === 0;
    for (const lengths of this.#parts.values()) {
      for (const buffer of lengths.values()) all = native.detachArrayBuffer(buffer) === 0 && all;
    }
    this.#parts.clear();
    return all;
  }
}
