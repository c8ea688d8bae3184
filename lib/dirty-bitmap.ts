/**
 * Going through what an IOMMU says was written.
 *
 * @module
 */
import { outOfRangeError } from "./errors.js";

/** Neighbouring pages that were written, within the range that a bitmap is about. */
export interface DirtyRange {
  /** Where they begin, in bytes from the start of the range. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/**
 * The written parts of a range, in order; neighbouring pages are one part.
 *
 * It looks at 32 pages at once: clean memory costs next to nothing, and so does memory that is dirty throughout.
 *
 * @param bitmap one bit for each page, the first page's the lowest: what `LegacyContainer.dirtyPages` returns
 * @param pageSize in bytes: what a bit stands for
 * @throws RangeError for a page size that is none
 */
export function* dirtyRanges(bitmap: BigUint64Array, pageSize: number): Generator<DirtyRange, void, undefined> {
  if (!Number.isSafeInteger(pageSize) || pageSize < 1) throw outOfRangeError("pageSize", "a number of bytes", pageSize);
  // Halves: bigint arithmetic would cost more than all the rest. Linux on x86 and arm64 is little-endian, so the lower is first.
  const words = new Uint32Array(bitmap.buffer, bitmap.byteOffset, bitmap.length * 2);
  // The first page of the part that is being gathered; -1 between two.
  let first = -1;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? 0;
    if (word === (first < 0 ? 0 : 0xffff_ffff)) continue;
    let bit = 0;
    while (bit < 32) {
      // The next page from here on that differs: a dirty one between two parts, a clean one within.
      const rest = ((first < 0 ? word : ~word) >>> bit) << bit;
      if (rest === 0) break;
      bit = 31 - Math.clz32(rest & -rest);
      const page = at * 32 + bit;
      if (first < 0) {
        first = page;
      } else {
        yield { offset: first * pageSize, length: (page - first) * pageSize };
        first = -1;
      }
    }
  }
  if (first >= 0) yield { offset: first * pageSize, length: (words.length * 32 - first) * pageSize };
}
