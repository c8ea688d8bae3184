/** What a client sends, and when. */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AddressSpace, DmaBuffer, type MemoryPart, RegisterProgram, VfioError } from "vfio";
import { UserContainer } from "vfio/user";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { UnixListener } from "../../../lib/kernel/unix-socket.js";
import {
  deviceFeature,
  deviceGetIrqInfo,
  deviceGetRegionInfo,
  deviceReset,
  deviceSetIrqs,
  dmaMap,
  dmaUnmap,
  regionRead,
  regionWrite,
  regionWriteMulti,
  version,
} from "../../../lib/vfio-user/protocol/messages.js";
import { socketDirectory, startEdu } from "./edu-process.js";
import { descriptorCount, FakeServer } from "./fake-server.js";

const { EAGAIN, EINVAL, ENOENT, EPERM } = constants.errno;

let before: number;
beforeEach(() => {
  before = descriptorCount();
});
afterEach(() => {
  expect(descriptorCount()).toBe(before);
});

const unmapped = new Uint8Array(24);

/** Answers about a device of one memory BAR, and nothing else, so that its writes are posted. */
function oneBar(server: FakeServer, size: number): void {
  server.region(0, size);
  for (let index = 1; index < 9; index++) server.region(index, index === 7 ? 256 : 0);
  server.reply(regionRead, { offset: 0x10n, region: 7, data: new Uint8Array(24) });
}

describe("an introduction", () => {
  test("says what this side takes, and takes what the server says", () => {
    using server = new FakeServer();
    server.hello({
      max_msg_fds: 2,
      max_data_xfer_size: 4096,
      max_dma_maps: 3,
      pgsizes: 0x20_1000,
      write_multiple: true,
    });
    server.info();
    using container = server.open();
    container.attach();
    const [proposed] = server.requests(version);
    expect(proposed).toEqual({
      major: 0,
      minor: 2,
      capabilities: {
        max_msg_fds: 16,
        max_data_xfer_size: 1 << 20,
        max_dma_maps: 65535,
        pgsizes: 4096,
        write_multiple: true,
        twin_socket: { supported: true },
      },
    });
    expect(container.iovaRanges).toEqual([{ start: 0n, last: (1n << 64n) - 1n }]);
    expect(container.pageSizes).toEqual([0x1000n, 0x20_0000n]);
    expect(container.limits().entriesLeft).toBe(3);
  });

  test("of a server with every page size", () => {
    using server = new FakeServer();
    const json = '\0\0\x02\0{"capabilities":{"max_msg_fds":16,"pgsizes":18446744073709547520}}\0';
    server.message(version.number, Buffer.from(json, "latin1"), "next");
    server.info();
    using container = server.open();
    container.attach();
    expect(container.pageSizes).toHaveLength(52);
    expect(container.pageSizes.at(-1)).toBe(1n << 63n);
  });

  test("of a server that speaks the first version, and says nothing else", () => {
    using server = new FakeServer();
    server.reply(version, { major: 0, minor: 0 });
    server.info();
    using container = server.open();
    container.attach();
    expect(container.limits().entriesLeft).toBe(65535);
  });

  test("with a server on the same thread is refused at once", () => {
    using directory = socketDirectory();
    const socket = path.join(directory.path, "own.sock");
    using _ = UnixListener.listen(socket, "stream");
    using container = UserContainer.open({ socket });
    expect(() => container.attach()).toThrow(/EDEADLK.*this very thread.*\n.*a process or worker of its own/);
    using abstract = UnixListener.listen("\0vfio-user-test", "stream");
    using other = UserContainer.open({ socket: abstract.path });
    expect(() => other.attach()).toThrow(/EDEADLK.*@vfio-user-test/);
  });

  test("where nobody listens", () => {
    using container = UserContainer.open({ socket: "/nowhere/at/all.sock" });
    expect(() => container.attach()).toThrow(/ENOENT.*'\/nowhere\/at\/all.sock'/);
    using buffer = DmaBuffer.allocate(4096);
    expect(() => container.map(buffer)).toThrow(/ENODEV.*\n.*attach a device first/);
  });
});

