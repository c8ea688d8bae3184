import {
  AddressSpace,
  type Binding,
  bindDriver,
  type Container,
  DmaBuffer,
  listPciDevices,
  type MemoryPart,
  openContainer,
} from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { modes } from "./modes.js";

const MiB = 1 << 20;
const edu = listPciDevices().find(({ vendorId, deviceId }) => vendorId === 0x1234 && deviceId === 0x11e8)?.address;

describe.each(modes)("an address space mirrored in %s", (mode) => {
  let binding: Binding;
  let container: Container;
  let ram: DmaBuffer;
  let space: AddressSpace<MemoryPart>;

  beforeAll(() => {
    binding = bindDriver(edu ?? "none");
  });

  afterAll(() => {
    binding.restore();
  });

  beforeEach(() => {
    container = openContainer({ mode });
    container.attach(edu ?? "none");
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
    const low = space.add(section(0x1000_0000, 0));
    const mirror = container.mirror(space);
    expect(mapped()).toEqual([[0x1000_0000, 0]]);
    space.transaction(() => {
      space.remove(low);
      space.add(section(0x2000_0000, MiB));
      space.add(section(0x1000_0000, 2 * MiB));
    });
    expect(mapped()).toEqual([
      [0x1000_0000, 2 * MiB],
      [0x2000_0000, MiB],
    ]);
    mirror[Symbol.dispose]();
    expect(mapped()).toEqual([]);
    space.add(section(0x3000_0000, 0));
    expect(mapped()).toEqual([]);
  });

  it("a section that the kernel refuses refuses its whole transaction", () => {
    const low = space.add(section(0x1000_0000, 0));
    using _mirror = container.mirror(space);
    expect(() =>
      space.transaction(() => {
        space.remove(low);
        space.add(section(0x1000_0000, MiB));
        space.add(section(0xfee0_0000, 2 * MiB)); // where VT-d keeps interrupts
      }),
    ).toThrow(/usable ranges/);
    expect(mapped()).toEqual([[0x1000_0000, 0]]);
    expect([...space]).toEqual([low]);
  });

  it("ends with the last device", () => {
    space.add(section(0x1000_0000, 0));
    container.mirror(space);
    container.devices.get(edu ?? "none")?.close();
    expect(mapped()).toEqual([]);
    space.add(section(0x2000_0000, MiB));
    container.attach(edu ?? "none");
    using _again = container.mirror(space);
    expect(mapped()).toHaveLength(2);
  });
});
