import { existsSync, readFileSync } from "node:fs";
import { type Container, DmaBuffer, type DmaMemory, IommufdContainer, LegacyContainer, openContainer } from "vfio";
import { bindDriver, listPciDevices, readIommuGroup, readPciDevice } from "vfio/pci";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type TestContext } from "vitest";
import { native } from "../../lib/kernel/native.js";
import { dmaMemory } from "../../lib/memory/dma-buffer.js";
import { refusal } from "../helpers/refusal.js";
import { bind, devices, interruptWindow, leaveOut, rigOnly, usableIova } from "./devices.js";
import { NOWHERE, PAGE } from "./memory.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";
import { inRig } from "./selection.js";
import { occupyPool } from "./thread-pool.js";

const address = devices.any;
/** Where nothing but the tests decides what is mapped. */
const IOVA = usableIova(address, 0x4000_0000n);

/** How the emulated VT-d maps an IOVA, from debugfs: the entry of each level, 0n below the leaf. */
function pageTable(address: string, iova: bigint): { pud: bigint; pmd: bigint; pte: bigint } | undefined {
  const path = `/sys/kernel/debug/iommu/intel/${address}/domain_translation_struct`;
  // A host's IOMMU may have other tables, or keep them to itself.
  if (!inRig || !existsSync(path)) return undefined;
  const frame = `0x${(iova >> 12n).toString(16).padStart(13, "0")}`;
  const line = readFileSync(path, "latin1")
    .split("\n")
    .find((each) => each.startsWith(frame));
  // IOVA_PFN | PML5E PML4E PDPE PDE PTE, and nothing below the leaf
  const [, , pud = 0n, pmd = 0n, pte = 0n] = line?.split("|")[1]?.trim().split(/\s+/).map(BigInt) ?? [];
  return { pud, pmd, pte };
}

/** Leaves a test out on a host without free huge pages: how many there are is the host's business. */
function requireHugePage(context: TestContext, size: number): void {
  const kiB = size / 1024;
  const free = readFileSync(`/sys/kernel/mm/hugepages/hugepages-${kiB}kB/free_hugepages`, "latin1");
  if (Number(free) === 0) leaveOut(context, `takes a free huge page of ${kiB} KiB`);
}

/** How many mappings type1 allows: as many as you like where iommufd stands in for it. */
function entryLimit(): number {
  const parameter = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";
  return existsSync(parameter) ? Number(readFileSync(parameter, "latin1")) : Number.POSITIVE_INFINITY;
}

/** Memory of ours that is not there: the address was never mapped. */
function nowhere(length: number): DmaMemory {
  return {
    [dmaMemory]: true,
    kind: "ram",
    label: "nowhere",
    address: NOWHERE,
    length,
    pageSize: PAGE,
    backing: () => undefined,
    blockers: () => [],
    preserve: () => expect.unreachable(),
    disown: () => {},
    hold: () => {},
    release: () => {},
  };
}

/** Unmaps a page as another owner of the descriptors could, behind the library's back. */
function unmapBehind(container: Container, iova: bigint): void {
  if (container instanceof IommufdContainer) container.ioas.unmap(iova, PAGE);
  else if (container instanceof LegacyContainer) native.vfioIommuUnmapDma(container.fd, 0, iova, PAGE);
}

