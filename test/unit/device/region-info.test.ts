import { describe, expect, it } from "vitest";
import { isBar, parseRegionInfo, regionIndex, regionName } from "../../../lib/device/region-info.js";

const READ = 1;
const WRITE = 2;
const MMAP = 4;
const CAPS = 8;
const INFO = 32;

interface Cap {
  readonly id: number;
  readonly body: Uint8Array;
}

/** The answer that a kernel would give: the fixed part, then the chain. */
function answer(flags: number, size: bigint, caps: readonly Cap[] = []) {
  const length = INFO + caps.reduce((sum, { body }) => sum + 8 + body.length, 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = INFO;
  for (const [i, { id, body }] of caps.entries()) {
    const next = at + 8 + body.length;
    view.setUint16(at, id, true);
    view.setUint16(at + 2, 1, true);
    view.setUint32(at + 4, i === caps.length - 1 ? 0 : next, true);
    bytes.set(body, at + 8);
    at = next;
  }
  const capOffset = caps.length > 0 ? INFO : 0;
  const all = caps.length > 0 ? flags | CAPS : flags;
  return { argsz: length, flags: all, bytes, size, offset: 3n << 40n, capOffset };
}

function sparse(areas: readonly (readonly [offset: bigint, size: bigint])[], count = areas.length): Cap {
  const body = new Uint8Array(8 + 16 * areas.length);
  const view = new DataView(body.buffer);
  view.setUint32(0, count, true);
  for (const [i, [offset, size]] of areas.entries()) {
    view.setBigUint64(8 + 16 * i, offset, true);
    view.setBigUint64(16 + 16 * i, size, true);
  }
  return { id: 1, body };
}

const object = "bar0 of 0000:01:00.0";

describe("what the kernel says of a region", () => {
  it("is mappable as a whole if it says no more", () => {
    const info = parseRegionInfo(3, answer(READ | WRITE | MMAP, 0x4000n), object);
    expect(info).toMatchObject({
      index: 3,
      size: 0x4000,
      fileOffset: 3n << 40n,
      readable: true,
      writable: true,
      mappableAreas: [{ offset: 0, length: 0x4000 }],
      msixMappable: false,
      type: undefined,
    });
  });

  it("is not mappable without the flag, whatever areas there are", () => {
    const info = parseRegionInfo(0, answer(READ, 0x4000n, [sparse([[0n, 0x1000n]])]), object);
    expect(info.mappableAreas).toEqual([]);
    expect(info.writable).toBe(false);
  });

  it("is mappable in the areas of a sparse region, in order, without the empty ones", () => {
    const areas = sparse([
      [0x3000n, 0x1000n],
      [0x2000n, 0n],
      [0n, 0x1000n],
    ]);
    const info = parseRegionInfo(0, answer(READ | MMAP, 0x4000n, [areas]), object);
    expect(info.mappableAreas).toEqual([
      { offset: 0, length: 0x1000 },
      { offset: 0x3000, length: 0x1000 },
    ]);
  });

  it("has a type, and may hold the MSI-X table", () => {
    const type = new Uint8Array(8);
    new DataView(type.buffer).setUint32(0, 1, true);
    new DataView(type.buffer).setUint32(4, 7, true);
    const caps = [
      { id: 3, body: new Uint8Array() },
      { id: 99, body: new Uint8Array(16) },
      { id: 2, body: type },
    ];
    const info = parseRegionInfo(9, answer(READ | MMAP, 0x1000n, caps), object);
    expect(info).toMatchObject({ type: { type: 1, subtype: 7 }, msixMappable: true });
  });

  it("is refused if its areas do not fit into their capability", () => {
    const lying = answer(READ | MMAP, 0x4000n, [sparse([[0n, 0x1000n]], 0x1000_0000)]);
    expect(() => parseRegionInfo(0, lying, object)).toThrow(/bar0 of 0000:01:00.0.*do not fit/);
  });

  it("is refused if an area ends behind the region", () => {
    const lying = answer(READ | MMAP, 0x4000n, [sparse([[0x3000n, 0x2000n]])]);
    expect(() => parseRegionInfo(0, lying, object)).toThrow(expect.objectContaining({ code: "EPROTO" }));
  });

  it("is refused if it is larger than JavaScript can count", () => {
    expect(() => parseRegionInfo(0, answer(READ, 1n << 60n), object)).toThrow(/0x1000000000000000/);
  });

  it("is refused if its capabilities lead back", () => {
    const cyclic = answer(READ | MMAP, 0x4000n, [
      { id: 3, body: new Uint8Array() },
      { id: 3, body: new Uint8Array() },
    ]);
    new DataView(cyclic.bytes.buffer).setUint32(INFO + 8 + 4, INFO, true);
    expect(() => parseRegionInfo(0, cyclic, object)).toThrow(expect.objectContaining({ code: "EPROTO" }));
  });
});

describe("names of regions", () => {
  it("belong to the indexes of PCI", () => {
    const names = ["bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga"] as const;
    for (const [index, name] of names.entries()) {
      expect(regionName(index, true)).toBe(name);
      expect(regionIndex(name)).toBe(index);
    }
    expect(regionName(9, true)).toBe("region 9");
    expect(regionName(0, false)).toBe("region 0");
    expect([0, 5, 6].map(isBar)).toEqual([true, true, false]);
  });
});
