/**
 * What a successor may do before it takes over: read. Every change is refused, and the old process rolls back to devices that work.
 */
import {
  AddressSpace,
  type Container,
  type Device,
  DmaBuffer,
  type DmaMapping,
  type Ioeventfd,
  IommufdContainer,
  LegacyContainer,
  type MemoryPart,
  openContainer,
  RegisterProgram,
} from "vfio";
import { connectIntx, connectMessages, Kvm } from "vfio/kvm";
import type { IncomingUpdate } from "vfio/live-update";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT } from "../../../lib/kernel/uapi.js";
import { Machine, message, noKvm } from "../../kvm/machine.js";
import { bind, devices, needs } from "../devices.js";
import { PAGE } from "../memory.js";
import { resources } from "../resources.mjs";
import { dma } from "./edu-dma.js";
import { handOver, ownModes, present } from "./hand-over.js";
import { EDU, IGB, startIgb } from "./registers.js";

const IOVA = 0x100_0000;
const SIZE = 4 * PAGE;
/** edu: reads as the complement of what was written. */
const LIVENESS = { offset: 0x04, value: 0x1234_5678, complement: 0xedcb_a987 } as const;
/** A write that the kernel makes for an eventfd. */
const ORDER = { offset: LIVENESS.offset, width: 4, value: 0x5a5a_5a5a } as const;
// linux/vfio.h
const LOW_POWER_ENTRY = 3;

const refused = {
  code: "ERR_INVALID_STATE",
  message: expect.stringMatching(/^the (device|container|iommufd) .*until takeOver\(\)$/),
};

/** The objects of one side. */
class Side {
  readonly container: Container;

  constructor(container: Container) {
    this.container = container;
  }

  get edu(): Device {
    return present(this.container.devices.get(devices.edu), "edu");
  }

  get igb(): Device {
    return present(this.container.devices.get(devices.igb), "igb");
  }

  get line() {
    return present(this.edu.intx.line, "the line");
  }

  get vector() {
    return this.igb.msix.vector(0);
  }

  get registers() {
    return this.edu.region("bar0");
  }

  get mapping(): DmaMapping {
    return present(this.container.mappingAt(IOVA), "the mapping");
  }

  get order(): Ioeventfd {
    return present(this.edu.ioeventfds[0], "the ioeventfd");
  }
}

class Legacy extends Side {
  declare readonly container: LegacyContainer;
}

class Native extends Side {
  declare readonly container: IommufdContainer;

  get ioas() {
    return this.container.ioas;
  }

  get iommufd() {
    return this.container.iommufd;
  }
}

type Changes<S extends Side> = Readonly<Record<string, (side: S) => unknown>>;

const program = () => new RegisterProgram().write32(LIVENESS.offset, 1);
const buffer = (side: Side) => side.mapping.memory;

