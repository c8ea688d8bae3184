import { describe, expect, it } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { walkCapabilities } from "../../../lib/kernel/caps.js";
import { refusal } from "../../helpers/refusal.js";
import { forSeeds } from "../prng.js";

/** Writes headers into an info struct: `[offset, id, version, next]`. */
function struct(size: number, headers: readonly (readonly [number, number, number, number])[]): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [offset, id, version, next] of headers) {
    view.setUint16(offset, id, true);
    view.setUint16(offset + 2, version, true);
    view.setUint32(offset + 4, next, true);
  }
  return bytes;
}

describe("walkCapabilities", () => {
  it("walks a chain as Linux builds it, each capability up to the next one", () => {
    const bytes = struct(72, [
      [24, 1, 1, 40],
      [40, 3, 2, 56],
      [56, 2, 1, 0],
    ]);
    expect([...walkCapabilities(bytes, 24)]).toEqual([
      { id: 1, version: 1, offset: 24, bytes: bytes.subarray(24, 40) },
      { id: 3, version: 2, offset: 40, bytes: bytes.subarray(40, 56) },
      { id: 2, version: 1, offset: 56, bytes: bytes.subarray(56, 72) },
    ]);
  });

  it("takes the alignment of kernels before 6.6, where a 20-byte struct was followed at once", () => {
    const bytes = struct(44, [
      [20, 3, 1, 32],
      [32, 1, 1, 0],
    ]);
    expect(Array.from(walkCapabilities(bytes, 20), ({ offset }) => offset)).toEqual([20, 32]);
  });

  it("works on a view into a larger buffer", () => {
    const outer = new Uint8Array(64);
    outer.set(struct(32, [[16, 7, 1, 0]]), 24);
    const [only] = walkCapabilities(outer.subarray(24, 56), 16);
    expect(only).toMatchObject({ id: 7, offset: 16 });
    expect(only?.bytes.byteOffset).toBe(40);
    expect(only?.bytes).toHaveLength(16);
  });

  it("finds nothing where the struct says that there is no chain", () => {
    expect([...walkCapabilities(new Uint8Array(24), 0)]).toEqual([]);
  });

  it.each([
    ["a first offset beyond the struct", struct(32, []), 32, "no header fits at offset 0x20 in 32 bytes"],
    ["a header that is cut off", struct(32, []), 28, "no header fits at offset 0x1c in 32 bytes"],
    ["a first offset inside argsz and flags", struct(32, []), 4, "offset 0x4 is not behind the header at 0x0"],
    ["a misaligned offset", struct(32, []), 18, "offset 0x12 is not a multiple of 4"],
    ["a fraction", struct(32, []), 16.5, "no header fits at offset 0x10.8 in 32 bytes"],
    [
      "a next offset beyond the struct",
      struct(32, [[16, 1, 1, 0xffff_fffc]]),
      16,
      "no header fits at offset 0xfffffffc",
    ],
    ["a capability that follows itself", struct(32, [[16, 1, 1, 16]]), 16, "leads back to offset 0x10: a cycle"],
    [
      "a cycle",
      struct(64, [
        [16, 1, 1, 32],
        [32, 2, 1, 48],
        [48, 3, 1, 32],
      ]),
      16,
      "the one at 0x30 leads back to offset 0x20: a cycle",
    ],
    ["a jump back", struct(64, [[32, 1, 1, 16]]), 32, "offset 0x10 is not behind the header at 0x20"],
    ["two headers that overlap", struct(64, [[32, 1, 1, 36]]), 32, "offset 0x24 is not behind the header at 0x20"],
    [
      "more capabilities than there can be",
      struct(
        8192,
        Array.from({ length: 1000 }, (_, i) => [8 + 8 * i, 1, 1, 16 + 8 * i] as const),
      ),
      8,
      "more than 256 capabilities",
    ],
  ])("refuses %s", (_, bytes, first, why) => {
    const error = refusal(() => {
      for (const _ of walkCapabilities(bytes, first, { request: "VFIO_DEVICE_GET_INFO", object: "0000:01:00.0" }));
    });
    expect(error).toMatchObject({ code: "EPROTO", request: "VFIO_DEVICE_GET_INFO", object: "0000:01:00.0" });
    expect(error.why).toContain(why);
  });

  it("survives random bytes: ends, stays within bounds, and throws nothing but a VfioError", () => {
    forSeeds(10, (prng) => {
      for (let round = 0; round < 500; round++) {
        const bytes = new Uint8Array(prng.below(200));
        for (let i = 0; i < bytes.length; i++) bytes[i] = prng.oneIn(2) ? 0 : prng.below(prng.oneIn(3) ? 256 : 200);
        let seen = 0;
        try {
          for (const { offset, bytes: view } of walkCapabilities(bytes, prng.below(bytes.length + 8))) {
            expect(view.buffer).toBe(bytes.buffer);
            expect(view.byteOffset).toBe(offset);
            expect(view.length).toBeGreaterThanOrEqual(8);
            expect(offset + view.length).toBeLessThanOrEqual(bytes.length);
            seen += view.length;
          }
        } catch (error) {
          expect(error).toBeInstanceOf(VfioError);
        }
        expect(seen).toBeLessThanOrEqual(bytes.length);
      }
    });
  });
});
