/** What a server does for its clients, seen from the other end of the socket. */
import { constants, ftruncateSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { queryObjects } from "node:v8";
import { describe, expect, test } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { PciDevice } from "../../../lib/vfio-user/device/pci-device.js";
import {
  CommandNumber,
  errorReply,
  HEADER_COMMAND,
  HEADER_REPLY,
  HEADER_SIZE,
  MigrationState,
  stampHeader,
} from "../../../lib/vfio-user/protocol/constants.js";
import type { Frame } from "../../../lib/vfio-user/protocol/framing.js";
import {
  deviceFeature,
  deviceGetInfo,
  deviceGetIrqInfo,
  deviceGetRegionInfo,
  deviceGetRegionIoFds,
  deviceReset,
  deviceSetIrqs,
  dmaMap,
  dmaRead,
  dmaUnmap,
  dmaWrite,
  loggingReportFeature,
  loggingStartFeature,
  migDataRead,
  migDataWrite,
  migrationStateFeature,
  regionRead,
  regionWrite,
  regionWriteMulti,
  version,
} from "../../../lib/vfio-user/protocol/messages.js";
import { VfioUserServer } from "../../../lib/vfio-user/server/server.js";
import { EFAULT, EINVAL, EIO, ENOENT, Fds, openFds, options, serve } from "./device.js";
import { RawClient } from "./raw-client.js";

const none = new Uint8Array(0);
const PAGE = 4096;
// VFIO_IRQ_SET_*
const [NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER] = [1, 2, 4, 8, 16, 32];
const [INTX, MSI, MSIX, ERR, REQ] = [0, 1, 2, 3, 4];
// VFIO_DEVICE_FEATURE_*
const [GET, SET] = [0x10000, 0x20000];

function irqs(
  client: RawClient,
  flags: number,
  index: number,
  start: number,
  count: number,
  fds: readonly number[] = [],
  data = none,
) {
  return client.ask(deviceSetIrqs, { flags, index, start, count, data }, fds);
}

/** Introduces a client, and takes the socket for the server's own requests. */
async function introduceTwin(client: RawClient): Promise<RawClient> {
  const hello = { major: 0, minor: 2, capabilities: { max_msg_fds: 8, twin_socket: { supported: true } } };
  const reply = await client.call(version, hello);
  expect(version.reply.decode(reply.payload ?? none).capabilities?.twin_socket).toEqual({
    supported: true,
    fd_index: 0,
  });
  const [end] = reply.fds ?? [];
  if (end === undefined) throw new Error("no twin socket");
  const socket = UnixSocket.adopt(native.dup(end.number));
  end.close();
  return RawClient.over(socket);
}

function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
}

describe("information", () => {
  test("of the device, its regions and its interrupts", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    expect(await client.ask(deviceGetInfo, { argsz: 1000 })).toEqual({
      argsz: 16,
      flags: 3,
      numRegions: 9,
      numIrqs: 5,
    });
    const regions = [];
    for (let index = 0; index < 9; index++) {
      const { flags, size } = await client.ask(deviceGetRegionInfo, { argsz: 32, index });
      regions.push([flags, Number(size)]);
    }
    const bare = [0, 0];
    expect(regions).toEqual([[3, 4096], bare, [7, 16384], [7, 4096], bare, [3, 4096], [1, 2048], [3, 256], bare]);
    const kinds = [];
    for (let index = 0; index < 5; index++) {
      const { flags, count } = await client.ask(deviceGetIrqInfo, { argsz: 16, index });
      kinds.push([flags, count]);
    }
    expect(kinds).toEqual([
      [7, 1],
      [1, 4],
      [1, 8],
      [1, 1],
      [1, 1],
    ]);
  });

  test("a region that can be mapped comes with its descriptor, and a sparse one with its areas, where there is room", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    const short = await client.call(deviceGetRegionInfo, { argsz: 32, index: 2 });
    expect(short.fds).toEqual([]);
    expect(deviceGetRegionInfo.reply.decode(short.payload ?? none)).toMatchObject({
      argsz: 64,
      flags: 7,
      capOffset: 0,
    });
    const whole = await client.call(deviceGetRegionInfo, { argsz: 64, index: 2 });
    const info = deviceGetRegionInfo.reply.decode(whole.payload ?? none);
    expect(info).toMatchObject({ argsz: 64, flags: 15, capOffset: 32 });
    const [file] = whole.fds ?? [];
    if (file === undefined) throw new Error("no descriptor");
    native.pwrite(file.number, Uint8Array.of(1, 2, 3), 4096);
    expect([...fixture.device.bar(2).bytes.subarray(4096, 4099)]).toEqual([1, 2, 3]);
    // The client cannot cut it under the device's feet.
    expect(() => ftruncateSync(file.number, 0)).toThrow(expect.objectContaining({ code: "EPERM" }));
    file.close();
    const { data } = await client.ask(regionRead, { offset: 4096n, region: 2, count: 3 });
    expect([...data]).toEqual([1, 2, 3]);
  });
});

