/** The parts of a device that need no client: config space, BARs, the log of written pages, the states of a migration. */
import { describe, expect, test } from "vitest";
import { walkPciExtendedCapabilities } from "../../../lib/device/pci-capabilities.js";
import { DeviceBar } from "../../../lib/vfio-user/device/bar.js";
import { DirtyLog } from "../../../lib/vfio-user/device/dirty-log.js";
import { MigrationMachine, migrationPath } from "../../../lib/vfio-user/device/migration.js";
import { powerManagement, vendorSpecific } from "../../../lib/vfio-user/device/pci-config.js";
import { PciDevice, type PciDeviceOptions } from "../../../lib/vfio-user/device/pci-device.js";
import { MigrationState } from "../../../lib/vfio-user/protocol/constants.js";
import { forSeeds } from "../prng.js";

const identity = { vendorId: 0x1234, deviceId: 0x5678, classCode: 0xff0000 };

function device(options: Partial<PciDeviceOptions> = {}): PciDevice {
  return new PciDevice({ ...identity, ...options });
}

function config32(of: PciDevice, offset: number): number {
  const bytes = of.config.read(offset, 4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

function write32(of: PciDevice, offset: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  of.config.write(offset, bytes);
}

describe("config space", () => {
  test("says who it is, and cannot be told otherwise", () => {
    using one = device({ revision: 3, subsystemVendorId: 1, subsystemId: 2, interrupts: { intx: true } });
    const before = [0x00, 0x08, 0x2c].map((offset) => config32(one, offset));
    expect(before).toEqual([0x5678_1234, 0xff00_0003, 0x0002_0001]);
    for (const offset of [0x00, 0x08, 0x2c]) write32(one, offset, 0);
    expect([0x00, 0x08, 0x2c].map((offset) => config32(one, offset))).toEqual(before);
    write32(one, 0x3c, 0xffff_ffff);
    expect(config32(one, 0x3c)).toBe(0x0000_01ff);
  });

  test("BARs tell their sizes and keep their addresses", () => {
    using one = device({
      bars: [
        { size: 4096 },
        { size: 32, space: "io" },
        { size: 1 << 20, wide: true, prefetchable: true },
        undefined,
        { size: 2 ** 33, wide: true },
      ],
    });
    const sizes = () => [0, 1, 2, 3, 4, 5].map((index) => config32(one, 0x10 + 4 * index));
    expect(sizes()).toEqual([0, 1, 0xc, 0, 4, 0]);
    for (let index = 0; index < 6; index++) write32(one, 0x10 + 4 * index, 0xffff_ffff);
    expect(sizes()).toEqual([0xffff_f000, 0xffff_ffe1, 0xfff0_000c, 0xffff_ffff, 0x0000_0004, 0xffff_fffe]);
    write32(one, 0x10, 0xfe00_0abc);
    expect(config32(one, 0x10)).toBe(0xfe00_0000);
  });

  test("the command register takes what it has, and a reset leaves it", async () => {
    using one = device({ interrupts: { msi: 4 } });
    one.config.fixResetState();
    write32(one, 4, 0xffff_ffff);
    expect(config32(one, 4) & 0xffff).toBe(0x0547);
    expect(one.busMaster).toBe(true);
    const msi = one.config.read(0x34, 1)[0] ?? 0;
    write32(one, msi, 0xffff_ffff);
    expect((config32(one, msi) >>> 16) & 1).toBe(1);
    await one.reset();
    expect(one.busMaster).toBe(true);
    expect((config32(one, msi) >>> 16) & 1).toBe(0);
  });

  test("capabilities are linked, and written where they may be", () => {
    using one = device({
      express: true,
      interrupts: { msi: 8, msix: 3 },
      capabilities: [powerManagement(), vendorSpecific(Uint8Array.of(1, 2, 3))],
    });
    expect(one.config.bytes.length).toBe(4096);
    const list: number[] = [];
    for (let at = one.config.bytes[0x34] ?? 0; at !== 0; at = one.config.bytes[at + 1] ?? 0) {
      expect(at % 4).toBe(0);
      list.push(one.config.bytes[at] ?? 0);
      const before = one.config.read(at, 2);
      one.config.write(at, Uint8Array.of(0xff, 0xff));
      expect(one.config.read(at, 2)).toEqual(before);
    }
    expect(list).toEqual([0x10, 0x05, 0x11, 0x01, 0x09]);
  });

  test("extended capabilities are linked, and written where they may be", () => {
    const serialNumber = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    using one = device({
      express: true,
      extendedCapabilities: [
        { id: 0x0003, body: serialNumber },
        { id: 0x000b, version: 2, body: new Uint8Array(5), writable: Uint8Array.of(0, 0xff, 0, 0, 0x0f) },
        { id: 0x0001, body: new Uint8Array(0x44) },
      ],
    });
    const reader = {
      label: "config",
      size: one.config.bytes.length,
      read8: (offset: number) => config32(one, offset) & 0xff,
      read16: (offset: number) => config32(one, offset) & 0xffff,
      read32: (offset: number) => config32(one, offset),
    };
    const list = [...walkPciExtendedCapabilities(reader)];
    expect(list.map(({ id, version, offset }) => [id, version, offset])).toEqual([
      [0x0003, 1, 0x100],
      [0x000b, 2, 0x10c],
      [0x0001, 1, 0x118],
    ]);
    expect(one.config.read(0x104, 8)).toEqual(serialNumber);
    one.config.write(0x100, new Uint8Array(0x60).fill(0xff));
    expect(one.config.read(0x110, 5)).toEqual(Uint8Array.of(0, 0xff, 0, 0, 0x0f));
    expect([...walkPciExtendedCapabilities(reader)]).toEqual(list);
  });

  test("the line shows in the status register", () => {
    using one = device({ interrupts: { intx: true } });
    one.intx.assert();
    expect((config32(one, 4) >>> 16) & 0x8).toBe(0x8);
    one.intx.deassert();
    expect((config32(one, 4) >>> 16) & 0x8).toBe(0);
  });
});

test.each<[string, Partial<PciDeviceOptions>]>([
  ["a vendor of 17 bits", { vendorId: 0x10000 }],
  ["a class of 25 bits", { classCode: 0x1000000 }],
  ["extended capabilities without PCI Express", { extendedCapabilities: [{ id: 3, body: new Uint8Array(8) }] }],
  [
    "more extended capabilities than there is room for",
    { express: true, extendedCapabilities: [{ id: 3, body: new Uint8Array(3837) }] },
  ],
  [
    "an extended capability of 17 bits",
    { express: true, extendedCapabilities: [{ id: 0x10003, body: new Uint8Array(8) }] },
  ],
  ["a version of 5 bits", { express: true, extendedCapabilities: [{ id: 3, version: 16, body: new Uint8Array(8) }] }],
  [
    "a mask of another length than its capability",
    { express: true, extendedCapabilities: [{ id: 3, body: new Uint8Array(8), writable: new Uint8Array(7) }] },
  ],
  ["a BAR whose size is no power of two", { bars: [{ size: 100 }] }],
  ["a BAR that is too small", { bars: [{ size: 8 }] }],
  ["a seventh BAR", { bars: [undefined, undefined, undefined, undefined, undefined, undefined, { size: 16 }] }],
  [
    "a 64-bit BAR in the last place",
    { bars: [undefined, undefined, undefined, undefined, undefined, { size: 16, wide: true }] },
  ],
  ["a BAR in the place of a 64-bit one", { bars: [{ size: 16, wide: true }, { size: 16 }] }],
  ["an area of half a page", { bars: [{ size: 8192, memory: { areas: [{ offset: 0, length: 2048 }] } }] }],
  ["an area beyond the BAR", { bars: [{ size: 4096, memory: { areas: [{ offset: 4096, length: 4096 }] } }] }],
  ["three vectors of MSI", { interrupts: { msi: 3 } }],
  ["4096 vectors of MSI-X", { interrupts: { msix: 4096 } }],
  ["an MSI-X table beyond its BAR", { bars: [{ size: 16 }], interrupts: { msix: { vectors: 2, bar: 0 } } }],
  [
    "an MSI-X table that the client maps",
    { bars: [{ size: 4096, memory: true }], interrupts: { msix: { vectors: 1, bar: 0 } } },
  ],
  ["more capabilities than there is room for", { capabilities: [vendorSpecific(new Uint8Array(200))] }],
])("%s is refused", (_, options) => {
  expect(() => device(options)).toThrow(RangeError);
});

describe("a BAR", () => {
  test("cuts accesses into those that a register can have", async () => {
    const seen: string[] = [];
    const bar = new DeviceBar(
      0,
      {
        size: 64,
        read: (offset, width) => {
          seen.push(`r${offset}/${width}`);
          return offset;
        },
        write: (offset, value, width) => {
          seen.push(`w${offset}/${width}=${value.toString(16)}`);
        },
      },
      "test",
    );
    const into = new Uint8Array(11);
    await bar.read(1, into);
    expect(seen.splice(0)).toEqual(["r1/1", "r2/2", "r4/4", "r8/4"]);
    expect([...into]).toEqual([1, 2, 0, 4, 0, 0, 0, 8, 0, 0, 0]);
    await bar.write(6, Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
    expect(seen).toEqual(["w6/2=201", "w8/4=6050403", "w12/1=7"]);
  });

  test("has handlers for 8 bytes, if it has them, and they may take their time", async () => {
    const seen: string[] = [];
    const bar = new DeviceBar(
      0,
      {
        size: 64,
        read: async (offset) => offset,
        read64: async (offset) => BigInt(offset) << 40n,
        write64: async (offset, value) => {
          seen.push(`${offset}=${value}`);
        },
      },
      "test",
    );
    const into = new Uint8Array(12);
    await bar.read(8, into);
    const view = new DataView(into.buffer);
    expect([view.getBigUint64(0, true), view.getUint32(8, true)]).toEqual([8n << 40n, 16]);
    await bar.write(8, new Uint8Array(16));
    expect(seen).toEqual(["8=0", "16=0"]);
  });

  test("without handlers reads as 0", async () => {
    const bar = new DeviceBar(0, { size: 16 }, "test");
    const into = new Uint8Array(8).fill(1);
    await bar.read(0, into);
    expect([...into]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("of memory has bytes, and handlers beside its areas", async () => {
    const written: number[] = [];
    using one = device({
      bars: [
        {
          size: 16384,
          memory: { areas: [{ offset: 4096, length: 4096 }] },
          read: () => 7,
          write: (offset) => {
            written.push(offset);
          },
        },
      ],
    });
    const bar = one.bar(0);
    await bar.write(4096, Uint8Array.of(1, 2, 3));
    expect([...bar.bytes.subarray(4096, 4099)]).toEqual([1, 2, 3]);
    // Across the border: bytes before it, a register behind.
    await bar.write(8190, Uint8Array.of(9, 9, 9, 9));
    expect([...bar.bytes.subarray(8190, 8192)]).toEqual([9, 9]);
    expect(written).toEqual([8192]);
    const into = new Uint8Array(4);
    await bar.read(0, into);
    expect([...into]).toEqual([7, 0, 0, 0]);
    expect(() => one.bar(1)).toThrow(RangeError);
  });

  test("gives its memory back", () => {
    const one = device({ bars: [{ size: 4096, memory: true }] });
    const { bytes } = one.bar(0);
    one.close();
    one.close();
    expect(bytes.length).toBe(0);
  });
});

describe("the MSI-X table", () => {
  test("has a BAR of its own if none is named, and shows what is pending", async () => {
    using one = device({ interrupts: { msix: 70 } });
    const bar = one.bar(5);
    expect(bar.size).toBe(4096);
    const entry = new Uint8Array(16);
    await bar.read(16, entry);
    expect(entry[12]).toBe(1);
    // As for a client.
    one.msix.connect();
    expect(one.msix.trigger(65)).toBe(false);
    const pending = new Uint8Array(16);
    await bar.read(70 * 16, pending);
    expect(pending[8]).toBe(2);
    expect(() => one.msix.trigger(70)).toThrow(RangeError);
  });
});

test("the log of written pages against a model", () => {
  forSeeds(40, (prng) => {
    const log = new DirtyLog();
    const model = new Set<bigint>();
    const base = prng.pick([0n, 0x7fff_f000n, 0xffff_ffff_0000_0000n]);
    for (let i = 0; i < 50; i++) {
      const start = base + prng.bigBelow(1n << 20n);
      const length = prng.below(20_000);
      log.mark(start, length);
      if (length > 0) {
        for (let page = start >> 12n; page <= (start + BigInt(length) - 1n) >> 12n; page++) model.add(page);
      }
      if (!prng.oneIn(4)) continue;
      const pageSize = 1n << BigInt(prng.between(9, 16));
      const iova = base + (prng.bigBelow(1n << 20n) / pageSize) * pageSize;
      const aligned = (iova / pageSize) * pageSize;
      const size = 1n + prng.bigBelow(1n << 20n);
      const bitmap = new Uint8Array(8 * Number((size / pageSize + 64n) / 64n + 1n));
      log.take(aligned, size, pageSize, bitmap);
      const expected = new Uint8Array(bitmap.length);
      const taken = new Set<bigint>();
      for (const page of model) {
        for (let address = page << 12n; address < (page + 1n) << 12n; address += 512n) {
          if (address + 512n <= aligned || address >= aligned + size) continue;
          const from = address < aligned ? aligned : address;
          const bit = Number((from - aligned) / pageSize);
          expected[bit >> 3] = (expected[bit >> 3] ?? 0) | (1 << (bit & 7));
          taken.add(page);
        }
      }
      for (const page of taken) model.delete(page);
      expect(Buffer.compare(bitmap, expected)).toBe(0);
    }
  });
});

describe("migration", () => {
  const present = new AbortController().signal;

  test("goes by the shortest way, never through a state of saving", () => {
    expect(migrationPath("running", "stopCopy", true)).toEqual(["stop", "stopCopy"]);
    expect(migrationPath("preCopy", "stopCopy", true)).toEqual(["stopCopy"]);
    expect(migrationPath("running", "resuming", true)).toEqual(["stop", "resuming"]);
    expect(migrationPath("resuming", "running", true)).toEqual(["stop", "running"]);
    expect(migrationPath("stopCopy", "preCopy", true)).toBeUndefined();
    expect(migrationPath("stop", "preCopy", true)).toEqual(["running", "preCopy"]);
    expect(migrationPath("running", "preCopy", false)).toBeUndefined();
    expect(migrationPath("running", "error", true)).toBeUndefined();
    expect(migrationPath("error", "running", true)).toBeUndefined();
    expect(migrationPath("stop", "stop", true)).toEqual([]);
  });

  test("carries what is saved, ahead and at the end", async () => {
    const calls: string[] = [];
    const source = new MigrationMachine({
      stop: () => void calls.push("stop"),
      run: () => void calls.push("run"),
      saveRunning: () => Uint8Array.of(1, 2, 3),
      save: async () => Uint8Array.of(4, 5),
      load: () => {},
    });
    let loaded: Uint8Array | undefined;
    const target = new MigrationMachine({
      save: () => new Uint8Array(0),
      load: (state) => {
        loaded = state;
      },
    });
    await target.change(MigrationState.resuming, present);
    await source.change(MigrationState.preCopy, present);
    target.write(source.read(2));
    await source.change(MigrationState.stopCopy, present);
    for (let part = source.read(2); part.length > 0; part = source.read(2)) target.write(part);
    await target.change(MigrationState.running, present);
    expect(loaded).toEqual(Uint8Array.of(1, 2, 3, 4, 5));
    expect(calls).toEqual(["stop"]);
    await source.reset();
    expect(calls).toEqual(["stop", "run"]);
  });

  test("a state that cannot be loaded ends in an error, and a reset leads out", async () => {
    const machine = new MigrationMachine({
      save: () => new Uint8Array(0),
      load: () => {
        throw new Error("garbage");
      },
      maxSize: 10,
    });
    await machine.change(MigrationState.resuming, present);
    expect(() => machine.read(1)).toThrow(/nothing is saved/);
    machine.write(new Uint8Array(10));
    expect(() => machine.write(new Uint8Array(1))).toThrow(expect.objectContaining({ code: "EFBIG" }));
    await expect(machine.change(MigrationState.stop, present)).rejects.toThrow("garbage");
    expect(machine.state).toBe("error");
    await expect(machine.change(MigrationState.running, present)).rejects.toThrow(/no way/);
    await machine.reset();
    expect(machine.state).toBe("running");
    expect(() => machine.write(new Uint8Array(1))).toThrow(/nothing is loaded/);
  });
});