describe("memory", () => {
  test("is told with its file, its place in it, and its permissions", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using file = DmaBuffer.allocate(4 * 4096);
    using none = DmaBuffer.allocate(4096, { backing: "anonymous" });
    for (let i = 0; i < 2; i++) server.reply(dmaMap, undefined);
    container.map(file, { iova: 0x10_0000, offset: 8192, length: 4096, write: false });
    container.map(none, { iova: 0x20_0000, read: false });
    const seen = server.received();
    expect(seen.map(({ fds }) => fds)).toEqual([1, 0]);
    expect(seen.map(({ payload }) => dmaMap.request.decode(payload))).toEqual([
      { flags: 1, offset: 8192n, iova: 0x10_0000n, size: 4096n },
      { flags: 2, offset: 0n, iova: 0x20_0000n, size: 4096n },
    ]);
    server.message(dmaUnmap.number, unmapped, "next");
    expect(container.unmap(0x10_0000, 4096).bytes).toBe(4096n);
    expect(server.requests(dmaUnmap)).toEqual([{ argsz: 24, flags: 0, iova: 0x10_0000n, size: 4096n }]);
    server.message(dmaUnmap.number, unmapped, "next");
    container.close();
    expect(server.requests(dmaUnmap)).toEqual([{ argsz: 24, flags: 0, iova: 0x20_0000n, size: 4096n }]);
  });

  test("cannot be cut by who has its descriptor", () => {
    using buffer = DmaBuffer.allocate(8192);
    const fd = buffer.backing()?.fd ?? -1;
    expect([native.ftruncate(fd, 0), native.ftruncate(fd, 1 << 20)]).toEqual([-EPERM, -EPERM]);
    // F_SEAL_FUTURE_WRITE
    expect(native.addSeals(fd, 0x10)).toBe(-EPERM);
    buffer.bytes.fill(1);
  });

  test("goes to a server that takes no descriptors without them", () => {
    using server = new FakeServer();
    const { container } = server.attach({}, { max_msg_fds: 0 });
    using buffer = DmaBuffer.allocate(4096);
    server.reply(dmaMap, undefined);
    container.map(buffer, { iova: 0 });
    expect(server.received()).toMatchObject([{ command: dmaMap.number, fds: 0 }]);
    server.message(dmaUnmap.number, unmapped, "next");
    container.close();
  });

  test("of which there is too much is refused before the server is asked", () => {
    using server = new FakeServer();
    const { container } = server.attach({}, { max_msg_fds: 1, max_dma_maps: 2 });
    using buffer = DmaBuffer.allocate(4 * 4096);
    const request = (page: number) => ({ memory: buffer, offset: 4096 * page, length: 4096, iova: 4096 * page });
    for (let i = 0; i < 2; i++) server.reply(dmaMap, undefined);
    server.message(dmaUnmap.number, unmapped, "next");
    server.message(dmaUnmap.number, unmapped, "next");
    expect(() => container.mapMany([0, 1, 2].map(request))).toThrow(/ENOSPC.*no more than 2 ranges/);
    expect(container.mappingCount).toBe(0);
    expect(server.received().map(({ command }) => command)).toEqual([
      dmaMap.number,
      dmaMap.number,
      dmaUnmap.number,
      dmaUnmap.number,
    ]);
    container.close();
  });

  test("of many maps, one of which is refused, is not mapped", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(5 * 4096);
    for (const page of [0, 1, 2, 3, 4]) {
      if (page === 2) server.refuse(dmaMap, EINVAL);
      else server.reply(dmaMap, undefined);
    }
    for (let i = 0; i < 4; i++) server.message(dmaUnmap.number, unmapped, "next");
    const requests = [0, 1, 2, 3, 4].map((page) => ({
      memory: buffer,
      offset: 4096 * page,
      length: 4096,
      iova: 4096 * page,
    }));
    expect(() => container.mapMany(requests)).toThrow(/EINVAL.*VFIO_USER_DMA_MAP\(iova=0x2000/);
    expect(container.mappingCount).toBe(0);
    const gone = server.requests(dmaUnmap).map(({ iova }) => iova);
    expect(new Set(gone)).toEqual(new Set([0n, 0x1000n, 0x3000n, 0x4000n]));
    container.close();
  });

  test("that is mapped after it was given up is forgotten", async () => {
    using server = new FakeServer();
    const { container } = server.attach({ timeout: 30 });
    using buffer = DmaBuffer.allocate(4096);
    expect(() => container.map(buffer, { iova: 0x5000 })).toThrow(/ETIMEDOUT/);
    await expect(container.mapAsync(buffer, { iova: 0x9000 })).rejects.toThrow(/ETIMEDOUT/);
    const late = server.received();
    expect(late).toHaveLength(2);
    for (const { id } of late) server.message(dmaMap.number, new Uint8Array(0), "now", { id });
    const unmaps: bigint[] = [];
    while (unmaps.length < 2) {
      await new Promise(setImmediate);
      unmaps.push(...server.requests(dmaUnmap).map(({ iova }) => iova));
    }
    expect(unmaps).toEqual([0x5000n, 0x9000n]);
    container.close();
  });

  test("that the server has forgotten already is unmapped", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(4096);
    server.reply(dmaMap, undefined);
    const mapping = container.map(buffer, { iova: 0 });
    server.refuse(dmaUnmap, ENOENT);
    mapping.unmap();
    expect(container.mappingCount).toBe(0);
    container.close();
  });

  test("off the thread is unmapped when the server has said so", async () => {
    using server = new FakeServer();
    const { container } = server.attach({ timeout: 30 });
    using buffer = DmaBuffer.allocate(4096);
    server.reply(dmaMap, undefined);
    const mapping = container.map(buffer, { iova: 0 });

    server.refuse(dmaUnmap, EINVAL);
    await expect(mapping.unmapAsync()).rejects.toThrow(/EINVAL.*VFIO_USER_DMA_UNMAP.*still mapped/);
    expect(container.mappingAt(0)).toBe(mapping);

    server.forget();
    await expect(mapping.unmapAsync()).rejects.toThrow(/ETIMEDOUT/);
    expect(container.mappingAt(0)).toBe(mapping);

    // It has done so late.
    server.refuse(dmaUnmap, ENOENT);
    const gone = mapping.unmapAsync();
    expect(() => container.close()).toThrow(/EBUSY.*being unmapped/);
    await gone;
    expect([mapping.mapped, container.mappingCount]).toEqual([false, 0]);
    container.close();
  });

  test("goes piece by piece: a server that does not know the flag for everything may answer with success, and keep it", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(3 * 4096);
    for (let i = 0; i < 3; i++) server.reply(dmaMap, undefined);
    container.mapMany(
      [0, 1, 2].map((page) => ({ memory: buffer, offset: 4096 * page, length: 4096, iova: 4096 * page })),
    );
    for (let i = 0; i < 3; i++) server.message(dmaUnmap.number, unmapped, "next");
    expect(container.unmapAll().bytes).toBe(3n * 4096n);
    expect(server.requests(dmaUnmap).map(({ flags, iova }) => [flags, iova])).toEqual([
      [0, 0n],
      [0, 4096n],
      [0, 8192n],
    ]);
    container.close();
  });

  test("that the server keeps stays mapped, and the error is the server's", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    using buffer = DmaBuffer.allocate(2 * 4096);
    for (let i = 0; i < 2; i++) server.reply(dmaMap, undefined);
    const [first, second] = [0, 1].map((page) =>
      container.map(buffer, { offset: 4096 * page, length: 4096, iova: 4096 * page }),
    );
    server.message(dmaUnmap.number, unmapped, "next");
    server.refuse(dmaUnmap, EINVAL);
    expect(() => container.unmapAll()).toThrow(/EINVAL.*: the server refused; still mapped: .*0x1000/);
    expect([first?.mapped, second?.mapped]).toEqual([false, true]);
    server.message(dmaUnmap.number, unmapped, "next");
    container.close();
  });

  test("of an address space goes and comes in one flight each", () => {
    using server = new FakeServer();
    const { container } = server.attach();
    const pages = 300;
    using buffer = DmaBuffer.allocate(pages * 4096);
    const space = new AddressSpace<MemoryPart>();
    const sections = (base: number) =>
      Array.from({ length: pages }, (_, page) => ({
        iova: BigInt(base + 8192 * page),
        length: 4096,
        memory: { memory: buffer, offset: 4096 * page },
        readable: true,
        writable: true,
      }));
    for (let i = 0; i < pages; i++) server.reply(dmaMap, undefined);
    const first = space.transaction(() => sections(0).map((section) => space.add(section)));
    const subscription = container.mirror(space);
    expect(container.mappingCount).toBe(pages);
    for (let i = 0; i < pages; i++) server.message(dmaUnmap.number, unmapped, "next");
    for (let i = 0; i < pages; i++) server.reply(dmaMap, undefined);
    space.transaction(() => {
      for (const section of first) space.remove(section);
      for (const section of sections(1 << 30)) space.add(section);
    });
    expect(container.mappingAt(1 << 30)).toBeDefined();
    expect(container.mappingAt(0)).toBeUndefined();
    const seen = server.received().map(({ command }) => command);
    expect(seen).toEqual([
      ...Array(pages).fill(dmaMap.number),
      ...Array(pages).fill(dmaUnmap.number),
      ...Array(pages).fill(dmaMap.number),
    ]);
    server.message(dmaUnmap.number, unmapped, "next");
    for (let i = 0; i < pages; i++) server.message(dmaUnmap.number, unmapped, "next");
    subscription.detach();
    container.close();
  });
});

