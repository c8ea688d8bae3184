import { describe, expect, it } from "vitest";
import {
  type ConfigReader,
  walkPciCapabilities,
  walkPciExtendedCapabilities,
} from "../../../lib/device/pci-capabilities.js";

/** Config space made of bytes. */
function config(size = 4096, fill = 0) {
  const bytes = new Uint8Array(size).fill(fill);
  const view = new DataView(bytes.buffer);
  const reader: ConfigReader = {
    label: "config of 0000:01:00.0",
    size,
    read8: (offset) => view.getUint8(offset),
    read16: (offset) => view.getUint16(offset, true),
    read32: (offset) => view.getUint32(offset, true),
  };
  const list = (pointer: number, entries: readonly (readonly [at: number, id: number, next: number])[]) => {
    view.setUint16(0x06, 0x10, true);
    view.setUint8(pointer, entries[0]?.[0] ?? 0);
    for (const [at, id, next] of entries) {
      view.setUint8(at, id);
      view.setUint8(at + 1, next);
    }
  };
  const extended = (at: number, id: number, version: number, next: number) =>
    view.setUint32(at, ((next << 20) | (version << 16) | id) >>> 0, true);
  return { reader, view, list, extended };
}

describe("the conventional list", () => {
  it("is walked from the pointer to the end", () => {
    const { reader, list } = config();
    list(0x34, [
      [0x40, 0x01, 0x50],
      [0x50, 0x05, 0xa0],
      [0xa0, 0x11, 0],
    ]);
    expect([...walkPciCapabilities(reader)].map(({ name, offset }) => [name, offset])).toEqual([
      ["pm", 0x40],
      ["msi", 0x50],
      ["msix", 0xa0],
    ]);
  });

  it("does not exist without the status bit, or in a space that ends before it", () => {
    const { reader, list, view } = config();
    list(0x34, [[0x40, 0x01, 0]]);
    view.setUint16(0x06, 0, true);
    expect([...walkPciCapabilities(reader)]).toEqual([]);
    expect([...walkPciCapabilities(config(0x20, 0xff).reader)]).toEqual([]);
  });

  it("begins elsewhere for a CardBus bridge", () => {
    const { reader, list, view } = config(256);
    view.setUint8(0x0e, 0x82);
    list(0x14, [[0x80, 0x01, 0]]);
    expect([...walkPciCapabilities(reader)]).toHaveLength(1);
  });

  it("ignores the reserved bits of a pointer, and names what it does not know", () => {
    const { reader, list } = config();
    list(0x34, [
      [0x40, 0x77, 0x53],
      [0x50, 0x10, 0x03],
    ]);
    expect([...walkPciCapabilities(reader)].map(({ name, offset }) => [name, offset])).toEqual([
      ["capability 0x77", 0x40],
      ["express", 0x50],
    ]);
  });

  it("is an error where it leads back, after what came before", () => {
    const { reader, list } = config();
    list(0x34, [
      [0x40, 0x01, 0x50],
      [0x50, 0x05, 0x40],
    ]);
    const walk = walkPciCapabilities(reader);
    expect(walk.next().value).toMatchObject({ name: "pm" });
    expect(walk.next().value).toMatchObject({ name: "msi" });
    expect(() => walk.next()).toThrow(/ELOOP.*config of 0000:01:00.0.*0x40/);
  });

  it("is an error where it leads to itself", () => {
    const { reader, list } = config();
    list(0x34, [[0x40, 0x01, 0x40]]);
    expect(() => [...walkPciCapabilities(reader)]).toThrow(expect.objectContaining({ code: "ELOOP" }));
  });

  it("ends at a pointer into the header, and in the void of a device that is gone", () => {
    const { reader, list } = config();
    list(0x34, [[0x40, 0x01, 0x10]]);
    expect([...walkPciCapabilities(reader)]).toHaveLength(1);
    expect([...walkPciCapabilities(config(4096, 0xff).reader)]).toEqual([]);
  });

  it("ends where the space does", () => {
    const { reader, list } = config(255);
    list(0x34, [[0xf8, 0x01, 0xfc]]);
    expect([...walkPciCapabilities(reader)].map(({ offset }) => offset)).toEqual([0xf8, 0xfc]);
    const { reader: short, list: write } = config(0xfd);
    write(0x34, [[0x40, 0x01, 0xfc]]);
    expect([...walkPciCapabilities(short)].map(({ offset }) => offset)).toEqual([0x40]);
  });
});

describe("the extended list", () => {
  it("is walked with versions", () => {
    const { reader, extended } = config();
    extended(0x100, 0x01, 2, 0x140);
    extended(0x140, 0x10, 1, 0);
    expect([...walkPciExtendedCapabilities(reader)]).toEqual([
      { id: 1, name: "aer", offset: 0x100, extended: true, version: 2 },
      { id: 0x10, name: "sriov", offset: 0x140, extended: true, version: 1 },
    ]);
  });

  it("goes on behind a hidden head", () => {
    const { reader, extended } = config();
    extended(0x100, 0, 0, 0x140);
    extended(0x140, 0x0e, 1, 0);
    expect([...walkPciExtendedCapabilities(reader)].map(({ name }) => name)).toEqual(["ari"]);
  });

  it("is empty in conventional PCI, with zeros, and in the void", () => {
    expect([...walkPciExtendedCapabilities(config(256).reader)]).toEqual([]);
    expect([...walkPciExtendedCapabilities(config(4096).reader)]).toEqual([]);
    expect([...walkPciExtendedCapabilities(config(4096, 0xff).reader)]).toEqual([]);
  });

  it("is an error where it leads back", () => {
    const { reader, extended } = config();
    extended(0x100, 0x01, 1, 0x140);
    extended(0x140, 0x0e, 1, 0x100);
    expect(() => [...walkPciExtendedCapabilities(reader)]).toThrow(expect.objectContaining({ code: "ELOOP" }));
  });

  it("ends at a pointer into the conventional part, and where the space ends", () => {
    const { reader, extended } = config();
    extended(0x100, 0x01, 1, 0x40);
    expect([...walkPciExtendedCapabilities(reader)]).toHaveLength(1);
    extended(0x100, 0x01, 1, 0xffc);
    extended(0xffc, 0x0e, 1, 0);
    expect([...walkPciExtendedCapabilities(reader)]).toHaveLength(2);
  });

  it("visits each of the possible places once at most", () => {
    const { reader, extended } = config();
    for (let at = 0x100; at < 0x1000; at += 4) extended(at, 0x0b, 1, (at + 4) & 0xfff);
    expect([...walkPciExtendedCapabilities(reader)]).toHaveLength((0x1000 - 0x100) / 4);
  });
});
