/** Messages with descriptors between two ends, and between processes of different users and limits. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { OwnedFd } from "../../../lib/kernel/fd.js";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { type MessageLimits, MessageSocket } from "../../../lib/live-update/message-socket.js";
import { drain, KINDS, message, openDescriptors, packet, pair, TYPES } from "./wire.js";

// Processes start and end, on machines that may have other things to do.
vi.setConfig({ testTimeout: 60_000 });

const ENOUGH: MessageLimits = { bytes: 8_000_000, descriptors: 10_000 };

function messageSockets(): [MessageSocket, MessageSocket] {
  const [a, b] = pair();
  return [new MessageSocket(a, "the successor"), new MessageSocket(b, "the old process")];
}

function pattern(length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 31) ^ (i >> 8) ^ (i >> 16));
}

describe("a message", () => {
  it.each([
    [0, 0],
    [1, 1],
    [65_520, 253],
    [65_521, 254],
    [0, 1000],
    [5_000_000, 1000],
  ])("of %d bytes and %d descriptors arrives whole, in order and close-on-exec", async (length, count) => {
    const before = openDescriptors();
    const [a, b] = messageSockets();
    const bytes = pattern(length);
    // Each counts what it is: the order can be seen.
    const counters = Array.from({ length: Math.min(count, 300) }, (_, index) => {
      const fd = new OwnedFd(native.eventfd(), `eventfd ${index}`);
      native.eventfdWrite(fd.number, index + 1);
      return fd;
    });
    const sent = Array.from({ length: count }, (_, index) => counters[index % counters.length]?.number ?? -1);
    const sending = a.send("parcel", bytes, sent, {});
    const received = await b.receive("parcel", ENOUGH, {});
    await sending;
    expect(Buffer.compare(received.bytes, bytes)).toBe(0);
    expect(received.descriptors.length).toBe(count);
    for (const [index, each] of received.descriptors.entries()) {
      expect(native.setCloseOnExec(each.number, true)).toBe(1);
      if (index < counters.length) expect(native.eventfdRead(each.number)).toBe(index + 1);
      each.close();
    }
    for (const each of counters) each.close();
    a.close();
    b.close();
    expect(openDescriptors()).toBe(before);
  });

  it("may be followed by others, in both directions", async () => {
    const [a, b] = messageSockets();
    await a.send("parcel", pattern(10), [], {});
    await a.send("frozen", pattern(20), [], {});
    a.sendNow("commit");
    await b.send("ready", pattern(0), [], {});
    for (const [type, length] of [
      ["parcel", 10],
      ["frozen", 20],
      ["commit", 0],
    ] as const) {
      expect((await b.receive(type, ENOUGH, {})).bytes.length).toBe(length);
    }
    await a.receive("ready", ENOUGH, {});
    a.close();
    b.close();
  });
});

describe("an end", () => {
  it("is told with its reason, whatever the other side was doing", async () => {
    const [a, b] = messageSockets();
    const waiting = b.receive("parcel", ENOUGH, {});
    a.end("the guest was shut down");
    await expect(waiting).rejects.toThrow(/ECANCELED.*the old process ended the hand-over: the guest was shut down/);
    await expect(b.receive("parcel", ENOUGH, {})).rejects.toMatchObject({ code: "ECONNRESET" });
    await expect(b.send("ready", pattern(0), [], {})).rejects.toMatchObject({ code: "ECONNRESET" });
    a.close();
    b.close();
  });

  it("is told to a side that is in the middle of sending", async () => {
    const [a, b] = messageSockets();
    const sending = a.send("parcel", pattern(5_000_000), [], {});
    await turn();
    b.end("no room");
    await expect(sending).rejects.toThrow(/ECANCELED.*the successor ended the hand-over: no room/);
    a.close();
    b.close();
  });

  it("has room where the socket is full, and comes after what is in it", async () => {
    const [a, b] = messageSockets();
    const controller = new AbortController();
    const sending = a.send("parcel", pattern(5_000_000), [], { signal: controller.signal });
    for (let i = 0; i < 10; i++) await turn();
    controller.abort(new Error("late"));
    await expect(sending).rejects.toThrow("late");
    a.end("too slow");
    a.close();
    await expect(b.receive("parcel", ENOUGH, {})).rejects.toThrow(/ECANCELED.*too slow/);
    b.close();
  });

  it("is seen without waiting", async () => {
    const [a, b] = messageSockets();
    b.throwIfEnded();
    a.end("over");
    expect(() => b.throwIfEnded()).toThrow(/over/);
    expect(() => b.sendNow("done")).toThrow(/ECONNRESET|ECANCELED/);
    a.close();
    b.close();
  });

  it("cannot write to a terminal, and is cut at 4 KiB", async () => {
    const [a, b] = messageSockets();
    a.end(`\u001b[2J${"x".repeat(10_000)}`);
    const error: unknown = await b.receive("parcel", ENOUGH, {}).catch((reason: unknown) => reason);
    const text = error instanceof Error ? error.message : "";
    expect(text).toContain(" [2Jxxx");
    expect(text).not.toContain("\u001b");
    expect(text.length).toBeLessThan(4400);
    a.close();
    b.close();
  });

  it("without a reason is another error", async () => {
    const [a, b] = messageSockets();
    await b.send("ready", pattern(0), [], {});
    a.close();
    await expect(b.receive("parcel", ENOUGH, {})).rejects.toThrow(
      /ECONNRESET.*the old process went away without a reason/,
    );
    b.close();
  });
});

it("shuts a message out that is not there yet, and keeps one that is", async () => {
  for (const first of [true, false]) {
    const [a, b] = messageSockets();
    if (first) a.sendNow("commit");
    expect(b.shutOut("commit")).toBe(first);
    if (!first) expect(() => a.sendNow("commit")).toThrow(/ECONNRESET/);
    b.end("waited long enough");
    await expect(a.receive("done", ENOUGH, {})).rejects.toThrow("waited long enough");
    a.close();
    b.close();
  }
});

describe("a peer that breaks the rules", () => {
  const eventfds = (count: number) => Array.from({ length: count }, () => 1);
  const head = (type: keyof typeof TYPES, length: number, count: number) =>
    packet({ kind: KINDS.message, type: TYPES[type], first: length, second: count });
  const cases: [string, string, [Uint8Array, number[]?][]][] = [
    ["a stranger's bytes", "EPROTO", [[packet({ magic: 1, kind: 1 })]]],
    ["a short packet", "EPROTO", [[new Uint8Array(15)]]],
    ["an unknown kind", "EPROTO", [[packet({ kind: 6 })]]],
    ["an unknown type", "EPROTO", [[packet({ kind: 1, type: 99 })]]],
    ["another message", "EPROTO", [[message("frozen")]]],
    ["data without a message", "EPROTO", [[packet({ kind: KINDS.data, payload: new Uint8Array(4) })]]],
    ["descriptors with a message", "EPROTO", [[message("parcel"), eventfds(1)]]],
    ["descriptors without a packet", "EPROTO", [[head("parcel", 0, 3)], [new Uint8Array(0), eventfds(3)]]],
    ["descriptors in a stranger's packet", "EPROTO", [[head("parcel", 0, 3)], [new Uint8Array(40), eventfds(3)]]],
    ["too many descriptors at once", "EPROTO", [[head("parcel", 0, 3)], [packet({ kind: 2, second: 4 }), eventfds(4)]]],
    ["too few descriptors at once", "EPROTO", [[head("parcel", 0, 3)], [packet({ kind: 2, second: 2 }), eventfds(2)]]],
    ["no descriptors", "EPROTO", [[head("parcel", 0, 3)], [packet({ kind: 2, second: 3 })]]],
    [
      "descriptors from elsewhere",
      "EPROTO",
      [[head("parcel", 0, 3)], [packet({ kind: 2, first: 1, second: 3 }), eventfds(3)]],
    ],
    [
      "data where descriptors are due",
      "EPROTO",
      [[head("parcel", 9, 3)], [packet({ kind: 3, second: 9, payload: new Uint8Array(9) }), eventfds(3)]],
    ],
    ["a wrong length", "EPROTO", [[packet({ kind: 1, type: 2, first: 9, payload: new Uint8Array(8) })]]],
    [
      "data of a wrong length",
      "EPROTO",
      [[head("parcel", 70_000, 0)], [packet({ kind: 3, first: 0, second: 9, payload: new Uint8Array(9) })]],
    ],
    [
      "data from elsewhere",
      "EPROTO",
      [[head("parcel", 70_000, 0)], [packet({ kind: 3, first: 1, second: 65_520, payload: new Uint8Array(65_520) })]],
    ],
    ["an end of a wrong length", "EPROTO", [[packet({ kind: 5, first: 3 })]]],
    ["a packet beyond the most", "EMSGSIZE", [[new Uint8Array(65_537)]]],
    ["more bytes than are taken", "EMSGSIZE", [[head("parcel", 8_000_001, 0)]]],
    ["more descriptors than are taken", "EMSGSIZE", [[head("parcel", 0, 10_001)]]],
    ["4 GiB", "EMSGSIZE", [[head("parcel", 0xffffffff, 0xffffffff)]]],
  ];
  it.each(cases)("with %s is refused (%s), and nothing stays open", async (_, code, packets) => {
    const [raw, socket] = pair();
    const messages = new MessageSocket(socket, "the old process");
    const before = openDescriptors();
    for (const [bytes, descriptors] of packets) await raw.send(bytes, descriptors);
    await expect(messages.receive("parcel", ENOUGH, {})).rejects.toMatchObject({ code });
    expect(openDescriptors()).toBe(before);
    raw.close();
    messages.close();
  });

  it("with a wrong acknowledgement is refused", async () => {
    for (const answer of [
      packet({ kind: 4, first: 252 }),
      message("ready"),
      packet({ kind: 4, first: 253, second: 1 }),
    ]) {
      const [raw, socket] = pair();
      const messages = new MessageSocket(socket, "the successor");
      const sending = messages.send("parcel", pattern(3), eventfds(300), {});
      await raw.send(answer);
      await expect(sending).rejects.toMatchObject({ code: "EPROTO" });
      raw.close();
      messages.close();
    }
  });

  it("by stalling is waited for until the signal, at every wait", async () => {
    const stalls: [string, (messages: MessageSocket, signal: AbortSignal) => Promise<unknown>, Uint8Array[]][] = [
      ["a message", (messages, signal) => messages.receive("parcel", ENOUGH, { signal }), []],
      ["descriptors", (messages, signal) => messages.receive("parcel", ENOUGH, { signal }), [head("parcel", 0, 3)]],
      ["data", (messages, signal) => messages.receive("parcel", ENOUGH, { signal }), [head("parcel", 70_000, 0)]],
      ["an acknowledgement", (messages, signal) => messages.send("parcel", pattern(3), [1], { signal }), []],
      ["room", (messages, signal) => messages.send("parcel", pattern(5_000_000), [], { signal }), []],
    ];
    for (const [, start, packets] of stalls) {
      const [raw, socket] = pair();
      const messages = new MessageSocket(socket, "the other side");
      const before = openDescriptors();
      for (const each of packets) await raw.send(each);
      const controller = new AbortController();
      const waiting = start(messages, controller.signal);
      for (let i = 0; i < 5; i++) await turn();
      controller.abort(new Error("enough"));
      await expect(waiting).rejects.toThrow("enough");
      expect(openDescriptors()).toBe(before);
      await drain(raw);
      raw.close();
      messages.close();
    }
  });
});

describe("a process with little", () => {
  const helper = fileURLToPath(new URL("message-socket-peer.mjs", import.meta.url));

  /** Starts the helper with one end of a pair, as an ordinary user with a limit of open files. */
  function start(command: string, limit: number): { messages: MessageSocket; answer: Promise<unknown> } {
    const [mine, theirs] = pair();
    const child = spawn("sh", ["-c", `ulimit -n ${limit} && exec "$@"`, "sh", process.execPath, helper, command], {
      stdio: ["ignore", "pipe", "inherit", theirs.fd],
    });
    theirs.close();
    if (child.stdout === null) throw new Error("it is a pipe");
    const answer = Promise.all([text(child.stdout), once(child, "exit")]).then(([said]): unknown => JSON.parse(said));
    return { messages: new MessageSocket(mine, "the helper"), answer };
  }

  it("sends 1,000 descriptors as an ordinary user whose limit is 64: no more than 253 are under way", async () => {
    const { messages, answer } = start("send", 64);
    const { descriptors } = await messages.receive("parcel", ENOUGH, {});
    expect(descriptors.length).toBe(1000);
    for (const each of descriptors) each.close();
    // Without waiting for the acknowledgement, the kernel refuses the second packet.
    expect(await answer).toEqual({ uid: expect.toSatisfy((uid) => uid !== 0), sent: true, unbounded: "ETOOMANYREFS" });
    messages.close();
  });

  it("that may not open what comes says so, and closes what came (G24)", async () => {
    const { messages, answer } = start("receive", 100);
    const sending = messages.send(
      "parcel",
      new Uint8Array(3),
      Array.from({ length: 300 }, () => 1),
      {},
    );
    await expect(sending).rejects.toThrow(
      /ECANCELED.*EMFILE.*recvmsg\(received=0x[0-9a-f]+\).*as many descriptors open as its limit allows/,
    );
    expect(await answer).toEqual({ code: "EMFILE", leaked: 0 });
    messages.close();
  });
});

it("needs packets", () => {
  const [a, b] = UnixSocket.pair("stream");
  expect(() => new MessageSocket(a, "the successor")).toThrow(/seqpacket/);
  a.close();
  b.close();
});
