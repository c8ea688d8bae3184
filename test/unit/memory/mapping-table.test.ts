import { describe, expect, it } from "vitest";
import { MAX_IOVA } from "../../../lib/memory/iova.js";
import { type Mapped, MappingTable } from "../../../lib/memory/mapping-table.js";
import { refusal } from "../../helpers/refusal.js";
import { forSeeds, type Prng } from "../prng.js";

const PAGE = 4096n;

function mapped(iova: bigint, length: number | bigint, address?: number | bigint): Mapped {
  return { iova, length, address };
}

function filled(...mappings: Mapped[]): MappingTable<Mapped> {
  const table = new MappingTable<Mapped>();
  for (const mapping of mappings) table.insert(mapping);
  return table;
}

describe("MappingTable", () => {
  const a = mapped(0x1000n, 0x2000, 0x7000_0000_0000);
  const b = mapped(0x3000n, 0x1000);
  const c = mapped(0x10000n, 0x4000n, 0x7000_0000_1000n);

  it("finds the mapping that an address lies in", () => {
    const table = filled(c, a, b);
    expect([0xfff, 0x1000, 0x2fffn, 0x3000, 0x4000, 0x13fff, 0x14000].map((iova) => table.at(iova))).toEqual([
      undefined,
      a,
      a,
      b,
      undefined,
      c,
      undefined,
    ]);
    expect([...table]).toEqual([a, b, c]);
    expect(table.size).toBe(3);
    expect(table.bytes).toBe(0x7000n);
  });

  it("refuses an overlap, and names what is in the way", () => {
    const table = filled(a, c);
    for (const overlap of [mapped(0x1000n, 1), mapped(0x2fffn, 2), mapped(0n, 0x1001), mapped(0n, 1n << 64n)]) {
      expect(refusal(() => table.insert(overlap)).code).toBe("EEXIST");
      expect(table.firstOverlap(overlap.iova, overlap.length)).toBe(a);
    }
    expect(refusal(() => table.insert(mapped(0xf000n, 0x2000))).why).toBe("it overlaps the mapping [0x10000, 0x13fff]");
    expect(table.size).toBe(2);
    expect(table.firstOverlap(0x3000, 0xd000)).toBeUndefined();
  });

  it("lists what a range touches and what it would cut", () => {
    const table = filled(a, b, c);
    const look = (iova: number, length: number) => ({
      overlapping: table.overlapping(iova, length),
      cut: table.cut(iova, length),
    });
    expect(look(0x1000, 0x3000)).toEqual({ overlapping: [a, b], cut: [] });
    expect(look(0, 0x100000)).toEqual({ overlapping: [a, b, c], cut: [] });
    expect(look(0x2000, 0x2000)).toEqual({ overlapping: [a, b], cut: [a] });
    expect(look(0x2000, 0xf000)).toEqual({ overlapping: [a, b, c], cut: [a, c] });
    expect(look(0x11000, 0x1000)).toEqual({ overlapping: [c], cut: [c] });
    expect(look(0x4000, 0xc000)).toEqual({ overlapping: [], cut: [] });
  });

  it("removes an object, not its equal", () => {
    const table = filled(a, b);
    expect(table.remove({ ...a })).toBe(false);
    expect(table.remove(c)).toBe(false);
    expect(table.remove(a)).toBe(true);
    expect(table.remove(a)).toBe(false);
    expect([...table]).toEqual([b]);
    expect(table.byAddress(0x7000_0000_0000)).toEqual([]);
    expect(table.bytes).toBe(0x1000n);
  });

  it("may be emptied while its mappings are listed", () => {
    const table = filled(a, b, c);
    for (const mapping of table) table.remove(mapping);
    expect(table.size).toBe(0);
    table.insert(a);
    table.clear();
    expect([table.size, table.bytes, table.at(0x1000), table.byAddress(0x7000_0000_0000)]).toEqual([
      0,
      0n,
      undefined,
      [],
    ]);
  });

  it("finds every mapping of a piece of memory, by IOVA", () => {
    const twice = mapped(0n, 0x1000, 0x7000_0000_1000);
    const table = filled(c, b, a, twice);
    expect(table.byAddress(0x7000_0000_0fff)).toEqual([a]);
    expect(table.byAddress(0x7000_0000_1000n)).toEqual([twice, a, c]);
    expect(table.byAddress(0x7000_0000_2000)).toEqual([c]);
    expect(table.byAddress(0x7000_0000_5000)).toEqual([]);
  });

  it("removes one of 20,000 mappings of the same page", () => {
    const aliases = Array.from({ length: 20_000 }, (_, i) => mapped(BigInt(i) * PAGE, 4096, 0x7000_0000_0000));
    const table = filled(...aliases);
    expect(table.byAddress(0x7000_0000_0800)).toHaveLength(20_000);
    for (const alias of aliases.slice(1)) table.remove(alias);
    expect(table.byAddress(0x7000_0000_0800)).toEqual([aliases[0]]);
  });

  it("is exact to the byte at the top of the address space, where doubles are 2 KiB apart", () => {
    const bytes = Array.from({ length: 5000 }, (_, i) => mapped(MAX_IOVA - BigInt(2 * i), 1));
    const table = filled(...bytes);
    expect([...table]).toEqual([...bytes].reverse());
    for (const [i, byte] of bytes.entries()) {
      if (table.at(byte.iova) !== byte) throw new Error(`lost ${i}`);
      if (table.at(byte.iova - 1n) !== undefined) throw new Error(`invented ${i}`);
      if (table.firstOverlap(byte.iova - 1n, 1) !== undefined) throw new Error(`overlap at ${i}`);
    }
    expect(table.overlapping(MAX_IOVA - 5n, 4)).toEqual([bytes[2], bytes[1]]);
    expect(refusal(() => table.insert(mapped(MAX_IOVA - 3n, 2))).why).toContain(
      "[0xfffffffffffffffd, 0xfffffffffffffffd]",
    );
    table.insert(mapped(MAX_IOVA - 3n, 1));
    for (const byte of bytes) expect(table.remove(byte)).toBe(true);
    expect(table.size).toBe(1);
  });

  it("refuses ranges that are none", () => {
    const table = filled(a);
    const outOfRange = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
    expect(() => table.insert(mapped(0n, 0))).toThrow(outOfRange);
    expect(() => table.insert(mapped(MAX_IOVA, 2))).toThrow(outOfRange);
    expect(() => table.insert(mapped(0n, 2, MAX_IOVA))).toThrow(outOfRange);
    expect(() => table.overlapping(MAX_IOVA, 2)).toThrow(outOfRange);
    expect(() => table.cut(0, 0)).toThrow(outOfRange);
    expect(() => table.at(-1)).toThrow(outOfRange);
    expect(table.size).toBe(1);
  });
});

