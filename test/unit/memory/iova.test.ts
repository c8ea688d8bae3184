import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import {
  type IovaAllocateOptions,
  IovaAllocator,
  type IovaRange,
  intersectRanges,
  invertRanges,
  MAX_IOVA,
  normalizeRanges,
  rangesContain,
  toIova,
  toLength,
} from "../../../lib/memory/iova.js";
import { forSeeds, type Prng } from "../prng.js";

const KIB = 1024n;
const MIB = 1024n * KIB;
const GIB = 1024n * MIB;
const PAGE = 4096n;
const EVERYTHING: IovaRange = { start: 0n, last: MAX_IOVA };
// An Intel host with a 39-bit IOMMU: the interrupt window is not usable.
const INTEL: IovaRange[] = [
  { start: 0n, last: 0xfedf_ffffn },
  { start: 0xfef0_0000n, last: 0x7f_ffff_ffffn },
];

function thrown(action: () => unknown): VfioError {
  try {
    action();
  } catch (error) {
    if (error instanceof VfioError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("toIova and toLength", () => {
  it("take what a caller may have", () => {
    expect(toIova("iova", 4096)).toBe(4096n);
    expect(toIova("iova", MAX_IOVA)).toBe(MAX_IOVA);
    expect(toLength("length", 4096n)).toBe(4096);
    expect(toLength("length", 1n << 64n)).toBe(1n << 64n);
  });

  it.each([[-1], [-1n], [1.5], [Number.NaN], [2 ** 53], [1n << 64n]])("refuse the address %s", (value) => {
    expect(() => toIova("iova", value)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });

  it.each([[0], [0n], [-1], [2 ** 53], [(1n << 64n) + 1n]])("refuse the length %s", (value) => {
    expect(() => toLength("length", value)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });

  it("refuse what is no number", () => {
    const text: unknown = "0x1000";
    const call: (name: string, value: never) => unknown = toIova;
    expect(() => Reflect.apply(call, undefined, ["iova", text])).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
  });
});

describe("ranges", () => {
  it("are sorted, and joined where they touch or overlap", () => {
    const ranges = [
      { start: 0x3000n, last: 0x3fffn },
      { start: 0n, last: 0xfffn },
      { start: 0x1000n, last: 0x1fffn },
      { start: 0x3800n, last: 0x3900n },
    ];
    expect(normalizeRanges(ranges)).toEqual([
      { start: 0n, last: 0x1fffn },
      { start: 0x3000n, last: 0x3fffn },
    ]);
    expect(() => normalizeRanges([{ start: 2n, last: 1n }])).toThrow(RangeError);
  });

  it("intersect and invert, also at the ends of the address space", () => {
    const ends = [
      { start: 0n, last: 0xfffn },
      { start: MAX_IOVA, last: MAX_IOVA },
    ];
    expect(invertRanges([])).toEqual([EVERYTHING]);
    expect(invertRanges([EVERYTHING])).toEqual([]);
    expect(invertRanges(invertRanges(ends))).toEqual(ends);
    expect(intersectRanges(ends, [EVERYTHING])).toEqual(ends);
    expect(intersectRanges(ends, invertRanges(ends))).toEqual([]);
    expect(intersectRanges(INTEL, [{ start: 0xfe00_0000n, last: 0xffff_ffffn }])).toEqual([
      { start: 0xfe00_0000n, last: 0xfedf_ffffn },
      { start: 0xfef0_0000n, last: 0xffff_ffffn },
    ]);
  });

  it("contain what lies in them as a whole", () => {
    const touching = [
      { start: 0x1000n, last: 0x1fffn },
      { start: 0x2000n, last: 0x2fffn },
    ];
    expect(rangesContain(touching, 0x1000, 0x2000)).toBe(true);
    expect(rangesContain(touching, 0x1000, 0x2001)).toBe(false);
    expect(rangesContain(touching, 0xfff, 1)).toBe(false);
    expect(rangesContain([EVERYTHING], 0, 1n << 64n)).toBe(true);
    expect(() => rangesContain([EVERYTHING], MAX_IOVA, 2)).toThrow(RangeError);
  });
});

describe("IovaAllocator", () => {
  it("chooses from 4 GiB upwards, and leaves low addresses to devices that need them", () => {
    const allocator = new IovaAllocator(INTEL);
    expect(allocator.allocate(0x1000)).toBe(4n * GIB);
    expect(allocator.allocate(0x1000)).toBe(4n * GIB + PAGE);
    expect(allocator.allocate(0x1000, { max: 0xffff_ffff })).toBe(0xffff_f000n);
    expect(allocator.allocate(0x1000, { max: 0xfff_ffff })).toBe(0xfff_f000n);
  });

  it("goes below 4 GiB when there is no room above", () => {
    const allocator = new IovaAllocator([{ start: 0n, last: 4n * GIB + PAGE - 1n }]);
    expect(allocator.allocate(0x1000)).toBe(4n * GIB);
    expect(allocator.allocate(0x1000)).toBe(4n * GIB - PAGE);
  });

  it("never hands out the page at 0, which can be reserved all the same", () => {
    const allocator = new IovaAllocator([{ start: 0n, last: 2n * PAGE - 1n }]);
    expect(allocator.allocate(0x1000)).toBe(PAGE);
    expect(thrown(() => allocator.allocate(0x1000)).code).toBe("ENOSPC");
    allocator.reserve(0, 0x1000);
    expect(allocator.statistics().freeBytes).toBe(0n);
  });

  it.each([
    [PAGE, PAGE],
    [3n * PAGE, PAGE],
    [64n * KIB, 64n * KIB],
    [2n * MIB, 2n * MIB],
    [2n * MIB + PAGE, 2n * MIB],
    [6n * MIB, 2n * MIB],
    [64n * MIB, 64n * MIB],
    [3n * GIB, GIB],
    [64n * GIB, GIB],
    [GIB + PAGE, GIB],
  ])("aligns %s bytes so that huge pages can be used: to %s", (length, alignment) => {
    const allocator = new IovaAllocator(INTEL);
    allocator.allocate(PAGE);
    expect(allocator.allocate(length) % alignment).toBe(0n);
  });

  it("would rather lose a huge page than fail, but keeps an alignment that was asked for", () => {
    const allocator = new IovaAllocator([{ start: 0x10_0000n, last: 0x10_0000n + 4n * MIB - PAGE - 1n }]);
    allocator.reserve(0x20_0000, 0x1000);
    expect(thrown(() => allocator.allocate(2n * MIB, { alignment: 2n * MIB })).why).toContain(
      "0x3fe000 bytes are free in the usable ranges, the largest aligned piece 0xff000 at 0x400000",
    );
    expect(allocator.allocate(2n * MIB) % PAGE).toBe(0n);
  });

  it("says what is left, and under which limit", () => {
    const allocator = new IovaAllocator(INTEL, { object: "container (type1v2)" });
    allocator.reserve(0x1000, 0xfff_f000);
    const error = thrown(() => allocator.allocate(0x1000, { max: 0xfff_ffff }));
    expect(error).toMatchObject({ code: "ENOSPC", syscall: "allocate", object: "container (type1v2)" });
    expect(error.args).toMatchObject({ length: 0x1000, alignment: 0x1000, max: 0xfff_ffff });
    expect(error.why).toBe(
      "0x0 bytes are free up to 0xfffffff in the usable ranges; usable are [0x0, 0xfedfffff], [0xfef00000, 0x7fffffffff]",
    );
  });

  it("refuses fixed addresses that are taken or unusable", () => {
    const allocator = new IovaAllocator(INTEL);
    allocator.reserve(0x10000, 0x4000);
    for (const [iova, length] of [
      [0x10000, 0x4000],
      [0x13fff, 1],
      [0xf000, 0x1001],
      [0xf000, 0x10000],
    ] as const) {
      expect(thrown(() => allocator.reserve(iova, length)).code).toBe("EEXIST");
    }
    expect(thrown(() => allocator.reserve(0xfee0_0000, 0x1000))).toMatchObject({ code: "EINVAL" });
    expect(thrown(() => allocator.reserve(0x7f_ffff_f000, 0x2000)).why).toContain("[0xfef00000, 0x7fffffffff]");
    allocator.reserve(0xf000, 0x1000);
    allocator.reserve(0x14000, 1);
    expect(allocator.allocated()).toEqual([{ start: 0xf000n, last: 0x14000n }]);
  });

  it("refuses to free what is not allocated, and frees nothing of it", () => {
    const allocator = new IovaAllocator(INTEL);
    allocator.reserve(0x10000, 0x4000);
    const before = allocator.allocated();
    for (const [iova, length] of [
      [0xf000, 0x2000],
      [0x13000, 0x2000],
      [0xf000, 0x10000],
      [0x20000, 0x1000],
    ] as const) {
      expect(thrown(() => allocator.free(iova, length)).code).toBe("ENOENT");
    }
    expect(allocator.allocated()).toEqual(before);
    allocator.free(0x11000, 0x1000);
    expect(thrown(() => allocator.free(0x10000, 0x4000)).why).toBe("0x11000 is not allocated");
  });

  it("refuses arguments that make no sense", () => {
    const allocator = new IovaAllocator(INTEL);
    const outOfRange = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
    expect(() => allocator.allocate(0)).toThrow(outOfRange);
    expect(() => allocator.allocate(4096, { alignment: 3 })).toThrow(outOfRange);
    expect(() => allocator.allocate(4096, { alignment: (1n << 60n) + 1n })).toThrow(outOfRange);
    expect(() => allocator.allocate(4096, { max: -1 })).toThrow(outOfRange);
    expect(() => allocator.reserve(MAX_IOVA, 2)).toThrow(outOfRange);
    expect(() => allocator.free(MAX_IOVA, 2)).toThrow(outOfRange);
    expect(() => new IovaAllocator(INTEL, { granularity: 1024 })).toThrow(outOfRange);
    expect(() => new IovaAllocator([{ start: 1n, last: 0n }])).toThrow(outOfRange);
  });

  it("keeps what is allocated when ranges shrink, reports it, and takes it back", () => {
    const allocator = new IovaAllocator([EVERYTHING]);
    allocator.reserve(0xfee0_0000, 0x1000);
    allocator.reserve(1n << 60n, 0x2000);
    const low = allocator.allocate(0x1000);
    expect(allocator.setRanges(INTEL)).toEqual([
      { start: 0xfee0_0000n, last: 0xfee0_0fffn },
      { start: 1n << 60n, last: (1n << 60n) + 0x1fffn },
    ]);
    expect(allocator.allocated()).toHaveLength(3);
    allocator.free(1n << 60n, 0x2000);
    allocator.free(0xfee0_0000, 0x1000);
    expect(allocator.setRanges([EVERYTHING])).toEqual([]);
    allocator.free(low, 0x1000);
    expect(allocator.statistics()).toEqual({ freeBytes: 1n << 64n, freeExtents: 1, largestFree: EVERYTHING });
  });

  it("reaches both ends of the address space", () => {
    const allocator = new IovaAllocator([EVERYTHING]);
    allocator.reserve(0, 1n << 64n);
    expect(thrown(() => allocator.allocate(1)).code).toBe("ENOSPC");
    allocator.free(MAX_IOVA - 4095n, 4096);
    expect(allocator.allocate(4096)).toBe(MAX_IOVA - 4095n);
    // Above 2^53 a fixed range that is not aligned to 2 KiB occupies the whole of it.
    allocator.free(1n << 60n, 8192);
    allocator.reserve((1n << 60n) + 1n, 4096);
    expect(thrown(() => allocator.reserve(1n << 60n, 1)).code).toBe("EEXIST");
    allocator.free((1n << 60n) + 1n, 4096);
    expect(allocator.allocate(100)).toBe(1n << 60n);
    allocator.free(1n << 60n, 100);
    expect(allocator.statistics()).toMatchObject({ freeBytes: 8192n, freeExtents: 1 });
  });

  it("passes over 60,000 holes that are too small, and fills the first ones again", () => {
    const allocator = new IovaAllocator(INTEL);
    const addresses = Array.from({ length: 120_000 }, () => allocator.allocate(PAGE));
    for (let i = 0; i < addresses.length; i += 2) allocator.free(addresses[i] ?? 0n, PAGE);
    expect(allocator.statistics().freeExtents).toBe(60_000 + 2);
    expect(allocator.allocate(2n * PAGE)).toBe(4n * GIB + 120_000n * PAGE);
    expect(allocator.allocate(PAGE)).toBe(4n * GIB);
    expect(allocator.allocate(PAGE)).toBe(4n * GIB + 2n * PAGE);
  });
});

function larger(a: bigint, b: bigint): bigint {
  return b > a ? b : a;
}

/** The documented policy over a plain list, with bigints. */
class Model {
  ranges: IovaRange[];
  used: IovaRange[] = [];
  readonly granularity: bigint;

  constructor(ranges: IovaRange[], granularity: bigint) {
    this.ranges = ranges;
    this.granularity = granularity;
  }

  allocate(length: bigint, { alignment, min = 0n, max = MAX_IOVA }: IovaAllocateOptions): bigint | undefined {
    const reached = [GIB, 2n * MIB].find((size) => length >= size) ?? 1n;
    const natural = larger(length & -length, reached) > GIB ? GIB : larger(length & -length, reached);
    const preferred =
      alignment === undefined ? [natural, 2n * MIB, 1n].filter((size) => size <= natural) : [BigInt(alignment)];
    const alignments = preferred.map((size) => larger(size, this.granularity));
    const bounds = [{ start: BigInt(min), last: BigInt(max) }];
    if (BigInt(min) > BigInt(max)) return undefined;
    const usable = intersectRanges(intersectRanges(this.ranges, invertRanges(this.used)), bounds);
    const high = intersectRanges(usable, [{ start: 4n * GIB, last: MAX_IOVA }]);
    const low = intersectRanges(usable, [{ start: this.granularity, last: 4n * GIB - 1n }]).reverse();
    for (const size of alignments) {
      for (const { start, last } of high) {
        const iova = ((start + size - 1n) / size) * size;
        if (iova + length - 1n <= last) return iova;
      }
    }
    for (const size of alignments) {
      for (const { start, last } of low) {
        const room = last + 1n - length;
        const iova = room < 0n ? -1n : (room / size) * size;
        if (iova >= start) return iova;
      }
    }
    return undefined;
  }

  take(iova: bigint, length: bigint): void {
    this.used = normalizeRanges([...this.used, { start: iova, last: iova + length - 1n }]);
  }

  give(iova: bigint, length: bigint): void {
    this.used = intersectRanges(this.used, invertRanges([{ start: iova, last: iova + length - 1n }]));
  }
}

const spaces: { name: string; ranges: IovaRange[]; granularity: bigint; lengths: bigint[]; limits: bigint[] }[] = [
  {
    name: "a 39-bit Intel host with devices of every width",
    ranges: INTEL,
    granularity: PAGE,
    lengths: [1n, 2n, 3n, 5n, 16n, 512n, 513n, 768n, 1024n, 1n << 18n, 3n << 18n, 1n << 22n].map((n) => n * PAGE),
    limits: [0xfff_ffffn, 0xffff_ffffn, 0xf_ffff_ffffn, MAX_IOVA],
  },
  {
    name: "a small window that is always nearly full",
    ranges: [
      { start: 0n, last: 0xf_ffffn },
      { start: 0x20_0000n, last: 0x2f_ffffn },
    ],
    granularity: PAGE,
    lengths: [1n, 2n, 3n, 4n, 7n, 8n, 16n, 33n].map((n) => n * PAGE),
    limits: [0x7_ffffn, 0x28_0000n, MAX_IOVA],
  },
  {
    name: "a window across 4 GiB with huge pages, nearly full",
    ranges: [{ start: 4n * GIB - 16n * MIB, last: 4n * GIB + 24n * MIB - 1n }],
    granularity: PAGE,
    lengths: [1n, 511n, 512n, 513n, 1024n, 1536n, 600n].map((n) => n * PAGE),
    limits: [0xffff_ffffn, 4n * GIB + 10n * MIB - 1n, MAX_IOVA],
  },
  {
    name: "the mock domain's granularity, odd lengths",
    ranges: [{ start: 1n << 24n, last: (1n << 25n) - 1n }],
    granularity: 2048n,
    lengths: [1n, 511n, 2048n, 2049n, 6144n, 65536n, 1000n],
    limits: [(1n << 24n) + 0x8_0000n, MAX_IOVA],
  },
  {
    name: "the top of the 64-bit space",
    ranges: [{ start: MAX_IOVA - 64n * MIB + 1n, last: MAX_IOVA }],
    granularity: PAGE,
    lengths: [1n, 2n, 3n, 512n, 1024n, 1025n, 5n << 9n].map((n) => n * PAGE),
    limits: [MAX_IOVA - 8n * MIB, MAX_IOVA],
  },
];

function step(allocator: IovaAllocator, model: Model, prng: Prng, space: (typeof spaces)[number]): void {
  const length = prng.pick(space.lengths);
  const what = prng.below(10);
  const { used } = model;
  if (what < 5) {
    const options: IovaAllocateOptions = {
      ...(prng.oneIn(3) ? { max: prng.pick(space.limits) } : {}),
      ...(prng.oneIn(8) ? { min: larger(0n, prng.pick(space.limits) - prng.bigBelow(1n << 21n)) } : {}),
      ...(prng.oneIn(4) ? { alignment: 1n << BigInt(prng.between(9, 22)) } : {}),
    };
    const expected = model.allocate(length, options);
    if (expected === undefined) {
      expect(thrown(() => allocator.allocate(length, options)).code).toBe("ENOSPC");
    } else {
      expect(allocator.allocate(length, options)).toBe(expected);
      model.take(expected, length);
    }
  } else if (what < 6) {
    const { start, last } = prng.pick(space.ranges);
    const iova = start + (prng.bigBelow(last - start + 1n) / model.granularity) * model.granularity;
    const range = [{ start: iova, last: iova + length - 1n }];
    if (iova + length - 1n > MAX_IOVA) {
      expect(() => allocator.reserve(iova, length)).toThrow(RangeError);
    } else if (intersectRanges(range, model.ranges)[0]?.last !== iova + length - 1n) {
      expect(thrown(() => allocator.reserve(iova, length)).code).toBe("EINVAL");
    } else if (intersectRanges(range, used).length > 0) {
      expect(thrown(() => allocator.reserve(iova, length)).code).toBe("EEXIST");
    } else {
      allocator.reserve(iova, length);
      model.take(iova, length);
    }
  } else if (used.length > 0) {
    // A piece of something that is allocated, now and then with too much around it.
    const { start, last } = prng.pick(used);
    const pages = (last - start + 1n + model.granularity - 1n) / model.granularity;
    const iova = start + prng.bigBelow(pages) * model.granularity;
    const size = prng.oneIn(10) ? length : prng.bigBelow(last - iova + 1n) + 1n;
    const rounded = iova > 1n << 53n ? ((size + 2047n) / 2048n) * 2048n : size;
    if (iova + rounded - 1n > MAX_IOVA) return;
    const range = [{ start: iova, last: iova + rounded - 1n }];
    const covered = intersectRanges(range, used);
    if (covered.length === 1 && covered[0]?.start === iova && covered[0].last === iova + rounded - 1n) {
      allocator.free(iova, rounded);
      model.give(iova, rounded);
    } else {
      expect(thrown(() => allocator.free(iova, rounded)).code).toBe("ENOENT");
    }
  }
}

describe.each(spaces)("IovaAllocator against its policy, written down naively: $name", (space) => {
  it("gives the same addresses and the same refusals", () => {
    forSeeds(5, (prng) => {
      const granularity = Number(space.granularity);
      const allocator = new IovaAllocator(space.ranges, { granularity });
      const model = new Model(space.ranges, space.granularity);
      for (let i = 0; i < 600; i++) {
        step(allocator, model, prng, space);
        if (i % 50 === 0) {
          expect(allocator.allocated()).toEqual(model.used);
          const free = intersectRanges(model.ranges, invertRanges(model.used));
          const { freeBytes, freeExtents } = allocator.statistics();
          expect(freeBytes).toBe(free.reduce((sum, { start, last }) => sum + last - start + 1n, 0n));
          expect(freeExtents).toBe(free.length);
        }
        if (prng.oneIn(40)) {
          // A device comes that reaches less, or the one before leaves.
          model.ranges = prng.oneIn(2)
            ? space.ranges
            : intersectRanges(space.ranges, [{ start: 0n, last: prng.pick(space.limits) }]);
          expect(allocator.setRanges(model.ranges)).toEqual(intersectRanges(model.used, invertRanges(model.ranges)));
        }
      }
      for (const { start, last } of model.used) allocator.free(start, last - start + 1n);
      expect(allocator.allocated()).toEqual([]);
    });
  });
});
