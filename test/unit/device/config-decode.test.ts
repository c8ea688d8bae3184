import { expect, test } from "vitest";
import { decodeCapability } from "../../../lib/device/config-decode.js";
import {
  type ConfigReader,
  walkPciCapabilities,
  walkPciExtendedCapabilities,
} from "../../../lib/device/pci-capabilities.js";

/** Config space with these 32-bit words in it. */
function config(size: number, words: Readonly<Record<number, number>>): ConfigReader {
  const view = new DataView(new ArrayBuffer(size));
  for (const [offset, word] of Object.entries(words)) view.setUint32(Number(offset), word, true);
  return {
    label: "config",
    size,
    read8: (offset) => view.getUint8(offset),
    read16: (offset) => view.getUint16(offset, true),
    read32: (offset) => view.getUint32(offset, true),
  };
}

const decoded = (reader: ConfigReader) =>
  [...walkPciCapabilities(reader), ...walkPciExtendedCapabilities(reader)].map((each) => [
    each.name,
    decodeCapability(reader, each),
  ]);

test("power, MSI, MSI-X and Express, as linux/pci_regs.h lays them out", () => {
  const reader = config(256, {
    4: 0x0010_0000,
    52: 0x40,
    64: 0x0003_5001,
    68: 0x0000_000b,
    80: 0x0187_7005,
    112: 0x8009_a011,
    116: 0x0000_2003,
    120: 0x0000_3003,
    160: 0x0002_0010,
    164: 0x1000_0001,
    172: 0x0000_0083,
    176: 0x1042_0000,
  });
  expect(decoded(reader)).toEqual([
    ["pm", { state: "D3", keepsState: true }],
    ["msi", { vectors: 8, enabled: true, wide: true, maskable: true }],
    ["msix", { vectors: 10, enabled: true, table: "bar3+0x2000", pending: "bar3+0x3000" }],
    ["express", { type: "endpoint", functionReset: true, maxPayload: 256, link: "x4 5 GT/s", linkMost: "x8 8 GT/s" }],
  ]);
});

test("a capability at the very end of config space is not read beyond it", () => {
  expect(decoded(config(256, { 4: 0x0010_0000, 52: 0xf8, 248: 0x0009_0011 }))).toEqual([["msix", {}]]);
});

test("SR-IOV, and one that nobody knows", () => {
  const reader = config(4096, { 256: 0x1401_0010, 268: 0x0007_0007, 272: 0x2, 320: 0x0001_7777 });
  expect(decoded(reader)).toEqual([
    ["sriov", { totalVfs: 7, numVfs: 2 }],
    ["capability 0x7777", {}],
  ]);
});
