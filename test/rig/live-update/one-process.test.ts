/**
 * Both sides of a hand-over in one process: every object is made twice, and the kernel's own rules are the same.
 */
import { type Container, DmaBuffer, type DmaMapping, openContainer } from "vfio";
import { LiveUpdate, receiveLiveUpdate, socketFromOldProcess, socketToSuccessor } from "vfio/live-update";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import { bind, devices } from "../devices.js";
import { resources } from "../resources.mjs";

const carriers = async () => {
  const [old, young] = UnixSocket.pair("seqpacket");
  return await Promise.all([socketToSuccessor({ socket: old }), socketFromOldProcess({ socket: young })]);
};

let restore: Disposable;
beforeAll(() => {
  restore = bind(devices.edu, devices.igb);
});
afterAll(() => restore[Symbol.dispose]());

// edu's registers
const [RAISE, ACKNOWLEDGE, SOURCE, DESTINATION, COUNT, COMMAND] = [0x60, 0x64, 0x80, 0x88, 0x90, 0x98];

function copy(container: Container, mapping: DmaMapping, toMemory: boolean): void {
  const registers = container.devices.get(devices.edu)?.region("bar0").registers();
  if (registers === undefined) throw new Error("no edu");
  registers.write64(toMemory ? DESTINATION : SOURCE, mapping.iova);
  registers.write64(toMemory ? SOURCE : DESTINATION, 0x40000);
  registers.write64(COUNT, 64);
  registers.write64(COMMAND, toMemory ? 3 : 1);
  while ((registers.read32(COMMAND) & 1) !== 0);
}

describe.each(["type1", "type1v2", "iommufd"] as const)("in mode %s", (mode) => {
  it("hands a device over with its memory, its mappings and its interrupts", async () => {
    const before = resources();
    const container = openContainer({ mode });
    const edu = container.attach(devices.edu);
    edu.busMaster = true;
    edu.region("bar0").registers().write32(ACKNOWLEDGE, 0xffff_ffff);
    const [vector] = edu.msi.enable(1);
    const heard: number[] = [];
    vector?.on("interrupt", (count) => heard.push(count));
    const buffer = DmaBuffer.allocate(8192);
    buffer.bytes.set([1, 2, 3, 4]);
    const mapping = container.map(buffer, { mask: 0xfff_ffff });
    const { iova } = mapping;
    copy(container, mapping, false);

    const update = new LiveUpdate({
      containers: { main: container },
      memory: { ring: buffer },
      save: () => {
        edu.region("bar0").registers().write32(RAISE, 4);
        return new Uint8Array([7, 8]);
      },
    });
    expect(update.blockers()).toEqual([]);
    const [out, back] = await carriers();
    const [report, successor] = await Promise.all([
      update.handOver(out),
      receiveLiveUpdate(back).then(async (incoming) => {
        const report = await incoming.takeOver();
        return { incoming, report };
      }),
    ]);
    const { incoming } = successor;
    expect([...incoming.state]).toEqual([7, 8]);
    expect(container.closed && edu.closed && buffer.closed && vector?.closed).toBe(true);
    expect(report.phases.map(({ name }) => name)).toEqual([
      "prepare",
      "stop",
      "freeze",
      "save",
      "invalidate",
      "transfer",
      "take over",
      "commit",
      "reconnect",
    ]);
    const main = incoming.container("main");
    const ring = incoming.memory.get("ring");
    expect([...(ring?.bytes.subarray(0, 4) ?? [])]).toEqual([1, 2, 3, 4]);
    const again = main.mappingAt(iova);
    if (again === undefined || ring === undefined) throw new Error("it is not mapped");
    expect(again.memory).toBe(ring);
    ring.bytes.fill(0);
    copy(main, again, true);
    expect([...ring.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 4]);
    const device = main.devices.get(devices.edu);
    expect(heard).toEqual([]);
    expect(await device?.msi.vector(0).wait({ timeout: 5000 })).toBe(1);
    main.close();
    ring.close();
    expect(resources()).toEqual(before);
  });
});
