/**
 * Traps that others have fallen into. Each test is named after its number in our notes; more of them stand where they belong:
 * with the interrupts, the containers, the accounting.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Container, DmaBuffer, openContainer } from "vfio";
import { connectMessages, Kvm } from "vfio/kvm";
import {
  execInPlace,
  type IncomingUpdate,
  LiveUpdate,
  type OutgoingCarrier,
  receiveLiveUpdate,
} from "vfio/live-update";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { VFIO_DMA_MAP_FLAG_VADDR } from "../../../lib/kernel/uapi.js";
import { Machine, message } from "../../kvm/machine.js";
import { bind, devices, needs } from "../devices.js";
import { PAGE } from "../memory.js";
import { resources } from "../resources.mjs";
import { dma } from "./edu-dma.js";
import { as, Calls } from "./gotchas-calls.js";
import { carriers, handOver, ownModes, present } from "./hand-over.js";
import { IGB, startIgb } from "./registers.js";

const IOVA = 0x100_0000;
const SIZE = 16 * PAGE;

let bound: Disposable;
let before: ReturnType<typeof resources>;
let container: Container;
let ring: DmaBuffer;

beforeAll(() => {
  before = resources();
  bound = bind(devices.edu, devices.igb);
});
afterAll(() => {
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});
beforeEach(() => {
  ring = DmaBuffer.allocate(SIZE);
});
afterEach(() => {
  container.close();
  ring.close();
});

/** edu and igb in a container, memory mapped at {@link IOVA}, and vectors of igb on. */
function open(mode: (typeof ownModes)[number]): void {
  container = openContainer({ mode });
  container.attach(devices.edu).busMaster = true;
  const igb = container.attach(devices.igb);
  igb.msix.enable(2);
  startIgb(igb, 2);
  container.map(ring, { iova: IOVA });
}

const plan = () => ({ containers: { main: container }, memory: { ring } });

/** What came is what the tests go on with. */
function goOn(incoming: IncomingUpdate): void {
  container = incoming.container("main");
  ring = present(incoming.memory.get("ring"));
}

const igb = () => present(container.devices.get(devices.igb));

/** Descriptors of this process that lead to what is handed over. */
const kept = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return /vfio|iommu|eventfd|memfd:vfio/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false; // the one that readdir itself used
    }
  });