describe("writes", () => {
  test("to memory are posted, those to config space and to I/O ports are not", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    server.region(1, 256);
    const bar1 = device.region("bar1");
    for (let index = 2; index < 9; index++) server.region(index, index === 7 ? 256 : 0);
    server.reply(regionRead, { offset: 0x10n, region: 7, data: Uint8Array.of(0, 0, 0, 0, 1, ...Array(19).fill(0)) });
    bar0.write32(0, 7);
    server.reply(regionWrite, { offset: 0n, region: 1, count: 4 });
    bar1.write32(0, 8);
    server.reply(regionWrite, { offset: 4n, region: 7, count: 2 });
    device.region("config").write16(4, 9);
    const seen = server.received().filter(({ command }) => command === regionWrite.number);
    expect(seen.map(({ flags, payload }) => [flags, payload.at(16)])).toEqual([
      [0x10, 7],
      [0, 8],
      [0, 9],
    ]);
    container.close();
  });

  test("are answered where a region can be mapped", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    server.region(1, 4096, { flags: 7, fds: [{ memfd: 4096, seals: 2 }] });
    server.refuse(regionWrite, EINVAL);
    expect(() => bar0.write32(0, 7)).toThrow(/EINVAL.*VFIO_USER_REGION_WRITE/);
    container.close();
  });

  test("of a program go together, where the server takes them together", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ postedWrites: false }, { max_msg_fds: 1, write_multiple: true });
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    const program = new RegisterProgram();
    program.write32(0, 1).write8(4, 2).write64(8, 3n);
    const status = program.read32(16);
    program.write32(0, 4);
    server.reply(regionWriteMulti, 3);
    server.reply(regionRead, { offset: 16n, region: 0, data: Uint8Array.of(5, 0, 0, 0) });
    server.reply(regionWrite, { offset: 0n, region: 0, count: 4 });
    bar0.run(program);
    expect(status.value).toBe(5);
    const [multi, ...others] = server.received().slice(1);
    expect(regionWriteMulti.request.decode(multi?.payload ?? new Uint8Array(0))).toEqual([
      { offset: 0n, region: 0, data: Uint8Array.of(1, 0, 0, 0) },
      { offset: 4n, region: 0, data: Uint8Array.of(2) },
      { offset: 8n, region: 0, data: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0) },
    ]);
    expect(others.map(({ command }) => command)).toEqual([regionRead.number, regionWrite.number]);
    server.reply(regionWriteMulti, 1);
    expect(() => bar0.run(program)).toThrow(/EIO.*VFIO_USER_REGION_WRITE\(offset=0x4, length=0x1\)/);
    server.refuse(regionWriteMulti, EINVAL);
    expect(() => bar0.run(program)).toThrow(/EINVAL.*VFIO_USER_REGION_WRITE\(offset=0x0, length=0x4\)/);
    container.close();
  });

  test("posted by a program go together, too", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({}, { max_msg_fds: 1, write_multiple: true });
    oneBar(server, 4096);
    const bar0 = device.region("bar0");
    const program = new RegisterProgram();
    for (let i = 0; i < 450; i++) program.write32(0, i);
    bar0.run(program);
    const multi = server.received().filter(({ command }) => command === regionWriteMulti.number);
    expect(multi.map(({ flags, payload }) => [flags, regionWriteMulti.request.decode(payload).length])).toEqual([
      [0x10, 200],
      [0x10, 200],
      [0x10, 50],
    ]);
    container.close();
  });

  test("longer than the server takes go in parts", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({ postedWrites: false }, { max_data_xfer_size: 100 });
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    for (const count of [100, 100, 50]) server.reply(regionWrite, { offset: 0n, region: 0, count });
    bar0.write(0, new Uint8Array(250));
    expect(server.requests(regionWrite).map(({ offset, data }) => [offset, data.length])).toEqual([
      [0n, 100],
      [100n, 100],
      [200n, 50],
    ]);
    for (const length of [100, 30]) server.reply(regionRead, { offset: 0n, region: 0, data: new Uint8Array(length) });
    expect(bar0.read(0, 130)).toHaveLength(130);
    container.close();
  });
});