const lastOf = ({ iova, length }: Mapped) => iova + BigInt(length) - 1n;

/** The same questions asked of an unordered array. */
class Model {
  mappings: Mapped[] = [];

  overlapping(iova: bigint, length: bigint): Mapped[] {
    return this.mappings
      .filter((other) => other.iova < iova + length && lastOf(other) >= iova)
      .sort((a, b) => (a.iova < b.iova ? -1 : 1));
  }

  cut(iova: bigint, length: bigint): Mapped[] {
    return this.overlapping(iova, length).filter((other) => other.iova < iova || lastOf(other) >= iova + length);
  }

  byAddress(address: bigint): Mapped[] {
    return this.mappings
      .filter(
        (m) =>
          m.address !== undefined && address >= BigInt(m.address) && address < BigInt(m.address) + BigInt(m.length),
      )
      .sort((a, b) => (a.iova < b.iova ? -1 : 1));
  }
}

describe.each([
  { name: "pages at low addresses", base: 0n, unit: PAGE },
  { name: "across 2^53, where doubles begin to round", base: (1n << 53n) - 4000n, unit: 1n },
  { name: "the top of the address space, to the byte", base: MAX_IOVA - 8191n, unit: 1n },
  { name: "mappings larger than a double can count", base: 0n, unit: 1n << 51n },
])("MappingTable against a plain array: $name", ({ base, unit }) => {
  const addressBase = base < 1n << 52n ? 0x7000_0000_0000n : base;

  function randomRange(prng: Prng): [bigint, bigint] {
    const start = prng.bigBelow(8000n);
    const length = prng.oneIn(8) ? prng.bigBelow(8192n - start) + 1n : prng.bigBelow(40n) + 1n;
    return [base + start * unit, length * unit];
  }

  function randomMapping(prng: Prng): Mapped {
    const [iova, length] = randomRange(prng);
    const exact = length < Number.MAX_SAFE_INTEGER && prng.oneIn(2) ? Number(length) : length;
    if (prng.oneIn(3)) return mapped(iova, exact);
    const address = addressBase + prng.bigBelow(500n) * (unit > PAGE ? PAGE : unit);
    if (address + length > MAX_IOVA) return mapped(iova, exact);
    return mapped(iova, exact, address < Number.MAX_SAFE_INTEGER && prng.oneIn(2) ? Number(address) : address);
  }

  it("gives the same answers", () => {
    forSeeds(5, (prng) => {
      const table = new MappingTable<Mapped>();
      const model = new Model();
      for (let i = 0; i < 1500; i++) {
        const mapping = randomMapping(prng);
        if (mapping.iova + BigInt(mapping.length) - 1n > MAX_IOVA) continue;
        const what = prng.below(4);
        if (what < 2) {
          const expected = model.overlapping(mapping.iova, BigInt(mapping.length))[0];
          expect(table.firstOverlap(mapping.iova, mapping.length)).toBe(expected);
          if (expected === undefined) table.insert(mapping);
          else expect(refusal(() => table.insert(mapping)).code).toBe("EEXIST");
          if (expected === undefined) model.mappings.push(mapping);
        } else if (what === 2 && model.mappings.length > 0 && prng.oneIn(i % 500 < 300 ? 3 : 1)) {
          const victim = prng.pick(model.mappings);
          expect(table.remove(victim)).toBe(true);
          model.mappings = model.mappings.filter((other) => other !== victim);
        } else {
          const [iova, length] = randomRange(prng);
          if (iova + length - 1n > MAX_IOVA) continue;
          expect(table.at(iova)).toBe(model.overlapping(iova, 1n)[0]);
          expect(table.overlapping(iova, length)).toEqual(model.overlapping(iova, length));
          expect(table.cut(iova, length)).toEqual(model.cut(iova, length));
          const address = addressBase + prng.bigBelow(600n) * (unit > PAGE ? PAGE : unit);
          if (address <= MAX_IOVA) expect(table.byAddress(address)).toEqual(model.byAddress(address));
        }
        expect(table.size).toBe(model.mappings.length);
      }
      expect(table.bytes).toBe(model.mappings.reduce((sum, { length }) => sum + BigInt(length), 0n));
      expect([...table]).toEqual(model.overlapping(0n, 1n << 64n));
    });
  });
});
