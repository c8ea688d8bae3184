/**
 * Many requests for one crossing into the addon, as 64-bit words.
 *
 * @module
 */

/** Writes one word after the other, from the second one on: the first is for the errno. */
export class BatchWriter {
  /** What the addon is given. */
  readonly words: BigUint64Array;
  // Nearly all words are numbers here, and a bigint made for each would cost more than everything else.
  readonly #halves: Uint32Array;
  #next = 1;

  /** @param length how many words, the errno's included */
  constructor(length: number) {
    this.words = new BigUint64Array(length);
    this.#halves = new Uint32Array(this.words.buffer);
  }

  /** A safe integer that is not negative. */
  add(word: number): void {
    this.addHalves(word % 0x1_0000_0000, Math.floor(word / 0x1_0000_0000));
  }

  /** A word in two halves of 32 bits. */
  addHalves(low: number, high: number): void {
    // In the order of every machine this package is built for.
    const at = 2 * this.#next++;
    this.#halves[at] = low;
    this.#halves[at + 1] = high;
  }

  addIova(iova: bigint): void {
    this.words[this.#next++] = iova;
  }
}
