/**
 * A server and 100,000 messages of a client that knows the protocol well and keeps to none of it: valid messages with bits,
 * lengths, counts and descriptors changed, in any order, in any pieces. `SEED=<n>` repeats one round.
 */
import { expect, test } from "vitest";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { PciDevice } from "../../../lib/vfio-user/device/pci-device.js";
import {
  HEADER_ERROR,
  HEADER_NO_REPLY,
  HEADER_REPLY,
  HEADER_SIZE,
  isReply,
  readHeader,
  replyErrno,
  stampHeader,
} from "../../../lib/vfio-user/protocol/constants.js";
import { FrameReader } from "../../../lib/vfio-user/protocol/framing.js";
import * as messages from "../../../lib/vfio-user/protocol/messages.js";
import { VfioUserServer } from "../../../lib/vfio-user/server/server.js";
import { Prng } from "../../unit/prng.js";
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOTSUP, EPERM, Fds, openFds } from "./device.js";

const ROUNDS = 25;
const MESSAGES = 4_000;
const BATCH = 50;
const EBUSY = 16;
const EFBIG = 27;
const answers = new Set([EINVAL, ENOENT, EEXIST, ENOSPC, ENOTSUP, EFAULT, EPERM, EBUSY, EFBIG]);

const none = new Uint8Array(0);

/** Numbers at which things go wrong. */
function odd(prng: Prng): bigint {
  return prng.pick([
    0n,
    1n,
    4n,
    BigInt(prng.below(64)),
    4096n,
    4096n * BigInt(prng.below(16)),
    0x7fff_ffffn,
    0xffff_ffffn,
    0x1_0000_0000n,
    0xffff_ffff_ffff_f000n,
    0xffff_ffff_ffff_ffffn,
  ]);
}

function small(prng: Prng): number {
  return prng.oneIn(10) ? Number(odd(prng) & 0xffff_ffffn) : prng.below(12);
}

/** A message that could be meant. */
function plausible(prng: Prng): { command: number; message: Uint8Array; fds: number } {
  const page = () => 4096n * BigInt(prng.below(32));
  const region = prng.oneIn(3) ? 7 : prng.below(10);
  const data = Uint8Array.from({ length: prng.pick([1, 2, 4, 8, 3, 30]) }, () => prng.below(256));
  switch (prng.below(16)) {
    case 0:
      return of(messages.deviceGetInfo, { argsz: small(prng) });
    case 1:
      return of(messages.deviceGetRegionInfo, { argsz: prng.pick([32, 64, 4096, small(prng)]), index: small(prng) });
    case 2:
      return of(messages.deviceGetRegionIoFds, { argsz: prng.pick([16, 96, 4096]), index: small(prng) });
    case 3:
      return of(messages.deviceGetIrqInfo, { argsz: 16, index: small(prng) });
    case 4:
    case 5: {
      const count = prng.below(4);
      const flags = (1 << prng.below(3)) | (8 << prng.below(3));
      const bools = (flags & 2) !== 0 ? data.subarray(0, count) : none;
      const request = { flags, index: prng.below(6), start: prng.below(4), count, data: bools };
      return of(messages.deviceSetIrqs, request, (flags & 4) !== 0 && !prng.oneIn(4) ? count : 0);
    }
    case 6:
      return of(messages.regionRead, { offset: odd(prng) & 0xfffn, region, count: prng.below(64) });
    case 7:
      return of(messages.regionWrite, { offset: BigInt(prng.below(4096)), region, data });
    case 8:
      return of(messages.regionWriteMulti, [{ offset: 0n, region, data: data.subarray(0, 8) }]);
    case 9:
    case 10:
      return of(
        messages.dmaMap,
        { flags: prng.below(4), offset: page(), iova: page(), size: page() },
        prng.oneIn(2) ? 1 : 0,
      );
    case 11:
      return of(messages.dmaUnmap, {
        flags: prng.oneIn(10) ? 2 : prng.oneIn(4) ? 1 : 0,
        iova: page(),
        size: page(),
        argsz: 24 + prng.below(100),
        bitmap: { pageSize: 4096n, size: 64n },
      });
    case 12: {
      const start = messages.loggingStartFeature.encode({ pageSize: 4096n, ranges: [{ iova: 0n, length: odd(prng) }] });
      const report = { iova: page(), length: page(), pageSize: 1n << BigInt(prng.below(20)), bitmap: none };
      return of(messages.deviceFeature, {
        argsz: 8 + prng.below(200),
        flags: prng.pick([0x10000, 0x20000, 0x40000]) | prng.pick([1, 2, 6, 7, 8, prng.below(12)]),
        data: prng.pick([
          none,
          start,
          messages.loggingReportFeature.encode(report),
          messages.migrationStateFeature.encode(prng.below(9)),
        ]),
      });
    }
    case 13:
      return of(messages.migDataRead, small(prng));
    case 14:
      return of(messages.migDataWrite, data);
    default:
      return of(messages.deviceReset, undefined);
  }
}

