import { type Container, type Device, DmaBuffer, openContainer, VfioError } from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Edu } from "../../examples/edu.js";
import { bind, devices } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const PAGE = 4096;

// The compatibility modes know neither a BAR's address nor dma-bufs.
const without = modes.filter((mode) => mode.startsWith("compat-"));
const withBars = modes.filter((mode) => !without.includes(mode));

function fixture(mode: (typeof modes)[number]): { readonly container: Container; readonly memory: Device } {
  let bound: Disposable;
  let before: ReturnType<typeof resources>;
  let container: Container;
  let memory: Device;

  beforeAll(() => {
    bound = bind(devices.edu, devices.ivshmem);
  });

  afterAll(() => {
    bound[Symbol.dispose]();
  });

  beforeEach(() => {
    before = resources();
    container = openContainer({ mode });
    memory = container.attach(devices.ivshmem);
  });

  afterEach(() => {
    container.close();
    expect(resources()).toEqual(before);
  });

  return {
    get container() {
      return container;
    },
    get memory() {
      return memory;
    },
  };
}

describe.each(withBars)("another device's BAR in %s", (mode) => {
  const at = fixture(mode);

  it("is reached by DMA, from device to device", async () => {
    using edu = Edu.open(at.container, devices.edu);
    using bar = at.memory.region("bar2").map(0, 2 * PAGE);
    using mapping = at.container.map(bar, { mask: Edu.dmaMask });
    using buffer = DmaBuffer.allocate(PAGE);
    using source = edu.map(buffer);
    buffer.bytes.forEach((_, i, bytes) => {
      bytes[i] = (7 * i) & 0xff;
    });
    at.memory.config.command |= 2; // it answers to its addresses
    bar.write32(PAGE, 0);
    await edu.toDevice({ iova: source.iova, length: PAGE });
    await edu.fromDevice({ iova: mapping.at(PAGE), length: PAGE });
    const words = new Uint32Array(buffer.arrayBuffer);
    expect(Array.from({ length: 8 }, (_, i) => bar.read32(PAGE + 4 * i))).toEqual([...words.subarray(0, 8)]);
  });

  it("is mapped in whole and unmapped", () => {
    using bar = at.memory.region("bar2").map();
    const mapping = at.container.map(bar);
    expect(mapping.length).toBe(bar.length);
    expect(at.container.unmap(mapping.iova, mapping.length).bytes).toBe(BigInt(bar.length));
  });

  it("is unmapped on another thread, and stays open until it is", async () => {
    using bar = at.memory.region("bar2").map();
    const pending = at.container.map(bar).unmapAsync();
    expect(() => bar.close()).toThrow(/EBUSY/);
    expect(() => at.memory.close()).toThrow(/EBUSY/);
    await pending;
    expect(at.container.mappingCount).toBe(0);
  });

  it("goes with the container, mapped or not", () => {
    const bar = at.memory.region("bar2").map();
    const mapping = at.container.map(bar);
    at.container.close();
    expect([mapping.mapped, at.memory.closed, bar.closed]).toEqual([false, true, true]);
  });

  it("refuses to go while it is mapped", () => {
    using bar = at.memory.region("bar2").map();
    using _mapping = at.container.map(bar);
    expect(() => bar.close()).toThrow(/EBUSY/);
    bar.write32(0, 1);
  });
});

describe.each(without)("another device's BAR in %s", (mode) => {
  const at = fixture(mode);

  it("cannot be mapped, and the error says which mode can", () => {
    using bar = at.memory.region("bar2").map();
    let error: unknown;
    try {
      at.container.map(bar);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(VfioError);
    expect(error).toMatchObject({ code: "EFAULT", fix: expect.stringContaining("iommufd mode") });
    expect(at.container.mappingCount).toBe(0);
  });
});
