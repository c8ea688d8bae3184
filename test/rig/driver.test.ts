/** A driver's life in every container mode: DMA with data, DMA that the IOMMU stops, interrupts, and all of them mixed. */
import { randomFillSync } from "node:crypto";
import { type Container, type Device, DmaBuffer, type DmaMapping, openContainer } from "vfio";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Igb, IgbCopyError } from "../../examples/igb.js";
import { bind, devices } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const KiB = 1024;
const MiB = 1024 * KiB;
// More than a ring of frames, so that a copy takes several rounds.
const SIZE = 256 * KiB + 1;

let binding: Disposable;

beforeAll(() => {
  binding = bind(devices.igb);
});

afterAll(() => {
  binding[Symbol.dispose]();
});

describe.each(modes)("driver in %s", (mode) => {
  let before: ReturnType<typeof resources>;
  let container: Container;
  let device: Device;
  let igb: Igb;
  let memory: DmaBuffer;
  let source: Uint8Array;
  let destination: Uint8Array;
  let mapping: DmaMapping;
  /** An address that devices could use, and where nothing is. */
  let unmapped: bigint;

  beforeAll(async () => {
    before = resources();
    container = openContainer({ mode });
    device = container.attach(devices.igb);
    memory = DmaBuffer.allocate(MiB);
    mapping = container.map(memory);
    source = memory.bytes.subarray(0, SIZE);
    destination = memory.bytes.subarray(MiB / 2, MiB / 2 + SIZE);
    const gone = container.map(memory);
    unmapped = gone.iova;
    gone.unmap();
    igb = await Igb.open(container, device);
  });

  afterAll(() => {
    igb[Symbol.dispose]();
    container.close();
    memory.close();
    expect(resources()).toEqual(before);
  });

  // Whatever happened: no interrupt that nobody asked for.
  afterEach(() => {
    expect(igb.interrupt.take()).toBe(0);
  });

  const from = () => mapping.iova;
  const to = () => mapping.at(MiB / 2);

  async function expectGoodCopy(): Promise<void> {
    source.fill(0x78);
    destination.fill(0x79);
    await igb.copy(from(), to(), SIZE);
    expect(Buffer.compare(source, destination)).toBe(0);
  }

  /** A device need not notice that the IOMMU has stopped it: QEMU's does not, hardware never gets an answer. */
  async function copyInVain(sourceIova: bigint, destinationIova: bigint, length = SIZE): Promise<void> {
    await igb.copy(sourceIova, destinationIova, length).catch((error: unknown) => {
      expect(error).toBeInstanceOf(IgbCopyError);
    });
  }

  /**
   * What a device writes where it could not read is its own business: QEMU's writes scraps of its own memory. But it is not
   * what lies behind the IOMMU.
   */
  function expectDifferent(secret: Uint8Array, copy: Uint8Array): void {
    for (let at = 0; at + KiB <= secret.length; at += KiB) {
      expect(Buffer.compare(secret.subarray(at, at + KiB), copy.subarray(at, at + KiB))).not.toBe(0);
    }
  }

  async function expectInterrupt(): Promise<void> {
    igb.sendInterrupt();
    expect(await igb.interrupt.wait({ timeout: 10_000 })).toBe(1);
  }

  it("starts and stops, ten times", async () => {
    for (let round = 0; round < 10; round++) {
      igb[Symbol.dispose]();
      expect(container.mappingCount).toBe(1);
      igb = await Igb.open(container, device);
    }
  });

  it("copies memory", async () => {
    await expectGoodCopy();
  });

  it("survives a copy from an address that is not mapped, and works again", async () => {
    // It was mapped once, to the source.
    randomFillSync(source);
    await copyInVain(unmapped, to());
    expectDifferent(source, destination);
    await expectGoodCopy();
  });

  it("survives a copy to an address that is not mapped, and works again", async () => {
    const everything = memory.bytes.slice();
    await copyInVain(from(), unmapped);
    expect(Buffer.compare(memory.bytes, everything)).toBe(0);
    await expectGoodCopy();
  });

  it("reaches memory exactly as long as it is mapped", async () => {
    using extra = DmaBuffer.allocate(4 * KiB);
    const read = destination.subarray(0, extra.length);
    const window = container.map(extra);
    randomFillSync(extra.bytes);
    await igb.copy(window.iova, to(), extra.length);
    expect(Buffer.compare(read, extra.bytes)).toBe(0);

    window.unmap();
    randomFillSync(extra.bytes);
    const kept = extra.bytes.slice();
    await copyInVain(window.iova, to(), extra.length);
    expectDifferent(extra.bytes, read);
    await copyInVain(from(), window.iova, extra.length);
    expect(Buffer.compare(extra.bytes, kept)).toBe(0);
  });

  it("writes nothing that it may only read, and reads nothing that it may only write", async () => {
    using extra = DmaBuffer.allocate(4 * KiB);
    const read = destination.subarray(0, extra.length);
    randomFillSync(extra.bytes);
    const kept = extra.bytes.slice();
    {
      using readable = container.map(extra, { write: false });
      await copyInVain(from(), readable.iova, extra.length);
      expect(Buffer.compare(extra.bytes, kept)).toBe(0);
      await igb.copy(readable.iova, to(), extra.length);
      expect(Buffer.compare(read, kept)).toBe(0);
    }
    randomFillSync(extra.bytes);
    using writable = container.map(extra, { read: false });
    await copyInVain(writable.iova, to(), extra.length);
    expectDifferent(extra.bytes, read);
    await igb.copy(from(), writable.iova, extra.length);
    expect(Buffer.compare(extra.bytes, source.subarray(0, extra.length))).toBe(0);
  });

  it("sends an interrupt", async () => {
    await expectInterrupt();
  });

  it("mixes good copies, bad copies and interrupts, ten times", async () => {
    for (let round = 0; round < 10; round++) {
      await expectGoodCopy();
      await copyInVain(unmapped, to());
      await expectInterrupt();
    }
  });

  it("endures a storm of copies", async () => {
    source.fill(0x78);
    const copies = Array.from({ length: 32 }, () => igb.copy(from(), to(), SIZE));
    await Promise.all(copies);
    expect(Buffer.compare(source, destination)).toBe(0);
  });
});
