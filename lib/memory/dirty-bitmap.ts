/**
 * Going through what an IOMMU says was written.
 *
 * @module
 */
import { checkInteger, instanceOf } from "../base/arguments.js";

/** The bits that are looked at at once. */
const WORD = 32;
const checkBitmap = instanceOf(BigUint64Array, "a BigUint64Array");

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
export function dirtyRanges(bitmap: BigUint64Array, pageSize: number): Generator<DirtyRange, void, undefined> {
  checkBitmap("bitmap", bitmap);
  checkInteger("pageSize", pageSize, 1);
  return walk(bitmap, pageSize);
}

function* walk(bitmap: BigUint64Array, pageSize: number): Generator<DirtyRange, void, undefined> {
  // Halves: bigint arithmetic would cost more than all the rest. Linux on x86 and arm64 is little-endian, so the lower is first.
  const words = new Uint32Array(bitmap.buffer, bitmap.byteOffset, bitmap.length * 2);
  const pages = words.length * WORD;
  for (let first = findPage(words, 0, true); first < pages; ) {
    const end = findPage(words, first, false);
    yield { offset: first * pageSize, length: (end - first) * pageSize };
    first = findPage(words, end, true);
  }
}

/** The first page from `from` on that is dirty, or that is clean; the number of pages if there is none. */
function findPage(words: Uint32Array, from: number, dirty: boolean): number {
  const flip = dirty ? 0 : -1;
  let at = Math.floor(from / WORD);
  // Only what is not before `from`.
  let word = ((words[at] ?? 0) ^ flip) & (-1 << (from % WORD));
  while (word === 0) {
    at++;
    if (at >= words.length) return words.length * WORD;
    word = (words[at] ?? 0) ^ flip;
  }
  return at * WORD + 31 - Math.clz32(word & -word);
}
