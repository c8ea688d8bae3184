import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OwnedFd } from "../../../lib/kernel/fd.js";
import { native } from "../../../lib/kernel/native.js";
import {
  HEADER_COMMAND,
  HEADER_REPLY,
  HEADER_SIZE,
  headerAt,
  ProtocolError,
  readHeader,
  stampHeader,
} from "../../../lib/vfio-user/protocol/constants.js";
import { type Frame, FrameReader, FrameWriter } from "../../../lib/vfio-user/protocol/framing.js";
import { forSeeds, type Prng } from "../prng.js";

const limits = { messageSize: 20_000, fds: 2 };

function message(id: number, length: number, fill = id): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + length).fill(fill, HEADER_SIZE);
  return stampHeader(bytes, id, 9, id % 2 === 0 ? HEADER_COMMAND : HEADER_REPLY);
}

/** Gives bytes to a reader in pieces of at most `most`, as a socket would. */
function feed(
  reader: FrameReader,
  bytes: Uint8Array,
  most = Number.POSITIVE_INFINITY,
  fds: readonly OwnedFd[] = [],
): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const room = reader.room();
    const count = Math.min(room.length, bytes.length - at, most);
    room.set(bytes.subarray(at, at + count));
    frames.push(...reader.advance(count, at === 0 ? fds : []));
    at += count;
  }
  return frames;
}

function eventfd(): OwnedFd {
  return new OwnedFd(native.eventfd(), "eventfd");
}

function openFds(): number {
  return readdirSync("/proc/self/fd").length;
}

function ids(frames: readonly Frame[]): number[] {
  return frames.map(({ header }) => header.id);
}

describe("reading", () => {
  test.each([1, 3, 15, 16, 17, 100, 5000, 65536])("messages of all sizes, in pieces of %d bytes", (most) => {
    const reader = new FrameReader(limits);
    const lengths = [0, 1, 100, 4095, 4096, 4097, 19_984, 0, 8];
    const stream = Buffer.concat(lengths.map((length, id) => message(id, length)));
    const frames = feed(reader, stream, most);
    expect(frames.map(({ payload }) => payload.length)).toEqual(lengths);
    for (const { header, payload, fault } of frames) {
      expect(fault).toBeUndefined();
      expect(payload.every((byte) => byte === header.id)).toBe(true);
    }
    expect(reader.inMessage).toBe(false);
  });

  test.each([20, 5000, 65536])("a message beyond the limit is passed over, in pieces of %d bytes", (most) => {
    const reader = new FrameReader(limits);
    const stream = Buffer.concat([
      message(1, 4),
      message(2, 300_000),
      message(3, 4),
      message(4, 19_985),
      message(5, 0),
    ]);
    const frames = feed(reader, stream, most);
    expect(ids(frames)).toEqual([1, 2, 3, 4, 5]);
    expect(frames.map(({ fault }) => fault)).toEqual([undefined, "length", undefined, "length", undefined]);
    expect(frames[1]?.payload.length).toBe(0);
  });

  test("a header that cannot be one ends it", () => {
    const short = message(1, 0);
    new DataView(short.buffer).setUint32(4, 15, true);
    expect(() => feed(new FrameReader(limits), short)).toThrow(ProtocolError);
    const type = message(1, 0);
    new DataView(type.buffer).setUint32(8, 2, true);
    expect(() => feed(new FrameReader(limits), type)).toThrow(ProtocolError);
  });

  test("the announced size takes no memory beyond the limit", () => {
    const huge = message(1, 0);
    new DataView(huge.buffer).setUint32(4, 0xffff_ffff, true);
    const reader = new FrameReader(limits);
    feed(reader, huge);
    expect(reader.room().length).toBe(64 * 1024);
    expect(reader.inMessage).toBe(true);
  });
});

describe("reading in place", () => {
  test("leaves what is beyond the limit, not whole, or behind the beginning of another", () => {
    const reader = new FrameReader(limits);
    const taken: Frame[] = [];
    const give = (bytes: Uint8Array) => {
      reader.room().set(bytes);
      const rest = reader.offer(
        bytes.length,
        takeInto(taken, () => true),
      );
      return { rest, frames: rest > 0 ? reader.advance(rest) : [] };
    };
    const long = give(Buffer.concat([message(1, 4), message(2, 19_985), message(3, 4)]));
    expect(long.rest).toBe(2 * HEADER_SIZE + 19_989);
    expect(long.frames.map(({ header, fault }) => [header.id, fault])).toEqual([
      [2, "length"],
      [3, undefined],
    ]);
    const half = give(Buffer.concat([message(4, 4), message(5, 100).subarray(0, 50)]));
    expect(half).toEqual({ rest: 50, frames: [] });
    const other = Buffer.concat([message(5, 100).subarray(50), message(6, 0)]);
    const behind = give(other);
    expect(behind.rest).toBe(other.length);
    expect(ids(behind.frames)).toEqual([5, 6]);
    expect(ids(taken)).toEqual([1, 4]);
  });

  test("memory that was given back holds the next payload of its length", () => {
    const reader = new FrameReader(limits);
    const [first] = feed(reader, message(1, 10_000));
    if (first === undefined) throw new Error("no message");
    reader.recycle(first);
    const [second, third] = feed(reader, Buffer.concat([message(2, 10_000), message(3, 10_000)]), 5000);
    expect(second?.payload.buffer).toBe(first.payload.buffer);
    expect(third?.payload.buffer).not.toBe(first.payload.buffer);
    for (const frame of [second, third]) {
      expect(frame?.payload.length).toBe(10_000);
      expect(frame?.payload.every((byte) => byte === frame.header.id)).toBe(true);
    }
  });
});

