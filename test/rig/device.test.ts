/** An attached device: its regions, its config space, its features, its end. */
import { existsSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import {
  type Container,
  type Device,
  DmaBuffer,
  openContainer,
  PciCommand,
  pciExtendedCapabilityIds,
  type Region,
  RegionMap,
  RegisterProgram,
  type Registers,
} from "vfio";
import { readPciDevice } from "vfio/pci";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as uapi from "../../lib/kernel/uapi.js";
import { expectMistakesRefused, expectMistakesRefusedInPrograms } from "../register-mistakes.js";
import { bind, devices, Mdev, needs, rigOnly, various } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const PAGE = 4096;
// linux/vfio.h
const STOP_COPY = 3;
const MiB = 2 ** 20;
const state = expect.objectContaining({ code: "ERR_INVALID_STATE" });
const outOfRange = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });

// QEMU, docs/specs/edu.rst
const EDU = { id: 0x00, liveness: 0x04, dmaSource: 0x80, dmaTarget: 0x88, dmaCount: 0x90, dmaCommand: 0x98 } as const;
const EDU_BUFFER = 0x40000n;

let bound: Disposable;
let before: ReturnType<typeof resources>;

beforeAll(() => {
  before = resources();
  bound = bind(...various);
});

afterAll(() => {
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});