describe("regions", () => {
  test("requests are answered in their order, whatever time they take", async () => {
    const written: number[] = [];
    await using fixture = serve({
      bars: [
        {
          size: 4096,
          async read(offset) {
            await delay(offset === 0 ? 20 : 0);
            return written.length;
          },
          write(offset) {
            written.push(offset);
          },
        },
      ],
    });
    using client = await fixture.open();
    const encode = (offset: number) =>
      regionRead.request.encode({ offset: BigInt(offset), region: 0, count: 4 }).subarray(HEADER_SIZE);
    const first = await client.send(CommandNumber.regionRead, encode(0));
    await client.post(regionWrite, { offset: 4n, region: 0, data: new Uint8Array(4) });
    const second = await client.send(CommandNumber.regionRead, encode(8));
    expect((await client.reply(first)).payload?.[16]).toBe(0);
    // The posted write has no reply, and is done.
    expect((await client.reply(second)).payload?.[16]).toBe(1);
  });

  test("many writes in one message", async () => {
    const written: number[] = [];
    await using fixture = serve({ bars: [{ size: 4096, write: (_, value) => void written.push(value) }] });
    using client = await fixture.open({ write_multiple: true });
    const write = (offset: bigint, value: number) => ({ offset, region: 0, data: Uint8Array.of(value, 0, 0, 0) });
    expect(await client.ask(regionWriteMulti, [write(0n, 1), write(4n, 2), write(8n, 3)])).toBe(3);
    expect(written).toEqual([1, 2, 3]);
    // Up to the one that is refused.
    expect(await client.ask(regionWriteMulti, [write(0n, 4), write(4096n, 5), write(8n, 6)])).toBe(1);
    expect((await client.call(regionWriteMulti, [write(4096n, 5)])).errno).toBe(EINVAL);
    expect(written).toEqual([1, 2, 3, 4]);
  });

  test.each(["at once", "later"])("what a handler throws %s is EIO for the client, and told here", async (when) => {
    const failure = new Error("a fault of the device");
    await using fixture = serve({
      bars: [
        {
          size: 4096,
          read() {
            if (when === "at once") throw failure;
            return Promise.reject(failure);
          },
        },
      ],
    });
    using client = await fixture.open();
    expect((await client.call(regionRead, { offset: 0n, region: 0, count: 4 })).errno).toBe(EIO);
    expect(fixture.told).toEqual([failure]);
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
  });

  test("a megabyte at once", async () => {
    await using fixture = serve({ bars: [{ size: 1 << 20, memory: true }] });
    using client = await fixture.open();
    const data = pattern(1 << 20);
    await client.ask(regionWrite, { offset: 0n, region: 0, data });
    const back = await client.ask(regionRead, { offset: 0n, region: 0, count: 1 << 20 });
    expect(Buffer.compare(back.data, data)).toBe(0);
  });

  test("doorbells are rung past the client", async () => {
    const rung: string[] = [];
    await using fixture = serve({
      bars: [
        {
          size: 4096,
          write: (offset, value) => void rung.push(`${offset}=${value}`),
          doorbells: [
            { offset: 0x10, width: 4 },
            { offset: 0x20, width: 2, value: 7 },
          ],
        },
      ],
    });
    using client = await fixture.open();
    const short = await client.call(deviceGetRegionIoFds, { argsz: 16, index: 0 });
    expect(short.fds).toEqual([]);
    expect(deviceGetRegionIoFds.reply.decode(short.payload ?? none)).toMatchObject({
      argsz: 96,
      count: 2,
      entries: [],
    });
    const { payload, fds = [] } = await client.call(deviceGetRegionIoFds, { argsz: 96, index: 0 });
    expect(deviceGetRegionIoFds.reply.decode(payload ?? none).entries).toEqual([
      { offset: 0x10n, size: 4n, fdIndex: 0, type: 0, flags: 0, data: 0n },
      { offset: 0x20n, size: 2n, fdIndex: 1, type: 0, flags: 1, data: 7n },
    ]);
    for (const fd of fds) native.eventfdWrite(fd.number, 1);
    while (rung.length < 2) await delay(1);
    expect(rung.sort()).toEqual(["16=0", "32=7"]);
    for (const fd of fds) fd.close();
    expect(await client.ask(deviceGetRegionIoFds, { argsz: 96, index: 2 })).toMatchObject({ count: 0 });
  });
});

describe("config space", () => {
  const CONFIG = 7;
  const read = async (client: RawClient, offset: number, count: number) =>
    (await client.ask(regionRead, { offset: BigInt(offset), region: CONFIG, count })).data;
  const write = (client: RawClient, offset: number, ...bytes: number[]) =>
    client.ask(regionWrite, { offset: BigInt(offset), region: CONFIG, data: Uint8Array.from(bytes) });
  // PCI Express is the first capability.
  const [EXPRESS, DEVICE_CAPABILITIES, DEVICE_CONTROL] = [0x40, 0x44, 0x48];

  test("what the device's program stored before it was served is there after a reset", async () => {
    const device = new PciDevice({
      ...options,
      express: true,
      extendedCapabilities: [{ id: 3, body: pattern(8), writable: new Uint8Array(8).fill(0xff) }],
    });
    device.config.bytes[0xc0] = 0x5a;
    await using fixture = serve({}, {}, device);
    using client = await fixture.open();
    device.config.bytes[0xc1] = 0xa5;
    await write(client, 0x104, ...new Uint8Array(8));
    expect(await read(client, 0xc0, 2)).toEqual(Uint8Array.of(0x5a, 0xa5));
    await client.ask(deviceReset, undefined);
    expect(await read(client, 0xc0, 2)).toEqual(Uint8Array.of(0x5a, 0));
    expect(await read(client, 0x104, 8)).toEqual(pattern(8));
  });

  test("the state of the first time that a device is served is what a reset puts back, also the second time", async () => {
    const device = new PciDevice(options);
    for (const _ of [1, 2]) {
      const [ours, theirs] = UnixSocket.pair("stream");
      await using _server = VfioUserServer.serve(device, ours);
      using client = RawClient.over(theirs);
      await client.call(version, { major: 0, minor: 2, capabilities: {} });
      await client.ask(deviceReset, undefined);
      expect(await read(client, 0xc0, 1)).toEqual(Uint8Array.of(0));
      device.config.bytes[0xc0] = 1;
    }
    device.close();
  });

  test("a function-level reset is the device's reset, and ends before its write is answered", async () => {
    const calls: string[] = [];
    await using fixture = serve({
      express: true,
      async reset() {
        calls.push("begin");
        await delay(1);
        calls.push("end");
      },
    });
    using client = await fixture.open();
    expect(((await read(client, DEVICE_CAPABILITIES, 4))[3] ?? 0) & 0x10).toBe(0x10);
    const MSI_CONTROL = 0x40 + 0x3c + 2;
    await write(client, 0x04, 0x06, 0);
    await write(client, 0x10, 0, 0xf0, 0xff, 0xfe);
    await write(client, MSI_CONTROL, 1);
    expect(((await read(client, MSI_CONTROL, 1))[0] ?? 0) & 1).toBe(1);
    // Not the bit.
    await write(client, DEVICE_CONTROL, 0x10, 0x7f);
    await write(client, EXPRESS, 0, 0xff, 0, 0xff);
    expect(calls).toEqual([]);
    await write(client, DEVICE_CONTROL + 1, 0x80);
    expect(calls).toEqual(["begin", "end"]);
    expect(await read(client, DEVICE_CONTROL, 2)).toEqual(Uint8Array.of(0, 0));
    expect(((await read(client, MSI_CONTROL, 1))[0] ?? 0) & 1).toBe(0);
    // As after any reset: the client's side keeps them.
    expect(await read(client, 0x04, 2)).toEqual(Uint8Array.of(0x06, 0));
    expect(await read(client, 0x10, 4)).toEqual(Uint8Array.of(0, 0xf0, 0xff, 0xfe));
    // In a write of the whole register, and among others.
    await write(client, DEVICE_CONTROL, 0, 0x80);
    await write(client, EXPRESS, ...new Uint8Array(9), 0x80);
    expect(calls).toHaveLength(6);
  });

  test("a function-level reset that the device does not offer is none", async () => {
    let resets = 0;
    const reset = () => void resets++;
    const without = new PciDevice({ ...options, express: true, reset });
    without.config.bytes[DEVICE_CAPABILITIES + 3] = 0;
    for (const device of [without, new PciDevice({ ...options, reset })]) {
      await using fixture = serve({}, {}, device);
      using client = await fixture.open();
      await write(client, DEVICE_CONTROL, 0, 0x80);
    }
    expect(resets).toBe(0);
  });

  test("a function-level reset that fails is an error of the write", async () => {
    await using fixture = serve({
      express: true,
      reset() {
        throw new Error("it does not");
      },
    });
    using client = await fixture.open();
    const data = Uint8Array.of(0, 0x80);
    expect((await client.call(regionWrite, { offset: BigInt(DEVICE_CONTROL), region: CONFIG, data })).errno).toBe(EIO);
    expect(fixture.told).toEqual([expect.objectContaining({ message: "it does not" })]);
  });
});

