/**
 * Several containers in one hand-over, mediated devices, memory of devices, address spaces; and what keeps a hand-over from
 * being made.
 */

import { constants } from "node:os";
import {
  AddressSpace,
  type Container,
  DmaBuffer,
  IommufdContainer,
  LegacyContainer,
  type MemoryPart,
  openContainer,
} from "vfio";
import { connectMessages, Kvm } from "vfio/kvm";
import { execInPlace, LiveUpdate, LiveUpdateBlockedError, type LiveUpdateOptions } from "vfio/live-update";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import * as uapi from "../../../lib/kernel/uapi.js";
import { Machine, message } from "../../kvm/machine.js";
import { bind, devices, Mdev, needs, rigOnly } from "../devices.js";
import { Memory, MiB, PAGE } from "../memory.js";
import { resources } from "../resources.mjs";
import { occupyPool } from "../thread-pool.js";
import { dma } from "./edu-dma.js";
import { carriers, handOver, ownModes, present } from "./hand-over.js";
import { EDU } from "./registers.js";

const { EBUSY, EINVAL } = constants.errno;
// linux/vfio.h: VFIO_DEVICE_STATE_STOP
const STOPPED = 1;
// What edu can address.
const MASK = 0xfff_ffff;

let bound: Disposable;
let before: ReturnType<typeof resources>;
let inside: ReturnType<typeof resources>;
/** Closed after each test: the containers, then the rest, the last one first. */
let things: Disposable[];

beforeAll(() => {
  before = resources();
  bound = bind(devices.edu, devices.igb, devices.nvme, devices.ivshmem);
});
afterAll(() => {
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});
beforeEach(() => {
  things = [];
  inside = resources();
});
afterEach(() => {
  const isContainer = (thing: Disposable) => thing instanceof IommufdContainer || thing instanceof LegacyContainer;
  const rest = things.filter((thing) => !isContainer(thing));
  for (const thing of [...things.filter(isContainer), ...rest.reverse()]) thing[Symbol.dispose]();
  expect(resources()).toEqual(inside);
});

function kept<T extends Disposable>(thing: T): T {
  things.push(thing);
  return thing;
}

const memory = (length = 64 * 1024) => kept(DmaBuffer.allocate(length));

/** Hands over, and keeps what comes of it. */
async function pass(
  options: LiveUpdateOptions,
  ...rest: Parameters<typeof handOver> extends [unknown, ...infer R] ? R : never
) {
  const { incoming } = await handOver(options, ...rest);
  for (const buffer of incoming.memory.values()) kept(buffer);
  for (const container of incoming.containers.values()) {
    kept(container);
    // What is mapped and has no name is found there.
    for (const { memory } of container.mappings) if (memory instanceof DmaBuffer) kept(memory);
  }
  return incoming;
}

/** The container's own descriptor, and the id of its address space. */
function stateOf(container: Container): { readonly fd: number; readonly ioas: number | undefined } {
  if (container instanceof LegacyContainer) return { fd: container.fd, ioas: undefined };
  if (container instanceof IommufdContainer) return { fd: container.iommufd.fd, ioas: container.ioas.id };
  throw new Error(`${container} is none of the kernel's`);
}

/** Whether the kernel takes an address there for valid: it refuses another one then. */
function isValid(container: Container, iova: bigint): boolean {
  const mapping = present(container.mappingAt(iova));
  const { VFIO_DMA_MAP_FLAG_VADDR: flags } = uapi;
  return (
    native.vfioIommuMapDma(stateOf(container).fd, flags, mapping.address, mapping.iova, mapping.length) === -EINVAL
  );
}

