/** A client hands its connection with a vfio-user server over. The server notices nothing. */
import path from "node:path";
import { DmaBuffer } from "vfio";
import {
  type IncomingUpdate,
  LiveUpdate,
  receiveLiveUpdate,
  socketFromOldProcess,
  socketToSuccessor,
} from "vfio/live-update";
import { UserContainer } from "vfio/user";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { encodeManifest } from "../../../lib/live-update/manifest/manifest.js";
import type { SocketItem } from "../../../lib/live-update/manifest/socket.js";
import { ClientConnection } from "../../../lib/vfio-user/client/connection.js";
import { regionWrite } from "../../../lib/vfio-user/protocol/messages.js";
import { type EduProcess, socketDirectory, startEdu } from "../vfio-user-client/edu-process.js";
import { descriptorCount } from "../vfio-user-client/fake-server.js";

// edu's registers and commands
const [LIVENESS, RAISE, ACKNOWLEDGE, SOURCE, DESTINATION, COUNT, COMMAND] = [
  0x04, 0x60, 0x64, 0x80, 0x88, 0x90, 0x98,
] as const;
const BUFFER = 0x40000;
const IOVA = 0x10_0000n;

const directory = socketDirectory();
const socket = path.join(directory.path, "edu.sock");
let server: EduProcess;
beforeAll(async () => {
  server = await startEdu(socket);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

async function carriers() {
  const [old, young] = UnixSocket.pair("seqpacket");
  return await Promise.all([socketToSuccessor({ socket: old }), socketFromOldProcess({ socket: young })]);
}

function registersOf(container: UserContainer | ReturnType<IncomingUpdate["container"]>) {
  const [device] = container.devices.values();
  if (device === undefined) throw new Error("there is no device");
  return device.region("bar0").registers();
}

/** Has the device copy 64 bytes between its buffer and the memory. */
async function copy(container: Parameters<typeof registersOf>[0], direction: "in" | "out"): Promise<void> {
  const registers = registersOf(container);
  registers.write64(direction === "in" ? DESTINATION : SOURCE, IOVA);
  registers.write64(direction === "in" ? SOURCE : DESTINATION, BUFFER);
  registers.write64(COUNT, 64);
  registers.write64(COMMAND, direction === "in" ? 3 : 1);
  while ((registers.read32(COMMAND) & 1) !== 0) await new Promise(setImmediate);
}

/** A container with the device, an interrupt, and memory of which the device has a copy. */
async function attached(backing: "memfd" | "anonymous" = "memfd", at: string | number = socket) {
  const container = UserContainer.open({ socket: at });
  const device = container.attach("edu");
  device.busMaster = true;
  registersOf(container).write32(ACKNOWLEDGE, 0xffff_ffff);
  const [vector] = device.msi.enable(1);
  if (vector === undefined) throw new Error("there is no vector");
  const buffer = DmaBuffer.allocate(4096, { backing });
  container.map(buffer, { iova: IOVA });
  buffer.bytes.set([1, 2, 3, 4]);
  await copy(container, "out");
  return { container, device, vector, buffer };
}

describe("a vfio-user container", () => {
  it("goes to a successor, with its memory and its interrupts", async () => {
    const before = descriptorCount();
    const { container, device, vector, buffer } = await attached();
    const heard: number[] = [];
    vector.on("interrupt", (count) => heard.push(count));
    const update = new LiveUpdate({
      containers: { main: container },
      memory: { ring: buffer },
      save: () => {
        registersOf(container).write32(RAISE, 1);
        // Answered, so the interrupt was raised.
        registersOf(container).read32(LIVENESS);
        return Uint8Array.of(42);
      },
    });
    expect(update.blockers()).toEqual([]);
    const [out, back] = await carriers();
    const taking = receiveLiveUpdate(back).then(async (incoming) => {
      const inherited = incoming.container("main");
      expect(() => registersOf(inherited).read32(LIVENESS)).toThrow(/between two processes/);
      const theirs = inherited.devices.get("edu");
      if (theirs === undefined) throw new Error("there is no device");
      for (const change of [
        () => registersOf(inherited).write32(LIVENESS, 1),
        () => theirs.config.write16(0x04, 0),
        () => theirs.reset(),
        () => theirs.msi.disable(),
        () => theirs.msi.vector(0).close(),
        () => theirs.close(),
        () => inherited.unmapAll(),
        () => inherited.close(),
      ])
        expect(change).toThrow(/until takeOver\(\)/);
      await incoming.takeOver();
      return incoming;
    });
    const [incoming] = await Promise.all([taking, update.handOver(out)]);
    expect([container.closed, device.closed, vector.closed, buffer.closed]).toEqual([true, true, true, true]);
    expect([...incoming.state]).toEqual([42]);

    const inherited = incoming.container("main");
    const ring = incoming.memory.get("ring");
    expect(inherited.mappingAt(IOVA)?.memory).toBe(ring);
    ring?.bytes.fill(0);
    await copy(inherited, "in");
    expect([...(ring?.bytes.subarray(0, 4) ?? [])]).toEqual([1, 2, 3, 4]);
    const msi = inherited.devices.get("edu")?.msi;
    expect(heard).toEqual([]);
    expect(await msi?.vector(0).wait({ timeout: 5000 })).toBe(1);
    registersOf(inherited).write32(RAISE, 1);
    expect(await msi?.vector(0).wait({ timeout: 5000 })).toBe(1);
    inherited.close();
    ring?.close();
    expect(descriptorCount()).toBe(before);
  });

  it("goes on here when the successor fails", async () => {
    const { container, vector, buffer } = await attached();
    const update = new LiveUpdate({ containers: { main: container } });
    const [out, back] = await carriers();
    const failing = receiveLiveUpdate(back).then((incoming) => incoming.abandon("not today"));
    await expect(update.handOver(out)).rejects.toThrow(/not today/);
    await failing;
    buffer.bytes.fill(0);
    await copy(container, "in");
    expect([...buffer.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 4]);
    registersOf(container).write32(RAISE, 1);
    expect(await vector.wait({ timeout: 5000 })).toBe(1);
    container.close();
    buffer.close();
  });

  it("goes through many processes' hands", async () => {
    let { container, buffer }: { container: Parameters<typeof registersOf>[0]; buffer: DmaBuffer } = await attached();
    const before = descriptorCount();
    for (let generation = 0; generation < 20; generation++) {
      const [out, back] = await carriers();
      const update = new LiveUpdate({ containers: { main: container }, memory: { ring: buffer } });
      const taking = receiveLiveUpdate(back).then(async (incoming) => {
        await incoming.takeOver();
        return incoming;
      });
      const [incoming] = await Promise.all([taking, update.handOver(out)]);
      const ring = incoming.memory.get("ring");
      if (ring === undefined) throw new Error("there is no ring");
      ({ container, buffer } = { container: incoming.container("main"), buffer: ring });
      buffer.bytes.fill(0);
      await copy(container, "in");
      expect([...buffer.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 4]);
    }
    expect(descriptorCount()).toBe(before);
    container.close();
    buffer.close();
  });

  /** Hands a container over that was attached in some way. */
  async function handedOver(at: string | number) {
    const { container, buffer } = await attached("memfd", at);
    const { socket: name } = container;
    const [out, back] = await carriers();
    const taking = receiveLiveUpdate(back).then(async (incoming) => {
      await incoming.takeOver();
      return incoming;
    });
    const [incoming] = await Promise.all([
      taking,
      new LiveUpdate({ containers: { main: container }, memory: { ring: buffer } }).handOver(out),
    ]);
    const inherited = incoming.container("main");
    const ring = incoming.memory.get("ring");
    if (!(inherited instanceof UserContainer) || ring === undefined) throw new Error("something is missing");
    ring.bytes.fill(0);
    await copy(inherited, "in");
    expect([...ring.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 4]);
    return { name, inherited, ring };
  }

  it("that was attached by a name in the abstract namespace can be attached by it again", async () => {
    const before = descriptorCount();
    {
      await using abstract = await startEdu(`\0vfio-user-live-update-${process.pid}`);
      const { name, inherited, ring } = await handedOver(abstract.socket);
      expect(inherited.socket).toBe(name);
      expect(name).toBe(`@${abstract.socket.slice(1)}`);
      for (const device of inherited.devices.values()) device.close();
      inherited.attach();
      expect([...inherited.devices.keys()]).toEqual([name]);
      expect(registersOf(inherited).read32(LIVENESS)).toBe(0);
      inherited.close();
      ring.close();
    }
    expect(descriptorCount()).toBe(before);
  });

  it("that was attached by a descriptor goes on, and cannot be attached again", async () => {
    const connected = UnixSocket.tryConnect(socket, "stream");
    if (connected === undefined) throw new Error("the server has no time");
    // The container's own: what is here is closed.
    const descriptor = native.dup(connected.fd);
    connected.close();
    const { inherited, ring } = await handedOver(descriptor);
    expect(inherited.socket).toMatch(/^socket \d+$/);
    for (const device of inherited.devices.values()) device.close();
    expect(() => inherited.attach("edu")).toThrow(/the socket was used before/);
    inherited.close();
    ring.close();
  });

  /** One that another process could speak of. The first descriptors are its socket and a twin. */
  const item: SocketItem = {
    name: "main",
    path: undefined,
    address: "edu",
    timeout: 1000,
    postedWrites: true,
    trustServer: false,
    socket: 0,
    twin: 1,
    agreement: { minor: 1, maxFds: 1, maxTransfer: 4096, maxMaps: 1, pageSizes: 4096n, writeMultiple: false },
    port: { flags: 2, numRegions: 0, numIrqs: 0, regions: [], irqs: [], posted: [] },
    device: { irqs: [], ioeventfds: [] },
    mappings: [],
  };
  const withFile: SocketItem["port"] = {
    ...item.port,
    numRegions: 1,
    regions: [
      // Readable, writable, mappable.
      {
        index: 0,
        status: 0,
        flags: 7,
        size: 4096n,
        offset: 0n,
        capOffset: 0,
        bytes: new Uint8Array(32),
        file: 2,
      },
    ],
  };

  it.each<readonly [string, RegExp, (near: UnixSocket, far: UnixSocket) => readonly number[], readonly SocketItem[]]>([
    [
      "with a twin that is the socket itself",
      /"main" and "main" are one/,
      (near) => [native.dup(near.fd), native.dup(near.fd)],
      [item],
    ],
    [
      "with a socket that is another container's",
      /"main" and "other" are one/,
      (near, far) => [native.dup(near.fd), native.dup(far.fd), native.dup(near.fd)],
      [item, { ...item, name: "other", socket: 2, twin: undefined }],
    ],
    [
      "with an eventfd for a socket",
      /it must be a socket: it is an eventfd/,
      (near) => [native.eventfd(), native.dup(near.fd)],
      [item],
    ],
    [
      "with a socket of packets for a twin",
      /it is no Unix socket of a stream/,
      (near) => [native.dup(near.fd), ...UnixSocket.pair("seqpacket").map(({ fd }) => fd)],
      [item, { ...item, name: "other", socket: 2, twin: undefined }],
    ],
    [
      "with a region's file that could be cut",
      /the file of region 0 cannot be mapped/,
      (near, far) => {
        const file = native.memfdCreate("region", 0);
        expect(native.ftruncate(file, 4096)).toBe(0);
        return [native.dup(near.fd), native.dup(far.fd), file];
      },
      [{ ...item, port: withFile }],
    ],
  ])("is not taken from a process that sends one %s", async (_, why, descriptorsOf, sockets) => {
    const before = descriptorCount();
    const [near, far] = UnixSocket.pair("stream");
    const descriptors = descriptorsOf(near, far);
    const writer = { version: "", node: "", pid: 0 };
    const manifest = encodeManifest({ writer, memory: [], containers: [], sockets, connections: [], descriptors: [] });
    const [out, back] = await carriers();
    const [told, refused] = await Promise.allSettled([
      out.prepare({ manifest, descriptors }, { signal: new AbortController().signal }),
      receiveLiveUpdate(back),
    ]);
    expect(refused).toMatchObject({ status: "rejected", reason: { message: expect.stringMatching(why) } });
    expect(told).toMatchObject({ status: "rejected", reason: { message: expect.stringMatching(why) } });
    out.close();
    for (const descriptor of descriptors) native.close(descriptor);
    for (const each of [near, far]) each.close();
    expect(descriptorCount()).toBe(before);
  });

  it("is blocked by private memory, and when the server is gone", async () => {
    const { container, buffer } = await attached("anonymous");
    expect(new LiveUpdate({ containers: { main: container } }).blockers()).toMatchObject([
      { why: expect.stringContaining("private to this process") },
    ]);
    container.close();
    buffer.close();
    expect(new LiveUpdate({ containers: { main: UserContainer.open({ socket }) } }).blockers()).toMatchObject([
      { why: "no device is attached to it" },
    ]);
  });
});

describe("a connection between two processes", () => {
  it("reads nothing, though it was about to send when it was stopped", async () => {
    const [near, far] = UnixSocket.pair("stream");
    const agreement = { minor: 1, maxFds: 1, maxTransfer: 65536, maxMaps: 1, pageSizes: 4096n, writeMultiple: false };
    const connection = ClientConnection.inherit(
      { socket: near, twin: undefined, agreement },
      {
        label: "test",
        timeout: 5000,
        answer: () => new Uint8Array(16),
        lost: (error) => {
          throw error;
        },
      },
    );
    // Two of the three messages, or less.
    near.setBuffers({ send: 106_496 });
    connection.resume();
    const data = new Uint8Array(100_000);
    for (let n = 0; n < 3; n++) connection.post(regionWrite, { region: 0, offset: 0n, data });
    await new Promise(setImmediate);
    // There is room again, and the event loop does not know of it yet: what is left is sent by whoever stops the connection.
    const into = new Uint8Array(1 << 20);
    while (far.tryReceive(into) !== undefined);
    connection.suspend();
    while (far.tryReceive(into) !== undefined);
    const message = new Uint8Array(16).fill(1);
    expect(far.trySend(message)).toBe(16);
    for (let turns = 0; turns < 5; turns++) await new Promise(setImmediate);
    expect(near.tryReceive(into)?.length).toBe(16);
    connection.close();
    far.close();
  });
});