describe.each(modes)("in %s", (mode) => {
  let container: Container;
  let igb: Device;
  let edu: Device;
  let ivshmem: Device;
  let all: readonly Device[];
  let outside: ReturnType<typeof resources>;

  beforeAll(() => {
    outside = resources();
    container = openContainer({ mode });
    for (const address of various) {
      const device = container.attach(address);
      if (address === devices.igb) igb = device;
      if (address === devices.edu) edu = device;
      if (address === devices.ivshmem) ivshmem = device;
    }
    all = [...container.devices.values()];
  });

  afterAll(() => {
    container.close();
    expect(resources()).toEqual(outside);
  });

  test("a device says what it is", () => {
    expect(all.map(String)).toEqual(various);
    for (const device of all) expect(device.info).toMatchObject({ isPci: true, irqCount: 5 });
  });

  test("a device says whether it can be reset", needs("igb", "edu"), () => {
    expect(igb.info.canReset).toBe(true);
    expect(edu.info.canReset).toBe(false);
  });

  test("config space is what sysfs says", () => {
    for (const { address, config } of all) {
      const known = readPciDevice(address);
      expect(config.vendorId).toBe(known.vendorId);
      expect(config.deviceId).toBe(known.deviceId);
      expect(config.subsystemVendorId).toBe(known.subsystemVendorId);
      expect(config.subsystemId).toBe(known.subsystemDeviceId);
      expect(config.classCode).toBe(known.classCode);
      expect(config.revision).toBe(known.revision);
      expect(config.headerType).toBe(0);
      // The kernel masks what it keeps for itself: only the identity is the same byte for byte.
      const bytes = readFileSync(`${known.sysfsPath}/config`);
      expect(Buffer.from(config.read(0, 4))).toEqual(bytes.subarray(0, 4));
      const bars = config.bars.filter((bar) => bar.address !== 0n);
      const resource = known.resources.filter(({ kind }) => kind === "bar");
      expect(bars.map(({ index, space, wide, prefetchable }) => ({ index, space, wide, prefetchable }))).toEqual(
        resource.map(({ index, space, wide, prefetchable }) => ({ index, space, wide, prefetchable })),
      );
    }
  });

  test("bus mastering is off at first, and is set and cleared", () => {
    for (const device of all) {
      expect(device.busMaster).toBe(false);
      device.busMaster = true;
      expect(device.busMaster).toBe(true);
      expect(device.config.command & PciCommand.busMaster).toBe(PciCommand.busMaster);
      device.busMaster = false;
      expect(device.busMaster).toBe(false);
    }
  });

  test("capabilities are listed and found", needs("igb"), () => {
    const names = igb.config.capabilities.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["pm", "msi", "msix", "express", "aer", "ari", "sriov"]));
    const msix = igb.config.capability("msix");
    expect(msix).toMatchObject({ id: 0x11, extended: false });
    // Table size, minus one, in the capability's own register.
    expect(igb.config.read16((msix?.offset ?? 0) + 2) & 0x7ff).toBe(igb.msix.count - 1);
    expect(igb.config.capability(0x11)).toEqual(msix);
    expect(igb.config.extendedCapability("sriov")?.id).toBe(pciExtendedCapabilityIds.sriov);
    expect(igb.config.extendedCapability("doe")).toBeUndefined();
  });

  test("a conventional device has no extended capabilities", needs("edu"), () => {
    expect(edu.config.capability("express")).toBeUndefined();
    expect(edu.config.size).toBe(256);
    expect(edu.config.extendedCapability("aer")).toBeUndefined();
  });

  test("config space is read at its width, in its place, or not at all", () => {
    for (const { config } of all) {
      expect(() => config.read32(0x1000)).toThrow(outOfRange);
      expectMistakesRefused(config);
    }
  });

  test("BARs have their size, and map where the kernel lets them", () => {
    for (const device of all) {
      const sizes = readPciDevice(device.address).resources.filter(({ kind }) => kind === "bar");
      const bars = device.regions.filter(({ index }) => index < 6);
      expect(bars.map(({ name, size }) => [name, BigInt(size)])).toEqual(
        sizes.map(({ index, size }) => [`bar${index}`, size]),
      );
      for (const bar of bars) {
        expect(Math.log2(bar.size) % 1).toBe(0);
        if (!bar.mappable) {
          expect(() => bar.map()).toThrow(expect.objectContaining({ code: "EINVAL" }));
          continue;
        }
        using map = bar.map();
        expect(map).toMatchObject({ length: bar.size, offset: 0, kind: "bar", label: bar.label });
        expect(map.address % Math.min(bar.size, 2 ** 30)).toBe(0);
      }
      expect(device.region("config").mappable).toBe(false);
    }
  });

  test("a mapping is refused with the reason", needs("igb", "edu", "ivshmem"), () => {
    expect(() => igb.region("config").map(0, 4096)).toThrow(/config space is not memory/);
    expect(() => igb.region("bar2").map()).toThrow(/I\/O ports/);
    // QEMU's doorbell registers of ivshmem: 256 bytes. The kernel maps a smaller BAR where the page is the BAR's alone.
    const small = ivshmem.region("bar0");
    if (!small.mappable) expect(() => small.map()).toThrow(/256 bytes, less than a page/);
    const bar = edu.region("bar0");
    expect(() => bar.map(1)).toThrow(outOfRange);
    expect(() => bar.map(0, 1)).toThrow(outOfRange);
    expect(() => bar.map(0, 0)).toThrow(outOfRange);
    expect(() => bar.map(bar.size)).toThrow(outOfRange);
    expect(() => bar.map(0, bar.size + PAGE)).toThrow(outOfRange);
    expect(() => bar.map(-PAGE, PAGE)).toThrow(outOfRange);
  });

  test("a region that is not there is a value or an error", needs("edu"), () => {
    expect(edu.findRegion("bar5")).toBeUndefined();
    expect(edu.findRegion("vga")).toBeUndefined();
    expect(edu.findRegion(4711)).toBeUndefined();
    expect(edu.findRegion({ type: 1, subtype: 1 })).toBeUndefined();
    expect(() => edu.region("bar5")).toThrow(/has no bar5; it has bar0, config/);
    expect(() => edu.region(-1)).toThrow(outOfRange);
  });

  describe.each([
    ["system calls", (bar: Region): Registers => bar],
    ["a mapping", (bar: Region): Registers => bar.registers()],
  ])("registers by %s", (_way, way) => {
    test("are read and written at their width", needs("edu"), () => {
      const registers = way(edu.region("bar0"));
      expect(registers.read32(EDU.id) & 0xffff).toBe(0x00ed);
      for (const value of [0, 0x12345678, 0xffffffff]) {
        registers.write32(EDU.liveness, value);
        expect(registers.read32(EDU.liveness)).toBe(~value >>> 0);
      }
      for (const value of [0n, 0x1_2345_6789n, 0xfedc_ba98_7654_3210n]) {
        registers.write64(EDU.dmaSource, value);
        expect(registers.read64(EDU.dmaSource)).toBe(value);
      }
      registers.write64(EDU.dmaSource, 7);
      expect(registers.read64(EDU.dmaSource)).toBe(7n);
    });

    test("run as a program", needs("edu"), () => {
      const registers = way(edu.region("bar0"));
      const program = new RegisterProgram();
      const id = program.read32(EDU.id);
      program.write32(EDU.liveness, 0xdead_beef);
      const liveness = program.read32(EDU.liveness);
      program.write64(EDU.dmaTarget, 0x1_0000_0001n);
      const target = program.read64(EDU.dmaTarget);
      registers.run(program);
      expect([id.value & 0xffff, liveness.value, target.value]).toEqual([0xed, ~0xdead_beef >>> 0, 0x1_0000_0001n]);
      program.read32(edu.region("bar0").size);
      expect(() => registers.run(program)).toThrow(outOfRange);
    });

    test("refuse what is no register, and values that do not fit", needs("edu"), () => {
      const registers = way(edu.region("bar0"));
      expectMistakesRefused(registers);
      expectMistakesRefusedInPrograms(registers);
    });

    test("have all widths where the device has", needs("ivshmem"), () => {
      const memory = way(ivshmem.region("bar2"));
      memory.write64(0, 0x8877_6655_4433_2211n);
      expect([0, 1, 2, 3].map((i) => memory.read8(i))).toEqual([0x11, 0x22, 0x33, 0x44]);
      expect([memory.read16(0), memory.read16(6)]).toEqual([0x2211, 0x8877]);
      expect([memory.read32(0), memory.read32(4)]).toEqual([0x4433_2211, 0x8877_6655]);
      memory.write8(0, 0xff);
      memory.write16(2, 0xfefe);
      memory.write32(4, 0xfdfd_fdfd);
      expect(memory.read64(0)).toBe(0xfdfd_fdfd_fefe_22ffn);
    });
  });

  test("registers() maps once, and falls back to system calls", needs("edu", "igb"), () => {
    const bar = edu.region("bar0");
    expect(bar.registers()).toBeInstanceOf(RegionMap);
    expect(bar.registers()).toBe(bar.registers());
    expect(igb.region("bar2").registers()).toBe(igb.region("bar2"));
    expect(igb.region("config").registers().read16(0)).toBe(0x8086);
  });

  test("memory is read and written in bytes", needs("ivshmem"), () => {
    const bar = ivshmem.region("bar2");
    const bytes = Uint8Array.from({ length: 3 * PAGE + 5 }, (_, i) => (7 * i) & 0xff);
    bar.write(4093, bytes);
    expect(Buffer.compare(bar.read(4093, bytes.length), bytes)).toBe(0);
    using map = bar.map(0, 5 * PAGE);
    expect(Buffer.compare(new Uint8Array(map.unsafeArrayBuffer(4093, bytes.length)), bytes)).toBe(0);
    new Uint8Array(map.unsafeArrayBuffer()).fill(0xa5, 0, 16);
    expect(bar.read64(8)).toBe(0xa5a5_a5a5_a5a5_a5a5n);
    expect(() => bar.read(bar.size - 4, 8)).toThrow(outOfRange);
    expect(() => bar.write(bar.size - 4, new Uint8Array(8))).toThrow(outOfRange);
    expect(() => map.unsafeArrayBuffer(4 * PAGE, 2 * PAGE)).toThrow(outOfRange);
  });

  test("a part of a large BAR maps where huge pages fit", needs("ivshmem"), () => {
    const bar = ivshmem.region("bar2");
    expect(bar).toMatchObject({ size: 256 * MiB, mappable: true });
    for (const [offset, length, pageSize] of [
      [0, 256 * MiB, 2 * MiB],
      [6 * MiB, 8 * MiB, 2 * MiB],
      [PAGE, 4 * MiB, PAGE],
      [3 * PAGE, PAGE, PAGE],
    ] as const) {
      using map = bar.map(offset, length);
      expect(map).toMatchObject({ offset, length, pageSize });
      const alignment = Math.min(length, 2 * MiB);
      expect(map.address % alignment).toBe(offset % alignment);
      map.write32(0, offset);
      expect(bar.read32(offset)).toBe(offset);
    }
  });

  test("what is closed is closed", needs("ivshmem"), () => {
    const bar = ivshmem.region("bar2");
    const map = bar.map(0, PAGE);
    const window = map.unsafeArrayBuffer();
    map.close();
    map.close();
    expect(map.closed).toBe(true);
    expect(window.byteLength).toBe(0);
    expect(() => map.read32(0)).toThrow(state);
    expect(() => map.write32(0, 0)).toThrow(state);
    expect(() => map.run(new RegisterProgram())).toThrow(state);
    expect(() => map.unsafeArrayBuffer()).toThrow(state);
    expect(() => map.backing()).toThrow(state);
  });

  test("memory that is switched off says so", needs("ivshmem"), () => {
    const bar = ivshmem.region("bar2");
    ivshmem.config.command &= ~PciCommand.memory;
    try {
      expect(() => bar.read32(0)).toThrow(/EIO.*pread.*bar2 of .*memory space is switched off/);
      expect(() => bar.write32(0, 0)).toThrow(/EIO.*pwrite/);
    } finally {
      ivshmem.config.command |= PciCommand.memory;
    }
    expect(() => bar.read32(0)).not.toThrow();
  });

  const shared = "a BAR is memory for other devices, by address in type1 and by dma-buf in iommufd";
  test(shared, needs("edu", "ivshmem"), async () => {
    using map = ivshmem.region("bar2").map(2 * MiB, 2 * MiB);
    if (mode.startsWith("compat")) {
      expect(() => container.map(map)).toThrow(expect.objectContaining({ code: "EFAULT" }));
      return;
    }
    using buffer = DmaBuffer.allocate(PAGE);
    const [source, target] = [container.map(buffer, { mask: 0xfffffff }), container.map(map, { mask: 0xfffffff })];
    expect(() => map.close()).toThrow(expect.objectContaining({ code: "EBUSY" }));
    expect(() => ivshmem.close()).toThrow(/EBUSY.*other devices can still reach its memory/);
    expect(ivshmem.closed).toBe(false);

    // edu copies RAM into its own buffer, and from there into the BAR of the other device.
    const text = "from one device to the other";
    buffer.bytes.set(Buffer.from(text));
    map.write32(64, 0);
    const bar = edu.region("bar0").registers();
    const copy = (from: bigint, to: bigint, command: number) => {
      bar.write64(EDU.dmaSource, from);
      bar.write64(EDU.dmaTarget, to);
      bar.write64(EDU.dmaCount, text.length);
      bar.write64(EDU.dmaCommand, command);
      return expect.poll(() => bar.read64(EDU.dmaCommand) & 1n, { timeout: 10_000, interval: 5 }).toBe(0n);
    };
    edu.busMaster = true;
    await copy(source.iova, EDU_BUFFER, 1);
    await copy(EDU_BUFFER, target.at(64), 3);
    edu.busMaster = false;
    expect(Buffer.from(ivshmem.region("bar2").read(2 * MiB + 64, text.length)).toString()).toBe(text);
    target.unmap();
    source.unmap();
  });

  test("a BAR gives a dma-buf", needs("igb", "ivshmem"), () => {
    const bar = ivshmem.region("bar2");
    using file = bar.exportDmaBuf(PAGE, PAGE);
    expect(file.number).toBeGreaterThan(2);
    using map = bar.map(0, PAGE);
    const backing = map.backing();
    expect(backing.offset).toBe(0);
    expect(map.backing()).toEqual(backing);
    expect(() => bar.exportDmaBuf(1, PAGE)).toThrow(/EINVAL.*page size/);
    expect(() => bar.exportDmaBuf(0, bar.size + PAGE)).toThrow(outOfRange);
    expect(() => igb.region("config").exportDmaBuf(0, 4096)).toThrow(/ENODEV.*not a BAR/);
  });

  test("features answer yes, no, or with a reason", needs("igb"), () => {
    const DMA_BUF = 11;
    const UNKNOWN = 0xffff;
    expect(igb.features.has(DMA_BUF, "get")).toBe(true);
    expect(igb.features.has(DMA_BUF, "set")).toBe(false);
    expect(igb.features.has(UNKNOWN, "get")).toBe(false);
    expect(() => igb.features.get(UNKNOWN, new Uint8Array(8))).toThrow(/ENOTTY.*feature=0xffff/);
    expect(() => igb.features.set(UNKNOWN)).toThrow(/ENOTTY/);
    expect(() => igb.features.has(-1, "get")).toThrow(outOfRange);
    expect(() => igb.features.setVfToken("nonsense")).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }),
    );
  });

  test("a device without virtual functions has no token for them", needs("edu"), () => {
    expect(() => edu.features.setVfToken("2ab74924-c335-45f4-9b16-8569e5b08258")).toThrow(
      /ENOTTY.*not a physical function/,
    );
  });

  test("the kernel writes a register for an eventfd", needs("igb", "ivshmem"), async () => {
    const bar = ivshmem.region("bar2");
    bar.write32(0x100, 0);
    const order = bar.ioeventfd({ offset: 0x100, width: 4, value: 0xcafe });
    expect(() => bar.ioeventfd({ offset: 0x100, width: 4, value: 0xcafe })).toThrow(/EEXIST.*set up already/);
    order.signal();
    await expect.poll(() => bar.read32(0x100)).toBe(0xcafe);
    bar.write32(0x100, 0);
    order.close();
    order.close();
    expect(bar.read32(0x100)).toBe(0);
    expect(() => igb.region("config").ioeventfd({ offset: 4, width: 2, value: 0 })).toThrow(/EINVAL.*into BARs only/);
    expect(() => bar.ioeventfd({ offset: 2, width: 4, value: 0 })).toThrow(outOfRange);
    expect(() => bar.ioeventfd({ offset: 0, width: 1, value: 256 })).toThrow(outOfRange);
  });

  const closed = "a closed device is closed, with all that it gave out, and can be attached again";
  test(closed, needs("edu"), async () => {
    const { config } = edu;
    const bar = edu.region("bar0");
    const map = bar.map(0, PAGE);
    const registers = bar.registers();
    const order = bar.ioeventfd({ offset: EDU.liveness, width: 4, value: 1 });
    const line = edu.intx.enable();
    edu.close();
    edu.close();
    expect(edu.closed).toBe(true);
    expect(edu.address).toBe(devices.edu);
    expect([map.closed, line.closed]).toEqual([true, true]);
    const closed = expect.objectContaining({
      code: "ERR_INVALID_STATE",
      message: expect.stringContaining(devices.edu),
    });
    expect(() => config.vendorId).toThrow(closed);
    expect(() => bar.read32(0)).toThrow(closed);
    expect(() => bar.map()).toThrow(closed);
    expect(() => registers.read32(0)).toThrow(closed);
    expect(() => order.signal()).toThrow(state);
    await expect(line.wait({ timeout: 0 })).rejects.toThrow(closed);
    expect(() => edu.intx.enable()).toThrow(closed);
    expect(() => edu.msi.enable(1)).toThrow(closed);
    expect(() => edu.reset()).toThrow(closed);
    expect(() => edu.hotResetInfo()).toThrow(closed);
    expect(() => edu.features.has(0, "get")).toThrow(closed);
    expect(container.devices.has(devices.edu)).toBe(false);
    edu = container.attach(devices.edu);
    expect(edu.config.deviceId).toBe(0x11e8);
  });
});