describe("several containers in one hand-over", needs("edu", "igb", "nvme", "ivshmem"), () => {
  test("G1: two legacy ones and two iommufds, each with what is its own", async () => {
    const plan = {
      first: ["type1v2", devices.edu],
      second: ["type1", devices.igb],
      third: ["iommufd", devices.nvme],
      fourth: ["iommufd", devices.ivshmem],
    } as const;
    const containers: Record<string, Container> = {};
    const named: Record<string, DmaBuffer> = {};
    for (const [index, [name, [mode, address]]] of Object.entries(plan).entries()) {
      const container = kept(openContainer({ mode }));
      container.attach(address).busMaster = true;
      const buffer = memory();
      buffer.bytes.fill(index + 1);
      // The same IOVA in each of them, and another one that is its own.
      container.map(buffer, { iova: 0x100_0000 });
      container.map(buffer, {
        iova: 0x200_0000 + index * 0x10_0000,
        offset: PAGE,
        length: (index + 1) * PAGE,
        write: index % 2 === 0,
      });
      containers[name] = container;
      named[name] = buffer;
    }
    const shape = (each: Readonly<Record<string, Container>>) =>
      Object.entries(each).map(([name, container]) => ({
        name,
        mode: container.mode,
        devices: [...container.devices.keys()],
        mappings: [...container.mappings].map(({ iova, length, read, write, offset, memory }) => ({
          iova,
          length,
          read,
          write,
          offset,
          label: memory.label,
        })),
      }));
    const wanted = shape(containers);
    const old = Object.fromEntries(
      Object.entries(containers).map(([name, each]) => [name, native.dup(stateOf(each).fd)]),
    );
    const incoming = await pass({ containers, memory: named });
    const now = Object.fromEntries(incoming.containers);
    expect(shape(now)).toEqual(wanted);
    // G5: the descriptors are told apart by the files, which all look alike to fstat.
    for (const [name, fd] of Object.entries(old)) {
      const same = Object.keys(now).filter((other) => native.kcmpFile(fd, stateOf(present(now[other])).fd) === 0);
      expect(same).toEqual([name]);
      native.close(fd);
    }
    for (const [index, name] of Object.keys(plan).entries()) {
      const ring = present(incoming.memory.get(name));
      expect(ring.bytes.every((byte) => byte === index + 1)).toBe(true);
      const container = present(now[name]);
      expect([...container.mappings].map(({ memory }) => memory)).toEqual([ring, ring]);
    }
    const first = present(now.first);
    const ring = present(incoming.memory.get("first"));
    ring.bytes.fill(0x5a, 0, 256);
    dma(first, 0x100_0000n, 0x100_0000n + 512n);
    expect(ring.bytes.subarray(512, 768).every((byte) => byte === 0x5a)).toBe(true);
    // Nothing stays invalid: a further group can join each legacy one.
    for (const name of ["third", "fourth"]) present(now[name]).close();
    for (const [name, address] of [
      ["first", devices.nvme],
      ["second", devices.ivshmem],
    ] as const) {
      present(now[name]).attach(address);
    }
  });

  test("G5: two groups of one container, and one object under two names", async () => {
    const container = kept(openContainer({ mode: "type1v2" }));
    for (const address of [devices.edu, devices.igb]) container.attach(address);
    container.map(memory());
    const incoming = await pass({ containers: { main: container } });
    const main = incoming.container("main");
    expect([...main.devices.keys()]).toEqual([devices.edu, devices.igb]);
    expect(main.files).toHaveLength(2);
    expect(() => new LiveUpdate({ containers: { one: main, two: main } })).toThrow(
      expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }),
    );
    // The successor is one as good as the old process: a group leaves, a group joins.
    present(main.devices.get(devices.igb)).close();
    main.attach(devices.nvme);
  });

  test("G2: if one container cannot be invalidated, those before it are restored, and it is left alone", async () => {
    const [first, second] = [devices.edu, devices.igb].map((address) => {
      const container = kept(openContainer({ mode: "type1v2" }));
      container.attach(address).busMaster = true;
      const buffer = memory();
      for (const iova of [0x100_0000, 0x200_0000]) container.map(buffer, { iova });
      return container;
    });
    if (first === undefined || second === undefined) throw new Error("no containers");
    // What another hand-over has left unfinished.
    expect(native.vfioIommuUnmapDma(stateOf(second).fd, uapi.VFIO_DMA_UNMAP_FLAG_VADDR, 0x200_0000, 64 * 1024)).toBe(
      64 * 1024,
    );
    const resumed: string[] = [];
    const failed = handOver({ containers: { first, second }, resume: () => resumed.push("resumed") });
    await expect(failed).rejects.toMatchObject({
      code: "EINVAL",
      request: "VFIO_IOMMU_UNMAP_DMA",
      why: expect.stringContaining("invalid already"),
    });
    expect(resumed).toEqual(["resumed"]);
    for (const iova of [0x100_0000n, 0x200_0000n]) expect(isValid(first, iova)).toBe(true);
    expect(isValid(second, 0x100_0000n)).toBe(true);
    // Asking has given it its address again.
    expect(isValid(second, 0x200_0000n)).toBe(false);
    expect(isValid(second, 0x200_0000n)).toBe(true);
    dma(first, 0x100_0000n, 0x100_0000n);
    await pass({ containers: { first, second } });
  });

  test("G16: everything in one iommufd changes hands at once; two iommufds are two", async () => {
    const [one, two] = [devices.edu, devices.igb].map((address) => {
      const container = kept(openContainer({ mode: "iommufd" }));
      container.attach(address);
      container.map(memory());
      return container;
    });
    if (one === undefined || two === undefined) throw new Error("no containers");
    // Only one of them is handed over: the other one stays here, and works.
    const incoming = await pass({ containers: { one } });
    expect([one.closed, two.closed]).toEqual([true, false]);
    two.map(memory());
    incoming.container("one").map(memory());
  });
});

