/** The NVMe disk, driven by examples/nvme.ts in every container mode: by interrupt and by polling, and DMA that is stopped. */
import { randomFillSync } from "node:crypto";
import { DmaBuffer, openContainer } from "vfio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DmaPiece, Nvme, type NvmeOptions } from "../../examples/nvme.js";
import { bind, devices, needs, onlyIf, rigOnly } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";
import { destructive } from "./selection.js";

const address = devices.nvme;
let binding: Disposable;
beforeAll(() => {
  binding = bind(address);
});
afterAll(() => binding[Symbol.dispose]());

/** For tests that write to the disk. */
const overwriting = onlyIf(destructive, "overwrites the disk, which --destructive allows");

const INVALID_NAMESPACE = 0x0b;

/** A part of a piece of the pool. */
function part(piece: DmaPiece, offset: number, length: number) {
  return {
    iova: piece.iova + BigInt(offset),
    length,
    bytes: piece.bytes.subarray(offset, offset + length),
  };
}

describe.each(modes)("NVMe in mode %s", (mode) => {
  test("the rig's disk says what it is", rigOnly("knows the rig's disk"), async () => {
    using container = openContainer({ mode });
    using disk = await Nvme.open(container, address);
    expect(disk.controller).toMatchObject({
      vendorId: 0x1b36,
      serial: "rig",
      model: "QEMU NVMe Ctrl",
      version: "1.4.0",
      volatileCache: true,
    });
    expect(disk.namespace).toEqual({ id: 1, blocks: BigInt((256 << 20) / 512), blockSize: 512 });
  });

  describe.each(["interrupt", "polling"] as const)("completion by %s", (completion) => {
    const open = (container: ReturnType<typeof openContainer>, options: NvmeOptions = {}) =>
      Nvme.open(container, address, { completion, ...options });

    test("reads the same twice", async () => {
      using container = openContainer({ mode });
      using disk = await open(container);
      using first = disk.allocate(65536);
      using second = disk.allocate(65536);
      await Promise.all([disk.read(0, first), disk.read(0, second)]);
      expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
    });

    test("writes, flushes and reads back", overwriting, async () => {
      using container = openContainer({ mode });
      using disk = await open(container, { poolSize: 8 << 20 });
      expect(disk.device.msix.enabled).toBe(completion === "interrupt");
      const { maxTransfer } = disk.controller;
      const { blockSize } = disk.namespace;
      using source = disk.allocate(maxTransfer + blockSize + 512);
      using target = disk.allocate(source.length);
      // One block, a page, two pages, a list of pages, the most, more than that; from the start of a page and from within.
      for (const length of [blockSize, 4096, 8192, 12288, maxTransfer, maxTransfer + blockSize]) {
        for (const offset of [0, 512]) {
          randomFillSync(source.bytes);
          target.bytes.fill(0);
          await disk.write(1000, part(source, offset, length));
          await disk.flush();
          await disk.read(1000, part(target, offset, length));
          const expected = Buffer.alloc(target.length);
          expected.set(part(source, offset, length).bytes, offset);
          expect(expected.equals(target.bytes)).toBe(true);
        }
      }
    });

    test("has many commands in flight, more than the queue holds", overwriting, async () => {
      using container = openContainer({ mode });
      using disk = await open(container, { queueDepth: 8 });
      const { blockSize } = disk.namespace;
      const count = 200;
      using source = disk.allocate(count * blockSize);
      using target = disk.allocate(count * blockSize);
      randomFillSync(source.bytes);
      const blocks = Array.from({ length: count }, (_, index) => index);
      await Promise.all(blocks.map((block) => disk.write(5000 + block, part(source, block * blockSize, blockSize))));
      await Promise.all(blocks.map((block) => disk.read(5000 + block, part(target, block * blockSize, blockSize))));
      expect(Buffer.compare(source.bytes, target.bytes)).toBe(0);
    });

    test("goes on after it was held, here or in another driver", overwriting, async () => {
      using container = openContainer({ mode });
      const former = await open(container, { queueDepth: 8 });
      const { blockSize } = former.namespace;
      const count = 20;
      const source = former.allocate(count * blockSize);
      randomFillSync(source.bytes);
      const write = (from: number) =>
        Array.from({ length: count / 2 }, (_, index) =>
          former.write(7000 + from + index, part(source, (from + index) * blockSize, blockSize)),
        );

      const first = write(0);
      former.hold();
      let over = false;
      void Promise.race(first).then(() => {
        over = true;
      });
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(over).toBe(false);
      former.release();
      await Promise.all(first);

      void write(count / 2);
      former.hold();
      const state = structuredClone(former.state());
      // Seven of the ten, which are all that the queue holds.
      expect([state.io.pending.length, state.io.waiting.length]).toEqual([7, 3]);
      using disk = Nvme.resume(container, former.device, former.memory, state);
      expect(disk.inFlight.map(({ name, lba }) => [name, lba])).toEqual(
        Array.from({ length: count / 2 }, (_, index) => ["Write", BigInt(7000 + count / 2 + index)]),
      );
      await Promise.all(disk.inFlight.map(({ over }) => over));
      using target = disk.allocate(count * blockSize);
      await disk.read(7000, target);
      expect(Buffer.compare(source.bytes, target.bytes)).toBe(0);
    });

    const fails = rigOnly("makes the controller fail");
    test("a command without an answer ends, and the disk can be opened again", fails, async () => {
      using container = openContainer({ mode });
      {
        using disk = await open(container, { timeout: 200 });
        using memory = disk.allocate(disk.namespace.blockSize);
        // It can no longer fetch what it is told to do.
        disk.device.busMaster = false;
        const [first, second] = await Promise.allSettled([disk.read(0, memory), disk.read(1, memory)]);
        expect(first).toMatchObject({ reason: { message: expect.stringMatching(/no answer to Read within 200 ms/) } });
        expect(second).toMatchObject({ status: "rejected" });
        await expect(disk.read(0, memory)).rejects.toThrow(/no answer/);
      }
      using disk = await open(container);
      using memory = disk.allocate(disk.namespace.blockSize);
      await disk.read(0, memory);
    });
  });

  test("what was written is there when it is opened again", overwriting, async () => {
    using container = openContainer({ mode });
    const written = randomFillSync(Buffer.alloc(4096));
    const last = (disk: Nvme) => disk.namespace.blocks - BigInt(4096 / disk.namespace.blockSize);
    {
      using disk = await Nvme.open(container, address);
      using memory = disk.allocate(4096);
      memory.bytes.set(written);
      await disk.write(last(disk), memory);
    }
    using disk = await Nvme.open(container, address);
    using memory = disk.allocate(4096);
    await disk.read(last(disk), memory);
    expect(written.equals(memory.bytes)).toBe(true);
  });

  // A disk may or may not notice, and QEMU's does not: it reports success. What counts is what was not touched.
  describe("the IOMMU stops", overwriting, () => {
    test("a disk that writes into memory mapped for reading only", async () => {
      using container = openContainer({ mode });
      using disk = await Nvme.open(container, address);
      using buffer = DmaBuffer.allocate(16384);
      using mapping = container.map(buffer, { write: false });
      const before = randomFillSync(buffer.bytes).slice();
      await disk.write(2000, mapping);
      await Promise.allSettled([disk.read(3000, mapping)]);
      expect(Buffer.compare(buffer.bytes, before)).toBe(0);
      // To read it was allowed.
      using copy = disk.allocate(16384);
      await disk.read(2000, copy);
      expect(Buffer.compare(copy.bytes, before)).toBe(0);
    });

    test("a disk that writes into memory no longer mapped, or reads from it", async () => {
      using container = openContainer({ mode });
      using disk = await Nvme.open(container, address);
      using buffer = DmaBuffer.allocate(4096);
      const mapping = container.map(buffer);
      randomFillSync(buffer.bytes);
      await disk.write(2000, mapping);
      await disk.read(2000, mapping);
      mapping.unmap();
      const before = randomFillSync(buffer.bytes).slice();
      await Promise.allSettled([disk.read(2000, mapping)]);
      expect(Buffer.compare(buffer.bytes, before)).toBe(0);
      await Promise.allSettled([disk.write(2000, mapping)]);
      // The disk goes on, and has nothing of what the memory held.
      using copy = disk.allocate(4096);
      await disk.read(2000, copy);
      expect(Buffer.compare(copy.bytes, before)).not.toBe(0);
    });
  });

  test("nothing stays behind, and what was under way is told", async () => {
    const before = resources();
    {
      using container = openContainer({ mode });
      const disk = await Nvme.open(container, address);
      const { iova, length } = disk.allocate(4096);
      const memory = { iova, length };
      const reading = disk.read(0, memory);
      disk[Symbol.dispose]();
      await expect(reading).rejects.toThrow(/was shut down/);
      await expect(disk.read(0, memory)).rejects.toThrow(/was shut down/);
      expect(container.devices.size).toBe(0);
    }
    expect(resources()).toEqual(before);
  });
});

