/** The virtio disk, and drivers that are wrong or hostile: a guest may be anybody. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { PciDevice } from "../../../lib/vfio-user/device/pci-device.js";
import { type Disk, memoryDisk, virtioBlockDevice } from "../../../lib/vfio-user/devices/virtio-blk.js";
import { virtioPciDevice } from "../../../lib/vfio-user/devices/virtio-pci.js";
import { deviceSetIrqs, dmaMap, regionRead, regionWrite } from "../../../lib/vfio-user/protocol/messages.js";
import { Prng } from "../../unit/prng.js";
import { Fds, serve } from "./device.js";
import type { RawClient } from "./raw-client.js";

const MEMORY = 1 << 20;
const SIZE = 8;
// Where the driver has its things, in its memory.
const [TABLE, AVAILABLE, USED, HEADER, STATUS, DATA] = [0x1000, 0x2000, 0x3000, 0x4000, 0x4100, 0x8000];
const [IN, OUT, FLUSH, GET_ID] = [0, 1, 4, 8];
const [NEXT, WRITE, INDIRECT] = [1, 2, 4];
const DRIVER_OK = 0xf;
const NEEDS_RESET = 0x40;

interface Descriptor {
  readonly iova: number | bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** As much of a driver as it takes. */
class Driver {
  readonly #client: RawClient;
  readonly #memfd: number;
  readonly #interrupt: number;
  #offered = 0;

  constructor(client: RawClient, memfd: number, interrupt: number) {
    this.#client = client;
    this.#memfd = memfd;
    this.#interrupt = interrupt;
  }