describe("a mediated device", rigOnly("makes mediated devices, of the kernel's sample drivers"), () => {
  test("is handed over in an iommufd, and works", async () => {
    const mdev = kept(new Mdev("mtty", "2"));
    const container = kept(openContainer({ mode: "iommufd" }));
    const device = container.attach(mdev.uuid);
    const scratch = (of: Container) => present(of.devices.get(mdev.uuid)).region("bar0").registers();
    scratch(container).write8(7, 0x5a);
    const line = device.intx.enable();
    line.trigger();
    // A mediated device's driver has no page table: it is attached to the address space itself.
    expect(device.attachment.pageTableId).toBe(container.ioas.id);
    container.map(memory(), { iova: 0x100_0000 });
    const main = (await pass({ containers: { main: container } })).container("main");
    expect(scratch(main).read8(7)).toBe(0x5a);
    const again = present(main.devices.get(mdev.uuid));
    expect(again.config.vendorId).toBe(0x4348);
    expect(present(again.intx.line).take()).toBe(1);
    again.intx.disable();
    again.intx.enable();
    expect(main.mappingCount).toBe(1);
    main.unmapAll();
    main.map(memory(), { iova: 0x100_0000 });
  });

  test("G10: in a legacy container is a blocker: which device, why, and what to do", async () => {
    const mdev = kept(new Mdev("mtty", "2"));
    const container = kept(openContainer({ mode: "type1v2" }));
    container.attach(mdev.uuid);
    container.map(memory(), { iova: 0x100_0000 });
    const [blocker, ...more] = new LiveUpdate({ containers: { main: container } }).blockers();
    expect(more).toEqual([]);
    expect(blocker).toMatchObject({
      device: mdev.uuid,
      why: expect.stringContaining("may pin memory by its address"),
      fix: expect.stringContaining("iommufd"),
    });
    // The kernel would refuse it too.
    const flags = uapi.VFIO_DMA_UNMAP_FLAG_ALL | uapi.VFIO_DMA_UNMAP_FLAG_VADDR;
    expect(native.vfioIommuUnmapDma(stateOf(container).fd, flags, 0, 0)).toBe(-EBUSY);
    await expect(handOver({ containers: { main: container } })).rejects.toBeInstanceOf(LiveUpdateBlockedError);
  });

  test("whose migration is under way is a blocker, until it runs again", async () => {
    const mdev = kept(new Mdev("mtty", "2"));
    const container = kept(openContainer({ mode: "iommufd" }));
    const device = container.attach(mdev.uuid);
    const set = (state: number) =>
      device.features.set(
        uapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
        new Uint8Array(new Uint32Array([state, 0]).buffer),
      );
    set(STOPPED);
    const update = new LiveUpdate({ containers: { main: container } });
    expect(update.blockers()).toEqual([
      expect.objectContaining({ device: mdev.uuid, why: expect.stringContaining("migration is under way") }),
    ]);
    set(uapi.VFIO_DEVICE_STATE_RUNNING);
    expect(update.blockers()).toEqual([]);
    await pass({ containers: { main: container } });
  });
});