test("the container's end is the disk's end too", async () => {
  const before = resources();
  for (const completion of ["interrupt", "polling"] as const) {
    const container = openContainer();
    using disk = await Nvme.open(container, address, { completion });
    const { iova, length } = disk.allocate(4096);
    const reading = disk.read(0, { iova, length });
    container.close();
    disk[Symbol.dispose]();
    await expect(reading).rejects.toThrow(/was shut down/);
  }
  expect(resources()).toEqual(before);
});

describe("refusals", () => {
  test("blocks, lengths and memory that cannot be", async () => {
    using container = openContainer();
    using disk = await Nvme.open(container, address);
    const { blocks, blockSize } = disk.namespace;
    using memory = disk.allocate(2 * blockSize);
    await expect(disk.read(blocks - 1n, memory)).rejects.toThrow(RangeError);
    await expect(disk.read(-1, memory)).rejects.toThrow(RangeError);
    await expect(disk.read(0, part(memory, 0, blockSize - 1))).rejects.toThrow(/block size/);
    await expect(disk.read(0, part(memory, 2, blockSize))).rejects.toThrow(/multiple of 4/);
    expect(() => disk.allocate(1 << 30)).toThrow(/pool/);
    expect(() => disk.allocate(0)).toThrow(RangeError);
  });

  const cases: readonly (readonly [string, NvmeOptions, object])[] = [
    ["a namespace that is not there", { namespace: 7 }, { message: expect.stringMatching(/no active namespace 7/) }],
    ["a namespace that cannot be", { namespace: 0xffff }, { name: "NvmeError", status: INVALID_NAMESPACE }],
    ["a pool too small for the queues", { poolSize: 8192 }, { message: expect.stringMatching(/pool/) }],
    ["a queue of one entry", { queueDepth: 1 }, { name: "RangeError" }],
  ];
  test.each(cases)("%s: nothing stays open", rigOnly("knows the rig's disk"), async (_, options, error) => {
    const before = resources();
    {
      using container = openContainer();
      await expect(Nvme.open(container, address, options)).rejects.toMatchObject(error);
      expect(container.devices.size).toBe(0);
    }
    expect(resources()).toEqual(before);
  });

  test("a device that is no NVMe controller: nothing stays open", needs("ivshmem"), async () => {
    using _ = bind(devices.ivshmem);
    const before = resources();
    {
      using container = openContainer();
      await expect(Nvme.open(container, devices.ivshmem)).rejects.toThrow(/no NVMe controller/);
      expect(container.devices.size).toBe(0);
    }
    expect(resources()).toEqual(before);
  });
});
