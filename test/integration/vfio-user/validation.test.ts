/** Every rule that a client's message can break, and the errno of each. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { PciDevice } from "../../../lib/vfio-user/device/pci-device.js";
import { CommandNumber } from "../../../lib/vfio-user/protocol/constants.js";
import { VfioUserServer } from "../../../lib/vfio-user/server/server.js";
import {
  EEXIST,
  EINVAL,
  ENOENT,
  ENOSPC,
  ENOTSUP,
  Fds,
  type Fixture,
  openFds,
  options,
  serve,
  words,
} from "./device.js";
import { RawClient } from "./raw-client.js";

const none = new Uint8Array(0);
const MiB = 1 << 20;

type Case = [what: string, command: number, payload: Uint8Array, errno: number, fds?: number];

const {
  dmaMap,
  dmaUnmap,
  dmaRead,
  deviceGetInfo,
  deviceGetRegionInfo,
  deviceGetRegionIoFds,
  deviceGetIrqInfo,
  deviceSetIrqs,
  regionRead,
  regionWrite,
  regionWriteMulti,
  deviceReset,
  deviceFeature,
  migDataRead,
  migDataWrite,
  version,
} = CommandNumber;

// VFIO_IRQ_SET_*
const [NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER] = [1, 2, 4, 8, 16, 32];
const irqs = (flags: number, index: number, start: number, count: number, data: Uint8Array = none) =>
  Uint8Array.of(...words(20 + data.length, flags, index, start, count), ...data);
// VFIO_DEVICE_FEATURE_*
const [GET, SET, PROBE] = [0x10000, 0x20000, 0x40000];
const feature = (flags: number, data: Uint8Array = none, argsz = 8 + data.length) =>
  Uint8Array.of(...words(argsz, flags), ...data);
const map = (flags: number, offset: bigint, iova: bigint, size: bigint) => words(32, flags, offset, iova, size);
const access = (offset: bigint, region: number, count: number, data: Uint8Array = none) =>
  Uint8Array.of(...words(offset, region, count), ...data);

const cases: Case[] = [
  ["a second introduction", version, words(0), EINVAL],
  ["command 0", 0, none, EINVAL],
  ["the obsolete command 14", 14, none, EINVAL],
  ["a command of the far future", 0xffff, none, EINVAL],
  ["a command of the server's", dmaRead, words(0n, 8n), EINVAL],

  ["info: cut", deviceGetInfo, words(16, 0, 0), EINVAL],
  ["info: an argsz that is too small", deviceGetInfo, words(15, 0, 0, 0), EINVAL],

  ["region info: cut", deviceGetRegionInfo, words(32, 0, 0, 0, 0n, 0), EINVAL],
  ["region info: an argsz that is too small", deviceGetRegionInfo, words(31, 0, 0, 0, 0n, 0n), EINVAL],
  ["region info: the first index that is none", deviceGetRegionInfo, words(32, 0, 9, 0, 0n, 0n), EINVAL],
  ["region info: the last index that is none", deviceGetRegionInfo, words(32, 0, -1, 0, 0n, 0n), EINVAL],
  ["region io fds: cut", deviceGetRegionIoFds, words(16, 0, 0), EINVAL],
  ["region io fds: with flags", deviceGetRegionIoFds, words(16, 1, 0, 0), EINVAL],
  ["region io fds: with a count", deviceGetRegionIoFds, words(16, 0, 0, 1), EINVAL],
  ["region io fds: an index that is none", deviceGetRegionIoFds, words(16, 0, 9, 0), EINVAL],
  ["irq info: cut", deviceGetIrqInfo, words(16, 0, 0), EINVAL],
  ["irq info: an argsz that is too small", deviceGetIrqInfo, words(12, 0, 0, 0), EINVAL],
  ["irq info: an index that is none", deviceGetIrqInfo, words(16, 0, 5, 0), EINVAL],

  ["read: cut", regionRead, words(0n, 0), EINVAL],
  ["read: with data", regionRead, access(0n, 0, 4, words(0)), EINVAL],
  ["read: an index that is none", regionRead, access(0n, 9, 4), EINVAL],
  ["read: of a BAR that is none", regionRead, access(0n, 1, 4), EINVAL],
  ["read: beyond the end", regionRead, access(4093n, 0, 4), EINVAL],
  ["read: at the last address", regionRead, access(0xffff_ffff_ffff_fffcn, 0, 8), EINVAL],
  ["read: more than there may be at once", regionRead, access(0n, 2, MiB + 1), EINVAL],
  ["read: 4 GiB", regionRead, access(0n, 2, -1), EINVAL],
  ["read: beyond config space", regionRead, access(256n, 7, 1), EINVAL],
  ["write: cut", regionWrite, words(0n, 0), EINVAL],
  ["write: less than it says", regionWrite, access(0n, 0, 4, Uint8Array.of(1, 2)), EINVAL],
  ["write: more than it says", regionWrite, access(0n, 0, 1, Uint8Array.of(1, 2)), EINVAL],
  ["write: an index that is none", regionWrite, access(0n, 77, 1, Uint8Array.of(1)), EINVAL],
  ["write: beyond the end", regionWrite, access(4096n, 0, 1, Uint8Array.of(1)), EINVAL],
  ["writes: that were not negotiated", regionWriteMulti, words(0n), EINVAL],

  ["map: cut", dmaMap, words(32, 3, 0n, 0n, 0), EINVAL],
  ["map: an argsz that is too small", dmaMap, words(31, 3, 0n, 0n, 4096n), EINVAL],
  ["map: unknown flags", dmaMap, map(0x13, 0n, 0n, 4096n), EINVAL],
  ["map: to be mapped, without a descriptor", dmaMap, map(0x7, 0n, 0n, 4096n), EINVAL],
  ["map: to be read as a file, without a descriptor", dmaMap, map(0xb, 0n, 0n, 4096n), EINVAL],
  ["map: nothing", dmaMap, map(3, 0n, 0n, 0n), EINVAL],
  ["map: half a page", dmaMap, map(3, 0n, 0n, 2048n), EINVAL],
  ["map: in the middle of a page", dmaMap, map(3, 0n, 2048n, 4096n), EINVAL],
  ["map: beyond the last address", dmaMap, map(3, 0n, 0xffff_ffff_ffff_f000n, 8192n), EINVAL],
  ["map: with two descriptors", dmaMap, map(3, 0n, 0n, 4096n), EINVAL, 2],
  ["map: over a part of another", dmaMap, map(3, 0n, 0x101000n, 4096n), EEXIST],
  ["map: over the whole of another", dmaMap, map(3, 0n, 0n, 1n << 40n), EEXIST],
  ["map: over another, with other permissions", dmaMap, map(1, 0n, 0x100000n, 8192n), EEXIST],
  ["unmap: cut", dmaUnmap, words(24, 0, 0n, 0), EINVAL],
  ["unmap: an argsz that is too small", dmaUnmap, words(23, 0, 0x100000n, 8192n), EINVAL],
  ["unmap: unknown flags", dmaUnmap, words(24, 4, 0x100000n, 8192n), EINVAL],
  ["unmap: what is not mapped", dmaUnmap, words(24, 0, 0x800000n, 4096n), ENOENT],
  ["unmap: a part of a range", dmaUnmap, words(24, 0, 0x100000n, 4096n), ENOENT],
  ["unmap: more than a range", dmaUnmap, words(24, 0, 0x100000n, 16384n), ENOENT],
  ["unmap: everything, with a size", dmaUnmap, words(24, 2, 0n, 4096n), EINVAL],
  ["unmap: everything, with an address", dmaUnmap, words(24, 2, 4096n, 0n), EINVAL],
  ["unmap: everything, with a bitmap", dmaUnmap, words(24, 3, 0n, 0n), EINVAL],
  ["unmap: with a bitmap, without saying which", dmaUnmap, words(48, 1, 0x100000n, 8192n), EINVAL],
  ["unmap: with a bitmap, and no log", dmaUnmap, words(48, 1, 0x100000n, 8192n, 4096n, 8n), EINVAL],

  ["irqs: cut", deviceSetIrqs, words(20, TRIGGER | NONE, 0, 0), EINVAL],
  ["irqs: an argsz that is too small", deviceSetIrqs, words(16, TRIGGER | NONE, 0, 0, 0), EINVAL],
  ["irqs: an index that is none", deviceSetIrqs, irqs(TRIGGER | NONE, 5, 0, 0), EINVAL],
  ["irqs: no kind of data", deviceSetIrqs, irqs(TRIGGER, 2, 0, 1), EINVAL],
  ["irqs: two kinds of data", deviceSetIrqs, irqs(TRIGGER | NONE | BOOL, 2, 0, 1, Uint8Array.of(1)), EINVAL],
  ["irqs: no action", deviceSetIrqs, irqs(NONE, 2, 0, 1), EINVAL],
  ["irqs: two actions", deviceSetIrqs, irqs(TRIGGER | MASK | NONE, 0, 0, 1), EINVAL],
  ["irqs: an unknown flag", deviceSetIrqs, irqs(TRIGGER | NONE | 64, 2, 0, 1), EINVAL],
  ["irqs: the first vector that is none", deviceSetIrqs, irqs(TRIGGER | NONE, 2, 8, 1), EINVAL],
  ["irqs: a vector too many", deviceSetIrqs, irqs(TRIGGER | NONE, 2, 7, 2), EINVAL],
  ["irqs: a start and a count that overflow", deviceSetIrqs, irqs(TRIGGER | NONE, 2, 1, -1), EINVAL],
  ["irqs: off, with a start", deviceSetIrqs, irqs(TRIGGER | NONE, 2, 1, 0), EINVAL],
  ["irqs: off, by masking", deviceSetIrqs, irqs(MASK | NONE, 0, 0, 0), EINVAL],
  ["irqs: off, with booleans", deviceSetIrqs, irqs(TRIGGER | BOOL, 2, 0, 0), EINVAL],
  ["irqs: too few descriptors", deviceSetIrqs, irqs(TRIGGER | EVENTFD, 2, 0, 2), EINVAL, 1],
  ["irqs: too many descriptors", deviceSetIrqs, irqs(TRIGGER | EVENTFD, 2, 0, 2), EINVAL, 3],
  ["irqs: eventfds that are none", deviceSetIrqs, irqs(TRIGGER | EVENTFD, 2, 0, 1), EINVAL, 1],
  ["irqs: too few booleans", deviceSetIrqs, irqs(TRIGGER | BOOL, 2, 0, 2, Uint8Array.of(1)), EINVAL],
  ["irqs: too many booleans", deviceSetIrqs, irqs(TRIGGER | BOOL, 2, 0, 1, Uint8Array.of(1, 1)), EINVAL],
  ["irqs: booleans without being said", deviceSetIrqs, irqs(TRIGGER | NONE, 2, 0, 1, Uint8Array.of(1)), EINVAL],
  ["irqs: masking of a vector", deviceSetIrqs, irqs(MASK | NONE, 2, 0, 1), EINVAL],
  ["irqs: unmasking of a vector of MSI", deviceSetIrqs, irqs(UNMASK | NONE, 1, 0, 1), EINVAL],
  ["irqs: masking of a notification", deviceSetIrqs, irqs(MASK | NONE, 3, 0, 1), EINVAL],
  ["irqs: two notifications", deviceSetIrqs, irqs(TRIGGER | NONE, 4, 0, 2), EINVAL],
  ["irqs: masking of a line that is off", deviceSetIrqs, irqs(MASK | NONE, 0, 0, 1), EINVAL],
  ["irqs: raising of a line that is off", deviceSetIrqs, irqs(TRIGGER | NONE, 0, 0, 1), EINVAL],

  ["reset: with a payload", deviceReset, words(0), EINVAL],

  ["feature: cut", deviceFeature, words(8), EINVAL],
  ["feature: an argsz that is too small", deviceFeature, words(7, GET | 1), EINVAL],
  ["feature: neither got nor set", deviceFeature, feature(6), EINVAL],
  ["feature: got and set", deviceFeature, feature(GET | SET | 6), EINVAL],
  ["feature: an unknown flag", deviceFeature, feature(0x80000 | GET | 6), EINVAL],
  ["feature: an unknown one", deviceFeature, feature(PROBE | GET | 999), ENOTSUP],
  ["feature: migration, of a device that cannot", deviceFeature, feature(GET | 1, none, 16), ENOTSUP],
  ["feature: a log that is got", deviceFeature, feature(GET | 6), EINVAL],
  ["feature: a report that is set", deviceFeature, feature(SET | 8, words(0n, 4096n, 4096n)), EINVAL],
  ["feature: a probe for the wrong way", deviceFeature, feature(PROBE | SET | 8), EINVAL],
  ["feature: a log of pages of no power of two", deviceFeature, feature(SET | 6, words(4097n, 0, 0)), EINVAL],
  ["feature: a log of ranges that are not there", deviceFeature, feature(SET | 6, words(4096n, 2, 0, 0n, 1n)), EINVAL],
  ["feature: a log of an empty range", deviceFeature, feature(SET | 6, words(4096n, 1, 0, 0n, 0n)), EINVAL],
  ["feature: a report without a log", deviceFeature, feature(GET | 8, words(0n, 4096n, 4096n), 64), EINVAL],

  ["migration data: cut", migDataRead, words(8), EINVAL],
  ["migration data: an argsz without room", migDataRead, words(8, 8), EINVAL],
  ["migration data: in the wrong state", migDataRead, words(16, 8), EINVAL],
  ["migration data: more than there may be at once", migDataRead, words(MiB + 100, MiB + 1), EINVAL],
  ["migration data: less than it says", migDataWrite, words(16, 8, 0), EINVAL],
  ["migration data: an argsz that does not cover it", migDataWrite, words(8, 4, 0), EINVAL],
  ["migration data: written in the wrong state", migDataWrite, words(12, 4, 0), EINVAL],
];

describe("refused is", () => {
  let fixture: Fixture;
  let client: RawClient;
  let fds: Fds;
  beforeAll(async () => {
    fixture = serve({}, { maxRanges: 2 });
    client = await fixture.open();
    fds = new Fds();
    expect((await client.raw(dmaMap, map(3, 0n, 0x100000n, 8192n))).errno).toBe(0);
  });
  afterAll(async () => {
    client.close();
    fds[Symbol.dispose]();
    await fixture[Symbol.asyncDispose]();
  });

  test.each<Case>(cases)("%s", async (_, command, payload, errno, descriptors = 0) => {
    const before = openFds();
    // None of them is an eventfd; what is not refused for its number is refused for its kind.
    const send = Array.from({ length: descriptors }, () => fds.memfd(4096));
    expect(await client.raw(command, payload, send)).toEqual({ errno });
    expect(openFds()).toBe(before + send.length);
    // It goes on as if nothing had been said.
    expect((await client.raw(deviceGetInfo, words(16, 0, 0, 0))).errno).toBe(0);
  });

  test("a third range where two are the most", async () => {
    expect((await client.raw(dmaMap, map(3, 0n, 0x200000n, 4096n))).errno).toBe(0);
    expect(await client.raw(dmaMap, map(3, 0n, 0x300000n, 4096n))).toEqual({ errno: ENOSPC });
    expect((await client.raw(dmaUnmap, words(24, 0, 0x200000n, 4096n))).errno).toBe(0);
  });

  test("a file that ends before the range does", async () => {
    const file = fds.memfd(4096);
    expect(await client.raw(dmaMap, map(3, 0n, 0x300000n, 8192n), [file])).toEqual({ errno: EINVAL });
    expect(await client.raw(dmaMap, map(3, 4096n, 0x300000n, 4096n), [file])).toEqual({ errno: EINVAL });
    expect(await client.raw(dmaMap, map(3, 0xffff_ffff_ffff_f000n, 0x300000n, 4096n), [file])).toEqual({
      errno: EINVAL,
    });
  });
});

describe("taken is", () => {
  test("the same range twice, and nothing but the same", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const file = fds.memfd(8192, { sealed: true });
    for (let round = 0; round < 2; round++) {
      expect((await client.raw(dmaMap, map(3, 0n, 0n, 4096n), [file])).errno).toBe(0);
    }
    expect((await client.raw(dmaMap, map(3, 4096n, 0n, 4096n), [file])).errno).toBe(EEXIST);
    expect((await client.raw(dmaMap, map(3, 0n, 0n, 4096n), [fds.memfd(4096)])).errno).toBe(EEXIST);
    expect(fixture.device.dma.ranges.length).toBe(1);
  });

  test("an access of no bytes", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    expect(await client.raw(regionRead, access(4096n, 0, 0))).toMatchObject({ payload: access(4096n, 0, 0) });
    expect(await client.raw(regionWrite, access(0n, 0, 0))).toMatchObject({ errno: 0 });
  });

  test("a write to the ROM, which changes nothing", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    expect((await client.raw(regionWrite, access(0n, 6, 1, Uint8Array.of(1)))).errno).toBe(0);
    const reply = await client.raw(regionRead, access(0n, 6, 2));
    expect(reply.payload?.subarray(16)).toEqual(Uint8Array.of(0x55, 0xaa));
  });

  test("a probe, of what there is", async () => {
    await using fixture = serve({ migration: { save: () => none, load: () => {} } });
    using client = await fixture.open();
    for (const flags of [GET | 1, GET | 2, SET | 2, GET | SET | 2, SET | 6, SET | 7, GET | 8]) {
      const payload = feature(PROBE | flags);
      expect(await client.raw(deviceFeature, payload)).toMatchObject({ payload });
    }
  });
});

describe("descriptors that a request does not need are closed, and it is answered", () => {
  // SPDK's host sends the descriptor of the range with DMA_UNMAP, as it does with DMA_MAP.
  const requests: readonly (readonly [string, number, Uint8Array])[] = [
    ["info", deviceGetInfo, words(16, 0, 0, 0)],
    ["region info", deviceGetRegionInfo, words(32, 0, 0, 0, 0n, 0n)],
    ["region io fds", deviceGetRegionIoFds, words(16, 0, 0, 0)],
    ["irq info", deviceGetIrqInfo, words(16, 0, 0, 0)],
    ["read", regionRead, access(0n, 0, 4)],
    ["read of config space", regionRead, access(0n, 7, 64)],
    ["write", regionWrite, access(0n, 0, 4, words(1))],
    ["irqs: a vector that is raised", deviceSetIrqs, irqs(TRIGGER | NONE, 2, 0, 1)],
    ["irqs: vectors that are raised by booleans", deviceSetIrqs, irqs(TRIGGER | BOOL, 2, 0, 2, Uint8Array.of(1, 0))],
    ["irqs: a notification that is switched off", deviceSetIrqs, irqs(TRIGGER | NONE, 4, 0, 0)],
    ["reset", deviceReset, none],
    ["feature", deviceFeature, feature(SET | 6, words(4096n, 0, 0))],
    ["unmap", dmaUnmap, words(24, 0, 0x100000n, 8192n)],
  ];

  test.each(requests)("%s", async (_, command, payload) => {
    await using fixture = serve({ bars: [{ size: 4096, read: () => 0, write: () => {} }] });
    using client = await fixture.open();
    using fds = new Fds();
    expect((await client.raw(dmaMap, map(3, 0n, 0x100000n, 8192n), [fds.memfd(8192)])).errno).toBe(0);
    const send = [fds.memfd(8192), fds.eventfd()];
    const before = openFds();
    expect((await client.raw(command, payload, send)).errno).toBe(0);
    if (command !== dmaUnmap) {
      expect(openFds()).toBe(before);
      expect(fixture.device.dma.ranges).toHaveLength(1);
    } else {
      // With the range goes the server's own descriptor of it.
      expect(openFds()).toBe(before - 1);
      expect(fixture.device.dma.ranges).toEqual([]);
    }
  });

  test("the introduction", async () => {
    const device = new PciDevice(options);
    const [ours, theirs] = UnixSocket.pair("stream");
    await using server = VfioUserServer.serve(device, theirs);
    using client = RawClient.over(ours);
    using fds = new Fds();
    const send = [fds.eventfd()];
    const before = openFds();
    expect((await client.raw(version, Uint8Array.of(0, 0, 0, 0), send)).errno).toBe(0);
    expect(openFds()).toBe(before);
    expect(server.connected).toBe(true);
  });
});

describe("the introduction", () => {
  const json = (text: string) => Uint8Array.of(0, 0, 2, 0, ...Buffer.from(`${text}\0`));

  test.each<[string, number, Uint8Array, number?]>([
    ["is the first message", deviceGetInfo, words(16, 0, 0, 0)],
    ["is in a version that is spoken", version, Uint8Array.of(1, 0, 0, 0)],
    ["has a version", version, Uint8Array.of(0, 0)],
    ["has JSON", version, json("{")],
    ["has believable capabilities", version, json('{"capabilities":{"max_msg_fds":5000}}')],
    ["is no novel", version, new Uint8Array(10_000)],
  ])("%s, or the connection ends", async (_, command, payload, descriptors = 0) => {
    await using fixture = serve();
    using fds = new Fds();
    using client = await RawClient.connect(fixture.path);
    const send = Array.from({ length: descriptors }, () => fds.eventfd());
    expect(await client.raw(command, payload, send)).toEqual({ errno: EINVAL });
    await client.closed();
    await fixture.server.idle();
    expect(fixture.told).toMatchObject([{ code: "EINVAL" }]);
    // The next one is served.
    using next = await fixture.open();
    expect((await next.raw(deviceGetInfo, words(16, 0, 0, 0))).errno).toBe(0);
  });

  test.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [99, 2],
  ])("minor version %d is answered with %d", async (minor, answered) => {
    await using fixture = serve();
    using client = await RawClient.connect(fixture.path);
    const reply = await client.raw(version, Uint8Array.of(0, 0, minor, 0));
    expect([...(reply.payload?.subarray(0, 4) ?? [])]).toEqual([0, 0, answered, 0]);
  });

  test("the reply is no longer than the request, and names nothing that was not asked about", async () => {
    await using fixture = serve();
    using client = await RawClient.connect(fixture.path);
    const asked = json(
      '{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096,"max_dma_maps":65535,' +
        '"migration":{"pgsize":4096,"max_bitmap_size":268435456},"write_multiple":true}}',
    );
    const reply = await client.raw(version, asked);
    expect(reply.payload?.length).toBeLessThanOrEqual(asked.length);
    expect(JSON.parse(Buffer.from(reply.payload?.subarray(4, -1) ?? []).toString())).toEqual({
      capabilities: {
        max_msg_fds: 16,
        max_data_xfer_size: 1048576,
        max_dma_maps: 65535,
        pgsizes: 4096,
        write_multiple: true,
      },
    });
  });

  test("a server that takes less than the specification assumes says so, asked or not", async () => {
    await using fixture = serve({}, { maxTransfer: 4096 });
    using client = await RawClient.connect(fixture.path);
    const reply = await client.raw(version, Uint8Array.of(0, 0, 0, 0));
    expect(Buffer.from(reply.payload?.subarray(4, -1) ?? []).toString()).toBe(
      '{"capabilities":{"max_data_xfer_size":4096}}',
    );
    expect(await client.raw(regionRead, access(0n, 2, 4097))).toEqual({ errno: EINVAL });
  });
});