describe.each(["type1", "type1v2"] as const)(
  "a BAR mapped for another device in %s",
  needs("edu", "ivshmem"),
  (mode) => {
    const open = () => {
      const container = kept(openContainer({ mode }));
      for (const address of [devices.edu, devices.ivshmem]) container.attach(address).busMaster = true;
      return container;
    };

    test("G52: travels, works, and leaves nothing invalid", async () => {
      const container = open();
      const bar = present(container.devices.get(devices.ivshmem)).region("bar2").map(MiB, MiB);
      container.map(bar, { iova: 0x200_0000 });
      const ram = memory();
      container.map(ram, { iova: 0x100_0000 });
      ram.bytes.fill(0x33, 0, 256);
      const incoming = await pass({ containers: { main: container }, memory: { ram } });
      const main = incoming.container("main");
      dma(main, 0x100_0000n, 0x200_0000n);
      const again = present(main.devices.get(devices.ivshmem)).region("bar2");
      expect(again.registers().read32(MiB)).toBe(0x3333_3333);
      const mapping = present(main.mappingAt(0x200_0000n));
      expect(mapping.memory.kind).toBe("bar");
      // A further group joins only if no address is invalid.
      main.attach(devices.igb);
      mapping.unmap();
      main.map(present(incoming.memory.get("ram")), { iova: 0x200_0000 });
    });

    test("G52: travels from one container to another, too", async () => {
      const [main, other] = [kept(openContainer({ mode })), kept(openContainer({ mode }))];
      main.attach(devices.edu).busMaster = true;
      const bar = other.attach(devices.ivshmem).region("bar2").map(MiB, MiB);
      main.map(bar, { iova: 0x200_0000 });
      const ram = memory();
      ram.bytes.fill(0x44, 0, 256);
      main.map(ram, { iova: 0x100_0000 });
      const incoming = await pass({ containers: { main, other }, memory: { ram } });
      const again = incoming.container("main");
      dma(again, 0x100_0000n, 0x200_0000n);
      const ivshmem = present(incoming.container("other").devices.get(devices.ivshmem));
      expect(ivshmem.region("bar2").registers().read32(MiB)).toBe(0x4444_4444);
      // Mapped for another device, it holds its own open.
      expect(() => ivshmem.close()).toThrow(/EBUSY/);
      again.unmap(0x200_0000, MiB);
      for (const container of incoming.containers.values())
        container.attach(container === again ? devices.igb : devices.nvme);
    });

    test("of a device that stays here is a blocker", () => {
      const container = kept(openContainer({ mode }));
      const other = kept(openContainer({ mode }));
      container.attach(devices.edu);
      const bar = other.attach(devices.ivshmem).region("bar2").map(0, MiB);
      const mapping = container.map(bar, { iova: 0x200_0000 });
      expect(new LiveUpdate({ containers: { main: container } }).blockers()).toEqual([
        expect.objectContaining({ why: expect.stringContaining("a device that is not handed over") }),
      ]);
      expect(new LiveUpdate({ containers: { main: container, other } }).blockers()).toEqual([]);
      mapping.unmap();
    });
  },
);