describe.each(ownModes)("in %s", needs("edu", "igb"), (mode) => {
  test("G18: the successor asks, and tells nothing; G19: the old process only closes", async () => {
    open(mode);
    using kvm = Kvm.open();
    using machine = new Machine(kvm);
    using next = new Machine(kvm);
    connectMessages(igb().msix, machine.vm, [{ index: 0, message: message(0x41) }]);
    igb()
      .msix.vector(1)
      .on("interrupt", () => {});
    const old = container;
    const oldRing = ring;
    const vectors = [...igb().msix.on];
    const mappings = [...container.mappings];
    const registers = igb().region("bar0").registers();
    const state = () => [IGB.general, IGB.mask, IGB.autoClear].map((at) => igb().region("bar0").registers().read32(at));
    const stateBefore = state();
    const update = new LiveUpdate({ ...plan(), machines: { guest: machine.vm } });
    const [out, back] = await carriers();
    using calls = new Calls();
    const [, incoming] = await Promise.all([
      as(
        () => (update.committed ? "old, committed" : "old"),
        () => update.handOver(out),
      ),
      as(
        () => "successor",
        async () => {
          const incoming = await receiveLiveUpdate(back);
          await incoming.takeOver({ machines: { guest: next.vm } });
          return incoming;
        },
      ),
    ]);
    goOn(incoming);
    // The successor: what sets up, configures, maps, resets.
    const telling =
      /^(open|ioctl|pwrite|mmioWrite|vfioSetIommu|vfioIommu(Map|Unmap|Dirty)|vfioGroup(Set|Unset|GetDeviceFd)|vfioDevice(SetIrqs|Reset|PciHotReset|Ioeventfd|Bind|Attach|Detach)|iommufd(Destroy|Ioas(Alloc|Allow|Map|Copy|Unmap)|Option|VfioIoas))/;
    const told = calls.namesOf("successor").filter((name) => telling.test(name));
    expect(told).toEqual(mode === "iommufd" ? [] : ["vfioIommuMapDmaBatch"]);
    for (const { name, args } of calls.list) {
      const [, batch] = args;
      // Its second word, behind that of the errno, is the first one's flags.
      if (name === "vfioIommuMapDmaBatch" && batch instanceof BigUint64Array)
        expect(batch[1]).toBe(BigInt(VFIO_DMA_MAP_FLAG_VADDR));
      // vfio_device_feature: bit 17 sets.
      if (name === "vfioDeviceFeature") expect(Number(args[1]) & (1 << 17)).toBe(0);
    }
    const changes = calls.namesOf("successor").filter((name) => name.endsWith("ChangeProcess"));
    expect(changes).toEqual(mode === "iommufd" ? ["iommufdIoasChangeProcess"] : []);
    expect(calls.namesOf("old").filter((name) => telling.test(name))).toEqual(
      mode === "iommufd" ? [] : ["vfioIommuUnmapDma"],
    );
    // The old process, from the word on.
    const closing = calls.namesOf("old, committed").filter((name) => /^(vfio|iommufd|ioctl|pwrite|mmio)/.test(name));
    expect(closing).toEqual([]);
    expect(calls.namesOf("old, committed")).toContain("close");
    // What its program still does with its objects is nothing any more.
    as(
      () => "afterwards",
      () => {
        for (const each of [...vectors, ...mappings, ...old.devices.values(), old, oldRing]) each[Symbol.dispose]();
        expect(() => registers.read32(0)).toThrow();
        expect(() => old.map(oldRing)).toThrow(/closed/);
        expect(() => old.attach(devices.edu)).toThrow(/closed/);
      },
    );
    expect(calls.namesOf("afterwards").filter((name) => /^(vfio|iommufd|kvm|close|munmap)/.test(name))).toEqual([]);
    // No reset: the device has what it had.
    expect(state()).toEqual(stateBefore);
    for (const connection of incoming.connections) connection.close();
  });

  test("G17: config space may change meanwhile, and is not compared", async () => {
    open(mode);
    const edu = present(container.devices.get(devices.edu));
    // The interrupt line: a byte that is the program's own, and that the device keeps.
    const at = 0x3c;
    const was = edu.config.read8(at);
    const { incoming } = await handOver(
      {
        ...plan(),
        save: () => {
          native.pwrite(
            edu.attachment.port.fd,
            new Uint8Array([was ^ 0xff]),
            edu.region("config").fileOffset + BigInt(at),
          );
          return new Uint8Array(0);
        },
      },
      { ready: (incoming) => void present(incoming.container("main").devices.get(devices.edu)).config.read8(at) },
    );
    goOn(incoming);
    expect(present(container.devices.get(devices.edu)).config.read8(at)).toBe(was ^ 0xff);
  });

  test("G12: mappings are passed on piece by piece, as they were made", async () => {
    open(mode);
    // Side by side, in the memory and in the address space: one piece to whoever looks at the addresses.
    const pieces = [0, 1, 2, 3].map((page) => ({
      iova: IOVA + SIZE + page * PAGE,
      offset: page * PAGE,
      length: PAGE,
      write: page !== 2,
    }));
    container.mapMany(pieces.map((piece) => ({ memory: ring, ...piece })));
    const shape = () =>
      [...container.mappings].map(({ iova, length, offset, read, write }) => ({ iova, length, offset, read, write }));
    const wanted = shape();
    goOn((await handOver(plan())).incoming);
    expect(shape()).toEqual(wanted);
    // One from the middle can go: the kernel, too, has them one by one.
    expect(container.unmap(IOVA + SIZE + PAGE, PAGE).bytes).toBe(BigInt(PAGE));
    expect(container.unmap(IOVA + SIZE + 2 * PAGE, 2 * PAGE).bytes).toBe(BigInt(2 * PAGE));
    expect(container.unmapAll().bytes).toBe(BigInt(SIZE + PAGE));
    container.map(ring, { iova: IOVA });
  });

  test("G51: a successor that has everything, and does not get the word, gives it back; G3: nothing is made for that", async () => {
    open(mode);
    ring.bytes.fill(0x11, 0, 256);
    const held = resources();
    const [out, back] = await carriers();
    const mute: OutgoingCarrier = {
      name: out.name,
      blockers: () => out.blockers(),
      prepare: (parcel, wait) => out.prepare(parcel, wait),
      transfer: (late, wait) => out.transfer(late, wait),
      commit: () => {
        throw new Error("the power was cut");
      },
      released: () => out.released(),
      acknowledged: (wait) => out.acknowledged(wait),
      abort: (reason) => out.abort(reason),
      close: () => out.close(),
    };
    const [sent, received] = await Promise.allSettled([
      new LiveUpdate(plan()).handOver(mute),
      receiveLiveUpdate(back).then((incoming) => incoming.takeOver()),
    ]);
    expect(sent).toMatchObject({ status: "rejected", reason: { message: "the power was cut" } });
    expect(received).toMatchObject({
      status: "rejected",
      reason: { message: expect.stringContaining("the power was cut") },
    });
    expect(resources()).toEqual(held);
    dma(container, BigInt(IOVA), BigInt(IOVA + PAGE));
    expect(ring.bytes[PAGE + 255]).toBe(0x11);
    // The addresses are valid and this process's: memory can be unmapped and mapped, devices come and go, and it can be tried again.
    container.unmapAll();
    container.map(ring, { iova: IOVA });
    igb().close();
    goOn((await handOver(plan())).incoming);
    container.attach(devices.igb);
  });

  test("G21, G22: a second attempt speaks of what is there then, and not of what was there at the first", async () => {
    open(mode);
    const failed = handOver(plan(), {
      ready: () => {
        throw new Error("not today");
      },
    });
    await expect(failed).rejects.toThrow(/not today/);
    // Everything is another one now, with the same names and, perhaps, the same descriptors.
    igb().close();
    const again = container.attach(devices.igb);
    startIgb(again, 2);
    again.msix.enableVector(1);
    container.unmapAll();
    ring.close();
    ring = DmaBuffer.allocate(SIZE);
    ring.bytes.fill(0x77);
    container.map(ring, { iova: 2 * IOVA });
    goOn((await handOver(plan())).incoming);
    expect([...container.mappings].map(({ iova, memory }) => [iova, memory])).toEqual([[BigInt(2 * IOVA), ring]]);
    expect(igb().msix.on.map(({ index }) => index)).toEqual([1]);
    igb()
      .region("bar0")
      .registers()
      .write32(IGB.cause, 1 << 1);
    expect(await igb().msix.vector(1).wait()).toBe(1);
    expect(ring.bytes.every((byte) => byte === 0x77)).toBe(true);
  });

  test("G23: no child that is started meanwhile inherits a device", async () => {
    open(mode);
    const seen: string[] = [];
    const look = () => {
      seen.push(execFileSync("ls", ["-l", "/proc/self/fd"], { encoding: "latin1" }));
    };
    const { incoming } = await handOver(
      {
        ...plan(),
        save: () => {
          look();
          return new Uint8Array(0);
        },
      },
      { ready: look },
    );
    goOn(incoming);
    look();
    expect(seen.filter((each) => /vfio|iommu|eventfd/.test(each))).toEqual([]);
    const open_ = kept();
    expect(open_.length).toBeGreaterThan(4);
    // O_CLOEXEC
    const flags = open_.map((fd) => /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1]);
    expect(flags.every((each) => (Number.parseInt(each ?? "0", 8) & 0o2000000) !== 0)).toBe(true);
  });

  test("G24: more descriptors than one message carries", async () => {
    open(mode);
    const names = Array.from({ length: 600 }, (_, index) => `file ${index}`);
    const descriptors = Object.fromEntries(names.map((name) => [name, native.memfdCreate(name, 0)]));
    const { incoming } = await handOver({ ...plan(), descriptors });
    goOn(incoming);
    for (const [name, mine] of Object.entries(descriptors)) {
      const theirs = present(incoming.descriptors.get(name));
      expect(native.kcmpFile(mine, theirs.number)).toBe(0);
      native.close(mine);
      theirs.close();
    }
  });
});

test("G14: blockers are the same whatever carries", needs("edu", "igb"), async () => {
  container = openContainer({ mode: "compat-type1v2" });
  container.attach(devices.edu);
  container.map(ring, { iova: IOVA });
  const update = new LiveUpdate(plan());
  const [out, back] = await carriers();
  const exec = execInPlace();
  expect(update.blockers(out)).toEqual(update.blockers());
  expect(update.blockers(exec)).toEqual(update.blockers());
  expect(update.blockers()).toHaveLength(1);
  for (const each of [out, back, exec]) each.close();
});
