import { describe, expect, test } from "vitest";
import { formatPciAddress, parsePciAddress, pciAddress } from "../../../lib/pci/index.js";

describe("PCI addresses", () => {
  test.each([
    ["0000:01:00.0", "0000:01:00.0", { domain: 0, bus: 1, device: 0, function: 0 }],
    ["01:00.0", "0000:01:00.0", { domain: 0, bus: 1, device: 0, function: 0 }],
    ["0:3F.0", undefined, undefined],
    ["AB:1f.7", "0000:ab:1f.7", { domain: 0, bus: 0xab, device: 0x1f, function: 7 }],
    [" 0000:01:00.0\n", "0000:01:00.0", { domain: 0, bus: 1, device: 0, function: 0 }],
    ["10000:e1:00.0", "10000:e1:00.0", { domain: 0x10000, bus: 0xe1, device: 0, function: 0 }],
    ["1:2:3.4", "0001:02:03.4", { domain: 1, bus: 2, device: 3, function: 4 }],
  ])("%j", (text, canonical, parts) => {
    if (parts === undefined) {
      expect(() => parsePciAddress(text)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }));
      return;
    }
    expect(pciAddress(text)).toBe(canonical);
    expect(parsePciAddress(text)).toEqual(parts);
    expect(formatPciAddress(parts)).toBe(canonical);
  });

  test.each([
    "",
    "0000:01:00",
    "01:00.8",
    "01:20.0",
    "0000-01-00.0",
    "/sys/x",
    "0000:01:00.0/..",
    "100000000:00:00.0",
    "eth0",
  ])("%j is refused, with the right form in the message", (text) => {
    expect(() => pciAddress(text)).toThrow(
      expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_VALUE" }),
    );
    expect(() => pciAddress(text)).toThrow(/0000:01:00\.0 or 01:00\.0/);
  });

  test("what is not a string is a TypeError", () => {
    const call: (address: never) => unknown = pciAddress;
    expect(() => Reflect.apply(call, undefined, [5])).toThrow(
      expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }),
    );
  });

  test.each([
    { domain: 0, bus: 256, device: 0, function: 0 },
    { domain: 0, bus: 0, device: 32, function: 0 },
    { domain: 0, bus: 0, device: 0, function: 8 },
    { domain: -1, bus: 0, device: 0, function: 0 },
    { domain: 0, bus: 0.5, device: 0, function: 0 },
  ])("%j cannot be formatted", (parts) => {
    expect(() => formatPciAddress(parts)).toThrow(RangeError);
  });
});