describe("interrupts", () => {
  test("are told in runs of eventfds and of none, as many as the server takes", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({}, { max_msg_fds: 3 });
    server.reply(deviceGetIrqInfo, { argsz: 16, flags: 1, index: 2, count: 16 });
    for (let i = 0; i < 3; i++) server.reply(deviceSetIrqs, undefined);
    device.msix.enable(8);
    const enabled = server.received().filter(({ command }) => command === deviceSetIrqs.number);
    expect(enabled.map(({ fds, payload }) => [fds, deviceSetIrqs.request.decode(payload)] as const)).toMatchObject([
      [3, { flags: 0x24, index: 2, start: 0, count: 3 }],
      [3, { start: 3, count: 3 }],
      [2, { start: 6, count: 2 }],
    ]);
    server.reply(deviceSetIrqs, undefined);
    device.msix.vector(3).close();
    const [closed] = server.received();
    expect(closed?.fds).toBe(0);
    expect(deviceSetIrqs.request.decode(closed?.payload ?? unmapped)).toMatchObject({
      flags: 0x24,
      start: 3,
      count: 1,
    });
    server.reply(deviceSetIrqs, undefined);
    container.close();
    expect(server.requests(deviceSetIrqs)).toMatchObject([{ flags: 0x21, index: 2, start: 0, count: 0 }]);
  });

  test("of which the server refuses a part are all off", () => {
    using server = new FakeServer();
    const { container, device } = server.attach({}, { max_msg_fds: 2 });
    server.reply(deviceGetIrqInfo, { argsz: 16, flags: 1, index: 2, count: 16 });
    server.reply(deviceSetIrqs, undefined);
    server.refuse(deviceSetIrqs, EINVAL);
    server.reply(deviceSetIrqs, undefined);
    expect(() => device.msix.enable(4)).toThrow(/EINVAL.*VFIO_DEVICE_SET_IRQS/);
    expect(device.msix.enabled).toBe(false);
    expect(server.requests(deviceSetIrqs).at(-1)).toMatchObject({ flags: 0x24, start: 0, count: 2 });
    container.close();
  });

  test("of a kind that the device does not have", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.refuse(deviceGetIrqInfo, EINVAL);
    expect(device.err.count).toBe(0);
    container.close();
  });
});

