/** Memory that travels: by descriptor, with its contents, to a new address. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Container, DmaBuffer, LegacyContainer, lockedMemory, openContainer } from "vfio";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { bind, devices, needs } from "../devices.js";
import { MiB, PAGE } from "../memory.js";
import { resources } from "../resources.mjs";
import { dma } from "./edu-dma.js";
import { handOver, ownModes, present } from "./hand-over.js";

let bound: Disposable;
let before: ReturnType<typeof resources>;
let containers: Container[] = [];
let buffers: DmaBuffer[] = [];

beforeAll(() => {
  before = resources();
  bound = bind(devices.edu, devices.igb);
});
afterAll(() => {
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});
afterEach(() => {
  for (const container of containers) container.close();
  for (const buffer of buffers) buffer.close();
  containers = [];
  buffers = [];
});

function open(mode: (typeof ownModes)[number], address = devices.edu): Container {
  const container = openContainer({ mode });
  containers.push(container);
  container.attach(address).busMaster = true;
  return container;
}

function allocate(...args: Parameters<typeof DmaBuffer.allocate>): DmaBuffer {
  const buffer = DmaBuffer.allocate(...args);
  buffers.push(buffer);
  return buffer;
}

async function pass(...args: Parameters<typeof handOver>) {
  const { incoming } = await handOver(...args);
  containers.push(...incoming.containers.values());
  const mapped = [...incoming.containers.values()].flatMap(({ mappings }) => [...mappings].map(({ memory }) => memory));
  buffers.push(...incoming.memory.values(), ...mapped.filter((each) => each instanceof DmaBuffer));
  return incoming;
}

describe.each(ownModes)("in %s", needs("edu", "igb"), (mode) => {
  test("has the same contents at a new address, to the last moment, and the device goes on with it", async () => {
    const container = open(mode);
    const ring = allocate(MiB, { name: "ring" });
    container.map(ring, { iova: 0x100_0000 });
    ring.bytes.set([1, 2, 3, 4]);
    const { address } = ring;
    const incoming = await pass({
      containers: { main: container },
      memory: { ring },
      save: () => {
        // Written by the program and by the device when everything is frozen.
        ring.bytes.set([5, 6, 7, 8], PAGE);
        dma(container, 0x100_0000n + BigInt(PAGE), 0x100_0000n + BigInt(2 * PAGE));
        return new Uint8Array(0);
      },
    });
    expect(ring.closed).toBe(true);
    const again = present(incoming.memory.get("ring"));
    // Both were mapped at the same time.
    expect(again.address).not.toBe(address);
    expect(again).toMatchObject({ length: MiB, pageSize: PAGE, label: ring.label, locked: false });
    expect([0, 1, 2].map((page) => [...again.bytes.subarray(page * PAGE, page * PAGE + 4)])).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [5, 6, 7, 8],
    ]);
    const main = incoming.container("main");
    dma(main, 0x100_0000n, 0x100_0000n + BigInt(3 * PAGE));
    expect([...again.bytes.subarray(3 * PAGE, 3 * PAGE + 4)]).toEqual([1, 2, 3, 4]);
    expect(main.addressOf(0x100_0000n + 5n)).toBe(again.address + 5);
  });

  test("of huge pages is so again, and is mapped in such", async () => {
    const container = open(mode);
    const huge = allocate(4 * MiB, { pages: "2M" });
    huge.bytes.fill(9);
    container.map(huge, { iova: 0x200_0000 });
    const incoming = await pass({ containers: { main: container }, memory: { huge } });
    const again = present(incoming.memory.get("huge"));
    expect(again.pageSize).toBe(2 * MiB);
    expect(again.address % (2 * MiB)).toBe(0);
    expect(again.bytes.every((byte) => byte === 9)).toBe(true);
    expect(readFileSync("/proc/self/smaps", "latin1")).toMatch(/(Shared|Private)_Hugetlb:\s+[1-9]/);
    const main = incoming.container("main");
    dma(main, 0x200_0000n, 0x200_0000n + BigInt(2 * MiB));
    main.unmapAll();
    main.map(again, { iova: 0x200_0000 });
  });

  test("that is locked is locked by the successor, and no more by the old process", async () => {
    const container = open(mode);
    const { locked } = lockedMemory();
    const ring = allocate(MiB, { locked: true });
    container.map(ring, { iova: 0x100_0000 });
    const incoming = await pass({ containers: { main: container }, memory: { ring } });
    expect(present(incoming.memory.get("ring")).locked).toBe(true);
    // mlock's, and in type1 the mapping's: with CAP_IPC_LOCK both are counted.
    incoming.container("main").unmapAll();
    expect(lockedMemory().locked - locked).toBe(MiB);
  });

  test("comes once, whatever maps it, and by itself if nothing does", async () => {
    const [one, two] = [open(mode), open(mode, devices.igb)];
    const shared = allocate(4 * PAGE, { name: "shared" });
    const mapped = allocate(PAGE, { name: "only mapped" });
    const named = allocate(PAGE, { name: "only named" });
    named.bytes.fill(3);
    for (const container of [one, two]) container.map(shared, { iova: 0x100_0000 });
    one.map(shared, { iova: 0x200_0000, offset: PAGE, length: PAGE, write: false });
    one.map(mapped, { iova: 0x300_0000 });
    const incoming = await pass({ containers: { one, two }, memory: { shared, named } });
    expect([...incoming.memory.keys()].sort()).toEqual(["named", "shared"]);
    const again = present(incoming.memory.get("shared"));
    const memories = (name: string) => [...incoming.container(name).mappings].map(({ memory }) => memory);
    expect(memories("two")).toEqual([again]);
    expect(memories("one").slice(0, 2)).toEqual([again, again]);
    expect(memories("one")[2]).toMatchObject({ label: mapped.label, length: PAGE });
    const alone = present(incoming.memory.get("named"));
    expect(alone.bytes.every((byte) => byte === 3)).toBe(true);
    alone.close();
    // A mapping holds its memory here as it did there.
    expect(() => again.close()).toThrow(/EBUSY/);
  });

  test("in a thousand pieces comes in a thousand pieces", async () => {
    const container = open(mode);
    const ring = allocate(1000 * PAGE);
    container.mapMany(
      Array.from({ length: 1000 }, (_, page) => ({
        memory: ring,
        iova: 0x100_0000 + 2 * page * PAGE,
        offset: page * PAGE,
        length: PAGE,
      })),
    );
    ring.bytes.fill(0x42, 999 * PAGE);
    const incoming = await pass({ containers: { main: container }, memory: { ring } });
    const main = incoming.container("main");
    expect(main.mappingCount).toBe(1000);
    dma(main, 0x100_0000n + BigInt(2 * 999 * PAGE), 0x100_0000n);
    expect(present(incoming.memory.get("ring")).bytes[255]).toBe(0x42);
    expect(main.unmapAll().bytes).toBe(BigInt(1000 * PAGE));
  });

  test("G20: the program's own descriptors come by their names, and are its own", async () => {
    const container = open(mode);
    const directory = mkdtempSync(join(tmpdir(), "vfio-"));
    const path = join(directory, "log");
    const log = openSync(path, "w");
    const eventfd = native.eventfd();
    native.eventfdWrite(eventfd, 5);
    writeSync(log, "before\n");
    const incoming = await pass({ containers: { main: container }, descriptors: { log, bell: eventfd } });
    expect([...incoming.descriptors.keys()]).toEqual(["log", "bell"]);
    // They were lent: the old program's are still open.
    closeSync(log);
    native.close(eventfd);
    const [file, bell] = ["log", "bell"].map((name) => present(incoming.descriptors.get(name)));
    if (file === undefined || bell === undefined) throw new Error("no descriptors");
    writeSync(file.number, "after\n");
    expect(readFileSync(path, "latin1")).toBe("before\nafter\n");
    expect(native.eventfdRead(bell.number)).toBe(5);
    file.close();
    bell.close();
    rmSync(directory, { recursive: true });
  });
});

test("the program's state comes as it was, of any length", needs("edu"), async () => {
  const container = open("iommufd");
  // More than a message carries.
  const state = Buffer.alloc(3 * MiB, "what a program must remember ");
  const incoming = await pass({ containers: { main: container }, save: () => state });
  expect(Buffer.compare(incoming.state, state)).toBe(0);
});

test("the kernel goes on noting dirty pages", needs("edu"), async () => {
  const container = openContainer({ mode: "type1v2" });
  containers.push(container);
  container.attach(devices.edu).busMaster = true;
  const ring = allocate(4 * PAGE);
  container.map(ring, { iova: 0x100_0000 });
  container.startDirtyTracking();
  const incoming = await pass({ containers: { main: container }, memory: { ring } });
  const main = incoming.container("main");
  if (!(main instanceof LegacyContainer)) throw new Error("it is another one");
  // Without help of the IOMMU every mapped page counts.
  expect(main.dirtyPages(present(main.mappingAt(0x100_0000)))).toEqual(new BigUint64Array([0xfn]));
  main.stopDirtyTracking();
});
