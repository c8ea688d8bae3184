/** What a driver asks of an edu device, whatever emulates it, and whatever container it is in. */
import { randomFillSync } from "node:crypto";
import { type Container, DmaBuffer, type DmaBufferOptions } from "vfio";
import { describe, expect, test } from "vitest";
import { Edu, type EduOptions } from "../../examples/edu.js";
import { resources } from "./resources.mjs";

const kinds = ["msi", "intx", "none"] as const satisfies readonly EduOptions["interrupts"][];

function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(actual, expected)).toBe(0);
}

/**
 * Registers, interrupts, DMA, and DMA that is stopped.
 *
 * @param open opens an empty container
 * @param address of the device
 * @param kind of memory
 */
export function eduTests(open: () => Container, address: string, kind: DmaBufferOptions = {}): void {
  /** A buffer of one page with random contents, mapped for the device. */
  function memory(edu: Edu, permissions: { read?: boolean; write?: boolean } = {}) {
    const buffer = DmaBuffer.allocate(4096, kind);
    const bytes = randomFillSync(buffer.bytes);
    const mapping = edu.map(buffer, permissions);
    return {
      buffer,
      bytes,
      mapping,
      all: { iova: mapping.iova, length: bytes.length },
      [Symbol.dispose]() {
        mapping.unmap();
        buffer.close();
      },
    };
  }

  /** What the device's buffer holds, read through a mapping of its own. */
  async function deviceBuffer(edu: Edu): Promise<Uint8Array> {
    using target = memory(edu);
    await edu.fromDevice(target.all);
    return target.bytes.slice();
  }

  /** Fills the device's buffer with random bytes, and tells which. */
  async function fillDeviceBuffer(edu: Edu): Promise<Uint8Array> {
    using source = memory(edu);
    await edu.toDevice(source.all);
    return source.bytes.slice();
  }

  test("registers, mapped and through the kernel", () => {
    using container = open();
    using edu = Edu.open(container, address);
    expect(edu.version).toBe("1.0");
    for (const probe of [0, 1, 0x8000_0000, 0xdead_beef, 0xffff_ffff]) expect(edu.isAlive(probe)).toBe(true);
    const bar0 = edu.device.region("bar0");
    expect(bar0.size).toBe(1 << 20);
    expect(bar0.read32(0)).toBe(0x0100_00ed);
    bar0.write32(4, 0x0f0f_0f0f);
    expect(bar0.registers().read32(4)).toBe(0xf0f0_f0f0);
  });

  describe.each(kinds)("interrupts: %s", (interrupts) => {
    test("factorials", async () => {
      using container = open();
      using edu = Edu.open(container, address, { interrupts });
      for (const [n, result] of [
        [0, 1],
        [1, 1],
        [5, 120],
        [12, 479_001_600],
        [13, 6_227_020_800 % 2 ** 32],
      ] as const) {
        expect(await edu.factorial(n)).toBe(result);
      }
    });

    test("DMA there and back", async () => {
      using container = open();
      using edu = Edu.open(container, address, { interrupts });
      using source = memory(edu);
      using target = memory(edu);
      await edu.toDevice(source.all);
      await edu.fromDevice(target.all);
      expectSame(target.bytes, source.bytes);
      // A part, at odd addresses on both sides, and nothing but that part.
      const before = target.bytes.slice();
      await edu.fromDevice({ iova: target.mapping.at(1001), length: 333, offset: 77 });
      before.set(source.bytes.subarray(77, 77 + 333), 1001);
      expectSame(target.bytes, before);
    });
  });

  test.each(["msi", "intx"] as const)("every interrupt of many comes: %s", async (interrupts) => {
    using container = open();
    using edu = Edu.open(container, address, { interrupts });
    for (let round = 0; round < 20; round++) await edu.raise(0x2);
    await Promise.all([edu.raise(0x4), edu.raise(0x8), edu.factorial(3)]);
  });

  test("one kind of interrupt after the other, on one device", async () => {
    using container = open();
    for (const interrupts of ["msi", "intx", "msi"] as const) {
      using edu = Edu.open(container, address, { interrupts });
      await edu.raise(0x2);
    }
  });

  test("memory is mapped within the device's 28 bits", async () => {
    using container = open();
    using edu = Edu.open(container, address);
    using one = memory(edu);
    using other = memory(edu);
    expect(one.mapping.last).toBeLessThanOrEqual(BigInt(Edu.dmaMask));
    expect(other.mapping.last).toBeLessThanOrEqual(BigInt(Edu.dmaMask));
    using buffer = DmaBuffer.allocate(4096);
    expect(() => edu.map(buffer, { iova: 0x1000_0000 })).toThrow(/address mask/);
    using high = container.map(buffer, { iova: 0x1_0000_0000n });
    await expect(edu.toDevice({ iova: high.iova, length: 1 })).rejects.toThrow(/28 bits/);
  });

  test("two mappings of one memory are the same memory", async () => {
    using container = open();
    using edu = Edu.open(container, address);
    using one = memory(edu);
    using again = edu.map(one.buffer);
    const filled = await fillDeviceBuffer(edu);
    await edu.fromDevice({ iova: again.iova, length: 4096 });
    expectSame(one.bytes, filled);
  });

  describe("the IOMMU stops", () => {
    /** An IOVA that the device can drive and at which nothing is mapped. */
    function unmapped(container: Container): bigint {
      const iova = 0x0800_0000n;
      expect(container.mappingAt(iova)).toBeUndefined();
      return iova;
    }

    /** QEMU's device gets zeros for what it may not read; another might keep what it had. */
    function expectNothingRead(seen: Uint8Array, before: Uint8Array): void {
      if (!seen.every((byte) => byte === 0)) expectSame(seen, before);
    }

    async function stillWorks(edu: Edu): Promise<void> {
      const filled = await fillDeviceBuffer(edu);
      expectSame(await deviceBuffer(edu), filled);
      expect(await edu.factorial(4)).toBe(24);
    }

    test("a write to an address that is not mapped", async () => {
      using container = open();
      using edu = Edu.open(container, address);
      using bystander = memory(edu);
      const before = bystander.bytes.slice();
      await fillDeviceBuffer(edu);
      await edu.fromDevice({ iova: unmapped(container), length: 4096 });
      expectSame(bystander.bytes, before);
      await stillWorks(edu);
    });

    test("a read of an address that is not mapped", async () => {
      using container = open();
      using edu = Edu.open(container, address);
      const before = await fillDeviceBuffer(edu);
      await edu.toDevice({ iova: unmapped(container), length: 4096 });
      expectNothingRead(await deviceBuffer(edu), before);
      await stillWorks(edu);
    });

    test("a write through a mapping that is gone", async () => {
      using container = open();
      using edu = Edu.open(container, address);
      using target = memory(edu);
      const filled = await fillDeviceBuffer(edu);
      // The device has used the mapping, so that its translation is cached wherever it can be.
      await edu.fromDevice(target.all);
      expectSame(target.bytes, filled);
      const other = await fillDeviceBuffer(edu);
      target.mapping.unmap();
      await edu.fromDevice(target.all);
      expectSame(target.bytes, filled);
      // Mapped again at the same place, it is reached again.
      using again = edu.map(target.buffer, { iova: target.mapping.iova });
      await edu.fromDevice({ iova: again.iova, length: 4096 });
      expectSame(target.bytes, other);
    });

    test("a read through a mapping that is gone", async () => {
      using container = open();
      using edu = Edu.open(container, address);
      using secret = memory(edu);
      await edu.toDevice(secret.all);
      const before = secret.bytes.slice();
      expectSame(await deviceBuffer(edu), before);
      secret.mapping.unmap();
      randomFillSync(secret.bytes);
      await edu.toDevice(secret.all);
      expectNothingRead(await deviceBuffer(edu), before);
    });

    test("a write into a mapping that is only for reading", async () => {
      using container = open();
      using edu = Edu.open(container, address);
      using source = memory(edu, { write: false });
      const before = source.bytes.slice();
      await edu.toDevice(source.all);
      expectSame(await deviceBuffer(edu), before);
      await fillDeviceBuffer(edu);
      await edu.fromDevice(source.all);
      expectSame(source.bytes, before);
    });

    test("a read of a mapping that is only for writing", async () => {
      using container = open();
      using edu = Edu.open(container, address);
      using target = memory(edu, { read: false });
      const filled = await fillDeviceBuffer(edu);
      await edu.fromDevice(target.all);
      expectSame(target.bytes, filled);
      randomFillSync(target.bytes);
      await edu.toDevice(target.all);
      expectNothingRead(await deviceBuffer(edu), filled);
    });
  });

  describe("waiting", () => {
    test("ends with the caller's signal, with the time, or with the device", async () => {
      using container = open();
      const edu = Edu.open(container, address);
      using target = memory(edu);
      const caller = new AbortController();
      // A transfer takes the device 100 ms.
      const aborted = edu.fromDevice(target.all, { signal: caller.signal });
      await expect(edu.fromDevice(target.all)).rejects.toThrow(/busy/);
      caller.abort(new Error("enough"));
      await expect(aborted).rejects.toThrow("enough");
      await expect(edu.factorial(3, { signal: caller.signal })).rejects.toThrow("enough");
      await expect(edu.fromDevice(target.all, { timeout: 1 })).rejects.toMatchObject({ name: "TimeoutError" });
      // What was given up is over before the next begins.
      const filled = await fillDeviceBuffer(edu);
      await edu.fromDevice(target.all);
      expectSame(target.bytes, filled);
      const interrupted = edu.fromDevice(target.all);
      edu[Symbol.dispose]();
      await expect(interrupted).rejects.toThrow(/was closed/);
    });
  });

  test("nothing stays behind", async () => {
    const before = resources();
    {
      using container = open();
      using edu = Edu.open(container, address, { interrupts: "intx" });
      await deviceBuffer(edu);
    }
    expect(resources()).toEqual(before);
  });
}
