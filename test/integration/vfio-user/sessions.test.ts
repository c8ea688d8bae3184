/** What a device does for a client ends with that client: nothing of it reaches the next one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import type { DeviceClient } from "../../../lib/vfio-user/device/device-client.js";
import { PciDevice } from "../../../lib/vfio-user/device/pci-device.js";
import { HEADER_SIZE, MigrationState } from "../../../lib/vfio-user/protocol/constants.js";
import {
  deviceFeature,
  deviceGetInfo,
  deviceGetRegionIoFds,
  deviceReset,
  deviceSetIrqs,
  dmaMap,
  dmaUnmap,
  migrationStateFeature,
  regionRead,
  regionWrite,
  regionWriteMulti,
  version,
} from "../../../lib/vfio-user/protocol/messages.js";
import { VfioUserServer } from "../../../lib/vfio-user/server/server.js";
import { EBUSY, EIO, ETIMEDOUT, Fds, type Fixture, openFds, options, serve } from "./device.js";
import { RawClient } from "./raw-client.js";

const none = new Uint8Array(0);
const PAGE = 4096n;
// VFIO_IRQ_SET_DATA_EVENTFD and _ACTION_TRIGGER; VFIO_DEVICE_FEATURE_SET and _GET
const EVENTFD_TRIGGER = 4 | 32;
const [INTX, MSIX] = [0, 2];
const [GET, SET] = [0x10000, 0x20000];
const MIG_DEVICE_STATE = 2;

const directory = mkdtempSync(join(tmpdir(), "vfio-user-sessions-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Something that happens once, and can be waited for. */
class Event {
  happen = () => {};
  readonly happened = new Promise<void>((resolve) => {
    this.happen = resolve;
  });
}

/** Resolves when the server has noticed that the client is gone. */
function gone({ signal }: DeviceClient): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Ends a client in the middle of what it has asked for. */
async function kill(client: RawClient, fixture: Fixture): Promise<void> {
  const noticed = gone(fixture.device.client);
  client.close();
  await noticed;
}

function overdue(fixture: Fixture): Promise<readonly string[]> {
  return new Promise((resolve) => fixture.server.once("overdue", resolve));
}

function disconnected(fixture: Fixture): Promise<void> {
  return new Promise((resolve) => fixture.server.once("disconnect", () => resolve()));
}

const payloadOf = (message: Uint8Array) => message.subarray(HEADER_SIZE);
const read = (offset: number, count: number) =>
  payloadOf(regionRead.request.encode({ offset: BigInt(offset), region: 0, count }));
const unmapping = (iova: bigint, size: bigint) => ({ flags: 0, iova, size, argsz: 24 });

async function map(client: RawClient, iova: bigint, fd: number): Promise<void> {
  await client.ask(dmaMap, { flags: 3, offset: 0n, iova, size: PAGE }, [fd]);
}

async function listen(client: RawClient, index: number, eventfd: number): Promise<void> {
  await client.ask(deviceSetIrqs, { flags: EVENTFD_TRIGGER, index, start: 0, count: 1, data: none }, [eventfd]);
}

function stateRequest(state: number) {
  return { argsz: 16, flags: SET | MIG_DEVICE_STATE, data: migrationStateFeature.encode(state) };
}

async function stateOf(client: RawClient): Promise<number> {
  const { data } = await client.ask(deviceFeature, { argsz: 16, flags: GET | MIG_DEVICE_STATE, data: none });
  return migrationStateFeature.decode(data);
}

/** The first word of a file of the client's. */
function wordOf(fd: number): number {
  const bytes = new Uint8Array(4);
  native.pread(fd, bytes, 0);
  return new DataView(bytes.buffer).getUint32(0, true);
}