describe("descriptors", () => {
  test("belong to the last message that begins with them", () => {
    const reader = new FrameReader(limits);
    const fd = eventfd();
    const frames = feed(reader, Buffer.concat([message(1, 10), message(2, 10)]), undefined, [fd]);
    expect(frames.map(({ fds }) => fds.length)).toEqual([0, 1]);
    expect(fd.closed).toBe(false);
    fd.close();
  });

  test("stay with a message whose rest comes later", () => {
    const reader = new FrameReader(limits);
    const fd = eventfd();
    expect(feed(reader, message(1, 8000).subarray(0, 5), undefined, [fd])).toEqual([]);
    const [frame] = feed(reader, message(1, 8000).subarray(5));
    expect(frame?.fds).toEqual([fd]);
    fd.close();
  });

  test("with a later part of a message are closed, and so are its own", () => {
    const reader = new FrameReader(limits);
    const [first, second] = [eventfd(), eventfd()];
    feed(reader, message(1, 8000).subarray(0, 20), undefined, [first]);
    const [frame] = feed(reader, message(1, 8000).subarray(20), undefined, [second]);
    expect(frame).toMatchObject({ fault: "descriptors", fds: [] });
    expect([first.closed, second.closed]).toEqual([true, true]);
  });

  test("beyond the limit are closed", () => {
    const fds = [eventfd(), eventfd(), eventfd()];
    const [frame] = feed(new FrameReader(limits), message(1, 0), undefined, fds);
    expect(frame).toMatchObject({ fault: "descriptors", fds: [] });
    expect(fds.every(({ closed }) => closed)).toBe(true);
  });

  test("of a message that is too long are closed", () => {
    const fd = eventfd();
    const [frame] = feed(new FrameReader(limits), message(1, 30_000), undefined, [fd]);
    expect(frame).toMatchObject({ fault: "length", fds: [] });
    expect(fd.closed).toBe(true);
  });

  test("of a message that never ends are closed with the reader", () => {
    const reader = new FrameReader(limits);
    const fd = eventfd();
    feed(reader, message(1, 10).subarray(0, 20), undefined, [fd]);
    reader.close();
    expect(fd.closed).toBe(true);
  });

  test("are closed where the stream breaks", () => {
    const before = openFds();
    const bad = message(2, 0);
    new DataView(bad.buffer).setUint32(4, 3, true);
    expect(() => feed(new FrameReader(limits), Buffer.concat([message(1, 0), bad]), undefined, [eventfd()])).toThrow();
    expect(openFds()).toBe(before);
  });
});

/** What a peer sent in one call: the kernel never joins two pieces with descriptors, nor reads beyond one. */
interface Sent {
  readonly bytes: Uint8Array;
  readonly fds: number;
}

/** Copies what is offered, while it is wanted. */
function takeInto(frames: Frame[], wanted: () => boolean): (view: DataView, at: number, size: number) => boolean {
  return (view, at, size) => {
    if (!wanted()) return false;
    const payload = new Uint8Array(view.buffer, at + HEADER_SIZE, size - HEADER_SIZE).slice();
    frames.push({ header: headerAt(view, at), payload, fds: [], fault: undefined });
    return true;
  };
}