const samples = rigOnly("makes mediated devices, of the kernel's sample drivers");

// What the kernel does for a mediated device depends on its driver only: one mode of each kind will do.
describe.each(["type1v2", "iommufd"] as const)("a mediated device in %s", samples, (mode) => {
  test("mtty: ports without a mapping, and half a config space", () => {
    using mdev = new Mdev("mtty", "2");
    using container = openContainer({ mode });
    const device = container.attach(mdev.uuid);
    expect(device.address).toBe(mdev.uuid);
    expect(device.config.vendorId).toBe(0x4348);
    expect(device.config.deviceId).toBe(0x3253);
    expect(device.config.capabilities).toEqual([]);
    const ports = device.region("bar0");
    expect(ports.size).toBe(8);
    expect(() => ports.map()).toThrow(/I\/O ports/);
    // The scratch register of a 16550.
    const registers = ports.registers();
    registers.write8(7, 0x5a);
    expect(registers.read8(7)).toBe(0x5a);
    expect(device.region("bar1").read8(7)).toBe(0);
    expect(device.hotResetInfo()).toBeUndefined();
    expect(() => device.hotReset()).toThrow(expect.objectContaining({ code: "ENODEV" }));
    expect(() => ports.exportDmaBuf(0, 8)).toThrow(expect.objectContaining({ syscall: "ioctl" }));
  });

  test("mtty: the answer to a set is returned, and its descriptor has an owner", () => {
    const migrationFiles = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).includes("mtty_mig");
        } catch {
          return false; // the descriptor that readdir itself used
        }
      });
    using mdev = new Mdev("mtty", "2");
    using container = openContainer({ mode });
    const { features } = container.attach(mdev.uuid);
    const set = (state: number) =>
      features.set(uapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, new Uint8Array(new Uint32Array([state, 0]).buffer));
    const { bytes, fd } = set(STOP_COPY);
    if (fd === undefined) throw new Error("STOP_COPY has made no descriptor");
    using stream = fd;
    expect(migrationFiles()).toEqual([String(stream.number)]);
    expect([...new Int32Array(bytes.buffer)]).toEqual([STOP_COPY, stream.number]);
    expect(readSync(stream.number, new Uint8Array(64))).toBeGreaterThan(0);
    expect(() => set(99)).toThrow(/EINVAL.*feature=0x2/);
    const running = set(uapi.VFIO_DEVICE_STATE_RUNNING);
    expect(running.fd).toBeUndefined();
    expect([...new Int32Array(running.bytes.buffer)]).toEqual([uapi.VFIO_DEVICE_STATE_RUNNING, -1]);
    stream.close();
    expect(migrationFiles()).toEqual([]);
  });

  test("mdpy: a frame buffer that is memory", () => {
    using mdev = new Mdev("mdpy", "vga");
    using container = openContainer({ mode });
    const device = container.attach(mdev.uuid);
    using map = device.region("bar0").map();
    const pixels = new Uint32Array(map.unsafeArrayBuffer());
    const gradient = pixels.slice(0, 64);
    pixels.fill(0x00ff_00ff, 0, 64);
    expect(map.read32(0)).toBe(0x00ff_00ff);
    device.reset();
    expect(pixels.slice(0, 64)).toEqual(gradient);
  });

  test("mbochs: a region of a type of its own", () => {
    using mdev = new Mdev("mbochs", "small");
    using container = openContainer({ mode });
    const device = container.attach(mdev.uuid);
    // VFIO_REGION_TYPE_GFX, VFIO_REGION_SUBTYPE_GFX_EDID
    const edid = device.region({ type: 1, subtype: 1 });
    expect(edid).toMatchObject({ index: 9, name: "region 9", type: { type: 1, subtype: 1 }, writable: true });
    // struct vfio_region_gfx_edid: where the data begins, and how much there may be.
    expect([edid.read32(0), edid.read32(4)]).toEqual([edid.size / 2, 4 * 256]);
    expect(device.findRegion({ type: 1, subtype: 2 })).toBeUndefined();
    expect(() => device.region({ type: 1, subtype: 2 })).toThrow(/no region of type 1, subtype 2/);
    expect(device.regions.map(({ name }) => name)).toContain("region 9");
  });

  test("leaves nothing behind", () => {
    const outside = resources();
    using mdev = new Mdev("mbochs", "small");
    const container = openContainer({ mode });
    const device = container.attach(mdev.uuid);
    device.region("bar0").map(0, PAGE);
    container.close();
    expect(resources()).toEqual(outside);
    expect(existsSync(`/sys/bus/mdev/devices/${mdev.uuid}`)).toBe(true);
  });
});
