/**
 * Many requests for one crossing into the addon, as 64-bit words.
 *
 * @module
 */
/** Writes one word after the other, from the second one on: the first is for the errno. */
export declare class BatchWriter {
    #private;
    /** What the addon is given. */
    readonly words: BigUint64Array;
    /** @param length how many words, the errno's included */
    constructor(length: number);
    /** A safe integer that is not negative. */
    add(word: number): void;
    /** A word in two halves of 32 bits. */
    addHalves(low: number, high: number): void;
    addIova(iova: bigint): void;
}