describe("interrupts", () => {
  test("vectors: set, raised from both sides, taken away one by one and all at once", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const [a, b] = [fds.eventfd(), fds.eventfd()];
    const { msix } = fixture.device;
    await irqs(client, TRIGGER | EVENTFD, MSIX, 3, 2, [a, b]);
    expect(msix.enabled).toBe(true);
    expect([msix.trigger(3), msix.trigger(4), msix.trigger(4)]).toEqual([true, true, true]);
    expect([native.eventfdRead(a), native.eventfdRead(b)]).toEqual([1, 2]);
    // Loopback: by range, and by booleans.
    await irqs(client, TRIGGER | NONE, MSIX, 0, 8);
    await irqs(client, TRIGGER | BOOL, MSIX, 3, 2, [], Uint8Array.of(0, 1));
    expect([native.eventfdRead(a), native.eventfdRead(b)]).toEqual([1, 2]);
    // Without descriptors, those of the range are taken away: also where the range begins behind its own length.
    await irqs(client, TRIGGER | EVENTFD, MSIX, 4, 1);
    expect([msix.trigger(3), msix.trigger(4)]).toEqual([true, false]);
    await irqs(client, TRIGGER | NONE, MSIX, 0, 0);
    expect(msix.enabled).toBe(false);
  });

  test("a vector that was raised while nobody listened comes when somebody does, once", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const eventfd = fds.eventfd();
    expect(fixture.device.msix.trigger(0)).toBe(false);
    await irqs(client, TRIGGER | EVENTFD, MSIX, 0, 1, [eventfd]);
    expect(native.eventfdRead(eventfd)).toBe(1);
    await irqs(client, TRIGGER | EVENTFD, MSIX, 0, 1, [eventfd]);
    expect(native.eventfdPending(eventfd)).toBe(0);
    // MSI has nowhere to keep it.
    expect(fixture.device.msi.trigger(1)).toBe(false);
    await irqs(client, TRIGGER | EVENTFD, MSI, 1, 1, [eventfd]);
    expect(native.eventfdPending(eventfd)).toBe(0);
  });

  test("a line is masked when it is delivered, and comes again while it is raised", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const eventfd = fds.eventfd();
    const { intx } = fixture.device;
    intx.assert();
    await irqs(client, TRIGGER | EVENTFD, INTX, 0, 1, [eventfd]);
    expect(native.eventfdRead(eventfd)).toBe(1);
    intx.assert();
    expect(native.eventfdPending(eventfd)).toBe(0);
    await irqs(client, UNMASK | NONE, INTX, 0, 1);
    expect(native.eventfdRead(eventfd)).toBe(1);
    intx.deassert();
    await irqs(client, UNMASK | NONE, INTX, 0, 1);
    expect(native.eventfdPending(eventfd)).toBe(0);
    await irqs(client, MASK | BOOL, INTX, 0, 1, [], Uint8Array.of(1));
    intx.assert();
    expect(native.eventfdPending(eventfd)).toBe(0);
    await irqs(client, UNMASK | BOOL, INTX, 0, 1, [], Uint8Array.of(0));
    expect(native.eventfdPending(eventfd)).toBe(0);
    await irqs(client, UNMASK | BOOL, INTX, 0, 1, [], Uint8Array.of(1));
    expect(native.eventfdRead(eventfd)).toBe(1);
  });

  test("an eventfd unmasks the line", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const [eventfd, unmask] = [fds.eventfd(), fds.eventfd()];
    await irqs(client, TRIGGER | EVENTFD, INTX, 0, 1, [eventfd]);
    await irqs(client, UNMASK | EVENTFD, INTX, 0, 1, [unmask]);
    fixture.device.intx.assert();
    expect(native.eventfdRead(eventfd)).toBe(1);
    native.eventfdWrite(unmask, 1);
    while (native.eventfdPending(eventfd) === 0) await delay(1);
    expect(native.eventfdRead(eventfd)).toBe(1);
    const again = await client.call(
      deviceSetIrqs,
      { flags: UNMASK | EVENTFD, index: INTX, start: 0, count: 1, data: none },
      [unmask],
    );
    expect(again.errno).toBe(16);
    await irqs(client, UNMASK | EVENTFD, INTX, 0, 1);
    await irqs(client, UNMASK | EVENTFD, INTX, 0, 1, [unmask]);
  });

  test("the command register can hold the line back", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const eventfd = fds.eventfd();
    await client.ask(regionWrite, { offset: 4n, region: 7, data: Uint8Array.of(0, 4) });
    await irqs(client, TRIGGER | EVENTFD, INTX, 0, 1, [eventfd]);
    fixture.device.intx.assert();
    expect(native.eventfdPending(eventfd)).toBe(0);
    await client.ask(regionWrite, { offset: 4n, region: 7, data: Uint8Array.of(0, 0) });
    expect(native.eventfdRead(eventfd)).toBe(1);
  });

  test("notifications", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const eventfd = fds.eventfd();
    expect(fixture.device.err.signal()).toBe(false);
    for (const [index, notice] of [
      [ERR, fixture.device.err],
      [REQ, fixture.device.req],
    ] as const) {
      await irqs(client, TRIGGER | EVENTFD, index, 0, 1, [eventfd]);
      expect(notice.signal()).toBe(true);
      await irqs(client, TRIGGER | NONE, index, 0, 1);
      expect(native.eventfdRead(eventfd)).toBe(2);
      await irqs(client, TRIGGER | NONE, index, 0, 0);
      expect(notice.enabled).toBe(false);
    }
  });

  test("an eventfd that its owner let fill up does not hold the server", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const eventfd = fds.eventfd();
    native.eventfdWrite(eventfd, 0xffff_ffff_ffff_fffen);
    await irqs(client, TRIGGER | EVENTFD, MSI, 0, 1, [eventfd]);
    expect(fixture.device.msi.trigger()).toBe(true);
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
  });

  test("a pipe for an eventfd is refused, and none of its neighbours is taken", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const request = { flags: TRIGGER | EVENTFD, index: MSIX, start: 0, count: 2, data: none };
    const before = openFds();
    const reply = await client.call(deviceSetIrqs, request, [fds.eventfd(), fds.memfd(4096)]);
    expect(reply.errno).toBe(EINVAL);
    expect(fixture.device.msix.enabled).toBe(false);
    expect(openFds()).toBe(before + 2);
  });
});

