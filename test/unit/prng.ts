/**
 * Repeatable randomness for the model-based tests: a failure names its seed, and `SEED=<n> npx vitest run <file>` runs that
 * seed alone.
 */

/** A small generator (mulberry32): 32 bits of state, good enough to shuffle operations. */
export class Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to 2^32 - 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** An integer from 0 to below `limit`. */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** A bigint from 0 to below `limit` (at most 2^64). */
  bigBelow(limit: bigint): bigint {
    return ((BigInt(this.next()) << 32n) | BigInt(this.next())) % limit;
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}

/** Runs a test once for each of `count` seeds, or for the one in `SEED`. */
export function forSeeds(count: number, test: (prng: Prng) => void): void {
  const only = process.env["SEED"];
  const seeds = only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)];
  for (const seed of seeds) {
    try {
      test(new Prng(seed));
    } catch (error) {
      throw new Error(`with SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}
