import { describe, expect, it } from "vitest";
import { parseType1Info } from "../../../lib/container/type1-info.js";

/** A `VFIO_IOMMU_GET_INFO` answer with capabilities: [id, payload behind the 8-byte header]. */
function answer(...capabilities: [id: number, payload: Uint8Array][]) {
  const bytes = new Uint8Array(24 + capabilities.reduce((sum, [, payload]) => sum + 8 + payload.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 24;
  for (const [index, [id, payload]] of capabilities.entries()) {
    view.setUint16(at, id, true);
    view.setUint16(at + 2, 1, true);
    view.setUint32(at + 4, index === capabilities.length - 1 ? 0 : at + 8 + payload.length, true);
    bytes.set(payload, at + 8);
    at += 8 + payload.length;
  }
  return {
    argsz: bytes.length,
    flags: capabilities.length > 0 ? 3 : 1,
    bytes,
    iovaPgsizes: 0x1000n,
    capOffset: capabilities.length > 0 ? 24 : 0,
  };
}

const words = (...values: bigint[]) => new Uint8Array(BigUint64Array.from(values).buffer);

describe("VFIO_IOMMU_GET_INFO", () => {
  it("without capabilities: everything is usable, and the old limit holds", () => {
    const info = parseType1Info(answer());
    expect(info.ranges).toEqual([{ start: 0n, last: (1n << 64n) - 1n }]);
    expect(info.entriesLeft).toBe(65535);
  });

  it("ranges and entries", () => {
    const info = parseType1Info(answer([1, words(2n, 0n, 0xfedf_ffffn, 0xfef0_0000n, 0xffffn << 32n)], [3, words(7n)]));
    expect(info.ranges).toEqual([
      { start: 0n, last: 0xfedf_ffffn },
      { start: 0xfef0_0000n, last: 0xffffn << 32n },
    ]);
    expect(info.entriesLeft).toBe(7);
  });

  it("iommufd's emulation has no limit", () => {
    expect(parseType1Info(answer([3, words(0xffff_ffffn)])).entriesLeft).toBe(Number.POSITIVE_INFINITY);
  });

  it("a capability that is too short for what it says", () => {
    expect(parseType1Info(answer([1, words(1000n, 1n, 2n)])).ranges).toEqual([{ start: 1n, last: 2n }]);
    expect(parseType1Info(answer([1, new Uint8Array(0)])).ranges).toEqual([]);
    expect(parseType1Info(answer([3, new Uint8Array(0)])).entriesLeft).toBe(65535);
  });
});