/** Answers the server's DMA as a client does, out of a memory that begins at an IOVA. */
function memoryOf(client: RawClient, memory: Uint8Array, start: bigint): string[] {
  const seen: string[] = [];
  client.onRequest = ({ header, payload }) => {
    if (header.command === dmaRead.number) {
      const { iova, count } = dmaRead.request.decode(payload);
      seen.push(`r${count}`);
      const at = Number(iova - start);
      return dmaRead.reply.encode({ iova, data: memory.subarray(at, at + Number(count)) });
    }
    const { iova, data } = dmaWrite.request.decode(payload);
    seen.push(`w${data.length}`);
    memory.set(data, Number(iova - start));
    return dmaWrite.reply.encode({ iova, count: BigInt(data.length) });
  };
  return seen;
}

describe("the client's memory", () => {
  test.each([
    ["that is sealed, as a view", { sealed: true }],
    ["that could be cut, as a file", { sealed: false }],
  ])("%s", async (_, { sealed }) => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const { dma } = fixture.device;
    const [first, second] = [fds.memfd(2 * PAGE, { sealed }), fds.memfd(PAGE, { sealed })];
    await client.ask(dmaMap, { flags: 3, offset: BigInt(PAGE), iova: 0x10000n, size: 4096n }, [first]);
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0x11000n, size: 4096n }, [second]);
    // Over the border of the two ranges.
    const data = pattern(3000);
    await dma.write(0x10800, data);
    expect(Buffer.compare(await dma.read(0x10800n, 3000), data)).toBe(0);
    const back = new Uint8Array(2048);
    native.pread(first, back, PAGE + 2048);
    expect(Buffer.compare(back, data.subarray(0, 2048))).toBe(0);
    const view = dma.view(0x11000, 952);
    expect(view !== undefined).toBe(sealed);
    if (view !== undefined) expect(Buffer.compare(view, data.subarray(2048))).toBe(0);
    expect(dma.view(0x10800, 3000)).toBeUndefined();
    // What is taken back is out of reach at once.
    await client.ask(dmaUnmap, { flags: 0, iova: 0x11000n, size: 4096n, argsz: 24 });
    if (view !== undefined) expect(view.length).toBe(0);
    await expect(dma.read(0x11000, 1)).rejects.toMatchObject({ code: "EFAULT" });
    await expect(dma.read(0x10800, 3000)).rejects.toMatchObject({ code: "EFAULT" });
    await client.ask(dmaUnmap, { flags: 2, iova: 0n, size: 0n, argsz: 24 });
    expect(dma.ranges).toEqual([]);
  });

  test("is mapped whatever it is, if the client is trusted", async () => {
    await using fixture = serve({}, { trustClients: true });
    using client = await fixture.open();
    using fds = new Fds();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n }, [fds.memfd(PAGE)]);
    expect(fixture.device.dma.view(0, PAGE)?.length).toBe(PAGE);
  });

  test("is read, written and shown across 1 GiB without anything that is kept for each access", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const { dma } = fixture.device;
    const size = 5 * 2 ** 29;
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: BigInt(size) }, [
      fds.memfd(size, { sealed: true }),
    ]);
    const across = (length: number, i: number) => {
      const iova = 2 ** 30 - 1 - (i % (length - 1));
      return { iova, view: dma.view(iova, length), data: pattern(length, i) };
    };
    const access = async (i: number) => {
      const { iova, view, data } = across(2 + (i % 100), i);
      await dma.write(iova, data);
      expect(Buffer.compare(await dma.read(iova, data.length), data)).toBe(0);
      expect(Buffer.compare(view ?? none, data)).toBe(0);
    };
    await access(0);
    // Once, for what is kept.
    for (const length of [2 ** 29, 2 ** 29 + 2, 2 ** 30]) expect(dma.view(2 ** 30 - 1, length)?.length).toBe(length);
    const before = queryObjects(ArrayBuffer, { format: "count" });
    for (let i = 1; i <= 200; i++) await access(i);
    for (let i = 0; i < 100; i++) expect(dma.view(2 ** 30 - 1 - i, 2 ** 29 + i)?.length).toBe(2 ** 29 + i);
    const kept = queryObjects(ArrayBuffer, { format: "count" }) - before;
    expect(kept).toBeLessThan(10);
    // All of it is emptied with the memory.
    const { view } = across(100, 1);
    expect(view?.length).toBe(100);
    await client.ask(dmaUnmap, { flags: 0, iova: 0n, size: BigInt(size), argsz: 24 });
    expect(view?.length).toBe(0);
  });

  test("keeps its permissions", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const { dma } = fixture.device;
    const file = fds.memfd(2 * PAGE, { sealed: true });
    await client.ask(dmaMap, { flags: 1, offset: 0n, iova: 0n, size: 4096n }, [file]);
    await client.ask(dmaMap, { flags: 2, offset: 4096n, iova: 4096n, size: 4096n }, [file]);
    await expect(dma.write(0, Uint8Array.of(1))).rejects.toMatchObject({ code: "EPERM" });
    await expect(dma.read(4096, 1)).rejects.toMatchObject({ code: "EPERM" });
    // A write that is refused in its second half writes nothing of the first.
    await expect(dma.write(4095, Uint8Array.of(1, 2))).rejects.toMatchObject({ code: "EPERM" });
    // A stray write through a view stays here, and ends nothing.
    dma.view(0, 1)?.fill(9);
    expect(native.pread(file, new Uint8Array(1), 0)).toBe(1);
    const back = new Uint8Array(1).fill(7);
    native.pread(file, back, 0);
    expect(back[0]).toBe(0);
  });

  test.each([
    ["breaks off at a message about it", "ECONNRESET", (client: RawClient) => client.socket.shutdown("both")],
    ["leaves a message about it alone", "ETIMEDOUT", () => {}],
  ])("whose file is of no use, of a client that %s: the error names the option", async (_, code, react) => {
    await using fixture = serve({}, { timeout: 100 });
    using client = await fixture.open();
    using fds = new Fds();
    const file = fds.file(`/proc/self/fd/${fds.memfd(PAGE)}`, constants.O_RDONLY);
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n }, [file]);
    const { dma } = fixture.device;
    expect(await dma.read(0, 4)).toEqual(new Uint8Array(4));
    client.onRequest = () => {
      react(client);
      return undefined;
    };
    const writes = [dma.write(0, pattern(4)), dma.write(8, pattern(4))].map((write) =>
      write.then(
        () => expect.unreachable(),
        (error: unknown) => error,
      ),
    );
    const ended = Promise.all(writes);
    await client.serve(ended);
    for (const error of await ended) {
      expect(error).toMatchObject({ code, fix: expect.stringContaining("trustClients: true") });
    }
    // Once, however many there are.
    const [first] = await ended;
    expect(fixture.told.filter((each) => each instanceof VfioError && each.fix !== undefined)).toEqual([first]);
  });

  test("without a file, of a client that leaves a message about it alone: the option would not help", async () => {
    await using fixture = serve({}, { timeout: 50 });
    using client = await fixture.open();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n });
    await expect(fixture.device.dma.write(0, pattern(4))).rejects.toMatchObject({ code: "ETIMEDOUT", fix: undefined });
    expect(fixture.told).toEqual([]);
  });

  test("that is cut while it is mapped does no harm", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const file = fds.memfd(PAGE);
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n }, [file]);
    native.ftruncate(file, 0);
    // The descriptor does not reach it any more, and the client does not answer for it.
    const reading = fixture.device.dma.read(0, 4);
    client.onRequest = ({ header }) => errorReply(header.id, header.command, EFAULT);
    await Promise.all([expect(reading).rejects.toThrow(), client.serve(reading.catch(() => {}))]);
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
  });

  test("without a descriptor is read and written by messages", async () => {
    await using fixture = serve();
    using client = await fixture.open({ max_data_xfer_size: 4096 });
    const { dma } = fixture.device;
    const memory = new Uint8Array(16384);
    const seen = memoryOf(client, memory, 0x100000n);
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0x100000n, size: 16384n });
    const data = pattern(10_000);
    const work = (async () => {
      await dma.write(0x100010, data);
      return dma.read(0x100010, 10_000);
    })();
    await client.serve(work);
    expect(Buffer.compare(await work, data)).toBe(0);
    expect(Buffer.compare(memory.subarray(16, 10_016), data)).toBe(0);
    expect(seen).toEqual(["w4096", "w4096", "w1808", "r4096", "r4096", "r1808"]);
    expect(dma.view(0x100000, 1)).toBeUndefined();
  });

  test("a handler may use it while the client's next requests wait", async () => {
    const device: PciDevice = new PciDevice({
      ...options,
      bars: [
        {
          size: 4096,
          async read(offset) {
            const bytes = await device.dma.read(0x1000 + offset, 4);
            return new DataView(bytes.buffer).getUint32(0, true);
          },
        },
      ],
    });
    await using fixture = serve({}, {}, device);
    using client = await fixture.open();
    memoryOf(client, pattern(4096), 0x1000n);
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0x1000n, size: 4096n });
    const payload = regionRead.request.encode({ offset: 0n, region: 0, count: 8 }).subarray(HEADER_SIZE);
    const ids = [];
    for (let i = 0; i < 50; i++) ids.push(await client.send(regionRead.number, payload));
    for (const id of ids) expect((await client.reply(id)).payload?.subarray(16)).toEqual(pattern(8));
  });

  test("over a twin socket, the server's requests keep out of the way", async () => {
    await using fixture = serve();
    using client = await RawClient.connect(fixture.path);
    using twin = await introduceTwin(client);
    memoryOf(twin, pattern(4096), 0n);
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n });
    const reading = fixture.device.dma.read(0, 100);
    await twin.serve(reading);
    expect(await reading).toEqual(pattern(100));
    // The two belong together.
    twin.close();
    await client.closed();
    await fixture.server.idle();
    expect(fixture.told.length).toBe(1);
  });

  test.each<[string, Uint8Array, string]>([
    ["another address", dmaRead.reply.encode({ iova: 4096n, data: new Uint8Array(4) }), "EPROTO"],
    ["fewer bytes", dmaRead.reply.encode({ iova: 0n, data: new Uint8Array(3) }), "EPROTO"],
    ["more bytes", dmaRead.reply.encode({ iova: 0n, data: new Uint8Array(5) }), "EPROTO"],
    ["nothing", new Uint8Array(HEADER_SIZE), "EINVAL"],
    ["far too much", new Uint8Array(3 << 20), "EINVAL"],
  ])("a reply with %s is not believed, and the next one is", async (_, message, code) => {
    await using fixture = serve();
    using client = await fixture.open();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 8192n });
    client.onRequest = () => message;
    const reading = fixture.device.dma.read(0, 4);
    await Promise.all([expect(reading).rejects.toMatchObject({ code }), client.serve(reading.catch(() => {}))]);
    memoryOf(client, pattern(8192), 0n);
    const again = fixture.device.dma.read(0, 4);
    await client.serve(again);
    expect(await again).toEqual(pattern(4));
  });

  test("a write that is answered by a header alone is done", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n });
    client.onRequest = () => new Uint8Array(HEADER_SIZE);
    const writing = fixture.device.dma.write(0, pattern(4));
    await client.serve(writing);
    await writing;
  });

  test("a client that does not answer is not waited for, and its late reply does no harm", async () => {
    await using fixture = serve({}, { timeout: 20 });
    using client = await fixture.open();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n });
    let late: Uint8Array | undefined;
    client.onRequest = ({ header }) => {
      late = errorReply(header.id, header.command, EFAULT);
      return undefined;
    };
    const reading = fixture.device.dma.read(0, 4);
    await Promise.all([
      expect(reading).rejects.toMatchObject({ code: "ETIMEDOUT" }),
      client.serve(reading.catch(() => {})),
    ]);
    await client.bytes(late ?? none);
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
  });

  test("an access by message that is under way when the memory goes is ended", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n });
    const reading = fixture.device.dma.read(0, 4);
    const refused = expect(reading).rejects.toMatchObject({ code: "ECANCELED" });
    // The answer comes behind the unmapping.
    const unmap = dmaUnmap.request.encode({ flags: 0, iova: 0n, size: 4096n, argsz: 24 }).subarray(HEADER_SIZE);
    let request: Uint8Array = none;
    client.onRequest = ({ header }) => {
      request = dmaRead.reply.encode({ iova: 0n, data: new Uint8Array(4) });
      new DataView(request.buffer).setUint16(0, header.id, true);
      new DataView(request.buffer).setUint16(2, header.command, true);
      new DataView(request.buffer).setUint32(4, request.length, true);
      new DataView(request.buffer).setUint32(8, 1, true);
      return undefined;
    };
    const id = await client.send(dmaUnmap.number, unmap);
    expect((await client.reply(id)).errno).toBe(0);
    await client.bytes(request);
    await refused;
  });
});

