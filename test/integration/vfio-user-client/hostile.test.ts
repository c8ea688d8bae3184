/** Servers that say what no server should say. */
import { constants } from "node:os";
import { DmaBuffer, VfioError } from "vfio";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HEADER_REPLY, stampHeader } from "../../../lib/vfio-user/protocol/constants.js";
import {
  deviceGetIrqInfo,
  deviceGetRegionInfo,
  deviceReset,
  dmaMap,
  dmaRead,
  dmaUnmap,
  dmaWrite,
  regionRead,
  version,
} from "../../../lib/vfio-user/protocol/messages.js";
import { descriptorCount, FakeServer, type SeenFrame } from "./fake-server.js";

const { E2BIG, EEXIST, EFAULT, EINVAL, EIO, ENOSYS, EPERM } = constants.errno;
const MiB = 1 << 20;

let before: number;
beforeEach(() => {
  before = descriptorCount();
});
afterEach(() => {
  expect(descriptorCount()).toBe(before);
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof VfioError) return error.code;
    throw error;
  }
  return "none";
}

describe("an introduction", () => {
  const cases: readonly (readonly [string, string, (server: FakeServer) => void])[] = [
    ["that is refused", "EINVAL", (server) => server.refuse(version, EINVAL)],
    ["of another major version", "EPROTO", (server) => server.reply(version, { major: 1, minor: 0 })],
    ["of a later minor version", "EPROTO", (server) => server.reply(version, { major: 0, minor: 3 })],
    ["without a version", "EINVAL", (server) => server.message(1, new Uint8Array(3), "next")],
    [
      "without the end of its JSON",
      "EINVAL",
      (server) => server.message(1, Buffer.from('\0\0\0\0{"capabilities":{}}'), "next"),
    ],
    ["that is no JSON", "EINVAL", (server) => server.message(1, Buffer.from("\0\0\0\0{\0"), "next")],
    [
      "with a capability of another type",
      "EINVAL",
      (server) => server.message(1, Buffer.from('\0\0\0\0{"capabilities":{"max_msg_fds":"8"}}\0'), "next"),
    ],
    ["that never comes", "ETIMEDOUT", () => {}],
    ["to another command", "ETIMEDOUT", (server) => server.message(2, new Uint8Array(4), "next")],
    ["with another id", "ETIMEDOUT", (server) => server.hello({}, { id: 99 })],
    [
      "of which the end is missing",
      "ENOTCONN",
      (server) => {
        server.bytes(new Uint8Array(15));
        server.shutdown();
      },
    ],
    ["that is the end", "ENOTCONN", (server) => server.shutdown()],
    ["that is no message", "ENOTCONN", (server) => server.bytes(new Uint8Array(64))],
    [
      "with a twin that is missing",
      "EPROTO",
      (server) => server.hello({ twin_socket: { supported: true, fd_index: 0 } }),
    ],
    ["with a twin without an index", "EPROTO", (server) => server.hello({ twin_socket: { supported: true } })],
    ...(["a file", "a socket of packets"] as const).map(
      (what) =>
        [
          `with a twin that is ${what}`,
          "EPROTO",
          (server: FakeServer) => {
            const fds = [what === "a file" ? { memfd: 4096 } : { twin: "seqpacket" as const }];
            server.hello({ twin_socket: { supported: true, fd_index: 0 } }, { fds });
          },
        ] as const,
    ),
    [
      "with more descriptors than may be",
      "EPROTO",
      (server) => server.hello({}, { fds: Array.from({ length: 20 }, () => ({ memfd: 1 })) }),
    ],
  ];
  test.each(cases)("%s", (_, code, play) => {
    using server = new FakeServer();
    play(server);
    using container = server.open({ timeout: 50 });
    expect(codeOf(() => container.attach())).toBe(code);
    expect(container.devices.size).toBe(0);
  });

  test("with descriptors that nobody asked for is as good as without", () => {
    using server = new FakeServer();
    server.hello({}, { fds: [{ memfd: 1 }, { memfd: 1 }] }).info();
    using container = server.open();
    expect(container.attach().info.regionCount).toBe(9);
  });

  test("a twin that is closed is the end", () => {
    using server = new FakeServer();
    server.hello({ twin_socket: { supported: true, fd_index: 0 } }, { fds: [{ twin: "stream" }] }).info();
    using container = server.open();
    const device = container.attach();
    server.closeTwin();
    expect(() => device.region("config")).toThrow(/ENOTCONN.*the server closed the connection/);
  });
});

