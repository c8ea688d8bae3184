/** Who else connects to the socket of a hand-over, and who does not come at all. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { execInPlace } from "../../../lib/live-update/exec-carrier.js";
import { receiveLiveUpdate } from "../../../lib/live-update/incoming.js";
import { LiveUpdate } from "../../../lib/live-update/outgoing.js";
import { socketFromOldProcess, socketToSuccessor } from "../../../lib/live-update/socket-carrier.js";
import { Peer } from "./peer.js";
import { hello, introduceOldProcess, message, pair, receiveUntil } from "./wire.js";

// Processes start and end, on machines that may have other things to do.
vi.setConfig({ testTimeout: 60_000 });

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-reception-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const each of cleanup.splice(0).reverse()) await each();
});

/** Time passes only when a test says so. Sockets and processes are real. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
}

let sockets = 0;
const newPath = () => join(directory, `socket-${sockets++}`);

/** A connection of this user's, which the listener has accepted: it has said hello. */
async function stranger(path: string): Promise<UnixSocket> {
  const socket = await UnixSocket.connect(path, "seqpacket");
  cleanup.push(() => socket.close());
  await receiveUntil(socket, "hello");
  return socket;
}

/** Why the listener ended a conversation; undefined for a connection that it has only closed. */
async function reasonOf(socket: UnixSocket): Promise<string | undefined> {
  const into = new Uint8Array(70_000);
  for (;;) {
    const { length, descriptors } = await socket.receive(into, { room: 1 });
    for (const each of descriptors) each.close();
    if (length === 0) return undefined;
    if (into[4] === 5) return new TextDecoder().decode(into.subarray(16, length));
  }
}

function newPeer(role: "old" | "successor", path: string): Peer {
  const peer = new Peer(role, { connect: path });
  cleanup.push(() => peer.kill());
  return peer;
}

const sides = [
  { side: "an old process", listen: socketToSuccessor, other: "successor" },
  { side: "a successor", listen: socketFromOldProcess, other: "old" },
] as const;

describe.each(sides)("$side that listens", ({ listen, other }) => {
  it("takes the first that introduces itself, whoever is connected and says nothing", async () => {
    const path = newPath();
    const opening = listen({ listen: path });
    const silent = [await stranger(path), await stranger(path), await stranger(path)];
    // As far as hello, and no further: an old process that gives no pidfd, a successor that does not take it.
    await silent[2]?.send(hello(other));
    const peer = newPeer(other, path);
    const [carrier, opened] = await Promise.all([opening, peer.do("open")]);
    cleanup.push(() => carrier.close());
    expect(opened.code).toBeUndefined();
    for (const each of silent) expect(await reasonOf(each)).toBe("another process was first");
  });

  it("goes on without one that speaks of something else", async () => {
    const path = newPath();
    const opening = listen({ listen: path });
    for (const say of [
      Uint8Array.of(1, 2, 3),
      message("done"),
      new Uint8Array(20_000),
      message("hello", new Uint8Array(300)),
    ]) {
      const socket = await stranger(path);
      await socket.send(say);
      expect(await reasonOf(socket)).toMatch(
        /packet|not part of a hand-over|where the message "hello" was due|takes 256/,
      );
    }
    const [carrier] = await Promise.all([opening, newPeer(other, path).do("open")]);
    carrier.close();
  });

  it("reports a side that is there and cannot be talked with", async () => {
    const path = newPath();
    const opening = listen({ listen: path });
    const socket = await stranger(path);
    await socket.send(hello(other, 9, 8));
    await expect(opening).rejects.toThrow(/EPROTO.*speaks protocols 8 to 9/);
    expect(await reasonOf(socket)).toMatch(/speaks protocols 8 to 9/);
  });

  it("drops a silent connection after 5 seconds, and serves those that wait behind sixteen of them", async () => {
    stopTime();
    const path = newPath();
    const opening = listen({ listen: path }, { timeout: Number.POSITIVE_INFINITY });
    const silent: UnixSocket[] = [];
    while (silent.length < 16) silent.push(await stranger(path));
    const peer = newPeer(other, path);
    const opened = peer.do("open");
    vi.advanceTimersByTime(4999);
    vi.advanceTimersByTime(1);
    for (const each of silent) expect(await reasonOf(each)).toMatch(/introduction took longer than 5000 ms/);
    const [carrier] = await Promise.all([opening, opened]);
    carrier.close();
  });

  it("ends every conversation with its signal", async () => {
    const path = newPath();
    const controller = new AbortController();
    const opening = listen({ listen: path }, { signal: controller.signal });
    const silent = await stranger(path);
    controller.abort(new Error("enough"));
    await expect(opening).rejects.toThrow("enough");
    expect(await reasonOf(silent)).toMatch(/enough/);
    expect(() => UnixSocket.tryConnect(path, "seqpacket")).toThrow(/ENOENT/);
  });
});

describe("a successor", () => {
  it("does not wait for ever for an old process that failed before it connected", async () => {
    const path = newPath();
    stopTime();
    const opening = socketFromOldProcess({ listen: path });
    opening.catch(() => {});
    const old = newPeer("old", path);
    // It has more open already: it can open nothing, and its socket is refused.
    expect((await old.do("descriptors")).value).toBeGreaterThan(5);
    execFileSync("prlimit", ["--nofile=5:", "--pid", String(old.pid)]);
    expect(await old.do("open")).toMatchObject({ code: "EMFILE" });
    vi.advanceTimersByTime(60_000);
    await expect(opening).rejects.toMatchObject({
      code: "ETIMEDOUT",
      why: "the wait for the old process took longer than 60000 ms",
      fix: expect.stringContaining("whether the old process failed before it connected"),
    });
  });

  it("does not wait for ever for one that is there and hands nothing over", async () => {
    stopTime();
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    const [carrier] = await Promise.all([socketFromOldProcess({ socket }), introduceOldProcess(raw)]);
    const receiving = receiveLiveUpdate(carrier);
    receiving.catch(() => {});
    vi.advanceTimersByTime(60_000);
    await expect(receiving).rejects.toMatchObject({ code: "ETIMEDOUT", fix: expect.stringContaining("handOver()") });
    expect(await reasonOf(raw)).toMatch(/took longer than 60000 ms/);
  });

  it("waits as long as it says, and says so", async () => {
    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    await expect(socketFromOldProcess({ socket }, { timeout: 1 })).rejects.toThrow(/longer than 1 ms/);
    for (const timeout of [-1, Number.NaN, 2 ** 31]) {
      const listening = socketFromOldProcess({ listen: newPath() }, { timeout });
      await expect(listening).rejects.toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    }
  });
});

describe("an old process", () => {
  it("that listens waits for its successor as long as it takes; one that connects does not", async () => {
    stopTime();
    const path = newPath();
    const opening = socketToSuccessor({ listen: path });
    vi.advanceTimersByTime(24 * 60 * 60_000);
    const successor = socketFromOldProcess({ connect: path });
    for (const each of await Promise.all([opening, successor])) each.close();

    const [raw, socket] = pair();
    cleanup.push(() => raw.close());
    const connecting = socketToSuccessor({ socket });
    connecting.catch(() => {});
    vi.advanceTimersByTime(60_000);
    await expect(connecting).rejects.toThrow(/the wait for the successor took longer than 60000 ms/);
  });

  it("is refused a time that no timer can take, and goes on", async () => {
    const update = new LiveUpdate({ containers: {} });
    const over = update.handOver(execInPlace(), { timeouts: { prepare: 2 ** 40 } });
    await expect(over).rejects.toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    expect(update.committed).toBe(false);
  });
});