function of<Request>(command: messages.Command<Request, unknown>, request: Request, fds = 0) {
  return { command: command.number, message: command.request.encode(request), fds };
}

/** Changes a message in one of the ways that a broken or a hostile client would. */
function spoil(prng: Prng, message: Uint8Array): Uint8Array {
  const payload = message.subarray(HEADER_SIZE);
  switch (prng.below(6)) {
    case 0: // cut
      return message.slice(0, HEADER_SIZE + prng.below(payload.length + 1));
    case 1: // longer
      return Buffer.concat([message, new Uint8Array(prng.pick([1, 4, 100, 5000]))]);
    case 2: // some number that is none
      if (payload.length >= 8) {
        const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
        view.setBigUint64(4 * prng.below(Math.floor(payload.length / 4) - 1), odd(prng), true);
      }
      return message;
    case 3: // some bits
      for (let i = prng.between(1, 4); i > 0 && payload.length > 0; i--) {
        const at = prng.below(payload.length);
        payload[at] = (payload[at] ?? 0) ^ (1 << prng.below(8));
      }
      return message;
    case 4: // anything
      for (const [at] of payload.entries()) payload[at] = prng.below(256);
      return message;
    default: // far beyond every limit
      return prng.oneIn(50) ? Buffer.concat([message, new Uint8Array(2 << 20)]) : message;
  }
}

