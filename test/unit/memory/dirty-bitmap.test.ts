import { describe, expect, it } from "vitest";
import { dirtyRanges } from "../../../lib/memory/dirty-bitmap.js";
import { Prng } from "../prng.js";

const SEED = Number(process.env.SEED ?? 6);

/** The pages that a bitmap has, one by one. */
function pagesOf(bitmap: BigUint64Array): number[] {
  const pages: number[] = [];
  bitmap.forEach((word, at) => {
    for (let bit = 0; bit < 64; bit++) if (((word >> BigInt(bit)) & 1n) === 1n) pages.push(at * 64 + bit);
  });
  return pages;
}

function bitmapOf(words: number, pages: readonly number[]): BigUint64Array {
  const bitmap = new BigUint64Array(words);
  for (const page of pages) {
    const at = Math.floor(page / 64);
    bitmap[at] = (bitmap[at] ?? 0n) | (1n << BigInt(page % 64));
  }
  return bitmap;
}

describe("dirtyRanges", () => {
  it.each([
    { pages: [], ranges: [] },
    { pages: [0], ranges: [[0, 1]] },
    { pages: [31], ranges: [[31, 1]] },
    { pages: [31, 32], ranges: [[31, 2]] },
    { pages: [63, 64], ranges: [[63, 2]] },
    { pages: [127], ranges: [[127, 1]] },
    { pages: [5, 6, 7, 9, 100], ranges: [[5, 3], [9, 1], [100, 1]] }, // biome-ignore format: a pair is a range
  ])("joins the neighbours among pages $pages", ({ pages, ranges }) => {
    const found = [...dirtyRanges(bitmapOf(2, pages), 4096)];
    expect(found).toEqual(ranges.map(([first = 0, count = 0]) => ({ offset: first * 4096, length: count * 4096 })));
  });

  it("gives all of it as one where every page is dirty", () => {
    const bitmap = new BigUint64Array(3).fill(~0n);
    expect([...dirtyRanges(bitmap, 1 << 21)]).toEqual([{ offset: 0, length: 192 * (1 << 21) }]);
  });

  it("looks at a view only, wherever it begins", () => {
    const whole = bitmapOf(4, [0, 64, 70, 200]);
    expect([...dirtyRanges(whole.subarray(1, 2), 1)]).toEqual([
      { offset: 0, length: 1 },
      { offset: 6, length: 1 },
    ]);
  });

  it("covers exactly the dirty pages of any bitmap, in parts that do not touch", () => {
    const random = new Prng(SEED);
    for (let round = 0; round < 200; round++) {
      const words = random.between(1, 6);
      const pages = new Set<number>();
      for (let run = random.below(12); run > 0; run--) {
        const first = random.below(words * 64);
        for (let page = first; page < Math.min(words * 64, first + random.between(1, 80)); page++) pages.add(page);
      }
      const bitmap = bitmapOf(words, [...pages]);
      const ranges = [...dirtyRanges(bitmap, 1)];
      const covered = ranges.flatMap(({ offset, length }) => Array.from({ length }, (_, n) => offset + n));
      expect(covered, `SEED=${SEED}, round ${round}`).toEqual(pagesOf(bitmap));
      ranges.slice(1).forEach(({ offset }, index) => {
        const { offset: before = 0, length = 0 } = ranges[index] ?? {};
        expect(offset).toBeGreaterThan(before + length);
      });
    }
  });

  it.each([0, -1, 0.5])("refuses pages of %d bytes", (pageSize) => {
    expect(() => [...dirtyRanges(new BigUint64Array(1), pageSize)]).toThrow(
      expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }),
    );
  });
});