describe("messages take effect in their order", () => {
  const DATA = Uint8Array.of(1, 2, 3, 4);
  const UNMAP_ID = 77;
  const unmap = stampHeader(
    dmaUnmap.request.encode({ flags: 0, iova: 0n, size: 4n * 4096n, argsz: 24 }),
    UNMAP_ID,
    dmaUnmap.number,
    HEADER_COMMAND,
  );
  const map = { flags: 3, offset: 0n, iova: 0n, size: 4n * 4096n };

  /** The server's next request, which is left without an answer. */
  async function asked(client: RawClient): Promise<Frame> {
    const request = new Promise<Frame>((resolve) => {
      client.onRequest = (frame) => {
        resolve(frame);
        return undefined;
      };
    });
    await client.serve(request);
    return request;
  }

  function answer({ header }: Frame, data = DATA): Uint8Array {
    const message =
      header.command === dmaRead.number
        ? dmaRead.reply.encode({ iova: 0n, data })
        : dmaWrite.reply.encode({ iova: 0n, count: BigInt(data.length) });
    return stampHeader(message, header.id, header.command, HEADER_REPLY);
  }

  const accesses: [string, (device: PciDevice) => Promise<unknown>, unknown][] = [
    ["read", (device) => device.dma.read(0, 4), DATA],
    ["write", (device) => device.dma.write(0, DATA), undefined],
  ];

  test.each(accesses)("a %s that is answered right before the memory goes is done", async (_, access, value) => {
    await using fixture = serve();
    using client = await fixture.open();
    await client.ask(dmaMap, map);
    const done = access(fixture.device);
    const request = await asked(client);
    await client.bytes(Buffer.concat([answer(request), unmap]));
    expect(await done).toEqual(value);
    expect((await client.reply(UNMAP_ID)).errno).toBe(0);
    expect(fixture.device.dma.ranges).toEqual([]);
  });

  test.each(accesses)("a %s that is answered right behind the unmapping is ended", async (_, access) => {
    await using fixture = serve();
    using client = await fixture.open();
    await client.ask(dmaMap, map);
    const ended = expect(access(fixture.device)).rejects.toMatchObject({ code: "ECANCELED" });
    const request = await asked(client);
    await client.bytes(Buffer.concat([unmap, answer(request)]));
    await ended;
    expect((await client.reply(UNMAP_ID)).errno).toBe(0);
  });

  test.each(
    accesses,
  )("a %s that is answered on the twin socket before the memory goes is done", async (_, access, value) => {
    await using fixture = serve();
    using client = await RawClient.connect(fixture.path);
    using twin = await introduceTwin(client);
    await client.ask(dmaMap, map);
    const done = access(fixture.device);
    const request = await asked(twin);
    // The server is woken for the first socket first, and finds the unmapping in it.
    const info = deviceGetInfo.request.encode({ argsz: 16 });
    await client.bytes(stampHeader(info, 1, deviceGetInfo.number, HEADER_COMMAND));
    await twin.bytes(answer(request));
    await client.bytes(unmap);
    expect(await done).toEqual(value);
    await client.reply(1);
    expect((await client.reply(UNMAP_ID)).errno).toBe(0);
  });

  test("an access of many messages ends with the memory, and nothing more is asked of the client", async () => {
    await using fixture = serve();
    using client = await fixture.open({ max_data_xfer_size: 4096 });
    await client.ask(dmaMap, map);
    const ended = expect(fixture.device.dma.read(0, 3 * 4096)).rejects.toMatchObject({ code: "ECANCELED" });
    const first = await asked(client);
    let more = 0;
    client.onRequest = () => {
      more++;
      return undefined;
    };
    await client.bytes(Buffer.concat([answer(first, new Uint8Array(4096)), unmap]));
    expect((await client.reply(UNMAP_ID)).errno).toBe(0);
    await client.bytes(errorReply(first.header.id + 1, dmaRead.number, EFAULT));
    await ended;
    await client.ask(deviceGetInfo, { argsz: 16 });
    // The second was on its way already.
    expect(more).toBeLessThanOrEqual(1);
  });

  test("an access of two ranges does not touch the second one when it has gone", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    await client.ask(dmaMap, map);
    const second = { iova: 4n * 4096n, size: 4096n };
    await client.ask(dmaMap, { flags: 3, offset: 0n, ...second }, [fds.memfd(4096, { sealed: true })]);
    const ended = expect(fixture.device.dma.read(4 * 4096 - 4, 8)).rejects.toMatchObject({ code: "ECANCELED" });
    const request = await asked(client);
    const reply = dmaRead.reply.encode({ iova: 4n * 4096n - 4n, data: DATA });
    const gone = dmaUnmap.request.encode({ flags: 0, ...second, argsz: 24 });
    await client.bytes(
      Buffer.concat([
        stampHeader(reply, request.header.id, dmaRead.number, HEADER_REPLY),
        stampHeader(gone, UNMAP_ID, dmaUnmap.number, HEADER_COMMAND),
      ]),
    );
    await ended;
    expect((await client.reply(UNMAP_ID)).errno).toBe(0);
  });
});