describe("a reply", () => {
  test("that comes late is thrown away, with its descriptors, and the next one is the next one's", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ timeout: 30 });
    expect(() => device.region("config")).toThrow(
      /ETIMEDOUT.*VFIO_USER_DEVICE_GET_REGION_INFO.*no answer within 30 ms.*\n.*process or worker of its own/,
    );
    const [asked] = server.received();
    server.message(deviceGetRegionInfo.number, new Uint8Array(32), "now", {
      id: asked?.id ?? 0,
      fds: [{ memfd: 4096 }],
    });
    server.reply(deviceGetIrqInfo, { argsz: 16, flags: 1, index: 1, count: 4 });
    expect(device.msi.count).toBe(4);
    container.close();
  });

  test("that is longer than anything may be is thrown away", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(7, 4096);
    const config = device.region("config");
    server.message(regionRead.number, new Uint8Array(2 * MiB), "next");
    expect(() => config.read32(0)).toThrow(/EPROTO.*2097168 bytes/);
    server.reply(regionRead, { offset: 0n, region: 7, data: Uint8Array.of(1, 2, 3, 4) });
    expect(config.read32(0)).toBe(0x04030201);
    container.close();
  });

  test("with more, less, or other data than was asked for", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(7, 4096);
    const config = device.region("config");
    server.reply(regionRead, { offset: 0n, region: 7, data: new Uint8Array(8) });
    expect(() => config.read32(0)).toThrow(/EPROTO.*8 bytes came, and 4 were asked for/);
    server.reply(regionRead, { offset: 0n, region: 7, data: new Uint8Array(2) });
    expect(() => config.read32(0)).toThrow(/EIO.*it made 2 of the 4 bytes/);
    server.message(regionRead.number, new Uint8Array(10), "next");
    expect(() => config.read32(0)).toThrow(/EINVAL.*10 bytes of payload/);
    server.refuse(regionRead, 0);
    expect(codeOf(() => config.read32(0))).toBe("EINVAL");
    server.refuse(regionRead, 99999);
    expect(codeOf(() => config.read32(0))).toBe("EINVAL");
    // libvfio-user sends what it has already built behind the error.
    server.message(regionRead.number, new Uint8Array(500), "next", { flags: 0x21, error: EIO });
    expect(codeOf(() => config.read32(0))).toBe("EIO");
    server.message(regionRead.number, new Uint8Array(20), "next", { fds: [{ memfd: 1 }] });
    expect(() => config.read32(0)).toThrow(/EPROTO.*descriptors that nobody asked for/);
    server.reply(regionRead, { offset: 0n, region: 7, data: Uint8Array.of(9, 0, 0, 0) });
    expect(config.read32(0)).toBe(9);
    container.close();
  });

  test("that nobody waits for is thrown away", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    for (let id = 100; id < 400; id++) server.message(id % 20, new Uint8Array(id), "now", { id });
    server.message(5, new Uint8Array(40), "now", { id: 1234, fds: [{ memfd: 1 }] });
    server.reply(deviceGetIrqInfo, { argsz: 16, flags: 1, index: 1, count: 2 });
    expect(device.msi.count).toBe(2);
    container.close();
  });

  test("in pieces", async () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ timeout: 5000 });
    const reset = device.resetAsync();
    let asked: SeenFrame | undefined;
    while (asked === undefined) [asked] = server.received();
    const message = stampHeader(new Uint8Array(16), asked.id, deviceReset.number, HEADER_REPLY);
    for (const byte of message) {
      server.bytes(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    await reset;
    container.close();
  });

  test("out of order finds its request", async () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(4 * 4096);
    const maps = [0, 1, 2, 3].map((page) =>
      container.mapAsync(buffer, { offset: 4096 * page, length: 4096, iova: 4096 * page }),
    );
    const asked: SeenFrame[] = [];
    while (asked.length < 4) asked.push(...server.received());
    expect(asked.map(({ fds }) => fds)).toEqual([1, 1, 1, 1]);
    const order: number[] = [];
    for (const [page, map] of maps.entries()) void map.then(() => order.push(page));
    for (const page of [2, 0, 3, 1])
      server.message(dmaMap.number, new Uint8Array(0), "now", { id: asked[page]?.id ?? 0 });
    await Promise.all(maps);
    expect(order).toEqual([2, 0, 3, 1]);
    for (let i = 0; i < 4; i++) server.message(dmaUnmap.number, new Uint8Array(24), "next");
    container.close();
  });

  test("that device information cannot be", () => {
    using server = new FakeServer();
    server.hello().info(4_000_000_000, 5);
    using container = server.open();
    expect(() => container.attach()).toThrow(/EPROTO.*4000000000 regions/);
  });
});