/** Every method and every property of a device and a container that changes something. */
const changes: Changes<Side> = {
  "device.busMaster": ({ edu }) => {
    edu.busMaster = false;
  },
  "device.reset()": ({ igb }) => igb.reset(),
  "device.resetAsync()": ({ igb }) => igb.resetAsync(),
  "device.hotReset()": ({ igb }) => igb.hotReset(),
  "device.close()": ({ edu }) => edu.close(),
  "config.command": ({ edu }) => {
    edu.config.command = 0;
  },
  "config.write8()": ({ edu }) => edu.config.write8(0x04, 0),
  "config.write16()": ({ edu }) => edu.config.write16(0x04, 0),
  "config.write32()": ({ edu }) => edu.config.write32(0x04, 0),
  "region.write8()": ({ igb }) => igb.region("config").write8(0x04, 0),
  "region.write16()": ({ igb }) => igb.region("config").write16(0x04, 0),
  "region.write32()": ({ registers }) => registers.write32(LIVENESS.offset, 1),
  "region.write64()": ({ registers }) => registers.write64(EDU.source, 0),
  "region.write()": ({ igb }) => igb.region("config").write(0x04, new Uint8Array(2)),
  "region.run()": ({ registers }) => registers.run(program()),
  "region.ioeventfd()": ({ registers }) => registers.ioeventfd({ ...ORDER, value: 1 }),
  "map.write8()": ({ igb }) => igb.region("bar0").registers().write8(IGB.mask, 0),
  "map.write16()": ({ igb }) => igb.region("bar0").registers().write16(IGB.mask, 0),
  "map.write32()": ({ registers }) => registers.registers().write32(LIVENESS.offset, 1),
  "map.write64()": ({ registers }) => registers.registers().write64(EDU.source, 0),
  "map.run()": ({ registers }) => registers.registers().run(program()),
  "features.set()": ({ igb }) => igb.features.set(LOW_POWER_ENTRY, new Uint8Array(8)),
  "features.get(), which forgets": ({ igb }) =>
    igb.features.get(VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, new Uint8Array(32)),
  "features.setVfToken()": ({ igb }) => igb.features.setVfToken("01234567-89ab-cdef-0123-456789abcdef"),
  "intx.enable()": ({ edu }) => edu.intx.enable(),
  "intx.disable()": ({ edu }) => edu.intx.disable(),
  "line.mask()": ({ line }) => line.mask(),
  "line.unmask()": ({ line }) => line.unmask(),
  "line.setUnmaskEventfd()": ({ line }) => line.setUnmaskEventfd(),
  "line.clearUnmaskEventfd()": ({ line }) => line.clearUnmaskEventfd(),
  "line.trigger()": ({ line }) => line.trigger(),
  "line.lend()": ({ line }) => line.lend("somebody"),
  "line.close()": ({ line }) => line.close(),
  "msix.enable()": ({ igb }) => igb.msix.enable(1),
  "msix.enableVector()": ({ igb }) => igb.msix.enableVector(2),
  "msix.disable()": ({ igb }) => igb.msix.disable(),
  "msix.trigger()": ({ igb }) => igb.msix.trigger([0]),
  "msix.redirect()": ({ igb, vector }) => igb.msix.redirect(0, vector.eventfd),
  "vector.trigger()": ({ vector }) => vector.trigger(),
  "vector.lend()": ({ vector }) => vector.lend("somebody"),
  "vector.close()": ({ vector }) => vector.close(),
  "notification.enable()": ({ igb }) => igb.err.enable(),
  "notification.disable()": ({ igb }) => igb.req.disable(),
  "ioeventfd.signal()": ({ order }) => order.signal(),
  "ioeventfd.close()": ({ order }) => order.close(),
  "mapping.unmap()": ({ mapping }) => mapping.unmap(),
  "mapping.unmapAsync()": ({ mapping }) => mapping.unmapAsync(),
  "container.attach()": ({ container }) => container.attach(devices.ivshmem),
  "container.map()": (side) => side.container.map(buffer(side)),
  "container.mapAsync()": (side) => side.container.mapAsync(buffer(side)),
  "container.mapMany()": (side) => side.container.mapMany([{ memory: buffer(side) }]),
  "container.unmap()": ({ container }) => container.unmap(IOVA, SIZE),
  "container.unmapAll()": ({ container }) => container.unmapAll(),
  "container.close()": ({ container }) => container.close(),
};

const legacyChanges: Changes<Legacy> = {
  "container.startDirtyTracking()": ({ container }) => container.startDirtyTracking(),
  "container.stopDirtyTracking()": ({ container }) => container.stopDirtyTracking(),
  "container.dirtyPages()": ({ container, mapping }) => container.dirtyPages(mapping),
  "container.unmapDirty()": ({ container, mapping }) => container.unmapDirty(mapping),
};

const nativeChanges: Changes<Native> = {
  "iommufd.allocIoas()": ({ iommufd }) => iommufd.allocIoas(),
  "iommufd.destroy()": ({ iommufd, ioas }) => iommufd.destroy(ioas.id),
  "iommufd.accounting": ({ iommufd }) => {
    iommufd.accounting = "process";
  },
  "iommufd.compatIoas": ({ iommufd, ioas }) => {
    iommufd.compatIoas = ioas.id;
  },
  "iommufd.changeProcess()": ({ iommufd }) => iommufd.changeProcess(),
  "ioas.allow()": ({ ioas }) => ioas.allow([{ start: 0n, last: 0xfff_ffffn }]),
  "ioas.map()": ({ ioas, mapping }) => ioas.map(mapping.address, PAGE),
  "ioas.mapFile()": (side) => side.ioas.mapFile(present(buffer(side).backing()).fd, 0, PAGE),
  "ioas.copy()": ({ ioas }) => ioas.copy(ioas, IOVA, PAGE),
  "ioas.unmap()": ({ ioas }) => ioas.unmap(IOVA, SIZE),
  "ioas.unmapAll()": ({ ioas }) => ioas.unmapAll(),
  "ioas.hugePages": ({ ioas }) => {
    ioas.hugePages = false;
  },
  "ioas.destroy()": ({ ioas }) => ioas.destroy(),
};