describe("a log of written pages", () => {
  test("is kept, reported once, and ends", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    const { dma } = fixture.device;
    const size = 64n * 4096n;
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size }, [fds.memfd(Number(size), { sealed: true })]);
    const start = loggingStartFeature.encode({ pageSize: 4096n, ranges: [{ iova: 0n, length: size }] });
    await dma.write(0, Uint8Array.of(1));
    await client.ask(deviceFeature, { argsz: 8 + start.length, flags: SET | 6, data: start });
    await dma.write(4096 * 3 + 4090, new Uint8Array(20));
    dma.markDirty(4096 * 63, 1);
    const report = async (pageSize: bigint, argsz: number) => {
      const data = loggingReportFeature.encode({ iova: 0n, length: size, pageSize, bitmap: none });
      return client.ask(deviceFeature, { argsz, flags: GET | 8, data });
    };
    // Too little room loses nothing.
    expect(await report(4096n, 32)).toMatchObject({ argsz: 8 + 24 + 8, data: none });
    const { data } = await report(4096n, 40);
    const bitmap = loggingReportFeature.decode(data).bitmap;
    expect(new DataView(bitmap.buffer, bitmap.byteOffset).getBigUint64(0, true)).toBe(
      (1n << 3n) | (1n << 4n) | (1n << 63n),
    );
    expect(loggingReportFeature.decode((await report(4096n, 40)).data).bitmap).toEqual(new Uint8Array(8));
    await client.ask(deviceFeature, { argsz: 8, flags: SET | 7, data: none });
    expect((await client.call(deviceFeature, { argsz: 40, flags: GET | 8, data: data.subarray(0, 24) })).errno).toBe(
      EINVAL,
    );
  });

  test("comes with an unmapping, if it is asked for", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    using fds = new Fds();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 8192n }, [fds.memfd(8192, { sealed: true })]);
    const start = loggingStartFeature.encode({ pageSize: 4096n, ranges: [] });
    await client.ask(deviceFeature, { argsz: 8 + start.length, flags: SET | 6, data: start });
    await fixture.device.dma.write(4096, Uint8Array.of(1));
    const bitmap = { pageSize: 4096n, size: 8n };
    const reply = await client.ask(dmaUnmap, { flags: 1, iova: 0n, size: 8192n, argsz: 48, bitmap });
    expect(reply?.bitmap?.bits[0]).toBe(2);
  });
});

