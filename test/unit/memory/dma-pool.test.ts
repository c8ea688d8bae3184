import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { DmaMapping } from "../../../lib/container/mapping.js";
import { DmaBuffer, type DmaMemory, dmaMemory } from "../../../lib/memory/dma-buffer.js";
import { type DmaBlock, DmaPool } from "../../../lib/memory/dma-pool.js";

const PAGE = 4096;

/** A mapping without a container, as far as a pool can tell. */
function map(memory: DmaMemory, where: { iova?: bigint; offset?: number; length?: number } = {}) {
  const { iova = 0x1_0000_0000n, offset = 0, length = memory.length - offset } = where;
  const owner = {
    unmapOne: (mapping: DmaMapping) => mapping.ended(),
    unmapOneAsync: async (mapping: DmaMapping) => mapping.ended(),
    toString: () => "container",
  };
  return new DmaMapping(owner, { iova, length, read: true, write: true, memory, offset });
}

function takeAll(pool: DmaPool): DmaBlock[] {
  const blocks: DmaBlock[] = [];
  for (let block = pool.tryAllocate(); block !== undefined; block = pool.tryAllocate()) blocks.push(block);
  return blocks;
}

describe("DmaPool", () => {
  it("hands out aligned blocks that do not overlap and fill the mapping", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const pool = new DmaPool(map(buffer), { blockSize: 100 });
    const blocks = takeAll(pool);
    expect(blocks).toHaveLength(pool.capacity);
    expect(pool.capacity).toBe(32);
    expect(blocks.map(({ iova }) => iova)).toEqual(blocks.map((_, index) => 0x1_0000_0000n + 128n * BigInt(index)));
    blocks.forEach(({ bytes }, index) => {
      bytes.fill(index + 1);
    });
    for (const [index, { offset, length }] of blocks.entries()) {
      expect([...buffer.bytes.subarray(offset, offset + length)]).toEqual(Array(100).fill(index + 1));
    }
  });

  it("uses the last bytes for a block without the gap behind it", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const pool = new DmaPool(map(buffer), { blockSize: 65, length: 64 + 128 + 1 });
    expect(takeAll(pool).map(({ offset }) => offset)).toEqual([0, 128]);
  });

  it("keeps to its part of a mapping that is a part of a buffer", () => {
    using buffer = DmaBuffer.allocate(4 * PAGE);
    const mapping = map(buffer, { iova: 0x7000n, offset: PAGE, length: 2 * PAGE });
    const pool = new DmaPool(mapping, { blockSize: 512, alignment: 512, offset: 100, length: PAGE });
    const blocks = takeAll(pool);
    expect(blocks.map(({ iova }) => iova)).toEqual([0, 1, 2, 3, 4, 5, 6].map((n) => 0x7000n + 512n * BigInt(n + 1)));
    blocks[0]?.bytes.fill(7);
    expect(buffer.bytes.subarray(PAGE + 512, PAGE + 1024).every((byte) => byte === 7)).toBe(true);
    expect(buffer.bytes[PAGE + 511]).toBe(0);
    expect(buffer.bytes[PAGE + 1024]).toBe(0);
  });

  it("aligns the IOVA, wherever the mapping begins", () => {
    using buffer = DmaBuffer.allocate(4 * PAGE);
    const pool = new DmaPool(map(buffer, { iova: 0x3000n }), { blockSize: 64, alignment: 2 * PAGE });
    expect(takeAll(pool).map(({ iova }) => iova)).toEqual([0x4000n, 0x6000n]);
  });

  it("hands out the block that was freed last, with the same view", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const pool = new DmaPool(map(buffer), { blockSize: 64 });
    const first = pool.allocate();
    const { bytes } = first;
    pool.allocate();
    first.free();
    expect(pool.allocated).toBe(1);
    const again = pool.allocate();
    expect(again.iova).toBe(first.iova);
    expect(again.bytes).toBe(bytes);
  });

  it("gives a block back at the end of its scope", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const pool = new DmaPool(map(buffer), { blockSize: 64 });
    {
      using block = pool.allocate();
      expect(block.length).toBe(64);
      expect(pool.allocated).toBe(1);
    }
    expect(pool.allocated).toBe(0);
  });

  it("refuses to take a block back twice", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const block = new DmaPool(map(buffer), { blockSize: 64 }).allocate();
    block.free();
    expect(() => block.free()).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
  });

  it("says that all blocks are in use, until one is freed", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const pool = new DmaPool(map(buffer), { blockSize: PAGE });
    const only = pool.allocate();
    expect(pool.tryAllocate()).toBeUndefined();
    expect(() => pool.allocate()).toThrow(VfioError);
    expect(() => pool.allocate()).toThrow(expect.objectContaining({ code: "ENOMEM" }));
    only.free();
    expect(pool.allocate().iova).toBe(only.iova);
  });

  it("hands out nothing of a mapping that is gone, and no memory of a buffer that is closed", () => {
    const buffer = DmaBuffer.allocate(PAGE);
    const mapping = map(buffer);
    const pool = new DmaPool(mapping, { blockSize: 64 });
    const block = pool.allocate();
    expect(block.bytes).toHaveLength(64);
    mapping.unmap();
    expect(() => pool.tryAllocate()).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
    buffer.close();
    expect(() => block.bytes).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
  });

  it.each([
    { blockSize: 0 },
    { blockSize: PAGE + 1 },
    { blockSize: 1.5 },
    { blockSize: 64, alignment: 0 },
    { blockSize: 64, alignment: 48 },
    { blockSize: 64, offset: PAGE },
    { blockSize: 64, offset: -64 },
    { blockSize: 64, length: PAGE + 1 },
  ])("refuses $blockSize bytes, alignment $alignment, offset $offset, length $length", (options) => {
    using buffer = DmaBuffer.allocate(PAGE);
    expect(() => new DmaPool(map(buffer), options)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });

  it("refuses a device's own memory", () => {
    using buffer = DmaBuffer.allocate(PAGE);
    const { label, address, length, pageSize } = buffer;
    const bar: DmaMemory = {
      [dmaMemory]: true,
      kind: "bar",
      label,
      address,
      length,
      pageSize,
      backing: () => undefined,
      blockers: () => [],
      preserve: () => expect.unreachable(),
      disown() {},
      hold() {},
      release() {},
    };
    expect(() => new DmaPool(map(bar), { blockSize: 64 })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
  });
});