async function round(seed: number): Promise<void> {
  const prng = new Prng(seed);
  let state = Uint8Array.of(1, 2, 3);
  const device = new PciDevice({
    vendorId: 1,
    deviceId: 2,
    classCode: 3,
    bars: [
      { size: 4096, read: (offset) => (prng.oneIn(4) ? Promise.resolve(offset) : offset), write: () => {} },
      { size: 4096, doorbells: [{ offset: 0, width: 4 }] },
      { size: 16384, memory: { areas: [{ offset: 4096, length: 4096 }] } },
    ],
    interrupts: { intx: true, msi: 4, msix: 4 },
    migration: {
      save: () => state,
      load: (loaded) => {
        state = loaded.slice();
      },
      maxSize: 1000,
    },
  });
  const [ours, theirs] = UnixSocket.pair("stream");
  const server = VfioUserServer.serve(device, ours);
  const faults: unknown[] = [];
  server.on("fault", (error) => faults.push(error));
  server.on("disconnect", (error) => error !== undefined && faults.push(error));
  using fds = new Fds();
  const files = [fds.eventfd(), fds.eventfd(), fds.memfd(65536), fds.memfd(65536, { sealed: true }), fds.memfd(0)];
  const reader = new FrameReader({ messageSize: 4 << 20, fds: 253 });

  /** Reads until as many replies are there. */
  const replies = async (wanted: readonly number[]): Promise<void> => {
    let next = 0;
    while (next < wanted.length) {
      const received = await theirs.receive(reader.room(), { room: 253 });
      if (received.length === 0) throw new Error("the server closed the connection");
      for (const frame of reader.advance(received.length, received.descriptors)) {
        for (const fd of frame.fds) fd.close();
        if (!isReply(frame.header)) throw new Error("the server asks for memory that nobody told it to");
        // In their order, one for each.
        if (frame.header.id !== wanted[next++]) throw new Error("a reply out of order");
        if ((frame.header.flags & HEADER_ERROR) === 0) continue;
        if (frame.payload.length !== 0) throw new Error("an error with a payload");
        const errno = replyErrno(frame.header);
        if (!answers.has(errno)) throw new Error(`errno ${errno}`);
      }
    }
  };

  const hello = messages.version.request.encode({ major: 0, minor: 2, capabilities: { write_multiple: true } });
  await theirs.send(stampHeader(hello, 0, messages.version.number, 0));
  await replies([0]);
  for (let done = 0; done < MESSAGES; done += BATCH) {
    const wanted: number[] = [];
    const sending: Promise<void>[] = [];
    for (let i = 0; i < BATCH; i++) {
      const id = (done + i) & 0xffff;
      const { command, message, fds: fitting } = plausible(prng);
      const spoiled = prng.oneIn(2) ? spoil(prng, message) : message;
      const unasked = prng.oneIn(20);
      const posted = prng.oneIn(10);
      const number = prng.oneIn(30) ? prng.below(0x10000) : command;
      stampHeader(spoiled, id, number, unasked ? HEADER_REPLY : posted ? HEADER_NO_REPLY : 0);
      if (readHeader(spoiled).size !== spoiled.length) throw new Error("a bad test");
      if (!posted && !unasked) wanted.push(id);
      const count = prng.oneIn(10) ? prng.below(20) : fitting;
      const send = Array.from({ length: count }, () => prng.pick(files));
      const cut = prng.oneIn(5) ? prng.between(1, spoiled.length) : spoiled.length;
      sending.push(theirs.send(spoiled.subarray(0, cut), send));
      if (cut < spoiled.length) sending.push(theirs.send(spoiled.subarray(cut)));
    }
    await Promise.all([...sending, replies(wanted)]);
  }
  theirs.close();
  await server.idle();
  server.close();
  device.close();
  expect(faults).toEqual([]);
}

test("100,000 messages: each is answered, nothing is left behind", { timeout: 120_000 }, async () => {
  const only = process.env.SEED;
  const before = openFds();
  let memory = 0;
  for (let seed = 1; seed <= ROUNDS; seed++) {
    if (only !== undefined && Number(only) !== seed) continue;
    try {
      await round(seed);
    } catch (error) {
      throw new Error(`with SEED=${seed}`, { cause: error });
    }
    expect(openFds()).toBe(before);
    // What a buffer held is given back a turn after it was collected.
    for (let turn = 0; turn < 2; turn++) {
      globalThis.gc?.();
      await new Promise(setImmediate);
    }
    const { arrayBuffers } = process.memoryUsage();
    if (seed === 1) memory = arrayBuffers;
    else expect(arrayBuffers).toBeLessThan(memory + (16 << 20));
  }
});

test("any bytes at all: the server ends the connection or waits, and takes the next one", {
  timeout: 60_000,
}, async () => {
  const before = openFds();
  const prng = new Prng(7);
  using device = new PciDevice({ vendorId: 1, deviceId: 2, classCode: 3 });
  for (let i = 0; i < 300; i++) {
    const [ours, theirs] = UnixSocket.pair("stream");
    const server = VfioUserServer.serve(device, ours);
    const garbage = Uint8Array.from({ length: prng.below(300) }, () => prng.below(256));
    // So that some of it looks like a message of a size that can be.
    if (garbage.length > 8 && prng.oneIn(2)) garbage.fill(0, 6, 12);
    await theirs.send(garbage).catch(() => {});
    theirs.close();
    await server.idle();
    server.close();
  }
  expect(openFds()).toBe(before);
});