test("a device migrates from one server to another", async () => {
  const stateful = (initial: number) => {
    let value = initial;
    const calls: string[] = [];
    return {
      calls,
      overrides: {
        bars: [{ size: 4096, read: () => value }],
        migration: {
          stop: () => void calls.push("stop"),
          run: () => void calls.push("run"),
          save: () => Uint8Array.of(value),
          load: ([loaded = 0]: Uint8Array) => {
            value = loaded;
          },
        },
      },
    };
  };
  const [from, to] = [stateful(42), stateful(0)];
  await using source = serve(from.overrides);
  await using target = serve(to.overrides);
  using a = await source.open();
  using b = await target.open();
  const set = (client: RawClient, state: number) =>
    client.ask(deviceFeature, { argsz: 16, flags: SET | 2, data: migrationStateFeature.encode(state) });
  const get = async (client: RawClient) =>
    migrationStateFeature.decode((await client.ask(deviceFeature, { argsz: 16, flags: GET | 2, data: none })).data);
  expect(await get(a)).toBe(MigrationState.running);
  await set(a, MigrationState.stop);
  // A device that stands still answers for its registers, and changes nothing.
  expect((await a.call(regionRead, { offset: 0n, region: 0, count: 1 })).errno).toBe(0);
  expect((await a.call(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n })).errno).toBe(EINVAL);
  await set(a, MigrationState.stopCopy);
  expect((await a.call(regionRead, { offset: 0n, region: 0, count: 1 })).errno).toBe(EINVAL);
  await set(b, MigrationState.resuming);
  const data = await a.ask(migDataRead, 100);
  expect(data).toEqual(Uint8Array.of(42));
  expect(await a.ask(migDataRead, 100)).toEqual(none);
  await b.ask(migDataWrite, data);
  await set(b, MigrationState.running);
  expect((await b.ask(regionRead, { offset: 0n, region: 0, count: 1 })).data[0]).toBe(42);
  await a.ask(deviceReset, undefined);
  expect(await get(a)).toBe(MigrationState.running);
  expect([from.calls, to.calls]).toEqual([
    ["stop", "run"],
    ["stop", "run"],
  ]);
});

