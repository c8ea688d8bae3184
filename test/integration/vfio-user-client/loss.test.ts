/** Servers that go away. */
import path from "node:path";
import { DmaBuffer, VfioError } from "vfio";
import { UserContainer } from "vfio/user";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { resources } from "../../rig/resources.mjs";
import { socketDirectory, startEdu } from "./edu-process.js";
import { descriptorCount, FakeServer } from "./fake-server.js";

let before: number;
beforeEach(() => {
  before = descriptorCount();
});
afterEach(() => {
  expect(descriptorCount()).toBe(before);
});

/** Does a bit of everything. */
async function use(container: UserContainer, buffer: DmaBuffer): Promise<void> {
  const device = container.attach();
  const bar0 = device.region("bar0");
  expect(bar0.read32(0)).toBe(0x0100_00ed);
  device.busMaster = true;
  const vector = device.msi.enableVector(0);
  const mapping = container.map(buffer, { mask: 0xfff_ffff, length: 4096 });
  const other = await container.mapAsync(buffer, { offset: 4096 });
  bar0.write64(0x80, mapping.iova);
  bar0.write64(0x88, 0x40000);
  bar0.write64(0x90, 16);
  bar0.write64(0x98, 5);
  while ((bar0.read32(0x98) & 1) !== 0);
  bar0.read32(0x24);
  vector.trigger();
  await other.unmapAsync();
  device.reset();
  await device.resetAsync();
  device.close();
}

describe.each(["before", "after", "within"] as const)("the line is cut %s the answer", (when) => {
  test("to each of the client's messages", async () => {
    let dieAt = 1;
    for (let whole = false; !whole; dieAt++) {
      using server = new FakeServer({ dieAt, when });
      using buffer = DmaBuffer.allocate(8192, { backing: "anonymous" });
      const container = UserContainer.open({ socket: server.client, postedWrites: false });
      const losses: VfioError[] = [];
      container.on("lost", (error) => losses.push(error));
      const failure = await use(container, buffer).then(
        () => undefined,
        (error: unknown) => error,
      );
      whole = failure === undefined && container.lost === undefined;
      if (failure !== undefined) {
        if (!(failure instanceof VfioError)) throw failure;
        expect([dieAt, failure.code]).toEqual([dieAt, "ENOTCONN"]);
        expect(failure.why).toMatch(/the connection was lost at \d{4}-.*, during VFIO_USER_\w+: the server closed/);
        expect(losses.map(({ why }) => why)).toEqual([failure.why]);
        expect(container.lost?.why).toBe(failure.why);
        for (const device of container.devices.values()) {
          expect(() => device.region("bar0").read32(0)).toThrow(/ENOTCONN/);
          expect(() => container.map(buffer)).toThrow(/ENOTCONN/);
        }
        container.unmapAll();
        expect(container.mappingCount).toBe(0);
      }
      container.close();
    }
    // How often the end of the transfer is asked for is up to the machine.
    expect(dieAt).toBeGreaterThan(20);
  }, 30_000);
});

describe("a server's process ends", () => {
  test("while nothing is asked: the program is told, everything is released, and the next server is served", async () => {
    using directory = socketDirectory();
    const socket = path.join(directory.path, "edu.sock");
    const empty = resources();
    await using server = await startEdu(socket);
    using container = UserContainer.open({ socket });
    const device = container.attach();
    const buffer = DmaBuffer.allocate(4096);
    container.map(buffer, { iova: 0 });
    const vector = device.msi.enableVector(0);
    const lost = new Promise<VfioError>((resolve) => container.once("lost", resolve));
    const waiting = vector.wait();
    await server.kill();
    expect((await lost).why).toMatch(/lost at .*, between two requests: the server closed the connection/);
    expect(() => device.region("bar0").read32(0)).toThrow(/ENOTCONN.*the connection was lost at/);
    device.close();
    await expect(waiting).rejects.toThrow(/switched off/);
    expect(container.mappingCount).toBe(0);
    buffer.close();
    expect(resources()).toEqual(empty);

    // The path of a dead server's socket is the next one's.
    await using again = await startEdu(socket);
    const revived = container.attach();
    expect(container.lost).toBeUndefined();
    expect(revived.region("bar0").read32(0)).toBe(0x0100_00ed);
    expect(again.process.exitCode).toBeNull();
    revived.close();
  });

  test("in the middle of a promise", async () => {
    using directory = socketDirectory();
    await using server = await startEdu(path.join(directory.path, "edu.sock"));
    using container = UserContainer.open({ socket: server.socket });
    container.attach();
    server.process.kill("SIGSTOP");
    using buffer = DmaBuffer.allocate(4096);
    const mapping = container.mapAsync(buffer);
    server.process.kill("SIGKILL");
    await expect(mapping).rejects.toThrow(/ENOTCONN.*during VFIO_USER_DMA_MAP/);
    container.close();
  });

  test("in the middle of an unmap, which that ends", async () => {
    using directory = socketDirectory();
    await using server = await startEdu(path.join(directory.path, "edu.sock"));
    using container = UserContainer.open({ socket: server.socket });
    const device = container.attach();
    using buffer = DmaBuffer.allocate(8192);
    const [mapping, other] = [container.map(buffer), container.map(buffer)];
    server.process.kill("SIGSTOP");
    const gone = mapping.unmapAsync();
    const alsoGone = other.unmapAsync();
    expect(() => device.close()).toThrow(/EBUSY/);
    // Who is told of it may close at once.
    container.once("lost", () => device.close());
    server.process.kill("SIGKILL");
    await Promise.all([gone, alsoGone]);
    expect([mapping.mapped, other.mapped, device.closed]).toEqual([false, false, true]);
  });

  test("a client that goes away leaves the server to the next one", async () => {
    using directory = socketDirectory();
    await using server = await startEdu(path.join(directory.path, "edu.sock"));
    for (let i = 0; i < 20; i++) {
      using container = UserContainer.open({ socket: server.socket });
      const device = container.attach();
      expect(device.region("bar0").read32(0)).toBe(0x0100_00ed);
      if (i % 2 === 0) container.close();
      else device.close();
    }
  });

  test("a second client is told that the server is busy", async () => {
    using directory = socketDirectory();
    await using server = await startEdu(path.join(directory.path, "edu.sock"));
    using first = UserContainer.open({ socket: server.socket });
    first.attach();
    using second = UserContainer.open({ socket: server.socket, timeout: 50 });
    expect(() => second.attach()).toThrow(/ETIMEDOUT.*busy, perhaps with another client/);
    first.close();
    second.attach();
  });
});
