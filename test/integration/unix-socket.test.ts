/** Unix sockets with descriptors, between two ends of one process and between processes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OwnedFd } from "../../lib/kernel/fd.js";
import { native } from "../../lib/kernel/native.js";
import { MAX_DESCRIPTORS, UnixListener, UnixSocket } from "../../lib/kernel/unix-socket.js";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-socket-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function eventfd(count: number): OwnedFd {
  const fd = new OwnedFd(native.eventfd(), "eventfd");
  native.eventfdWrite(fd.number, count);
  return fd;
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe.each(["stream", "seqpacket"] as const)("a %s socket", (type) => {
  it("is connected by path, knows its peer, and removes its path", async () => {
    const path = join(directory, type);
    const listener = UnixListener.listen(path, type);
    const accepting = listener.accept();
    const client = await UnixSocket.connect(path, type);
    const server = await accepting;
    expect(server.peer()).toEqual({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
    expect(client.peer().pid).toBe(process.pid);
    listener.close();
    expect(existsSync(path)).toBe(false);
    client.close();
    expect(await server.receive(new Uint8Array(1))).toEqual({ length: 0, descriptors: [] });
    server.close();
  });

  it("has names in the abstract namespace", async () => {
    const path = `\0vfio-test-${process.pid}-${type}`;
    const listener = UnixListener.listen(path, type);
    expect(() => UnixListener.listen(path, type)).toThrow(/EADDRINUSE.*'@vfio-test/);
    const client = await UnixSocket.connect(path, type);
    (await listener.accept()).close();
    client.close();
    listener.close();
    await expect(UnixSocket.connect(path, type)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("carries descriptors, close-on-exec and of the same open file", async () => {
    const [a, b] = UnixSocket.pair(type);
    const counter = eventfd(42);
    await a.send(Uint8Array.of(1, 2, 3), [counter.number, counter.number]);
    const { length, descriptors } = await b.receive(new Uint8Array(8), { room: 2 });
    expect([length, descriptors.length]).toEqual([3, 2]);
    const [first, second] = descriptors;
    if (first === undefined || second === undefined) throw new Error("two were sent");
    expect(native.kcmpFile(first.number, counter.number)).toBe(0);
    expect(native.kcmpFile(first.number, a.fd)).toBeGreaterThan(0);
    expect(native.setCloseOnExec(first.number, true)).toBe(1);
    expect(native.eventfdRead(second.number)).toBe(42);
    for (const each of [first, second, counter, a, b]) each.close();
  });

  it("closes what came with what did not fit (G24)", async () => {
    const [a, b] = UnixSocket.pair(type);
    const counter = eventfd(1);
    const before = openDescriptors();
    for (const room of [0, 1, 3]) {
      await a.send(
        Uint8Array.of(1),
        Array.from({ length: 4 }, () => counter.number),
      );
      expect(() => b.tryReceive(new Uint8Array(8), room)).toThrow(/EPROTO.*more than [013] descriptors/);
      expect(openDescriptors()).toBe(before);
    }
    expect(b.tryReceive(new Uint8Array(8))).toBeUndefined();
    for (const each of [counter, a, b]) each.close();
  });

  it("takes the kernel's most, and not one more", async () => {
    const [a, b] = UnixSocket.pair(type);
    const counter = eventfd(1);
    const many = Array.from({ length: MAX_DESCRIPTORS }, () => counter.number);
    await a.send(Uint8Array.of(1), many);
    const { descriptors } = await b.receive(new Uint8Array(1), { room: MAX_DESCRIPTORS });
    expect(descriptors.length).toBe(MAX_DESCRIPTORS);
    await expect(a.send(Uint8Array.of(1), [...many, counter.number])).rejects.toMatchObject({ code: "EINVAL" });
    for (const each of [...descriptors, counter, a, b]) each.close();
  });

  it("says that the other side is gone, after what it had sent", async () => {
    const [a, b] = UnixSocket.pair(type);
    await b.send(Uint8Array.of(1, 2));
    await a.send(Uint8Array.of(7));
    b.close();
    await expect(a.send(Uint8Array.of(1))).rejects.toMatchObject({ code: expect.stringMatching(/EPIPE|ECONNRESET/) });
    const lengths: number[] = [];
    while (lengths.at(-1) !== 0) {
      try {
        lengths.push((await a.receive(new Uint8Array(8))).length);
      } catch (error) {
        // b had not read what a sent.
        expect(error).toMatchObject({ code: "ECONNRESET" });
      }
    }
    expect(lengths).toEqual([2, 0]);
    a.close();
  });

  it("lets go of a wait by its signal and by close", async () => {
    const [a, b] = UnixSocket.pair(type);
    const controller = new AbortController();
    const { signal } = controller;
    const filler = new Uint8Array(32 * 1024);
    while (b.trySend(filler) > 0);
    const reading = b.receive(filler, { signal });
    const writing = b.send(filler, [], { signal });
    // Room for one more: the send goes on where it waited.
    for (let drained = 0; drained < 6; drained++) await a.receive(filler);
    await writing;
    while (b.trySend(filler) > 0);
    const stuck = b.send(filler, [], { signal });
    controller.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    await expect(stuck).rejects.toThrow("enough");
    await expect(b.receive(filler, { signal })).rejects.toThrow("enough");
    while (a.tryReceive(filler) !== undefined);
    const closed = a.receive(new Uint8Array(8));
    a.close();
    await expect(closed).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
    b.close();
  });

  it("calls a listener for what comes, and for the end", async () => {
    const [a, b] = UnixSocket.pair(type);
    const got: number[] = [];
    const ended = new Promise<void>((resolve) => {
      b.onReadable(() => {
        const into = new Uint8Array(64);
        for (let each = b.tryReceive(into); each !== undefined; each = b.tryReceive(into)) {
          if (each.length === 0) {
            b.onReadable(undefined);
            return resolve();
          }
          got.push(...into.subarray(0, each.length));
        }
      });
    });
    await a.send(Uint8Array.of(1));
    await a.send(Uint8Array.of(2, 3));
    a.close();
    await ended;
    expect(got).toEqual([1, 2, 3]);
    b.close();
  });
});

it("sends 5 MB over a stream whole and in order, with the descriptors once (G32)", async () => {
  const [a, b] = UnixSocket.pair("stream");
  a.setBuffers({ send: 4096 });
  const counter = eventfd(1);
  const bytes = new Uint8Array(5_000_000).map((_, i) => (i * 7) ^ (i >> 8));
  const sent = Promise.all([a.send(bytes, [counter.number]), a.send(Uint8Array.of(99))]);
  const received = new Uint8Array(bytes.length + 1);
  let at = 0;
  let descriptors = 0;
  while (at < received.length) {
    const part = await b.receive(received.subarray(at), { room: 4 });
    at += part.length;
    descriptors += part.descriptors.length;
    for (const each of part.descriptors) each.close();
  }
  await sent;
  expect(Buffer.compare(received.subarray(0, -1), bytes)).toBe(0);
  expect([received.at(-1), descriptors]).toEqual([99, 1]);
  for (const each of [counter, a, b]) each.close();
});

it("refuses a packet that is longer than the room for it", async () => {
  const [a, b] = UnixSocket.pair("seqpacket");
  await a.send(new Uint8Array(10));
  expect(() => b.tryReceive(new Uint8Array(9))).toThrow(/EMSGSIZE/);
  a.close();
  b.close();
});

it("replaces the socket of a dead process, and no other file", async () => {
  const path = join(directory, "dead");
  const child = spawn(process.execPath, [
    "-e",
    `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  await once(child, "exit");
  expect(existsSync(path)).toBe(true);
  const first = UnixListener.listen(path, "stream");
  expect(() => UnixListener.listen(path, "stream")).toThrow(/EADDRINUSE/);
  // Somebody else's by now: it stays when the first goes.
  rmSync(path);
  const second = UnixListener.listen(path, "stream");
  first.close();
  expect(existsSync(path)).toBe(true);
  second.close();
  expect(existsSync(path)).toBe(false);
  writeFileSync(path, "");
  expect(() => UnixListener.listen(path, "stream")).toThrow(/EADDRINUSE/);
  expect(existsSync(path)).toBe(true);
});

it("adopts what a parent passed, and nothing that is no Unix socket", async () => {
  const [mine, theirs] = UnixSocket.pair("seqpacket");
  const copy = native.dup(theirs.fd);
  const adopted = UnixSocket.adopt(copy);
  expect(adopted.type).toBe("seqpacket");
  adopted.close();
  const counter = eventfd(1);
  expect(() => UnixSocket.adopt(counter.number)).toThrow(/ENOTSOCK/);
  expect(() => UnixSocket.adopt(1023)).toThrow(/ENOTSOCK|EBADF/);
  expect(native.eventfdRead(counter.number)).toBe(1);
  for (const each of [counter, mine, theirs]) each.close();
});

it("goes with a worker that is terminated while it waits", async () => {
  const addon = new URL("../../build/Release/vfio.node", import.meta.url).pathname;
  const before = openDescriptors();
  for (let round = 0; round < 10; round++) {
    const worker = new Worker(
      `const native = require(${JSON.stringify(addon)});
       const fds = new Int32Array(2);
       native.socketpair(5, true, fds);
       native.watchStart(fds[0], 1, () => {});
       native.watchStart(fds[1], 3, () => {});
       require("node:worker_threads").parentPort.postMessage("waiting");`,
      { eval: true },
    );
    await once(worker, "message");
    await worker.terminate();
  }
  expect(openDescriptors()).toBe(before);
});