describe("connections", () => {
  test("one after the other: the device stays, and what was the client's goes", async () => {
    let value = 0;
    const keep = (written: number) => {
      value = written;
    };
    const calls: string[] = [];
    await using fixture = serve({
      bars: [{ size: 4096, read: () => value, write: (_, written) => keep(written) }],
      connected: () => void calls.push("connected"),
      disconnected: () => void calls.push("disconnected"),
      reset: () => void calls.push("reset"),
    });
    using fds = new Fds();
    const before = openFds();
    for (let round = 0; round < 3; round++) {
      using client = await fixture.open();
      expect((await client.ask(regionRead, { offset: 0n, region: 0, count: 1 })).data[0]).toBe(round);
      await client.ask(regionWrite, { offset: 0n, region: 0, data: Uint8Array.of(round + 1) });
      await irqs(client, TRIGGER | EVENTFD, MSIX, 0, 1, [fds.eventfd()]);
      await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: 4096n }, [fds.memfd(4096)]);
      await client.ask(deviceReset, undefined);
      client.close();
      await fixture.server.idle();
      expect(fixture.device.dma.ranges).toEqual([]);
      expect(fixture.device.msix.enabled).toBe(false);
    }
    expect(openFds()).toBe(before + 6);
    expect(fixture.told).toEqual([undefined, undefined, undefined]);
    expect(calls).toEqual(Array(3).fill(["connected", "reset", "disconnected"]).flat());
  });

  test("a second client waits for the first one to go", async () => {
    await using fixture = serve();
    using first = await fixture.open();
    let served = false;
    const second = fixture.open().then((client) => {
      served = true;
      return client;
    });
    expect((await first.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
    expect(served).toBe(false);
    first.close();
    using client = await second;
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
  });

  test("a client that says nothing is shown the door", async () => {
    await using fixture = serve({}, { timeout: 20 });
    using silent = await RawClient.connect(fixture.path);
    await silent.closed();
    await fixture.server.idle();
    expect(fixture.told).toMatchObject([{ code: "ETIMEDOUT" }]);
    using half = await RawClient.connect(fixture.path);
    await half.bytes(new Uint8Array(7));
    await half.closed();
  });

  test("over a socket pair, and a server that is closed", async () => {
    using device = new PciDevice(options);
    const [ours, theirs] = UnixSocket.pair("stream");
    const server = VfioUserServer.serve(device, ours);
    using client = RawClient.over(theirs);
    expect((await client.call(version, { major: 0, minor: 0 })).errno).toBe(0);
    server.close();
    server.close();
    await client.closed();
    await server.idle();
    expect(server.connected).toBe(false);
  });

  test("a server that is disposed of waits until the device has let go", async () => {
    const order: string[] = [];
    await using fixture = serve({
      async disconnected() {
        await delay(5);
        order.push("let go");
      },
    });
    {
      await using _ = fixture.server;
      using client = await fixture.open();
      expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
    }
    expect(order).toEqual(["let go"]);
  });

  test("killed at any byte of any message: everything is released, and the next one is served", async () => {
    await using fixture = serve({ bars: [{ size: 4096 }] }, { timeout: 1000 });
    using fds = new Fds();
    const stream: { bytes: Uint8Array; fds: number[] }[] = [];
    const collect = (bytes: Uint8Array, descriptors: number[] = []) => stream.push({ bytes, fds: descriptors });
    const stamped = (command: number, message: Uint8Array) => {
      const view = new DataView(message.buffer);
      view.setUint16(2, command, true);
      view.setUint32(4, message.length, true);
      return message;
    };
    collect(stamped(1, version.request.encode({ major: 0, minor: 2, capabilities: { max_msg_fds: 8 } })));
    collect(stamped(4, deviceGetInfo.request.encode({ argsz: 16 })));
    collect(stamped(2, dmaMap.request.encode({ flags: 3, offset: 0n, iova: 0n, size: 4096n })), [fds.memfd(4096)]);
    collect(stamped(2, dmaMap.request.encode({ flags: 3, offset: 0n, iova: 4096n, size: 4096n })));
    const vectors = { flags: TRIGGER | EVENTFD, index: MSIX, start: 0, count: 2, data: none };
    collect(stamped(8, deviceSetIrqs.request.encode(vectors)), [fds.eventfd(), fds.eventfd()]);
    collect(stamped(10, regionWrite.request.encode({ offset: 0n, region: 0, data: new Uint8Array(30) })));
    collect(stamped(13, deviceReset.request.encode()));
    const total = stream.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const before = openFds();
    for (let cut = 0; cut <= total; cut += 3) {
      const client = await RawClient.connect(fixture.path);
      let left = cut;
      for (const { bytes, fds: descriptors } of stream) {
        if (left === 0) break;
        const part = bytes.subarray(0, left);
        await client.bytes(part, descriptors);
        left -= part.length;
      }
      client.close();
    }
    while (fixture.told.length < Math.floor(total / 3) + 1) await delay(1);
    expect(fixture.server.connected).toBe(false);
    expect(openFds()).toBe(before);
    expect(fixture.device.dma.ranges).toEqual([]);
    using client = await fixture.open();
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
  });

  test("who reads no replies is not answered without end", async () => {
    await using fixture = serve({ bars: [{ size: 1 << 20, memory: true }] });
    using client = await fixture.open();
    const payload = regionRead.request.encode({ offset: 0n, region: 0, count: 1 << 20 }).subarray(HEADER_SIZE);
    const before = process.memoryUsage().arrayBuffers;
    const ids: number[] = [];
    // 200 replies of a megabyte each.
    for (let i = 0; i < 200; i++) ids.push(await client.send(regionRead.number, payload));
    await delay(50);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20);
    for (const id of ids) expect((await client.reply(id)).payload?.length).toBe((1 << 20) + 16);
  });

  test("who floods a device that takes its time is not read without end", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using fixture = serve({
      bars: [{ size: 1 << 20, read: () => gate.then(() => 0), write: () => {} }],
    });
    using client = await fixture.open();
    const payload = regionRead.request.encode({ offset: 0n, region: 0, count: 4 }).subarray(HEADER_SIZE);
    const first = await client.send(regionRead.number, payload);
    const message = new Uint8Array(HEADER_SIZE + 16 + (1 << 19));
    message.set(regionWrite.request.encode({ offset: 0n, region: 0, data: new Uint8Array(1 << 19) }));
    const view = new DataView(message.buffer);
    view.setUint16(2, regionWrite.number, true);
    view.setUint32(4, message.length, true);
    view.setUint32(8, 0x10, true);
    const before = process.memoryUsage().arrayBuffers;
    const end = new AbortController();
    let sent = 0;
    const flood = (async () => {
      for (;;) {
        await client.socket.send(message, [], { signal: end.signal });
        sent++;
      }
    })().catch(() => {});
    // Until the socket is full, and stays so.
    for (let last = -1; last !== sent; ) {
      last = sent;
      await delay(50);
    }
    expect(sent).toBeLessThan(64);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20);
    release();
    expect((await client.reply(first)).errno).toBe(0);
    end.abort();
    await flood;
  });
});

test("who floods a device that takes its time with descriptors does not use them up", async () => {
  await using fixture = serve({ bars: [{ size: 4096, read: () => delay(100).then(() => 0) }] });
  using client = await fixture.open();
  using fds = new Fds();
  const eventfd = fds.eventfd();
  const payload = regionRead.request.encode({ offset: 0n, region: 0, count: 4 }).subarray(HEADER_SIZE);
  const first = await client.send(regionRead.number, payload);
  const before = openFds();
  const ids: number[] = [];
  // Nobody asked for the descriptors: they are closed, but only when it is the request's turn.
  const question = deviceGetInfo.request.encode({ argsz: 16 }).subarray(HEADER_SIZE);
  for (let i = 0; i < 100; i++) ids.push(await client.send(deviceGetInfo.number, question, Array(10).fill(eventfd)));
  await delay(20);
  expect(openFds() - before).toBeLessThan(200);
  expect((await client.reply(first)).errno).toBe(0);
  for (const id of ids) expect((await client.reply(id)).errno).toBe(0);
  expect(openFds()).toBe(before);
});

test("a file that is no memory is not touched", async () => {
  await using fixture = serve();
  using client = await fixture.open();
  const fd = openSync(new URL(import.meta.url), "r");
  try {
    await client.ask(dmaMap, { flags: 1, offset: 0n, iova: 0n, size: 4096n }, [fd]);
    memoryOf(client, pattern(4096), 0n);
    const reading = fixture.device.dma.read(0, 8);
    await client.serve(reading);
    expect(await reading).toEqual(pattern(8));
  } finally {
    native.close(fd);
  }
  expect((await client.call(dmaUnmap, { flags: 0, iova: 4096n, size: 4096n, argsz: 24 })).errno).toBe(ENOENT);
});
