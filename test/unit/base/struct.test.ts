import { describe, expect, expectTypeOf, test } from "vitest";
import {
  array,
  bytes,
  i32,
  padding,
  type Short,
  struct,
  u8,
  u16,
  u32,
  u64,
  type ValueOf,
} from "../../../lib/base/struct.js";

const DmaMap = struct({ argsz: u32, flags: u32, iova: u64 });
const refuse = ({ length, size, field }: Short) => new RangeError(`${field}: ${length} of ${size}`);

describe("a layout", () => {
  test("has the type, the size and the offsets of its fields", () => {
    expectTypeOf<ValueOf<typeof DmaMap>>().toEqualTypeOf<{
      readonly argsz: number;
      readonly flags: number;
      readonly iova: bigint;
    }>();
    expect(DmaMap.size).toBe(16);
    expect(DmaMap.align).toBe(8);
    expect(DmaMap.offsets).toEqual({ argsz: 0, flags: 4, iova: 8 });
  });

  test("writes little endian, and reads what it wrote", () => {
    const value = { argsz: 16, flags: 0x80000001, iova: 0xfedc_ba98_7654_3210n };
    const encoded = DmaMap.encode(value);
    expect(Buffer.from(encoded).toString("hex")).toBe("10000000010000801032547698badcfe");
    expect(DmaMap.decode(encoded, refuse)).toEqual(value);
  });

  test("has integers of each size", () => {
    const All = struct({ a: u8, b: u8, c: u16, d: i32, e: u64 });
    const value = { a: 255, b: 1, c: 65535, d: -1, e: 2n ** 64n - 1n };
    expect(All.decode(All.encode(value), refuse)).toEqual(value);
  });

  test("reads and writes at an offset, and in the middle of a buffer", () => {
    const buffer = new Uint8Array(40).subarray(8);
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    DmaMap.write(view, 16, { argsz: 1, flags: 2, iova: 3n });
    expect(DmaMap.read(view, 16)).toEqual({ argsz: 1, flags: 2, iova: 3n });
    expect(view.getUint32(16 + DmaMap.offsets.flags, true)).toBe(2);
    expect(DmaMap.decode(buffer.subarray(16), refuse).iova).toBe(3n);
  });

  test("writes some fields and leaves the others", () => {
    const view = new DataView(DmaMap.encode({ argsz: 16, flags: 7, iova: 9n }).buffer);
    DmaMap.writeSome(view, 0, { flags: 0 });
    expect(DmaMap.read(view, 0)).toEqual({ argsz: 16, flags: 0, iova: 9n });
  });

  test("skips padding, which has no value", () => {
    const Padded = struct({ kind: u32, pad: padding(4), at: u64 });
    expectTypeOf<ValueOf<typeof Padded>>().toEqualTypeOf<{ readonly kind: number; readonly at: bigint }>();
    expect(Padded.size).toBe(16);
    expect(Padded.offsets).toEqual({ kind: 0, at: 8 });
    expect(Padded.decode(Padded.encode({ kind: 1, at: 2n }), refuse)).toEqual({ kind: 1, at: 2n });
  });

  test("nests, with arrays and bytes", () => {
    const Outer = struct({ maps: array(DmaMap, 2), name: bytes(3), end: padding(5) });
    const maps = [
      { argsz: 1, flags: 2, iova: 3n },
      { argsz: 4, flags: 5, iova: 6n },
    ];
    const encoded = Outer.encode({ maps, name: Uint8Array.of(7, 8, 9) });
    expect(Outer.size).toBe(40);
    const decoded = Outer.decode(encoded, refuse);
    expect(decoded).toEqual({ maps, name: Uint8Array.of(7, 8, 9) });
    // The bytes are a view, and no copy.
    encoded[Outer.offsets.name] = 1;
    expect(decoded.name[0]).toBe(1);
  });
});

describe("what is wrong", () => {
  test("short input is the caller's error, which gets the field that is cut", () => {
    expect(() => DmaMap.decode(new Uint8Array(7), refuse)).toThrow(new RangeError("flags: 7 of 16"));
    expect(() => DmaMap.viewOf(new Uint8Array(15), refuse)).toThrow(new RangeError("iova: 15 of 16"));
    expect(DmaMap.viewOf(new Uint8Array(17), refuse).byteLength).toBe(17);
  });

  test("a field that is not aligned, and an end that is not, need padding", () => {
    expect(() => struct({ a: u32, b: u64 })).toThrow("the field b is at offset 4: padding(4) must stand before it");
    expect(() => struct({ a: u64, b: u32 })).toThrow("the struct has 12 bytes: padding(4) must stand at its end");
  });

  test("bytes and arrays take exactly as much as they have", () => {
    const view = new DataView(new ArrayBuffer(16));
    expect(() => bytes(2).write(view, 0, new Uint8Array(3))).toThrow("3 bytes for a field of 2");
    expect(() => array(u32, 2).write(view, 0, [1])).toThrow("1 values for an array of 2");
  });
});