  /** Writes `width` bytes of a register. */
  async set(offset: number, width: number, value: number | bigint): Promise<void> {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, BigInt(value), true);
    await this.#client.ask(regionWrite, { offset: BigInt(offset), region: 0, data: data.subarray(0, width) });
  }

  async get(offset: number, width: number): Promise<number> {
    const { data } = await this.#client.ask(regionRead, { offset: BigInt(offset), region: 0, count: width });
    return data.reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0);
  }

  store(at: number, bytes: Uint8Array): void {
    native.pwrite(this.#memfd, bytes, at);
  }

  load(at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    native.pread(this.#memfd, bytes, at);
    return bytes;
  }

  /** Resets the device and starts it again. */
  async start(places: { table?: number; available?: number; used?: number; features?: number } = {}): Promise<void> {
    await this.set(0x14, 1, 0);
    expect(await this.get(0x14, 1)).toBe(0);
    this.store(AVAILABLE, new Uint8Array(0x2000));
    this.#offered = 0;
    await this.set(0x14, 1, 3);
    await this.set(0x08, 4, 0);
    await this.set(0x0c, 4, places.features ?? 1 << 28);
    await this.set(0x08, 4, 1);
    await this.set(0x0c, 4, 1);
    await this.set(0x14, 1, 0xb);
    expect(await this.get(0x14, 1)).toBe(0xb);
    await this.set(0x10, 2, 0);
    await this.set(0x16, 2, 0);
    await this.set(0x18, 2, SIZE);
    await this.set(0x1a, 2, 1);
    await this.set(0x20, 8, places.table ?? TABLE);
    await this.set(0x28, 8, places.available ?? AVAILABLE);
    await this.set(0x30, 8, places.used ?? USED);
    await this.set(0x1c, 2, 1);
    await this.set(0x14, 1, DRIVER_OK);
  }

  describe(at: number, descriptors: readonly Descriptor[]): void {
    for (const [i, { iova, length, flags, next }] of descriptors.entries()) {
      const bytes = new Uint8Array(16);
      const view = new DataView(bytes.buffer);
      view.setBigUint64(0, BigInt.asUintN(64, BigInt(iova)), true);
      view.setUint32(8, length, true);
      view.setUint16(12, flags, true);
      view.setUint16(14, next, true);
      this.store(at + 16 * i, bytes);
    }
  }

  header(type: number, sector: number | bigint): void {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setUint32(0, type, true);
    new DataView(bytes.buffer).setBigUint64(8, BigInt(sector), true);
    this.store(HEADER, bytes);
  }

  /** Offers a head, and rings. */
  async offer(head: number, index = this.#offered + 1): Promise<void> {
    this.store(AVAILABLE + 4 + 2 * (this.#offered % SIZE), Uint8Array.of(head & 0xff, head >> 8));
    this.#offered = index;
    this.store(AVAILABLE + 2, Uint8Array.of(index & 0xff, (index >> 8) & 0xff));
    await this.set(0x3000, 2, 0);
  }

  /** Waits until a request is done, or the device gives up: what it says. */
  async done(): Promise<"done" | "needs reset"> {
    for (;;) {
      const [low = 0, high = 0] = this.load(USED + 2, 2);
      if (low + 256 * high === (this.#offered & 0xffff)) return "done";
      if (((await this.get(0x14, 1)) & NEEDS_RESET) !== 0) return "needs reset";
      await delay(0);
    }
  }

  /** A request as it should be. Its status, and how many bytes were written. */
  async request(type: number, sector: number | bigint, length: number): Promise<[status: number, written: number]> {
    this.header(type, sector);
    this.store(STATUS, Uint8Array.of(0xff));
    const toDevice = type === OUT;
    this.describe(TABLE, [
      { iova: HEADER, length: 16, flags: NEXT, next: length > 0 ? 1 : 2 },
      { iova: DATA, length, flags: NEXT | (toDevice ? 0 : WRITE), next: 2 },
      { iova: STATUS, length: 1, flags: WRITE, next: 0 },
    ]);
    const slot = this.#offered % SIZE;
    await this.offer(0);
    expect(await this.done()).toBe("done");
    native.eventfdWait(this.#interrupt, 1000);
    const entry = this.load(USED + 4 + 8 * slot, 8);
    return [this.load(STATUS, 1)[0] ?? -1, new DataView(entry.buffer).getUint32(4, true)];
  }
}

async function setUp(of?: Disk | PciDevice) {
  const bytes = Uint8Array.from({ length: 64 * 512 }, (_, i) => i % 251);
  const served = of instanceof PciDevice ? of : virtioBlockDevice(of ?? memoryDisk(bytes), { serial: "a disk" });
  const fixture = serve({}, {}, served);
  const client = await fixture.open();
  const fds = new Fds();
  const memfd = fds.memfd(MEMORY, { sealed: true });
  const [config, queue] = [fds.eventfd(), fds.eventfd()];
  await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: BigInt(MEMORY) }, [memfd]);
  const vectors = { flags: 0x24, index: 2, start: 0, count: 2, data: new Uint8Array(0) };
  await client.ask(deviceSetIrqs, vectors, [config, queue]);
  const driver = new Driver(client, memfd, queue);
  return {
    bytes,
    driver,
    config,
    queue,
    client,
    fixture,
    async [Symbol.asyncDispose]() {
      client.close();
      await fixture[Symbol.asyncDispose]();
      fds[Symbol.dispose]();
    },
  };
}

test("reads, writes, flushes, and tells its name", async () => {
  await using disk = await setUp();
  const { driver, bytes } = disk;
  await driver.start();
  expect(await driver.get(0x2000, 8)).toBe(64);
  expect(await driver.request(IN, 3, 1024)).toEqual([0, 1025]);
  expect(driver.load(DATA, 1024)).toEqual(bytes.subarray(1536, 2560));
  driver.store(DATA, new Uint8Array(512).fill(7));
  expect(await driver.request(OUT, 63, 512)).toEqual([0, 1]);
  expect(bytes.subarray(63 * 512).every((byte) => byte === 7)).toBe(true);
  expect(await driver.request(FLUSH, 0, 0)).toEqual([0, 1]);
  expect(await driver.request(GET_ID, 0, 20)).toEqual([0, 21]);
  expect(Buffer.from(driver.load(DATA, 6)).toString()).toBe("a disk");
});

test.each<[string, number, number | bigint, number, number]>([
  ["beyond the end", IN, 64, 512, 1],
  ["over the end", IN, 63, 1024, 1],
  ["at the last sector that there could be", IN, 0xffff_ffff_ffff_ffffn, 512, 1],
  ["of half a sector", IN, 0, 256, 1],
  ["that writes beyond the end", OUT, 64, 512, 1],
  ["of another kind", 99, 0, 512, 2],
])("a request %s is refused, and the next one is done", async (_, type, sector, length, status) => {
  await using disk = await setUp();
  await disk.driver.start();
  expect(await disk.driver.request(type, sector, length)).toEqual([status, 1]);
  expect(await disk.driver.request(IN, 0, 512)).toEqual([0, 513]);
});

const header = { iova: HEADER, length: 16, flags: NEXT, next: 1 };
const status = { iova: STATUS, length: 1, flags: WRITE, next: 0 };

test.each<[string, readonly Descriptor[], number?, number?]>([
  ["a head that is none", [header, status], SIZE],
  ["a next that is none", [{ ...header, next: SIZE }]],
  ["a circle", [header, { ...status, flags: WRITE | NEXT, next: 1 }]],
  ["a header at no address", [{ ...header, iova: 1n << 40n }, status]],
  ["a status at no address", [header, { ...status, iova: 0xffff_ffff_ffff_ffffn }]],
  ["no status", [{ ...header, flags: 0 }]],
  ["half a header", [{ ...header, length: 8 }, status]],
  [
    "something to read behind something to write",
    [
      { ...header, flags: NEXT | WRITE },
      { ...status, flags: 0 },
    ],
  ],
  ["4 GiB of data", [header, { iova: DATA, length: 0xffff_ffff, flags: WRITE | NEXT, next: 2 }, status]],
  ["a table in a table", [{ iova: TABLE, length: 16, flags: INDIRECT, next: 0 }]],
  ["a table of no whole descriptors", [{ iova: TABLE + 256, length: 17, flags: INDIRECT, next: 0 }]],
  ["an empty table", [{ iova: TABLE + 256, length: 0, flags: INDIRECT, next: 0 }]],
  ["a table at no address", [{ iova: 1n << 50n, length: 32, flags: INDIRECT, next: 0 }]],
  ["more requests than the queue holds", [header, status], 0, 1000],
])("a driver that offers %s has to reset the device, and can", async (_, descriptors, head = 0, index) => {
  await using disk = await setUp();
  const { driver, fixture, config } = disk;
  await driver.start();
  driver.header(IN, 0);
  driver.describe(TABLE, descriptors);
  await (index === undefined ? driver.offer(head) : driver.offer(head, index));
  expect(await driver.done()).toBe("needs reset");
  expect(native.eventfdWait(config, 1000)).toBe(1);
  expect(fixture.told).toEqual([]);
  await driver.start();
  expect(await driver.request(IN, 1, 512)).toEqual([0, 513]);
});

test("rings at odd addresses, at none, and at the end of the memory", async () => {
  await using disk = await setUp();
  const { driver } = disk;
  for (const places of [
    { available: AVAILABLE + 1 },
    { used: USED + 1 },
    { available: 1 << 30 },
    { table: MEMORY - 8 },
  ]) {
    await driver.start(places);
    driver.header(IN, 0);
    driver.describe(TABLE, [header, status]);
    await driver.offer(0);
    // At an odd address of the ring there happens to be nothing offered.
    if (places.available !== AVAILABLE + 1) expect(await driver.done()).toBe("needs reset");
  }
  await driver.start();
  expect(await driver.request(IN, 1, 512)).toEqual([0, 513]);
});

test("a disk that fails, however it says so, is an I/O error", async () => {
  const broken = {
    size: 4096,
    read: () => Promise.reject(new Error("bad sector")),
    write() {
      throw new TypeError("no");
    },
    flush: () => Promise.reject(new Error("no")),
  };
  await using disk = await setUp(broken);
  const { driver, fixture } = disk;
  await driver.start();
  for (const type of [IN, OUT]) expect(await driver.request(type, 0, 512)).toEqual([1, 1]);
  expect(await driver.request(FLUSH, 0, 0)).toEqual([1, 1]);
  expect(await driver.request(GET_ID, 0, 20)).toEqual([0, 21]);
  expect(fixture.told).toEqual([]);
});

test("a kind of device that fails has to be reset, and its program hears of it", async () => {
  const failure = new Error("a fault of the program");
  const device = virtioPciDevice({
    name: "broken",
    type: 4,
    classCode: 0xff0000,
    features: 0n,
    config: new Uint8Array(0),
    queues: 1,
    request: () => Promise.reject(failure),
  });
  await using disk = await setUp(device);
  const { driver, fixture } = disk;
  await driver.start({ features: 0 });
  driver.describe(TABLE, [{ iova: DATA, length: 16, flags: WRITE, next: 0 }]);
  await driver.offer(0);
  expect(await driver.done()).toBe("needs reset");
  expect(fixture.told).toEqual([failure]);
});

test("a driver that wants features that are not there does not get them", async () => {
  await using disk = await setUp();
  const { driver } = disk;
  for (const [low, high] of [
    [1 << 13, 1],
    [0, 0],
    [0, 3],
  ] as const) {
    await driver.set(0x14, 1, 0);
    await driver.set(0x08, 4, 0);
    await driver.set(0x0c, 4, low);
    await driver.set(0x08, 4, 1);
    await driver.set(0x0c, 4, high);
    await driver.set(0x14, 1, 0xb);
    expect(await driver.get(0x14, 1)).toBe(3);
  }
});

test("ringing before the driver is there, or for a queue that is none, does nothing", async () => {
  await using disk = await setUp();
  const { driver } = disk;
  await driver.set(0x3000, 2, 0);
  await driver.set(0x3100, 2, 64);
  await driver.set(0x16, 2, 9);
  expect(await driver.get(0x18, 2)).toBe(0);
  await driver.start();
  expect(await driver.request(IN, 1, 512)).toEqual([0, 513]);
});

test("3,000 chains of anything", { timeout: 60_000 }, async () => {
  await using disk = await setUp();
  const { driver, fixture } = disk;
  const prng = new Prng(11);
  await driver.start();
  let resets = 0;
  for (let i = 0; i < 3000; i++) {
    driver.header(prng.pick([IN, OUT, FLUSH, GET_ID, prng.next()]), prng.below(70));
    const iova = () =>
      prng.pick([HEADER, STATUS, DATA, TABLE, 0, MEMORY - 16, prng.below(2 * MEMORY), prng.bigBelow(1n << 64n)]);
    const chain = Array.from({ length: SIZE }, (_, index) => ({
      iova: iova(),
      length: prng.pick([0, 1, 16, 16, 32, 512, 1024, prng.below(5000), prng.next()]),
      flags: prng.pick([NEXT, NEXT, NEXT | WRITE, WRITE, 0, INDIRECT, prng.below(0x10000)]),
      next: prng.oneIn(8) ? prng.below(10) : index + 1,
    }));
    if (prng.oneIn(2)) chain[0] = { iova: HEADER, length: 16, flags: NEXT, next: 1 };
    driver.describe(TABLE, chain);
    await driver.offer(prng.oneIn(30) ? prng.below(0x10000) : 0);
    if ((await driver.done()) === "done") continue;
    resets++;
    await driver.start();
  }
  expect(fixture.told).toEqual([]);
  expect(resets).toBeGreaterThan(500);
  expect(resets).toBeLessThan(2990);
  await driver.start();
  expect((await driver.request(IN, 1, 512))[0]).toBe(0);
});