/** What closes or uses up only what is the successor's own. */
const harmless: Changes<Side> = {
  "a mapping of a BAR, closed": ({ registers }) => registers.map().close(),
  "a descriptor, duplicated and closed": ({ edu }) => native.close(native.dup(edu.attachment.port.fd)),
  "listeners that come and go": ({ vector }) => {
    const listener = () => {};
    vector.on("interrupt", listener).off("interrupt", listener);
  },
  "the memory, closed where nothing is mapped of it": ({ mapping }) =>
    expect(() => mapping.memory instanceof DmaBuffer && mapping.memory.close()).toThrow(/EBUSY/),
};

/** What it can look at: everything. */
function readsEverything({ edu, igb, container, registers, vector, mapping }: Side): void {
  expect(registers.read32(LIVENESS.offset)).toBe(LIVENESS.complement);
  expect(registers.registers().read32(LIVENESS.offset)).toBe(LIVENESS.complement);
  const program = new RegisterProgram();
  const read = program.read32(LIVENESS.offset);
  registers.run(program);
  expect(read.value).toBe(LIVENESS.complement);
  expect(edu.busMaster).toBe(true);
  expect(igb.config.capabilities.length).toBeGreaterThan(0);
  expect(igb.config.read().length).toBe(igb.config.size);
  expect(igb.features.has(LOW_POWER_ENTRY, "get")).toBe(false);
  igb.hotResetInfo();
  expect(container.limits().entriesLeft).toBeGreaterThan(0);
  expect(vector.closed).toBe(false);
  expect(mapping.memory.length).toBe(SIZE);
}

let bound: Disposable;
beforeAll(() => {
  bound = bind(devices.edu, devices.igb);
});
afterAll(() => bound[Symbol.dispose]());