describe("a region", () => {
  const MMAP = 7;
  const CAPS = 8;
  const SEALED = 2;

  function sparse(...areas: readonly (readonly [number, number])[]): Uint8Array {
    const bytes = new Uint8Array(16 + 16 * areas.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 1, true);
    view.setUint16(2, 1, true);
    view.setUint32(8, areas.length, true);
    for (const [i, [offset, size]] of areas.entries()) {
      view.setBigUint64(16 + 16 * i, BigInt(offset), true);
      view.setBigUint64(24 + 16 * i, BigInt(size), true);
    }
    return bytes;
  }

  test("that wants more room for ever", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    for (let i = 1; i <= 8; i++) {
      server.region(0, 4096, { flags: MMAP, argsz: 1000 + 100 * i, fds: [{ memfd: 4096 }] });
    }
    expect(() => device.region("bar0")).toThrow(/EIO.*more room than there was 8 times/);
    container.close();
  });

  test("that comes with the second answer", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 8192, { flags: MMAP, argsz: 2000 });
    server.region(0, 8192, { flags: MMAP, fds: [{ memfd: 8192, seals: SEALED }] });
    expect(device.region("bar0").mappable).toBe(true);
    container.close();
  });

  test.each([
    ["without a descriptor", [], /EINVAL.*says that it can be mapped, and has sent no file of it/],
    [
      "that could be cut",
      [{ memfd: 4096 }],
      /EINVAL.*could cut or empty its file.*SIGBUS\n.*trustServer: true.*read and write methods/,
    ],
    ["that is too short", [{ memfd: 2048, seals: SEALED }], /EINVAL.*has 2048 bytes, and should have 4096/],
  ] as const)("%s is not mapped", (_, fds, refusal) => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 4096, { flags: MMAP, fds });
    const bar0 = device.region("bar0");
    expect(bar0.mappableAreas).toEqual([]);
    expect(() => bar0.map()).toThrow(refusal);
    // What the server does not offer is the server's business.
    server.region(1, 4096);
    expect(() => device.region("bar1").map()).toThrow(/EINVAL.*the server does not let it be mapped/);
    container.close();
  });

  test("that could be cut is mapped where the server is trusted, as far as it is there", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ trustServer: true });
    server.region(0, 4096, { flags: MMAP, fds: [{ memfd: 4096 }] });
    expect(device.region("bar0").registers()).not.toBe(device.region("bar0"));
    server.region(1, 8192, { flags: MMAP, fds: [{ memfd: 4096 }] });
    expect(device.region("bar1").mappable).toBe(false);
    container.close();
  });

  test("of which parts can be mapped, from its own descriptor and offset", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 16 * 4096, {
      flags: MMAP | CAPS,
      offset: 4096,
      bytes: sparse([4096, 4096], [3 * 4096, 4096]),
      fds: [
        {
          memfd: 5 * 4096,
          seals: SEALED,
          content: [
            [2 * 4096, 0xaa],
            [4 * 4096, 0xbb],
          ],
        },
      ],
    });
    const bar0 = device.region("bar0");
    expect(bar0.mappable).toBe(false);
    using one = bar0.map(4096, 4096);
    using other = bar0.map(3 * 4096, 4096);
    expect([one.read8(0), other.read8(0)]).toEqual([0xaa, 0xbb]);
    expect(() => bar0.map(0, 4096)).toThrow(/only parts of it/);
    // Other containers get the same file.
    expect(one.backing().offset).toBe(2 * 4096);
    container.close();
  });

  test("whose parts are not within it, or not within their capability", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    const flags = MMAP | CAPS;
    for (const bytes of [sparse([0, 1 << 20]), sparse([4096, 4096]).subarray(0, 20), new Uint8Array(5)]) {
      server.region(0, 8192, { flags, bytes, fds: [{ memfd: 4096, seals: SEALED }] });
      expect(codeOf(() => device.region("bar0"))).toMatch(/EPROTO|EINVAL/);
    }
    container.close();
  });
});

