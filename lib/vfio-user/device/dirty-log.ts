/**
 * Which pages of the client's memory a device has written: what a migration asks for.
 *
 * @module
 */

// The finest page that is told apart. Page numbers of 64-bit addresses are then below 2^52, and exact as numbers.
const PAGE_SHIFT = 12n;
export const LOG_PAGE_SIZE = 1n << PAGE_SHIFT;
// One piece of the bitmap stands for 128 MiB; pieces that nobody wrote in do not exist.
const PIECE_BYTES = 4096;
const PIECE_PAGES = PIECE_BYTES * 8;

/** A sparse bitmap of written pages. */
export class DirtyLog {
  readonly #pieces = new Map<number, Uint8Array>();

  /** Notes that a range was written. */
  mark(iova: bigint, length: number): void {
    if (length === 0) return;
    const last = Number((iova + BigInt(length) - 1n) >> PAGE_SHIFT);
    for (let page = Number(iova >> PAGE_SHIFT); page <= last; page++) {
      const index = Math.floor(page / PIECE_PAGES);
      let piece = this.#pieces.get(index);
      if (piece === undefined) {
        piece = new Uint8Array(PIECE_BYTES);
        this.#pieces.set(index, piece);
      }
      const bit = page % PIECE_PAGES;
      piece[bit >> 3] = (piece[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }

  /**
   * The written pages of a range, one bit each, and forgets them.
   *
   * @param iova a multiple of `pageSize`
   * @param pageSize what a bit stands for: a power of two, larger or smaller than what is told apart
   * @param bitmap is filled in; long enough for the range
   */
  take(iova: bigint, length: bigint, pageSize: bigint, bitmap: Uint8Array): void {
    const first = Number(iova >> PAGE_SHIFT);
    const last = Number((iova + length - 1n) >> PAGE_SHIFT);
    const firstPiece = Math.floor(first / PIECE_PAGES);
    const lastPiece = Math.floor(last / PIECE_PAGES);
    for (const [index, piece] of this.#pieces) {
      if (index < firstPiece || index > lastPiece) continue;
      const from = Math.max(0, first - index * PIECE_PAGES);
      const to = Math.min(PIECE_PAGES - 1, last - index * PIECE_PAGES);
      let left = false;
      for (let at = 0; at < PIECE_BYTES; at++) {
        const byte = piece[at] ?? 0;
        if (byte === 0) continue;
        for (let bit = 0; bit < 8; bit++) {
          if ((byte & (1 << bit)) === 0) continue;
          const page = at * 8 + bit;
          if (page < from || page > to) {
            left = true;
            continue;
          }
          piece[at] = (piece[at] ?? 0) & ~(1 << bit);
          setBits(BigInt(index * PIECE_PAGES + page) << PAGE_SHIFT, iova, length, pageSize, bitmap);
        }
      }
      if (!left) this.#pieces.delete(index);
    }
  }
}

/** Sets the bits for one page of the log. */
function setBits(address: bigint, iova: bigint, length: bigint, pageSize: bigint, bitmap: Uint8Array): void {
  const start = address < iova ? 0n : address - iova;
  const end = address + LOG_PAGE_SIZE - iova;
  const firstBit = Number(start / pageSize);
  const lastBit = Number(((end < length ? end : length) - 1n) / pageSize);
  for (let bit = firstBit; bit <= lastBit; bit++) bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
}