describe.each(ownModes)("before it takes over in mode %s, a successor", needs("edu", "igb"), (mode) => {
  let old: Side;
  let ring: DmaBuffer;
  let command: number;
  let held: ReturnType<typeof resources>;

  beforeAll(() => {
    const container = openContainer({ mode });
    old = new Side(container);
    const edu = container.attach(devices.edu);
    edu.busMaster = true;
    const registers = edu.region("bar0").registers();
    registers.write32(EDU.acknowledge, 0xffff_ffff);
    registers.write32(LIVENESS.offset, LIVENESS.value);
    edu.intx.enable().setUnmaskEventfd();
    edu.region("bar0").ioeventfd(ORDER);
    const igb = container.attach(devices.igb);
    igb.msix.enable(2);
    igb.req.enable();
    startIgb(igb, 2);
    ring = DmaBuffer.allocate(SIZE);
    container.map(ring, { iova: IOVA });
    if (container instanceof LegacyContainer && mode === "type1v2") container.startDirtyTracking();
    command = edu.config.command;
  });
  afterAll(() => {
    old.container.close();
    ring.close();
  });
  beforeEach(() => {
    held = resources();
  });
  afterEach(async () => {
    expect(resources()).toEqual(held);
    await works();
  });

  /** Hands over to a successor that does something instead of taking over. */
  async function rolledBack(look: (side: Side, incoming: IncomingUpdate) => unknown): Promise<void> {
    const plan = { containers: { main: old.container }, memory: { ring } };
    const failing = handOver(plan, {
      ready: async (incoming) => {
        await look(new Side(incoming.container("main")), incoming);
        throw new Error("not today");
      },
    });
    await expect(failing).rejects.toThrow(/not today|does not want it/);
  }

  /** The old process has its devices as it left them, with DMA, registers and every interrupt. */
  async function works(): Promise<void> {
    const { container, edu, igb, line, vector, registers } = old;
    expect(edu.config.command).toBe(command);
    expect(registers.read32(LIVENESS.offset)).toBe(LIVENESS.complement);
    expect(igb.region("bar0").registers().read32(IGB.mask)).toBe(3);
    ring.bytes.fill(0).fill(0x17, 0, PAGE);
    dma(container, BigInt(IOVA), BigInt(IOVA + PAGE));
    expect(ring.bytes[PAGE + 255]).toBe(0x17);
    igb.region("bar0").registers().write32(IGB.cause, 1);
    expect(await vector.wait()).toBe(1);
    registers.write32(EDU.raise, 1);
    expect(await line.wait()).toBe(1);
    registers.write32(EDU.acknowledge, 1);
    line.unmask();
    // The order stands, and so cannot be given once more.
    expect(() => registers.ioeventfd(ORDER)).toThrow(/EEXIST/);
    if (container instanceof LegacyContainer && mode === "type1v2") {
      expect(container.dirtyPages(old.mapping)[0]).toBe(0xfn);
    }
  }

  const own: Changes<Side> =
    mode === "iommufd"
      ? asSides(nativeChanges, (side) => {
          if (side.container instanceof IommufdContainer) return new Native(side.container);
          throw new Error("it is another container");
        })
      : asSides(legacyChanges, (side) => {
          if (side.container instanceof LegacyContainer) return new Legacy(side.container);
          throw new Error("it is another container");
        });

  test.each(Object.entries({ ...changes, ...own }))("is refused %s", async (_, change) => {
    await rolledBack(async (side) => {
      await expect((async () => change(side))()).rejects.toMatchObject(refused);
    });
  });

  test.each(Object.entries(harmless))("may have %s", async (_, use) => {
    await rolledBack(use);
  });

  test("reads everything", async () => {
    await rolledBack(readsEverything);
  });

  test("gets no files for KVM", async () => {
    await rolledBack((_, incoming) => expect(() => incoming.files).toThrow(/call takeOver\(\) first/));
  });

  test("that disposes of everything has changed nothing", async () => {
    await rolledBack((side, incoming) => {
      const { container, edu, vector, mapping, order, line } = side;
      for (const each of [mapping, vector, line, order, edu, container])
        expect(() => each[Symbol.dispose]()).toThrow(/until takeOver\(\)/);
      incoming[Symbol.dispose]();
      expect(side.container.closed).toBe(true);
    });
  });

  test.skipIf(noKvm() !== undefined)("connects no interrupt to a guest", async () => {
    using kvm = Kvm.open();
    using machine = new Machine(kvm);
    const parts = machine.vm.parts.size;
    await rolledBack(({ igb, line }) => {
      for (const masking of ["irqfd", "eventfd"] as const) {
        const vectors = [{ index: 0, message: message(0x41) }];
        expect(() => connectMessages(igb.msix, machine.vm, vectors, { masking })).toThrow(/until takeOver\(\)/);
      }
      expect(() => connectIntx(line, machine.vm, { gsi: 5 })).toThrow(/until takeOver\(\)/);
      expect(machine.vm.parts.size).toBe(parts);
    });
  });

  test("mirrors nothing new, and can do so once it has taken over", async () => {
    const space = new AddressSpace<MemoryPart>();
    const plan = { containers: { main: old.container }, memory: { ring } };
    const { incoming } = await handOver(plan, {
      ready: (incoming) => {
        const memory = present(incoming.memory.get("ring"));
        space.add({ iova: IOVA, length: SIZE, memory: { memory, offset: 0 } });
        space.add({ iova: 2 * IOVA, length: SIZE, memory: { memory, offset: 0 } });
        expect(() => incoming.container("main").mirror(space)).toThrow(/until takeOver\(\)/);
      },
    });
    old = new Side(incoming.container("main"));
    ring = present(incoming.memory.get("ring"));
    const inherited = old.mapping;
    old.container.mirror(space);
    expect(old.mapping).toBe(inherited);
    expect(old.container.mappingCount).toBe(2);
    dma(old.container, BigInt(IOVA), BigInt(2 * IOVA));
    held = resources();
  });
});

function asSides<S extends Side>(of: Changes<S>, convert: (side: Side) => S): Changes<Side> {
  return Object.fromEntries(Object.entries(of).map(([name, change]) => [name, (side) => change(convert(side))]));
}