/** Any mix of messages, cut and given as a socket would. What comes out is what went in. */
function randomStream(prng: Prng, count: number): void {
  const reader = new FrameReader(limits);
  const expected: { id: number; length: number; fault: Frame["fault"] | "unless joined"; fds: number }[] = [];
  const sent: Sent[] = [];
  for (let i = 0; i < count; i++) {
    const id = prng.below(0x10000);
    const length = prng.pick([0, 4, 16, 20, prng.below(64), prng.below(5000), prng.below(30_000)]);
    const fds = prng.oneIn(4) ? prng.between(1, 4) : 0;
    const bytes = message(id, length, id & 0xff);
    const cut = prng.oneIn(4) ? prng.between(1, bytes.length) : bytes.length;
    sent.push({ bytes: bytes.subarray(0, cut), fds });
    let stray = 0;
    if (cut < bytes.length) {
      stray = prng.oneIn(20) ? 1 : 0;
      sent.push({ bytes: bytes.subarray(cut), fds: stray });
    }
    const long = bytes.length > limits.messageSize;
    const bad = fds > limits.fds || stray > 0;
    // Where the kernel joins the pieces, the descriptors of the second are taken for those of the message.
    const fault = long ? "length" : bad ? (fds === 0 ? "unless joined" : "descriptors") : undefined;
    expected.push({ id, length: long ? 0 : length, fault, fds: long || bad ? 0 : fds });
  }
  const frames: Frame[] = [];
  for (let piece = sent.shift(); piece !== undefined; ) {
    const room = reader.room();
    let filled = 0;
    let fds = 0;
    // One reception: pieces until the room is full, or behind one with descriptors.
    while (piece !== undefined && filled < room.length && fds === 0) {
      if (filled > 0 && prng.oneIn(3)) break;
      const part = piece.bytes.subarray(
        0,
        Math.min(piece.bytes.length, room.length - filled, prng.oneIn(8) ? 1 : 1 << 20),
      );
      room.set(part, filled);
      filled += part.length;
      fds = piece.fds;
      piece = part.length < piece.bytes.length ? { bytes: piece.bytes.subarray(part.length), fds: 0 } : sent.shift();
    }
    // Without descriptors, some are taken where they lie: in front of the others, as many as somebody likes.
    const rest =
      fds > 0 || prng.oneIn(3)
        ? filled
        : reader.offer(
            filled,
            takeInto(frames, () => !prng.oneIn(4)),
          );
    if (rest > 0) frames.push(...reader.advance(rest, Array.from({ length: fds }, eventfd)));
  }
  expect(frames.length).toBe(expected.length);
  for (const [i, { header, payload, fault, fds }] of frames.entries()) {
    const wanted = expected[i];
    expect(header.id).toBe(wanted?.id);
    // A message can break two rules; which one is told is not promised.
    if (wanted?.fault !== "unless joined") expect(fault === undefined).toBe(wanted?.fault === undefined);
    if (fault === undefined) expect(payload.length).toBe(wanted?.length);
    if (!payload.every((byte) => byte === (header.id & 0xff)))
      throw new Error(`message ${i} holds another one's bytes`);
    if (wanted?.fault === undefined) expect(fds.length).toBe(wanted?.fds);
    for (const fd of fds) fd.close();
  }
}

test("any mix of messages, sizes, pieces and descriptors", () => {
  const before = openFds();
  forSeeds(100, (prng) => randomStream(prng, 200));
  expect(openFds()).toBe(before);
});

describe("writing", () => {
  test("goes on where it stopped, with the descriptors only once", () => {
    const out: { bytes: number; fds: readonly number[] }[] = [];
    let room = 0;
    const writer = new FrameWriter((bytes, fds) => {
      const count = Math.min(room, bytes.length);
      room -= count;
      if (count > 0) out.push({ bytes: count, fds });
      return count;
    });
    const done: number[] = [];
    writer.write(message(1, 84), [7], () => done.push(1));
    writer.write(message(2, 0), [8], () => done.push(2));
    expect(writer.queued).toBe(116);
    room = 30;
    writer.flush();
    room = 75;
    writer.flush();
    expect(done).toEqual([1]);
    room = 1000;
    writer.flush();
    expect(done).toEqual([1, 2]);
    expect(writer.queued).toBe(0);
    expect(out).toEqual([
      { bytes: 30, fds: [7] },
      { bytes: 70, fds: [] },
      { bytes: 5, fds: [8] },
      { bytes: 11, fds: [] },
    ]);
  });

  test("copies what has no room when its memory is used again", () => {
    const out: number[] = [];
    let room = 20;
    const writer = new FrameWriter((bytes) => {
      const count = Math.min(room, bytes.length);
      room -= count;
      out.push(...bytes.subarray(0, count));
      return count;
    });
    const bytes = message(1, 10);
    const expected = [...bytes, ...message(2, 10)];
    const begun = writer.writeCopy(bytes);
    bytes.set(message(2, 10));
    const waiting = writer.writeCopy(bytes);
    bytes.fill(0);
    expect(writer.queued).toBe(32);
    if (begun === undefined || waiting === undefined) throw new Error("nothing waits");
    // Half of it is there: without the rest, nothing behind it would be found.
    expect(writer.withdraw(begun)).toBe(false);
    room = 1000;
    writer.flush();
    expect(out).toEqual(expected);
    expect(writer.writeCopy(bytes)).toBeUndefined();
  });

  test("keeps the order of many thousands, and lets one be taken back that has not begun", () => {
    const out: number[] = [];
    let room = 0;
    const writer = new FrameWriter((bytes) => {
      if (room === 0) return 0;
      room--;
      out.push(readHeader(bytes).id);
      return bytes.length;
    });
    const all = Array.from({ length: 5000 }, (_, id) => message(id, 0));
    const done: number[] = [];
    for (const [id, each] of all.entries()) writer.write(each, [], () => done.push(id));
    room = 1500;
    writer.flush();
    const [first, next] = [all[0], all[1600]];
    if (first === undefined || next === undefined) throw new Error("no message");
    expect(writer.withdraw(first)).toBe(false);
    expect(writer.withdraw(next)).toBe(true);
    expect(writer.queued).toBe(3499 * HEADER_SIZE);
    room = 10_000;
    writer.flush();
    expect(out).toEqual([...all.keys()].filter((id) => id !== 1600));
    expect(done.length).toBe(5000);
    writer.close();
    expect(done.length).toBe(5000);
  });
});