describe("what keeps a hand-over from being made", needs("edu", "ivshmem", "igb"), () => {
  /** It is refused, and nothing was touched: everything works on, and is as it was. */
  async function refuses(options: LiveUpdateOptions, why: RegExp): Promise<void> {
    const held = resources();
    const update = new LiveUpdate(options);
    const blockers = update.blockers();
    expect(blockers).toEqual([expect.objectContaining({ why: expect.stringMatching(why), fix: expect.any(String) })]);
    const [out, back] = await carriers();
    const refused = await update.handOver(out).catch((error: unknown) => error);
    back.close();
    expect(refused).toBeInstanceOf(LiveUpdateBlockedError);
    expect(refused).toMatchObject({ code: "EBUSY", blockers });
    expect(resources()).toEqual(held);
  }

  const open = (mode: (typeof ownModes)[number] = "iommufd") => {
    const container = kept(openContainer({ mode }));
    container.attach(devices.edu).busMaster = true;
    return container;
  };

  test.each(ownModes)("memory of this process's own, in %s", async (mode) => {
    const container = open(mode);
    container.map(kept(DmaBuffer.allocate(PAGE, { backing: "anonymous" })), { iova: 0x100_0000 });
    await refuses({ containers: { main: container } }, /private to this process/);
    dma(container, 0x100_0000n, 0x100_0000n);
    await refuses(
      { containers: {}, memory: { own: kept(DmaBuffer.allocate(PAGE, { backing: "anonymous" })) } },
      /private/,
    );
  });

  test.each(["compat-type1", "compat-type1v2"] as const)("G11: iommufd's emulation, %s", async (mode) => {
    const container = kept(openContainer({ mode }));
    container.attach(devices.edu);
    container.map(memory(), { iova: 0x100_0000 });
    await refuses({ containers: { main: container } }, /emulation of a legacy container/);
  });

  test("G11: is not asked of a container before its type is set", async () => {
    const container = kept(openContainer({ mode: "type1v2" }));
    // VFIO_UPDATE_VADDR: no, says the kernel, and would say yes after the first group.
    expect(native.vfioCheckExtension(stateOf(container).fd, uapi.VFIO_UPDATE_VADDR)).toBe(0);
    expect(new LiveUpdate({ containers: { main: container } }).blockers()).toEqual([]);
    const main = (await pass({ containers: { main: container } })).container("main");
    main.attach(devices.edu);
    main.map(memory(), { iova: 0x100_0000 });
    expect(native.vfioCheckExtension(stateOf(main).fd, uapi.VFIO_UPDATE_VADDR)).toBe(1);
  });

  test("G15: a BAR in an iommufd, and the kernel's own opinion of it", async () => {
    const container = open();
    const bar = container.attach(devices.ivshmem).region("bar2").map(0, MiB);
    const mapping = container.map(bar, { iova: 0x200_0000 });
    await refuses({ containers: { main: container } }, /a BAR comes by dma-buf/);
    expect(native.iommufdIoasChangeProcess(stateOf(container).fd)).toBe(-EINVAL);
    mapping.unmap();
    await pass({ containers: { main: container } });
  });

  test("G15: what is mapped by address beside the container", async () => {
    const container = kept(openContainer({ mode: "iommufd" }));
    container.attach(devices.edu);
    const own = kept(Memory.anonymous(PAGE));
    container.ioas.map(own.address, PAGE, { iova: 0x300_0000 });
    await refuses({ containers: { main: container } }, /.*/);
    container.ioas.unmap(0x300_0000, PAGE);
    await pass({ containers: { main: container } });
  });

  test.each(ownModes)("a map and an unmap on another thread, in %s", async (mode) => {
    const container = open(mode);
    const mapping = await underWay(container, /is mapping/, () => container.mapAsync(memory(PAGE), { mask: MASK }));
    await underWay(container, /is unmapping/, () => mapping.unmapAsync());
    container.map(memory(), { mask: MASK });
    await pass({ containers: { main: container } });
  });

  async function underWay<T>(container: Container, why: RegExp, begin: () => Promise<T>): Promise<T> {
    const pool = occupyPool();
    const result = begin();
    try {
      await refuses({ containers: { main: container } }, why);
    } finally {
      await pool.end();
    }
    return await result;
  }

  test("a transaction of an address space", () => {
    const container = open();
    const space = new AddressSpace<MemoryPart>();
    container.mirror(space);
    const ram = memory();
    const update = new LiveUpdate({ containers: { main: container } });
    let within: readonly unknown[] = [];
    const subscription = space.attachListener({
      add: () => {
        within = update.blockers();
      },
      remove: () => {},
    });
    space.add({ iova: 0x100_0000, length: PAGE, memory: { memory: ram, offset: 0 } });
    expect(within).toEqual([expect.objectContaining({ why: expect.stringContaining("transaction") })]);
    expect(update.blockers()).toEqual([]);
    subscription.detach();
  });

  test("a reset", async () => {
    const container = kept(openContainer({ mode: "iommufd" }));
    const igb = container.attach(devices.igb);
    const reset = igb.resetAsync();
    expect(new LiveUpdate({ containers: { main: container } }).blockers()).toEqual([
      expect.objectContaining({ device: devices.igb, why: expect.stringContaining("under way") }),
    ]);
    await reset;
    expect(new LiveUpdate({ containers: { main: container } }).blockers()).toEqual([]);
  });

  test("memory that a container which stays here maps too", async () => {
    const container = open();
    const other = kept(openContainer({ mode: "iommufd" }));
    other.attach(devices.ivshmem);
    const ram = memory();
    container.map(ram);
    const mapping = other.map(ram);
    await refuses({ containers: { main: container } }, /also mapped/);
    mapping.unmap();
  });

  test("what is closed", async () => {
    const container = openContainer({ mode: "iommufd" });
    container.close();
    await refuses({ containers: { main: container } }, /closed/);
    const buffer = DmaBuffer.allocate(PAGE);
    buffer.close();
    await refuses({ containers: {}, memory: { gone: buffer } }, /closed/);
    using kvm = Kvm.open();
    const vm = kvm.createVm();
    vm.close();
    await refuses({ containers: {}, machines: { gone: vm } }, /closed/);
  });

  test("an interrupt that is lent to somebody else, and a machine's interrupt whose device stays here", async () => {
    using kvm = Kvm.open();
    using machine = new Machine(kvm);
    const container = open();
    const edu = present(container.devices.get(devices.edu));
    const [vector] = edu.msi.enable(1);
    const irqfd = machine.vm.irqfd({ eventfd: present(vector).eventfd, gsi: machine.route(0x41) });
    await refuses({ containers: { main: container } }, /is lent to/);
    irqfd.close();
    const connection = connectMessages(edu.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
    await refuses({ containers: {}, machines: { guest: machine.vm } }, /its device is not/);
    connection.close();
    edu.region("bar0").registers().write32(EDU.acknowledge, 0xffff_ffff);
  });

  test("a carrier that cannot work", () => {
    const container = open();
    const carrier = execInPlace({ command: "/nowhere/to/be/found" });
    expect(new LiveUpdate({ containers: { main: container } }).blockers(carrier)).toEqual([
      expect.objectContaining({ object: expect.stringContaining("exec"), why: expect.stringContaining("there is no") }),
    ]);
    carrier.close();
  });

  test("G53: no group joins and nothing is mapped while it is prepared and taken over, on either side", async () => {
    const container = open("type1v2");
    const ram = memory();
    container.map(ram, { iova: 0x100_0000 });
    const locked = expect.objectContaining({ code: "ERR_INVALID_STATE" });
    const tries = (of: Container) => [
      () => of.attach(devices.igb),
      () => of.map(ram, { iova: 0x200_0000 }),
      () => of.unmap(0x100_0000, ram.length),
      () => of.unmapAll(),
      () => present(of.devices.get(devices.edu)).reset(),
      () => present(of.devices.get(devices.edu)).close(),
      () => of.close(),
    ];
    const incoming = await pass(
      {
        containers: { main: container },
        memory: { ram },
        save: () => {
          for (const attempt of tries(container)) expect(attempt).toThrow(locked);
          return new Uint8Array(0);
        },
      },
      {
        ready: (incoming) => {
          for (const of of [container, incoming.container("main")]) {
            for (const attempt of tries(of)) expect(attempt).toThrow(locked);
          }
        },
      },
    );
    incoming.container("main").attach(devices.igb);
  });
});

describe.each(ownModes)("an address space in %s", needs("edu"), (mode) => {
  const FIRST = 0x100_0000;
  const SECOND = 0x200_0000;

  test("is built anew by the successor, takes the mappings that it finds, and tells who listens the new addresses", async () => {
    const container = kept(openContainer({ mode }));
    container.attach(devices.edu).busMaster = true;
    const ram = memory();
    const space = new AddressSpace<MemoryPart>();
    container.mirror(space);
    const section = (iova: number, page: number, of: DmaBuffer) => ({
      iova,
      length: PAGE,
      memory: { memory: of, offset: page * PAGE },
    });
    space.add(section(FIRST, 0, ram));
    const changing = space.add(section(SECOND, 1, ram));
    ram.bytes.fill(7, 0, 256);
    const incoming = await pass({ containers: { main: container }, memory: { ram } });
    // The old program's address space lives on, and has nothing to do with the devices any more.
    space.remove(changing);
    const main = incoming.container("main");
    const found = [...main.mappings];
    const again = present(incoming.memory.get("ram"));
    const next = new AddressSpace<MemoryPart>();
    const told: [bigint, number][] = [];
    const listener = next.attachListener({
      add: ({ iova, memory: { memory, offset } }) => {
        told.push([iova, memory.address + offset]);
      },
      remove: () => {},
    });
    next.add(section(FIRST, 0, again));
    const second = next.add(section(SECOND, 1, again));
    const mirror = main.mirror(next);
    expect([...main.mappings]).toEqual(found);
    expect(told).toEqual([
      [BigInt(FIRST), again.address],
      [BigInt(SECOND), again.address + PAGE],
    ]);
    dma(main, BigInt(FIRST), BigInt(SECOND));
    expect(again.bytes.subarray(PAGE, PAGE + 256).every((byte) => byte === 7)).toBe(true);
    next.remove(second);
    expect([...main.mappings].map(({ iova }) => iova)).toEqual([BigInt(FIRST)]);
    next.add(section(SECOND, 2, again));
    expect(main.mappingCount).toBe(2);
    mirror.detach();
    expect(main.mappingCount).toBe(0);
    listener.detach();
  });

  test("with a section that is not what was mapped is refused, and what was mapped stays", async () => {
    const container = kept(openContainer({ mode }));
    container.attach(devices.edu).busMaster = true;
    const ram = memory();
    container.map(ram, { iova: FIRST, length: 2 * PAGE });
    const incoming = await pass({ containers: { main: container }, memory: { ram } });
    const main = incoming.container("main");
    const again = present(incoming.memory.get("ram"));
    const attempts = [
      { iova: FIRST, length: PAGE, memory: { memory: again, offset: 0 } },
      { iova: FIRST, length: 2 * PAGE, memory: { memory: again, offset: PAGE } },
      { iova: FIRST, length: 2 * PAGE, memory: { memory: again, offset: 0 }, writable: false },
    ];
    for (const attempt of attempts) {
      const space = new AddressSpace<MemoryPart>();
      space.add(attempt);
      expect(() => main.mirror(space)).toThrow(expect.objectContaining({ code: "EEXIST" }));
      expect(main.mappingCount).toBe(1);
    }
    dma(main, BigInt(FIRST), BigInt(FIRST));
    const space = new AddressSpace<MemoryPart>();
    space.add({ iova: FIRST, length: 2 * PAGE, memory: { memory: again, offset: 0 } });
    main.mirror(space);
    expect(main.mappingCount).toBe(1);
  });
});
