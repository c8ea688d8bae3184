import { AddressSpace, type Container, DmaBuffer, type MemoryPart, openContainer } from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bind, devices, interruptWindow, usableIova } from "./devices.js";
import { modes } from "./modes.js";

const MiB = 1 << 20;
const address = devices.any;
const FIRST = Number(usableIova(address, 0x1000_0000n));
const SECOND = Number(usableIova(address, BigInt(FIRST + 0x1000_0000)));
/** Where the IOMMU keeps interrupts, or else beyond what it translates. */
const UNUSABLE = Number(interruptWindow(address)?.start ?? 2 ** 60);
const THIRD = Number(usableIova(address, BigInt(SECOND + 0x1000_0000)));

describe.each(modes)("an address space mirrored in %s", (mode) => {
  let binding: Disposable;
  let container: Container;
  let ram: DmaBuffer;
  let space: AddressSpace<MemoryPart>;

  beforeAll(() => {
    binding = bind(address);
  });

  afterAll(() => {
    binding[Symbol.dispose]();
  });

  beforeEach(() => {
    container = openContainer({ mode });
    container.attach(address);
    ram = DmaBuffer.allocate(4 * MiB);
    space = new AddressSpace();
  });

  afterEach(() => {
    container.close();
    ram.close();
  });

  const section = (iova: number, offset: number) => ({ iova, length: MiB, memory: { memory: ram, offset } });
  const mapped = () => [...container.mappings].map(({ iova, offset }) => [Number(iova), offset]);

  it("is mapped at once, and follows what comes and goes", () => {
    const low = space.add(section(FIRST, 0));
    const mirror = container.mirror(space);
    expect(mapped()).toEqual([[FIRST, 0]]);
    space.transaction(() => {
      space.remove(low);
      space.add(section(SECOND, MiB));
      space.add(section(FIRST, 2 * MiB));
    });
    expect(mapped()).toEqual([
      [FIRST, 2 * MiB],
      [SECOND, MiB],
    ]);
    mirror[Symbol.dispose]();
    expect(mapped()).toEqual([]);
    space.add(section(THIRD, 0));
    expect(mapped()).toEqual([]);
  });

  it("a section that the kernel refuses refuses its whole transaction", () => {
    const low = space.add(section(FIRST, 0));
    using _mirror = container.mirror(space);
    expect(() =>
      space.transaction(() => {
        space.remove(low);
        space.add(section(FIRST, MiB));
        space.add(section(UNUSABLE, 2 * MiB));
      }),
    ).toThrow(/usable ranges/);
    expect(mapped()).toEqual([[FIRST, 0]]);
    expect([...space]).toEqual([low]);
  });

  it("ends with the last device", () => {
    space.add(section(FIRST, 0));
    container.mirror(space);
    container.devices.get(address)?.close();
    expect(mapped()).toEqual([]);
    space.add(section(SECOND, MiB));
    container.attach(address);
    using _again = container.mirror(space);
    expect(mapped()).toHaveLength(2);
  });
});
