import { describe, expect, it } from "vitest";
import { hugeAlignment, largestPage } from "../../../lib/device/region-map.js";
import { checkRegister, RegisterProgram } from "../../../lib/device/registers.js";

describe("a program of register accesses", () => {
  it("packs its accesses as the addon reads them", () => {
    const program = new RegisterProgram();
    program.write8(1, 0xff).write64(0x10, 0x1_0000_0002n);
    program.read16(2);
    expect([...program.words]).toEqual([0x101, 1, 0xff, 0, 0x108, 0x10, 2, 1, 2, 2, 0, 0]);
    expect(program.length).toBe(3);
    expect(program.writes).toBe(true);
    expect(program.step(1)).toEqual({ width: 8, write: true, offset: 0x10, value: 0x1_0000_0002n });
  });

  it("hands out what was read, each time anew", () => {
    const program = new RegisterProgram();
    const narrow = program.read8(0);
    const wide = program.read64(8);
    expect(program.writes).toBe(false);
    program.answer(0, 0xabn);
    program.answer(1, 0xffff_ffff_ffff_fffen);
    expect([narrow.value, wide.value]).toEqual([0xab, 0xffff_ffff_ffff_fffen]);
    program.answer(0, 1n);
    expect(narrow.value).toBe(1);
  });

  it("grows, and the reads made before stay good", () => {
    const program = new RegisterProgram();
    const first = program.read32(0);
    for (let i = 0; i < 100; i++) program.write32(4 * i, i);
    expect(program.length).toBe(101);
    program.answer(0, 7n);
    expect(first.value).toBe(7);
    expect(program.step(100)).toMatchObject({ offset: 396, value: 99n });
  });

  it("refuses a value or an offset that does not fit", () => {
    const program = new RegisterProgram();
    const outOfRange = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
    expect(() => program.write8(0, 256)).toThrow(outOfRange);
    expect(() => program.write16(0, -1)).toThrow(outOfRange);
    expect(() => program.write32(0, 1.5)).toThrow(outOfRange);
    expect(() => program.write64(0, 1n << 64n)).toThrow(outOfRange);
    expect(() => program.read32(2 ** 32)).toThrow(outOfRange);
    expect(() => program.read32(2)).toThrow(outOfRange);
    expect(program.length).toBe(0);
  });
});

describe("the place of a register", () => {
  it("is aligned and inside", () => {
    expect(() => checkRegister("bar0", 16, 12, 4)).not.toThrow();
    for (const offset of [2, 16, -4, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => checkRegister("bar0", 16, offset, 4)).toThrow(/4 bytes in bar0/);
    }
  });
});

describe("the place of a mapping", () => {
  it("lets the kernel use the largest pages that fit", () => {
    const KiB = 1024;
    const MiB = KiB * KiB;
    expect(hugeAlignment(4 * KiB)).toBe(4 * KiB);
    expect(hugeAlignment(3 * MiB)).toBe(2 * MiB);
    expect(hugeAlignment(256 * 1024 * MiB)).toBe(1024 * MiB);
    expect(largestPage(0, MiB, 4096)).toBe(4096);
    expect(largestPage(0, 256 * MiB, 4096)).toBe(2 * MiB);
    expect(largestPage(4096, 256 * MiB, 4096)).toBe(4096);
    expect(largestPage(2048 * MiB, 1024 * MiB, 4096)).toBe(1024 * MiB);
  });
});