test("features are got into the caller's memory", () => {
  using server = new FakeServer();
  const { container, device } = server.attach();
  server.reply(deviceFeature, { argsz: 16, flags: 0x10001, data: Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0) });
  const data = new Uint8Array(8);
  device.features.get(1, data);
  expect(data[0]).toBe(5);
  server.refuse(deviceFeature, constants.errno.ENOTTY);
  expect(device.features.has(2, "set")).toBe(false);
  server.reply(deviceFeature, { argsz: 108, flags: 0x10001, data: new Uint8Array(100) });
  expect(() => device.features.get(1, data)).toThrow(/EPROTO.*100 bytes came for 8/);
  expect(server.requests(deviceFeature).map(({ argsz, flags }) => [argsz, flags])).toEqual([
    [16, 0x10001],
    [8, 0x60002],
    [16, 0x10001],
  ]);
  container.close();
});

test("the answer to the set of a feature is returned, and a number in it is no descriptor", () => {
  using server = new FakeServer();
  const { container, device } = server.attach();
  const state = (value: number, fd: number) => new Uint8Array(new Int32Array([value, fd]).buffer);
  const asked = state(3, -1);
  server.reply(deviceFeature, { argsz: 16, flags: 0x2_0002, data: state(3, 0) });
  expect(device.features.set(2, asked)).toEqual({ bytes: state(3, 0), fd: undefined });
  expect(asked).toEqual(state(3, -1));
  server.reply(deviceFeature, { argsz: 108, flags: 0x2_0002, data: new Uint8Array(100) });
  expect(() => device.features.set(2, asked)).toThrow(/EPROTO.*100 bytes came for 8/);
  container.close();
});