describe("a request of the server's", () => {
  test("for memory is answered within what is mapped, with its permission, and refused otherwise", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    const iova = 0x10_0000n;
    using both = DmaBuffer.allocate(8192, { backing: "anonymous" });
    using readOnly = DmaBuffer.allocate(4096, { backing: "anonymous" });
    using writeOnly = DmaBuffer.allocate(4096, { backing: "anonymous" });
    for (let i = 0; i < 3; i++) server.reply(dmaMap, undefined);
    container.map(both, { iova });
    container.map(readOnly, { iova: iova + 8192n, write: false });
    container.map(writeOnly, { iova: iova + 16384n, read: false });
    both.bytes.fill(1);
    readOnly.bytes.fill(2);
    server.received();

    const ask = [
      () => server.request(dmaRead, { iova: iova + 100n, count: 5n }),
      () => server.request(dmaRead, { iova: iova + 8190n, count: 4n }),
      () => server.request(dmaWrite, { iova: iova + 4094n, data: Uint8Array.of(5, 6, 7, 8) }),
      () => server.request(dmaRead, { iova: iova + 12288n, count: 1n }),
      () => server.request(dmaRead, { iova: iova + 12287n, count: 2n }),
      () => server.request(dmaWrite, { iova: iova + 8190n, data: new Uint8Array(4) }),
      () => server.request(dmaRead, { iova: iova + 16384n, count: 4n }),
      () => server.request(dmaWrite, { iova: iova + 16384n, data: Uint8Array.of(3) }),
      () => server.request(dmaRead, { iova: (1n << 64n) - 1n, count: 2n }),
      () => server.request(dmaRead, { iova, count: BigInt(MiB) + 1n }),
      () => server.request(dmaRead, { iova, count: (1n << 64n) - 1n }),
      () => server.message(dmaRead.number, new Uint8Array(15), "now", { flags: 0, id: 7777 }),
      () => server.message(dmaWrite.number, new Uint8Array(24), "now", { flags: 0, id: 7777 }),
      () => server.message(dmaRead.number, new Uint8Array(3 * MiB), "now", { flags: 0, id: 7777 }),
      () => server.message(99, new Uint8Array(0), "now", { flags: 0, id: 7777 }),
      () => server.request(dmaRead, { iova, count: 1n }, { fds: [{ memfd: 1 }] }),
      () => server.request(dmaRead, { iova, count: 1n }, { flags: 0x10 }),
      () => server.request(dmaRead, { iova, count: 0n }),
    ];
    const answers: (number | string)[] = [];
    for (const each of ask) {
      each();
      // It is answered during a call of any kind.
      server.reply(deviceReset, undefined);
      device.reset();
      const [reply] = server.answers();
      if (reply === undefined) answers.push("no reply");
      else if (reply.error !== 0) answers.push(reply.error);
      else answers.push(reply.payload.subarray(16).join(" "));
    }
    expect(answers).toEqual([
      "1 1 1 1 1",
      "1 1 2 2",
      "",
      EFAULT,
      EFAULT,
      EPERM,
      EPERM,
      "",
      EFAULT,
      E2BIG,
      E2BIG,
      EINVAL,
      EINVAL,
      EINVAL,
      ENOSYS,
      EINVAL,
      "no reply",
      "",
    ]);
    expect([...both.bytes.subarray(4094, 4098)]).toEqual([5, 6, 7, 8]);
    // What was refused has changed nothing, in part neither.
    expect(both.bytes[8191]).toBe(1);
    expect(writeOnly.bytes[0]).toBe(3);
    for (let i = 0; i < 3; i++) server.message(dmaUnmap.number, new Uint8Array(24), "next");
    container.close();
  });

  test("for a mapping that is not confirmed yet is answered: the server may be faster with it than with its reply", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(4096);
    buffer.bytes[0] = 42;
    server.request(dmaRead, { iova: 0x1000n, count: 1n });
    server.reply(dmaMap, undefined);
    container.map(buffer, { iova: 0x1000 });
    expect(server.answers()[0]?.payload.at(-1)).toBe(42);
    server.refuse(dmaMap, EEXIST);
    using other = DmaBuffer.allocate(4096);
    expect(() => container.map(other, { iova: 0x2000 })).toThrow(
      /EEXIST.*VFIO_USER_DMA_MAP.*something is mapped there/,
    );
    server.request(dmaRead, { iova: 0x2000n, count: 1n });
    server.message(dmaUnmap.number, new Uint8Array(24), "next");
    container.unmapAll();
    expect(server.answers()[0]?.error).toBe(EFAULT);
    container.close();
  });

  test("is answered by the event loop while nothing is asked", async () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(4096, { backing: "anonymous" });
    server.reply(dmaMap, undefined);
    container.map(buffer, { iova: 0x1000 });
    server.received();
    server.request(dmaWrite, { iova: 0x1000n, data: Uint8Array.of(1, 2, 3) });
    let answered = false;
    while (!answered) {
      await new Promise(setImmediate);
      answered = server.answers().some(({ error }) => error === 0);
    }
    expect([...buffer.bytes.subarray(0, 3)]).toEqual([1, 2, 3]);
    server.message(dmaUnmap.number, new Uint8Array(24), "next");
    container.close();
  });

  test("over a twin socket is answered there", () => {
    using server = new FakeServer();
    server.hello({ twin_socket: { supported: true, fd_index: 0 } }, { fds: [{ twin: "stream" }] }).info();
    using container = server.open();
    const device = container.attach();
    server.received();
    server.request(dmaRead, { iova: 0n, count: 1n }, { twin: true });
    server.reply(deviceReset, undefined);
    device.reset();
    server.reply(deviceReset, undefined);
    device.reset();
    expect(server.answers()).toMatchObject([{ id: 7777, command: dmaRead.number, error: EFAULT, twin: true }]);
  });
});