describe("a client that is killed during", () => {
  test("a migration's stop: it is finished, nothing is begun behind it, and the next client has a device that runs", async () => {
    const calls: string[] = [];
    const [stopping, stop] = [new Event(), new Event()];
    await using fixture = serve({
      connected: () => void calls.push("connected"),
      disconnected: () => void calls.push("disconnected"),
      reset: () => void calls.push("reset"),
      migration: {
        async stop() {
          calls.push("stop");
          stopping.happen();
          await stop.happened;
          calls.push("stopped");
        },
        run: () => void calls.push("run"),
        save() {
          calls.push("save");
          return none;
        },
        load: () => {},
      },
    });
    using fds = new Fds();
    const client = await fixture.open();
    await client.send(
      deviceFeature.number,
      payloadOf(deviceFeature.request.encode(stateRequest(MigrationState.stopCopy))),
    );
    await stopping.happened;
    await kill(client, fixture);
    const waiting = fixture.open();
    stop.happen();
    using next = await waiting;
    expect(calls).toEqual(["connected", "stop", "stopped", "disconnected", "reset", "run", "connected"]);
    expect((await next.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
    await map(next, 0n, fds.memfd(4096));
    expect(await stateOf(next)).toBe(MigrationState.running);
    expect(fixture.told).toEqual([undefined]);
  });

  test("a read: the next one's requests wait, and what the handler still does for the dead one reaches nobody", async () => {
    const calls: string[] = [];
    const [reading, answer] = [new Event(), new Event()];
    const device: PciDevice = new PciDevice({
      ...options,
      bars: [
        {
          size: 4096,
          async read(offset) {
            calls.push(`read ${offset}`);
            if (offset !== 0) return 0;
            reading.happen();
            await answer.happened;
            calls.push(`aborted: ${device.client.signal.aborted}`);
            calls.push(await device.dma.write(0, Uint8Array.of(1)).catch((error) => error.code));
            calls.push(`view: ${device.dma.view(0, 1)}`, `delivered: ${device.msix.trigger(0)}`);
            return 0;
          },
        },
      ],
    });
    await using fixture = serve({}, {}, device);
    using fds = new Fds();
    const client = await fixture.open();
    const memory = fds.memfd(4096, { sealed: true });
    await map(client, 0n, memory);
    await listen(client, MSIX, fds.eventfd());
    // Of the handler's four calls three are not begun any more.
    await client.send(regionRead.number, read(0, 16));
    await reading.happened;
    await kill(client, fixture);
    const waiting = fixture.open();
    answer.happen();
    using next = await waiting;
    await map(next, 0n, memory);
    const eventfd = fds.eventfd();
    await listen(next, MSIX, eventfd);
    await next.ask(regionRead, { offset: 32n, region: 0, count: 4 });
    expect(calls).toEqual(["read 0", "aborted: true", "ENOTCONN", "view: undefined", "delivered: false", "read 32"]);
    expect(native.eventfdPending(eventfd)).toBe(0);
    expect(wordOf(memory)).toBe(0);
    expect(fixture.told).toEqual([undefined]);
  });

  test("many writes in one message: those behind the one under way are left out", async () => {
    const written: number[] = [];
    const [writing, finish] = [new Event(), new Event()];
    await using fixture = serve({
      bars: [
        {
          size: 4096,
          async write(offset) {
            written.push(offset);
            writing.happen();
            await finish.happened;
          },
        },
      ],
    });
    const client = await fixture.open({ write_multiple: true });
    const writes = [0n, 4n, 8n].map((offset) => ({ offset, region: 0, data: new Uint8Array(4) }));
    await client.send(regionWriteMulti.number, payloadOf(regionWriteMulti.request.encode(writes)));
    await writing.happened;
    await kill(client, fixture);
    finish.happen();
    await fixture.server.idle();
    expect(written).toEqual([0]);
  });

  test("a reset: the next one waits until it is done", async () => {
    const calls: string[] = [];
    const [resetting, finish] = [new Event(), new Event()];
    await using fixture = serve({
      bars: [{ size: 4096, read: () => calls.push("read") }],
      async reset() {
        calls.push("reset");
        resetting.happen();
        await finish.happened;
        calls.push("reset done");
      },
    });
    const client = await fixture.open();
    await client.send(deviceReset.number, none);
    await resetting.happened;
    await kill(client, fixture);
    const waiting = fixture.open();
    finish.happen();
    using next = await waiting;
    await next.ask(regionRead, { offset: 0n, region: 0, count: 4 });
    expect(calls).toEqual(["reset", "reset done", "read"]);
  });

  test("a doorbell's write: the next one waits until it is done", async () => {
    const calls: string[] = [];
    const [ringing, finish] = [new Event(), new Event()];
    await using fixture = serve({
      disconnected: () => void calls.push("disconnected"),
      bars: [
        {
          size: 4096,
          doorbells: [{ offset: 0, width: 4 }],
          async write() {
            ringing.happen();
            await finish.happened;
            calls.push("rung");
          },
        },
      ],
    });
    const client = await fixture.open();
    const { fds = [] } = await client.call(deviceGetRegionIoFds, { argsz: 96, index: 0 });
    for (const fd of fds) native.eventfdWrite(fd.number, 1);
    await ringing.happened;
    await kill(client, fixture);
    for (const fd of fds) fd.close();
    finish.happen();
    using _ = await fixture.open();
    expect(calls).toEqual(["rung", "disconnected"]);
  });
});

test("a doorbell waits for the handler under way, and the handlers behind it for the doorbell's", async () => {
  const calls: string[] = [];
  const [reading, answer, ringing, finish] = [new Event(), new Event(), new Event(), new Event()];
  const failure = new Error("a fault of the device");
  await using fixture = serve({
    bars: [
      {
        size: 4096,
        doorbells: [{ offset: 0, width: 4 }],
        async read(offset) {
          calls.push(`read ${offset}`);
          reading.happen();
          await answer.happened;
          calls.push("read done");
          return 0;
        },
        async write() {
          calls.push("rung");
          ringing.happen();
          await finish.happened;
          calls.push("rung done");
          if (calls.length === 6) throw failure;
        },
      },
    ],
  });
  using client = await fixture.open();
  const { fds = [] } = await client.call(deviceGetRegionIoFds, { argsz: 96, index: 0 });
  const [bell] = fds;
  if (bell === undefined) throw new Error("no doorbell");
  /** Rings it, and waits until the server has heard. */
  const ring = async () => {
    native.eventfdWrite(bell.number, 1);
    while (native.eventfdPending(bell.number) > 0) await delay(1);
  };
  const first = await client.send(regionRead.number, read(0, 4));
  await reading.happened;
  // Twice while a read is under way is one call behind it.
  await ring();
  await ring();
  const second = await client.send(regionRead.number, read(4, 4));
  expect(calls).toEqual(["read 0"]);
  answer.happen();
  expect((await client.reply(first)).errno).toBe(0);
  await ringing.happened;
  // Once more during its own call is another call.
  await ring();
  expect(calls).toEqual(["read 0", "read done", "rung"]);
  const faulted = new Promise((resolve) => fixture.server.once("fault", resolve));
  finish.happen();
  expect((await client.reply(second)).errno).toBe(0);
  expect(await faulted).toBe(failure);
  expect(calls).toEqual(["read 0", "read done", "rung", "rung done", "rung", "rung done", "read 4", "read done"]);
  bell.close();
});

describe("a device that does not let go of a dead client in time", () => {
  test("says so; the next ones are refused until it has, and then served", async () => {
    const [reading, finish] = [new Event(), new Event()];
    await using fixture = serve(
      {
        bars: [
          {
            size: 4096,
            async read() {
              reading.happen();
              await finish.happened;
              return 0;
            },
          },
        ],
      },
      { drainTimeout: 20 },
    );
    using fds = new Fds();
    const before = openFds();
    const client = await fixture.open();
    await listen(client, MSIX, fds.eventfd());
    await client.send(regionRead.number, read(0, 4));
    // One that waits behind it, with a descriptor.
    await client.send(regionRead.number, read(0, 4), [fds.eventfd()]);
    await reading.happened;
    const late = overdue(fixture);
    const noticed = gone(fixture.device.client);
    client.close();
    await noticed;
    expect(fixture.device.msix.enabled).toBe(false);
    expect(await late).toEqual(["VFIO_USER_REGION_READ"]);
    await expect(fixture.server.idle()).rejects.toMatchObject({ code: "ETIMEDOUT" });
    for (let round = 0; round < 2; round++) {
      using refused = await RawClient.connect(fixture.path);
      // Messages behind the refused introduction reach nothing either.
      await refused.send(version.number, payloadOf(version.request.encode({ major: 0, minor: 2 })));
      await refused.send(deviceReset.number, none);
      expect((await refused.reply(1)).errno).toBe(EBUSY);
      await refused.closed();
    }
    expect(fixture.told).toMatchObject([{ code: "EBUSY" }, { code: "EBUSY" }]);
    const released = disconnected(fixture);
    finish.happen();
    await released;
    using next = await fixture.open();
    expect((await next.call(regionRead, { offset: 0n, region: 0, count: 4 })).errno).toBe(0);
    expect(openFds()).toBe(before + 4);
  });

  test("has a server that can be closed, and a second server is refused until it has", async () => {
    const [reading, finish] = [new Event(), new Event()];
    using device = new PciDevice({
      ...options,
      async disconnected() {
        reading.happen();
        await finish.happened;
      },
    });
    const path = join(directory, "slow");
    const server = VfioUserServer.listen(device, path, { drainTimeout: 20 });
    const work = new Promise((resolve) => server.once("overdue", resolve));
    using client = await RawClient.open(path);
    server.close();
    await client.closed();
    await reading.happened;
    expect(await work).toEqual(["disconnected"]);
    await expect(server.idle()).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(() => VfioUserServer.listen(device, path)).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
    const released = new Promise<void>((resolve) => server.once("disconnect", () => resolve()));
    finish.happen();
    await released;
    await server.idle();
    using _ = VfioUserServer.listen(device, path);
  });
});

test("work that goes on after its handler belongs to its client, and cannot reach the next one", async () => {
  let worker: DeviceClient | undefined;
  const device: PciDevice = new PciDevice({
    ...options,
    bars: [
      {
        size: 4096,
        write() {
          worker = device.client;
        },
      },
    ],
  });
  await using fixture = serve({}, {}, device);
  using fds = new Fds();
  const memory = fds.memfd(4096, { sealed: true });
  const client = await fixture.open();
  await map(client, 0n, memory);
  await client.ask(regionWrite, { offset: 0n, region: 0, data: new Uint8Array(4) });
  expect(worker).toBe(device.client);
  const view = worker?.dma.view(0, 4);
  client.close();
  await fixture.server.idle();
  using next = await fixture.open();
  await map(next, 0n, memory);
  const [vector, line] = [fds.eventfd(), fds.eventfd()];
  await listen(next, MSIX, vector);
  await listen(next, INTX, line);
  expect(worker).not.toBe(device.client);
  expect(worker?.signal.aborted).toBe(true);
  expect(view?.length).toBe(0);
  await expect(worker?.dma.write(0, Uint8Array.of(1))).rejects.toMatchObject({ code: "ENOTCONN" });
  await expect(worker?.dma.read(0, 1)).rejects.toMatchObject({ code: "ENOTCONN" });
  expect(worker?.dma.view(0, 1)).toBeUndefined();
  expect([worker?.msix.trigger(0), worker?.msi.trigger(0), worker?.err.signal()]).toEqual([false, false, false]);
  worker?.intx.assert();
  expect(device.intx.asserted).toBe(false);
  expect([native.eventfdPending(vector), native.eventfdPending(line), wordOf(memory)]).toEqual([0, 0, 0]);
  // The next one's own is as it should be, and a line that is up stays so for the one behind it.
  await device.dma.write(0, Uint8Array.of(2));
  device.intx.assert();
  worker?.intx.deassert();
  expect([device.msix.trigger(0), device.intx.asserted, wordOf(memory)]).toEqual([true, true, 2]);
  next.close();
  await fixture.server.idle();
  expect(device.intx.asserted).toBe(true);
  // Nobody is there to raise a vector for.
  expect(device.msix.trigger(0)).toBe(false);
  expect(device.msix.pending.size).toBe(0);
});

describe("a migration's source that was stopped", () => {
  test.each([
    ["stop", MigrationState.stop],
    ["stopCopy", MigrationState.stopCopy],
    ["resuming", MigrationState.resuming],
  ])("(%s) does not run again because its client left, but for the next one, reset", async (_, state) => {
    const calls: string[] = [];
    await using fixture = serve({
      reset: () => void calls.push("reset"),
      migration: {
        stop: () => void calls.push("stop"),
        run: () => void calls.push("run"),
        save: () => none,
        load: () => {},
      },
    });
    const client = await fixture.open();
    await client.ask(deviceFeature, stateRequest(state));
    client.close();
    await fixture.server.idle();
    expect(calls).toEqual(["stop"]);
    using next = await fixture.open();
    expect(calls).toEqual(["stop", "reset", "run"]);
    expect(await stateOf(next)).toBe(MigrationState.running);
  });

  test("is refused to a client while it cannot be reset, and served when it can", async () => {
    const failure = new Error("a fault of the device");
    let broken = true;
    await using fixture = serve({
      reset() {
        if (broken) throw failure;
      },
      migration: { save: () => none, load: () => {} },
    });
    const client = await fixture.open();
    await client.ask(deviceFeature, stateRequest(MigrationState.stop));
    client.close();
    await fixture.server.idle();
    const before = openFds();
    using refused = await RawClient.connect(fixture.path);
    const twin = { max_msg_fds: 8, twin_socket: { supported: true } };
    expect((await refused.call(version, { major: 0, minor: 2, capabilities: twin })).errno).toBe(EIO);
    await refused.closed();
    await fixture.server.idle();
    // This end of the connection, and nothing of the server's.
    expect(openFds()).toBe(before + 1);
    expect(fixture.told).toEqual([undefined, failure, failure]);
    broken = false;
    using next = await fixture.open();
    expect(await stateOf(next)).toBe(MigrationState.running);
  });

  test("stands still where saving fails, and can run again", async () => {
    const calls: string[] = [];
    await using fixture = serve({
      migration: {
        stop: () => void calls.push("stop"),
        run: () => void calls.push("run"),
        saveRunning: () => none,
        save: () => Promise.reject(new Error("the disk is full")),
        load: () => {},
      },
    });
    using client = await fixture.open();
    await client.ask(deviceFeature, stateRequest(MigrationState.preCopy));
    expect((await client.call(deviceFeature, stateRequest(MigrationState.stopCopy))).errno).toBe(EIO);
    expect(await stateOf(client)).toBe(MigrationState.stop);
    await client.ask(deviceFeature, stateRequest(MigrationState.running));
    expect(calls).toEqual(["stop", "run"]);
  });
});

describe("quiesce", () => {
  test("is called once for a request, with all of its ranges", async () => {
    const calls: string[] = [];
    const device: PciDevice = new PciDevice({
      ...options,
      async quiesce(ranges) {
        calls.push(`${ranges.map(({ iova }) => iova).join(" ")} of ${device.dma.ranges.length}`);
      },
    });
    await using fixture = serve({}, {}, device);
    using client = await fixture.open();
    const everything = { flags: 2, iova: 0n, size: 0n, argsz: 24 };
    const mapAll = async () => {
      for (const iova of [0n, PAGE, 2n * PAGE]) {
        await client.ask(dmaMap, { flags: 3, offset: 0n, iova, size: PAGE });
      }
    };
    await mapAll();
    await client.ask(dmaUnmap, everything);
    expect(device.dma.ranges).toEqual([]);
    await client.ask(dmaUnmap, everything);
    await mapAll();
    await client.ask(dmaUnmap, unmapping(PAGE, PAGE));
    client.close();
    await fixture.server.idle();
    expect(calls).toEqual(["0 4096 8192 of 3", "4096 of 3", "0 8192 of 2"]);
  });

  test("that takes too long is a refusal: the memory stays mapped, and the client can ask again", async () => {
    const finish = new Event();
    const calls: string[] = [];
    const device: PciDevice = new PciDevice({
      ...options,
      async quiesce() {
        calls.push("quiesce");
        await finish.happened;
        calls.push("quiesced");
      },
    });
    await using fixture = serve({}, { drainTimeout: 20 }, device);
    using client = await fixture.open();
    using fds = new Fds();
    const memory = fds.memfd(4096, { sealed: true });
    await map(client, 0n, memory);
    const late = overdue(fixture);
    expect((await client.call(dmaUnmap, unmapping(0n, PAGE))).errno).toBe(ETIMEDOUT);
    expect(await late).toEqual(["quiesce"]);
    await device.dma.write(0, Uint8Array.of(7));
    expect(wordOf(memory)).toBe(7);
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
    // The device is never asked twice at a time.
    expect((await client.call(dmaUnmap, unmapping(0n, PAGE))).errno).toBe(ETIMEDOUT);
    expect(calls).toEqual(["quiesce"]);
    finish.happen();
    await client.ask(dmaUnmap, unmapping(0n, PAGE));
    expect(device.dma.ranges).toEqual([]);
    expect(calls).toEqual(["quiesce", "quiesced", "quiesce", "quiesced", "quiesce", "quiesced"]);
  });

  test("that refuses keeps the memory mapped", async () => {
    const failure = new Error("not now");
    await using fixture = serve({
      quiesce() {
        throw failure;
      },
    });
    using client = await fixture.open();
    await client.ask(dmaMap, { flags: 3, offset: 0n, iova: 0n, size: PAGE });
    expect((await client.call(dmaUnmap, unmapping(0n, PAGE))).errno).toBe(EIO);
    expect(fixture.device.dma.ranges.length).toBe(1);
    expect(fixture.told).toEqual([failure]);
  });

  test("that throws at the end skips nothing", async () => {
    const failures = { quiesce: new Error("quiesce"), disconnected: new Error("disconnected") };
    const calls: string[] = [];
    await using fixture = serve({
      quiesce() {
        calls.push("quiesce");
        throw failures.quiesce;
      },
      async disconnected() {
        calls.push(`disconnected with ${fixture.device.dma.ranges.length}`);
        throw failures.disconnected;
      },
      migration: { save: () => none, load: () => {} },
    });
    using fds = new Fds();
    const before = openFds();
    const client = await fixture.open();
    await map(client, 0n, fds.memfd(4096));
    await listen(client, MSIX, fds.eventfd());
    await client.ask(deviceFeature, stateRequest(MigrationState.stop));
    client.close();
    await fixture.server.idle();
    expect(calls).toEqual(["quiesce", "disconnected with 0"]);
    expect(openFds()).toBe(before + 2);
    expect(fixture.told).toEqual([failures.quiesce, failures.disconnected, undefined]);
    using next = await fixture.open();
    expect(await stateOf(next)).toBe(MigrationState.running);
  });
});

describe("a device has one server at a time", () => {
  test("a second one is refused, and the first one does not notice", async () => {
    await using fixture = serve();
    using client = await fixture.open();
    const again = expect.objectContaining({
      code: "ERR_INVALID_STATE",
      message: expect.stringContaining(fixture.path),
    });
    const other = join(directory, "other");
    expect(() => VfioUserServer.listen(fixture.device, other)).toThrow(again);
    const [ours, theirs] = UnixSocket.pair("stream");
    expect(() => VfioUserServer.serve(fixture.device, ours)).toThrow(again);
    // It stays the caller's.
    expect(ours.closed).toBe(false);
    ours.close();
    theirs.close();
    await expect(RawClient.connect(other)).rejects.toMatchObject({ code: "ENOENT" });
    // Options are checked before, too.
    expect(() => VfioUserServer.listen(fixture.device, other, { timeout: 0 })).toThrow(RangeError);
    expect((await client.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
    fixture.device.fault("still told to the first one", "a test");
    expect(fixture.told).toEqual(["still told to the first one"]);
  });

  test("listen() at a path where a server runs changes nothing of that server, nor of the device", async () => {
    await using fixture = serve();
    const events: string[] = [];
    fixture.server.on("connect", () => events.push("connect")).on("disconnect", () => events.push("disconnect"));
    using device = new PciDevice(options);
    const taken = expect.objectContaining({ code: "EADDRINUSE" });
    expect(() => VfioUserServer.listen(device, fixture.path)).toThrow(taken);
    using client = await fixture.open();
    expect(() => VfioUserServer.listen(device, fixture.path)).toThrow(taken);
    client.close();
    await fixture.server.idle();
    using next = await fixture.open();
    expect((await next.call(deviceGetInfo, { argsz: 16 })).errno).toBe(0);
    // No client but these two.
    expect(events).toEqual(["connect", "disconnect", "connect"]);
    // The device is free.
    using _ = VfioUserServer.listen(device, join(directory, "free"));
  });

  test("the next one may have it when the first one is closed, or its only client is gone", async () => {
    using device = new PciDevice(options);
    const path = join(directory, "turns");
    VfioUserServer.listen(device, path).close();
    const server = VfioUserServer.listen(device, path);
    using client = await RawClient.open(path);
    server.close();
    await server.idle();
    await client.closed();
    const [ours, theirs] = UnixSocket.pair("stream");
    const serving = VfioUserServer.serve(device, ours);
    theirs.close();
    await serving.idle();
    // Neither does a server have it that could not begin.
    using fds = new Fds();
    expect(() => VfioUserServer.serve(device, fds.memfd(4096))).toThrow(expect.objectContaining({ code: "ENOTSOCK" }));
    expect(() => VfioUserServer.serve(device, theirs)).toThrow(/closed/);
    await using _ = VfioUserServer.listen(device, path);
  });
});