describe.each(modes)("container %s", (mode) => {
  let binding: Disposable;
  let container: Container;
  let before: ReturnType<typeof resources>;

  beforeAll(() => {
    binding = bind(address);
  });

  afterAll(() => {
    binding[Symbol.dispose]();
  });

  beforeEach(() => {
    before = resources();
    container = openContainer({ mode });
    container.attach(address);
  });

  afterEach(() => {
    container.close();
    expect(resources()).toEqual(before);
  });

  describe("maps and unmaps", () => {
    const memories = [
      ["anonymous", { backing: "anonymous" }, PAGE],
      ["memfd", {}, PAGE],
      ["anonymous, 2 MiB pages", { backing: "anonymous", pages: "2M" }, 2 ** 21],
      ["memfd, 2 MiB pages", { pages: "2M" }, 2 ** 21],
      ["memfd, 1 GiB pages", { pages: "1G" }, 2 ** 30],
    ] as const;

    it.for(memories)("%s", ([_name, options, length], context) => {
      if ("pages" in options) requireHugePage(context, length);
      using buffer = DmaBuffer.allocate(length, options);
      const mapping = container.map(buffer);
      expect(mapping.iova % BigInt(length)).toBe(0n);
      expect(container.iovaOf(buffer.address)).toBe(mapping.iova);
      expect(container.addressOf(mapping.iova + 5n)).toBe(buffer.address + 5);
      expect(container.mappingAt(mapping.iova)).toBe(mapping);

      const table = pageTable(address, mapping.iova);
      if (table !== undefined && !mode.endsWith("type1")) {
        if (length === PAGE) expect(table.pte).not.toBe(0n);
        if (length === 2 ** 21) expect([table.pte, table.pmd !== 0n]).toEqual([0n, true]);
        if (length === 2 ** 30) expect([table.pte, table.pmd, table.pud !== 0n]).toEqual([0n, 0n, true]);
      }

      expect(container.unmap(mapping.iova, length)).toEqual({ bytes: BigInt(length), mappings: [mapping] });
      expect(mapping.mapped).toBe(false);
      expect(container.iovaOf(buffer.address)).toBeUndefined();
      expect(container.mappingAt(mapping.iova)).toBeUndefined();
      if (table !== undefined) expect(pageTable(address, mapping.iova)).toEqual({ pud: 0n, pmd: 0n, pte: 0n });
    });

    it("the last page of the last range, and all of it at once", () => {
      using buffer = DmaBuffer.allocate(PAGE);
      const iova = (container.iovaRanges.at(-1)?.last ?? 0n) - BigInt(PAGE) + 1n;
      container.map(buffer, { iova });
      expect(container.unmap(iova, PAGE).bytes).toBe(BigInt(PAGE));
      container.map(buffer, { iova });
      expect(container.unmapAll().bytes).toBe(BigInt(PAGE));
      expect(container.unmapAll()).toEqual({ bytes: 0n, mappings: [] });
    });

    it("read-only, write-only, and a part of a buffer", () => {
      using buffer = DmaBuffer.allocate(4 * PAGE);
      using readOnly = container.map(buffer, { write: false, length: PAGE });
      using writeOnly = container.map(buffer, { read: false, offset: PAGE, length: 2 * PAGE });
      expect([readOnly.read, readOnly.write]).toEqual([true, false]);
      expect([writeOnly.read, writeOnly.write, writeOnly.length]).toEqual([false, true, 2 * PAGE]);
      expect(container.addressOf(writeOnly.at(7))).toBe(buffer.address + PAGE + 7);
    });

    it("below a device's address mask", () => {
      using buffer = DmaBuffer.allocate(PAGE);
      using mapping = container.map(buffer, { mask: 0xfff_ffff });
      expect(mapping.last).toBeLessThanOrEqual(0xfff_ffffn);
      expect(refusal(() => container.map(buffer, { iova: 0x1000_0000, mask: 0xfff_ffff })).code).toBe("EINVAL");
    });

    it("1,000 in one call, and forgets none", () => {
      using buffer = DmaBuffer.allocate(1000 * PAGE);
      const mappings = container.mapMany(
        Array.from({ length: 1000 }, (_, i) => ({ memory: buffer, offset: i * PAGE, length: PAGE })),
      );
      expect(container.mappingCount).toBe(1000);
      expect(new Set(mappings.map(({ iova }) => iova)).size).toBe(1000);
      expect(container.unmapAll().bytes).toBe(BigInt(1000 * PAGE));
    });

    it("on another thread", async () => {
      using buffer = DmaBuffer.allocate(8 << 20);
      const mapping = await container.mapAsync(buffer);
      expect(container.iovaOf(buffer.address)).toBe(mapping.iova);
      await mapping.unmapAsync();
      expect([mapping.mapped, container.mappingCount]).toEqual([false, 0]);
      const table = pageTable(address, mapping.iova);
      if (table !== undefined) expect(table).toEqual({ pud: 0n, pmd: 0n, pte: 0n });
    });
  });

  describe("many at once are all or none", () => {
    it("the kernel refuses one in the middle", () => {
      using buffer = DmaBuffer.allocate(4 * PAGE);
      const requests = [buffer, buffer, nowhere(PAGE), buffer].map((memory, i) => ({
        memory,
        iova: IOVA + BigInt(i * PAGE),
        length: PAGE,
      }));
      const error = refusal(() => container.mapMany(requests));
      expect([error.code, error.args.iova]).toEqual(["EFAULT", IOVA + BigInt(2 * PAGE)]);
      expect(container.mappingCount).toBe(0);
      // The kernel has forgotten them too: the same addresses can be mapped again.
      using again = container.map(buffer, { iova: IOVA });
      expect(again.iova).toBe(IOVA);
    });

    it("the library refuses one before the kernel is asked", () => {
      using buffer = DmaBuffer.allocate(PAGE);
      const error = refusal(() =>
        container.mapMany([
          { memory: buffer, iova: IOVA },
          { memory: buffer, iova: IOVA },
        ]),
      );
      expect(error.code).toBe("EEXIST");
      expect(container.mappingCount).toBe(0);
      using again = container.map(buffer, { iova: IOVA });
      expect(again.mapped).toBe(true);
    });
  });

  describe("one behaviour for what the modes answer differently", () => {
    const iova = IOVA;
    const END = 1n << 64n;

    it.each([
      ["an empty length", { iova, length: 0 }, "EINVAL", "length is 0"],
      ["a range that wraps", { iova: END - BigInt(PAGE), length: 2 * PAGE }, "EOVERFLOW", "64-bit"],
      ["a misaligned IOVA", { iova: iova + 1n }, "EINVAL", "multiple of the page size"],
      ["a misaligned length", { iova, length: 100 }, "EINVAL", "multiple of the page size"],
      ["a misaligned offset", { iova, offset: 8, length: PAGE }, "EINVAL", "multiple of the page size"],
      ["neither read nor write", { iova, read: false, write: false }, "EINVAL", "neither read nor write"],
    ])("map: %s", (_name, options, code, why) => {
      using buffer = DmaBuffer.allocate(4 * PAGE);
      const error = refusal(() => container.map(buffer, options));
      expect(error.code).toBe(code);
      expect(error.message).toContain(why);
      expect(container.mappingCount).toBe(0);
    });

    it("map: a reserved range", (context) => {
      const window = interruptWindow(address);
      if (window === undefined) return leaveOut(context, "takes a range that the IOMMU keeps for interrupts");
      using buffer = DmaBuffer.allocate(PAGE);
      const error = refusal(() => container.map(buffer, { iova: window.start }));
      expect(error.code).toBe("EINVAL");
      expect(error.message).toContain("usable ranges");
      expect(container.mappingCount).toBe(0);
    });

    it("map: beyond the address width", (context) => {
      const last = container.iovaRanges.at(-1)?.last ?? 0n;
      if (last === END - 1n) return leaveOut(context, "takes an IOMMU that translates less than 64 bits");
      using buffer = DmaBuffer.allocate(PAGE);
      const error = refusal(() => container.map(buffer, { iova: last + 1n }));
      expect(error.code).toBe("EINVAL");
      expect(error.message).toContain("usable ranges");
      expect(container.mappingCount).toBe(0);
    });

    it("map: an overlap names the mapping that is there", () => {
      using buffer = DmaBuffer.allocate(4 * PAGE);
      using mapping = container.map(buffer, { iova });
      for (const at of [iova, iova + BigInt(PAGE), iova - BigInt(PAGE)]) {
        const error = refusal(() => container.map(buffer, { iova: at, length: 2 * PAGE }));
        expect(error.code).toBe("EEXIST");
        expect(error.message).toContain(mapping.toString());
      }
    });

    it("map: memory that is not there", () => {
      const error = refusal(() => container.map(nowhere(PAGE), { iova }));
      expect(error.code).toBe("EFAULT");
      expect(container.mappingCount).toBe(0);
    });

    it("unmap: nothing there", () => {
      expect(container.unmap(iova, PAGE)).toEqual({ bytes: 0n, mappings: [] });
    });

    it.each([
      ["starts inside a mapping", iova + BigInt(PAGE), 3 * PAGE],
      ["ends inside a mapping", iova, PAGE],
      ["lies inside a mapping", iova + BigInt(PAGE), PAGE],
      ["covers one and cuts the next", iova, 6 * PAGE],
    ])("unmap: a range that %s removes nothing", (_name, start, length) => {
      using buffer = DmaBuffer.allocate(8 * PAGE);
      using first = container.map(buffer, { iova, length: 4 * PAGE });
      using second = container.map(buffer, { iova: iova + BigInt(4 * PAGE), offset: 4 * PAGE });
      const error = refusal(() => container.unmap(start, length));
      expect(error.code).toBe("EINVAL");
      expect(error.message).toContain("cut the mapping");
      expect([first.mapped, second.mapped, container.mappingCount]).toEqual([true, true, 2]);
      // And the kernel has not removed them either.
      expect(container.unmapAll().bytes).toBe(BigInt(8 * PAGE));
    });

    it("unmap: several whole mappings with holes between", () => {
      using buffer = DmaBuffer.allocate(8 * PAGE);
      for (const i of [0, 2, 5]) container.map(buffer, { iova: iova + BigInt(i * PAGE), length: PAGE });
      const { bytes, mappings } = container.unmap(iova, 8 * PAGE);
      expect([bytes, mappings.length, container.mappingCount]).toEqual([BigInt(3 * PAGE), 3, 0]);
    });

    it.each([
      ["wraps", END - BigInt(PAGE), 2 * PAGE, "EOVERFLOW"],
      ["is empty", iova, 0, "EINVAL"],
      ["is misaligned", iova + 8n, PAGE, "EINVAL"],
    ])("unmap: a range that %s", (_name, start, length, code) => {
      expect(refusal(() => container.unmap(start, length)).code).toBe(code);
    });

    it("before a device is attached, and after the last one left", () => {
      using buffer = DmaBuffer.allocate(PAGE);
      using fresh = openContainer({ mode });
      const error = refusal(() => fresh.map(buffer));
      expect(error.code).toBe("ENODEV");
      expect(error.fix).toContain("attach");
      expect(fresh.unmap(iova, PAGE).bytes).toBe(0n);

      const mapping = container.map(buffer, { iova });
      container.devices.get(address)?.close();
      expect(mapping.mapped).toBe(false);
      expect(refusal(() => container.map(buffer)).code).toBe("ENODEV");
      container.attach(address);
      using again = container.map(buffer, { iova });
      expect(again.mapped).toBe(true);
    });
  });

  /**
   * Closes a container that something was unmapped in behind its back. type1 drops everything with the last device, unasked; iommufd
   * is asked, and its answer does not fit.
   */
  function closeAfterOthers(): void {
    if (mode === "type1" || mode === "type1v2") container.close();
    else expect(refusal(() => container.close()).code).toBe("EIO");
  }

  describe("memory and its mappings", () => {
    it("a mapped buffer refuses to close, and says where it is mapped", () => {
      const buffer = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer);
      const error = refusal(() => buffer.close());
      expect(error.code).toBe("EBUSY");
      expect(error.message).toContain(mapping.toString());
      buffer.bytes[0] = 1;
      mapping.unmap();
      mapping.unmap();
      buffer.close();
      expect(buffer.closed).toBe(true);
    });

    it("a closed buffer cannot be mapped, and nothing stays behind", () => {
      const buffer = DmaBuffer.allocate(PAGE);
      buffer.close();
      expect(() => container.map(buffer)).toThrow(/closed/);
      expect(container.mappingCount).toBe(0);
    });

    it("a mapping that somebody else has unmapped keeps its memory until the container closes", () => {
      const buffer = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer);
      unmapBehind(container, mapping.iova);
      expect(refusal(() => mapping.unmap()).code).toBe("EIO");
      expect(refusal(() => buffer.close()).code).toBe("EBUSY");
      closeAfterOthers();
      expect([mapping.mapped, container.closed]).toEqual([false, true]);
      buffer.close();
    });

    it("closing the container lets its buffers go", () => {
      const buffer = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer);
      container.close();
      expect(mapping.mapped).toBe(false);
      buffer.close();
      expect(() => container.map(buffer)).toThrow(/closed/);
    });

    it("an aborted map is undone", async () => {
      using buffer = DmaBuffer.allocate(8 << 20);
      const stop = new AbortController();
      const mapping = container.mapAsync(buffer, { signal: stop.signal });
      stop.abort(new Error("enough"));
      await expect(mapping).rejects.toThrow("enough");
      expect(container.mappingCount).toBe(0);
      await expect(container.mapAsync(buffer, { signal: stop.signal })).rejects.toThrow("enough");
    });

    it("a map under way is seen by maps and unmaps", async () => {
      using buffer = DmaBuffer.allocate(8 << 20);
      const pending = container.mapAsync(buffer, { iova: IOVA });
      expect(refusal(() => container.map(buffer, { iova: IOVA, length: PAGE })).code).toBe("EEXIST");
      expect(refusal(() => container.unmap(IOVA, PAGE)).code).toBe("EBUSY");
      (await pending).unmap();
    });

    it("a map under way ends with the last device, and the next one waits for it", async () => {
      const buffer = DmaBuffer.allocate(PAGE);
      const pool = occupyPool();
      const pending = container.mapAsync(buffer, { iova: IOVA });
      const failed = expect(pending).rejects.toThrow(/ECANCELED.*last device left/);
      container.devices.get(address)?.close();
      const error = refusal(() => container.attach(address));
      expect([error.code, error.fix]).toEqual(["EBUSY", expect.stringContaining("await")]);
      await pool.end();
      await failed;
      expect([container.mappingCount, container.underWay]).toEqual([0, []]);
      container.attach(address);
      container.map(buffer, { iova: IOVA }).unmap();
      buffer.close();
    });

    it("an unmap under way is seen by maps, unmaps and look-ups", async () => {
      const buffer = DmaBuffer.allocate(8 << 20);
      using beside = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer, { iova: IOVA });
      const pending = mapping.unmapAsync();
      expect([container.mappingAt(IOVA), container.mappingCount]).toEqual([undefined, 0]);
      expect(container.underWay).toEqual([{ device: undefined, what: expect.stringContaining("is unmapping") }]);
      expect(refusal(() => container.map(beside, { iova: IOVA })).code).toBe("EEXIST");
      expect(refusal(() => container.unmap(IOVA, PAGE)).code).toBe("EBUSY");
      expect(refusal(() => mapping.unmap()).code).toBe("EBUSY");
      await expect(mapping.unmapAsync()).rejects.toThrow(/EBUSY.*being unmapped/);
      expect(refusal(() => buffer.close()).code).toBe("EBUSY");
      // What else is mapped goes on its own.
      container.map(beside);
      expect(container.unmapAll().bytes).toBe(BigInt(PAGE));

      await pending;
      await mapping.unmapAsync();
      expect([mapping.mapped, container.underWay]).toEqual([false, []]);
      buffer.close();
      using again = container.map(beside, { iova: IOVA });
      expect(again.iova).toBe(IOVA);
    });

    it("neither the container nor its last device closes during an unmap", async () => {
      using buffer = DmaBuffer.allocate(8 << 20);
      const device = container.devices.get(address);
      const mapping = container.map(buffer);
      const pending = mapping.unmapAsync();
      for (const closing of [container, device]) {
        const error = refusal(() => closing?.close());
        expect([error.code, error.fix]).toEqual(["EBUSY", expect.stringContaining("await")]);
      }
      expect([container.closed, device?.closed]).toEqual([false, false]);
      await pending;
      device?.close();
      expect(device?.closed).toBe(true);
    });

    it("an unmap leaves the event loop alone", async () => {
      using buffer = DmaBuffer.allocate(PAGE);
      const pool = occupyPool();
      const events: string[] = [];
      const pending = container
        .map(buffer)
        .unmapAsync()
        .then(() => events.push("unmapped"));
      await new Promise(setImmediate);
      events.push("turned");
      await pool.end();
      await pending;
      expect(events).toEqual(["turned", "unmapped"]);
    });

    it("an unmap that fails leaves it mapped", async () => {
      const buffer = DmaBuffer.allocate(PAGE);
      const mapping = container.map(buffer, { iova: IOVA });
      unmapBehind(container, mapping.iova);
      await expect(mapping.unmapAsync()).rejects.toThrow(/EIO/);
      expect([mapping.mapped, container.mappingAt(IOVA), container.underWay]).toEqual([true, mapping, []]);
      expect(refusal(() => buffer.close()).code).toBe("EBUSY");
      closeAfterOthers();
      buffer.close();
    });

    it("a container that is closed during a map keeps nothing", async () => {
      using buffer = DmaBuffer.allocate(8 << 20);
      const pending = container.mapAsync(buffer);
      container.close();
      await expect(pending).rejects.toThrow(/closed/);
    });
  });

  describe("limits", () => {
    it("counts entries where the kernel does", () => {
      using buffer = DmaBuffer.allocate(2 * PAGE);
      const { entriesLeft } = container.limits();
      using _mapping = container.map(buffer);
      const now = container.limits().entriesLeft;
      if (mode === "type1" || mode === "type1v2") expect([entriesLeft, now]).toEqual([entryLimit(), entryLimit() - 1]);
      else expect([entriesLeft, now]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
      expect(container.limits().lockedMemory.limit).toBeGreaterThan(0);
    });

    it("knows ranges and page sizes", () => {
      expect(container.pageSize).toBe(PAGE);
      expect(container.pageSizes[0]).toBe(BigInt(PAGE));
      // In between lies what the kernel reserves, and nothing of that is in a range.
      const { iovaRanges } = container;
      for (const { start, end, type } of readIommuGroup(address).reservedRegions) {
        if (type === "direct-relaxable") continue;
        expect(iovaRanges.filter((range) => range.start <= end && range.last >= start)).toEqual([]);
      }
      expect(iovaRanges.length).toBeGreaterThan(0);
      for (const [index, range] of iovaRanges.entries()) {
        expect(range.last).toBeGreaterThan(range.start);
        expect(range.start).toBeGreaterThan(iovaRanges[index - 1]?.last ?? -1n);
      }
      // VT-d keeps a range for interrupts, in every address space.
      if (inRig) {
        expect(iovaRanges[0]).toEqual({ start: 0n, last: 0xfedf_ffffn });
        expect(interruptWindow(address)).toMatchObject({ start: 0xfee0_0000n, end: 0xfeef_ffffn });
      }
    });
  });

  describe("what cannot be attached", () => {
    it.each([
      ["a malformed address", "0000:zz:00.0", /PCI address like/],
      ["an address that is none", "", /PCI address like/],
    ])("%s", (_name, address, text) => {
      expect(() => container.attach(address)).toThrow(text);
    });

    it("a device that does not exist", () => {
      const error = refusal(() => container.attach("0000:7f:00.0"));
      expect(error.code).toBe("ENODEV");
      expect(error.fix).toMatch(/list/i);
    });

    it("a device that is bound to another driver", rigOnly("takes a device that another driver has"), () => {
      const igb = listPciDevices().find(({ driver }) => driver === "igb")?.address ?? "none";
      const error = refusal(() => container.attach(igb));
      expect(error.why).toContain("igb");
      expect(error.fix).toContain("vfio-pci");
    });

    it("a device that is attached here already", () => {
      expect(refusal(() => container.attach(address)).code).toBe("EBUSY");
      expect(container.devices.size).toBe(1);
    });

    it("a device that another container has", () => {
      using other = openContainer({ mode });
      const error = refusal(() => other.attach(address));
      expect(error.code).toBe("EBUSY");
      expect(error.why).toContain("this process");
      expect(other.devices.size).toBe(0);
    });

    it("a VF token for a device that is not virtual", (context) => {
      const { isVf, sriov } = readPciDevice(address);
      if (isVf || sriov !== undefined) leaveOut(context, "takes a device without SR-IOV");
      using other = openContainer({ mode });
      container.close();
      const held = resources();
      refusal(() => other.attach(address, { vfToken: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" }));
      expect(resources()).toEqual(held);
      using device = other.attach(address);
      expect(device.address).toBe(address);
    });

    const sibling = "takes a group with a device that another driver has";
    it("a device in a group that is not viable, and after the sibling left it is", rigOnly(sibling), () => {
      const pair = listPciDevices().filter(({ driver }) => driver === "serial");
      const group = pair[0]?.iommuGroup;
      const inGroup = listPciDevices().filter(
        ({ iommuGroup, vendorId, deviceId }) => iommuGroup === group && vendorId === 0x1234 && deviceId === 0x11e8,
      );
      const [first, second] = inGroup.map(({ address }) => address);
      const serial = pair[0]?.address;
      if (first === undefined || second === undefined || serial === undefined) throw new Error("not the rig's machine");
      using boundFirst = bindDriver(first);
      using boundSecond = bindDriver(second);
      expect([boundFirst.address, boundSecond.address]).toEqual([first, second]);
      const held = resources();
      const error = refusal(() => container.attach(first));
      expect(error.code).toBe("EPERM");
      expect(error.message).toContain(serial);
      expect(error.fix).toContain("vfio-pci");
      expect(resources()).toEqual(held);

      using _serial = bindDriver(serial);
      using one = container.attach(first);
      using two = container.attach(second);
      expect([...container.devices.keys()]).toEqual([address, one.address, two.address]);
    });
  });
});