describe("a server that does not read", () => {
  test("is given up, and what was not sent is not sent later", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ timeout: 50, postedWrites: false });
    server.region(0, MiB);
    const bar0 = device.region("bar0");
    server.pause();
    // More than the socket takes.
    expect(codeOf(() => bar0.write(0, new Uint8Array(MiB)))).toBe("ETIMEDOUT");
    expect(codeOf(() => bar0.read32(0))).toBe("ETIMEDOUT");
    expect(server.requests(regionRead)).toEqual([]);
    container.close();
  });

  test("posted writes wait for it, within bounds", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ timeout: 50 });
    server.region(0, MiB);
    const bar0 = device.region("bar0");
    for (let index = 1; index < 9; index++) server.region(index, index === 7 ? 256 : 0);
    server.reply(regionRead, { offset: 0x10n, region: 7, data: new Uint8Array(24) });
    bar0.write32(0, 1);
    server.pause();
    const data = new Uint8Array(MiB);
    let posted = 0;
    const code = codeOf(() => {
      for (; posted < 100; posted++) bar0.write(0, data);
    });
    expect(code).toBe("ETIMEDOUT");
    expect(posted).toBeLessThan(10);
    container.close();
  });
});

describe("a flood", () => {
  test("of requests whose answers nobody reads takes a bounded memory, and time", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ timeout: 200 });
    using buffer = DmaBuffer.allocate(MiB, { backing: "anonymous" });
    server.reply(dmaMap, undefined);
    container.map(buffer, { iova: 0 });
    server.received();
    server.pause();
    // Each of 32 bytes asks for a megabyte: a gigabyte of answers.
    for (let i = 0; i < 1000; i++) server.request(dmaRead, { iova: 0n, count: BigInt(MiB) });
    const { arrayBuffers } = process.memoryUsage();
    expect(codeOf(() => device.reset())).toBe("ETIMEDOUT");
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(16 * MiB);
    server.shutdown();
    container.close();
  });
});

test("device information is asked for once", () => {
  using server = new FakeServer();
  const { container, device } = server.attach();
  server.region(7, 256);
  server.reply(deviceGetIrqInfo, { argsz: 16, flags: 1, index: 1, count: 4 });
  for (let i = 0; i < 3; i++) {
    expect(device.region("config").size).toBe(256);
    expect(device.msi.count).toBe(4);
  }
  expect(server.received()).toHaveLength(2);
  container.close();
});