test("an answer that the data has no room for is refused, as by the kernel", () => {
  using server = new FakeServer();
  const { container, device } = server.attach();
  server.reply(deviceFeature, { argsz: 40, flags: 0x1_0008, data: new Uint8Array(0) });
  expect(() => device.features.get(8, new Uint8Array(24))).toThrow(/EINVAL/);
  container.close();
});

describe("a refusal is not remembered", () => {
  test("of what a region is", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.refuse(deviceGetRegionInfo, EINVAL);
    expect(device.findRegion("bar0")).toBeUndefined();
    server.refuse(deviceGetRegionInfo, EAGAIN);
    expect(() => device.region("bar0")).toThrow(/EAGAIN/);
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    expect(bar0.size).toBe(4096);
    // An answer is remembered.
    expect(device.region("bar0")).toBe(bar0);
    expect(server.requests(deviceGetRegionInfo).map(({ index }) => index)).toEqual([0, 0, 0]);
    container.close();
  });

  test("of what a kind of interrupt is", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.refuse(deviceGetIrqInfo, EINVAL);
    expect(device.msix.count).toBe(0);
    server.refuse(deviceGetIrqInfo, EAGAIN);
    expect(() => device.msix.count).toThrow(/EAGAIN/);
    server.reply(deviceGetIrqInfo, { argsz: 16, flags: 1, index: 2, count: 4 });
    expect([device.msix.count, device.msix.count]).toEqual([4, 4]);
    expect(server.requests(deviceGetIrqInfo).map(({ index }) => index)).toEqual([2, 2, 2]);
    container.close();
  });

  test("of a region that can be mapped later: writes are not posted any more", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    server.refuse(deviceGetRegionInfo, EINVAL);
    for (let index = 2; index < 9; index++) server.region(index, index === 7 ? 256 : 0);
    server.reply(regionRead, { offset: 0x10n, region: 7, data: new Uint8Array(24) });
    bar0.write32(0, 1);
    server.region(1, 4096, { flags: 7, fds: [{ memfd: 4096, seals: 2 }] });
    expect(device.region("bar1").size).toBe(4096);
    server.reply(regionWrite, { offset: 0n, region: 0, count: 4 });
    bar0.write32(0, 2);
    const writes = server.received().filter(({ command }) => command === regionWrite.number);
    expect(writes.map(({ flags, payload }) => [flags, payload.at(16)])).toEqual([
      [0x10, 1],
      [0, 2],
    ]);
    container.close();
  });

  test("of the config space that says which writes can be posted", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    for (let index = 1; index < 9; index++) server.region(index, index === 7 ? 256 : 0);
    server.refuse(regionRead, EAGAIN);
    server.reply(regionWrite, { offset: 0n, region: 0, count: 4 });
    bar0.write32(0, 1);
    server.reply(regionRead, { offset: 0x10n, region: 7, data: new Uint8Array(24) });
    bar0.write32(0, 2);
    const writes = server.received().filter(({ command }) => command === regionWrite.number);
    expect(writes.map(({ flags, payload }) => [flags, payload.at(16)])).toEqual([
      [0, 1],
      [0x10, 2],
    ]);
    container.close();
  });

  test("stands where the server is gone", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    server.refuse(deviceGetIrqInfo, EINVAL);
    expect(device.msix.count).toBe(0);
    server.shutdown();
    expect(() => device.reset()).toThrow(/ENOTCONN/);
    expect(device.msix.count).toBe(0);
    container.close();
  });
});

describe("success is in the header, and a reply may have no payload", () => {
  // libvfio-user answers so to DMA_MAP and DMA_UNMAP where its device does no DMA.
  const bare = (server: FakeServer, { number }: { readonly number: number }) =>
    server.message(number, new Uint8Array(0), "next");

  test("to memory that is mapped and unmapped, and to the end of a device", async () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    using buffer = DmaBuffer.allocate(4 * 4096);
    const parts = [0, 1, 2, 3].map((page) => ({
      memory: buffer,
      offset: 4096 * page,
      length: 4096,
      iova: 4096 * page,
    }));
    for (const _ of parts) bare(server, dmaMap);
    const [first, second] = container.mapMany(parts);
    bare(server, dmaUnmap);
    first?.unmap();
    bare(server, dmaUnmap);
    await second?.unmapAsync();
    bare(server, dmaUnmap);
    expect(container.unmap(2 * 4096, 4096).bytes).toBe(4096n);
    expect(container.mappingCount).toBe(1);
    bare(server, dmaUnmap);
    device.close();
    container.close();
    buffer.close();
  });

  test("to writes, of which all was done", () => {
    using server = new FakeServer();
    const capabilities = { max_msg_fds: 1, write_multiple: true };
    const { container, device } = server.attach({ postedWrites: false }, capabilities);
    server.region(0, 4096);
    const bar0 = device.region("bar0");
    bare(server, regionWrite);
    bar0.write32(0, 7);
    bare(server, regionWrite);
    bar0.write(0, new Uint8Array(100));
    bare(server, regionWriteMulti);
    bar0.run(new RegisterProgram().write32(0, 1).write32(4, 2));
    expect(server.received().slice(1)).toHaveLength(3);
    // The bytes that were read do not fit into a header.
    bare(server, regionRead);
    expect(() => bar0.read32(0)).toThrow(/EINVAL.*0 bytes of payload/);
    container.close();
  });

  test("to features that are set or asked about, and not to those that are got", () => {
    using server = new FakeServer();
    const { container, device } = server.attach();
    bare(server, deviceFeature);
    expect(device.features.has(2, "set")).toBe(true);
    bare(server, deviceFeature);
    expect(device.features.set(2, Uint8Array.of(1, 2, 3, 4)).bytes).toEqual(Uint8Array.of(1, 2, 3, 4));
    bare(server, deviceFeature);
    expect(() => device.features.get(2, new Uint8Array(8))).toThrow(/EPROTO.*no data came/);
    container.close();
  });
});

test("a reset may take longer than any answer, off the thread", async () => {
  using server = new FakeServer();
  const { container, device } = server.attach({ timeout: 30 });
  const reset = device.resetAsync();
  expect(container.underWay).toEqual([{ device: "fake", what: "has a reset under way" }]);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const [asked] = server.received();
  server.message(deviceReset.number, new Uint8Array(0), "now", { id: asked?.id ?? 0 });
  await reset;
  expect(device.hotResetInfo()).toBeUndefined();
  container.close();
});

test("one socket has one device at a time", () => {
  using server = new FakeServer();
  const { container, device } = server.attach();
  expect(() => container.attach("another")).toThrow(/EBUSY.*one socket has one device/);
  expect(() => container.attach("fake")).toThrow(/EBUSY.*attached to this container/);
  expect(() => container.attach("other", { vfToken: "x" })).toThrow(RangeError);
  device.close();
  expect(() => container.attach()).toThrow(/ENOTCONN.*was used before/);
  container.close();
  expect(() => UserContainer.open({ socket: "/x", timeout: 0 })).toThrow(RangeError);
});

test("an open connection does not keep a process alive, a promise does", async () => {
  using directory = socketDirectory();
  await using server = await startEdu(path.join(directory.path, "edu.sock"));
  const library = fileURLToPath(new URL("../../../dist/vfio-user/index.js", import.meta.url));
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `import { UserContainer } from ${JSON.stringify(library)};
       const container = UserContainer.open({ socket: ${JSON.stringify(server.socket)} });
       const device = container.attach();
       device.resetAsync().then(() => console.log("reset"));`,
    ],
    { encoding: "utf8", timeout: 20_000 },
  );
  expect([stdout, stderr, status]).toEqual(["reset\n", "", 0]);
});

test("errors are the package's own", () => {
  using server = new FakeServer();
  const { container, device } = server.attach();
  server.region(7, 256);
  server.refuse(regionRead, EINVAL);
  try {
    device.config.command;
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
    expect(error).toMatchObject({ code: "EINVAL", syscall: "VFIO_USER_REGION_READ", object: "config of fake" });
  }
  container.close();
});
