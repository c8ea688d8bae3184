import { randomFillSync } from "node:crypto";
import { type Container, type Device, DmaBuffer, type DmaMapping, openContainer } from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Igb, IgbCopyError } from "../../examples/igb.js";
import { bind, devices, needs } from "./devices.js";
import { resources } from "./resources.mjs";

const KiB = 1024;
const HALF = 512 * KiB;

let binding: Disposable;
let before: ReturnType<typeof resources>;
let container: Container;
let device: Device;
let memory: DmaBuffer;
let mapping: DmaMapping;

beforeAll(() => {
  binding = bind(devices.igb);
});

afterAll(() => {
  binding[Symbol.dispose]();
});

beforeEach(() => {
  before = resources();
  container = openContainer();
  device = container.attach(devices.igb);
  memory = DmaBuffer.allocate(2 * HALF);
  mapping = container.map(memory);
});

afterEach(() => {
  container.close();
  memory.close();
  expect(resources()).toEqual(before);
});

/** Copies from the first half of the memory to the second, and expects exactly that to have happened. */
async function expectCopy(igb: Igb, length: number): Promise<void> {
  const destination = memory.bytes.subarray(HALF);
  destination.fill(0x5a);
  await igb.copy(mapping.iova, mapping.at(HALF), length);
  expect(Buffer.compare(destination.subarray(0, length), memory.bytes.subarray(0, length))).toBe(0);
  expect(destination[length]).toBe(0x5a);
}

describe("copying", () => {
  it("copies any length, round the rings and over again", async () => {
    using igb = await Igb.open(container, device);
    randomFillSync(memory.bytes.subarray(0, HALF));
    for (const length of [0, 1, 59, 60, 1023, 1024, 1025, 255 * KiB, 255 * KiB + 1, 256 * KiB, HALF - 1]) {
      await expectCopy(igb, length);
    }
  });

  it("copies the same by interrupt, and hears of every frame", async () => {
    using igb = await Igb.open(container, device, { completion: "interrupt", timeout: 10_000 });
    randomFillSync(memory.bytes.subarray(0, HALF));
    for (const length of [0, 1, 1025, 255 * KiB + 1, HALF - 1]) await expectCopy(igb, length);
    igb.sendInterrupt();
    expect(await igb.interrupt.wait({ timeout: 10_000 })).toBe(1);
  });

  it("copies what looks like a frame that the device would treat in some way", async () => {
    using igb = await Igb.open(container, device);
    const pauseFrame = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0x88, 0x08, 0x00, 0x01, 0xff, 0xff];
    const ipWithoutHeader = [...new Array<number>(12).fill(0), 0x08, 0x00, 0x40];
    const vlan = [...new Array<number>(12).fill(0xff), 0x81, 0x00, 0x00, 0x07, 0x86, 0xdd];
    for (const start of [pauseFrame, ipWithoutHeader, vlan]) {
      memory.bytes.fill(0, 0, HALF).set(start);
      await expectCopy(igb, 64);
      await expectCopy(igb, 1500);
    }
  });

  it("makes copies that are asked for at once one after the other", async () => {
    using igb = await Igb.open(container, device);
    randomFillSync(memory.bytes.subarray(0, 4 * KiB));
    // Each copies what the one before it has copied.
    const steps = Array.from({ length: 20 }, (_, step) => step * 4 * KiB);
    await Promise.all(steps.map((from) => igb.copy(mapping.at(from), mapping.at(from + 4 * KiB), 4 * KiB)));
    const last = memory.bytes.subarray(20 * 4 * KiB).subarray(0, 4 * KiB);
    expect(Buffer.compare(last, memory.bytes.subarray(0, 4 * KiB))).toBe(0);
  });

  it("refuses a length that is none", async () => {
    using igb = await Igb.open(container, device);
    await expect(igb.copy(mapping.iova, mapping.at(HALF), -1)).rejects.toThrow(RangeError);
    await expectCopy(igb, 100);
  });
});

describe("interrupts", () => {
  it("come by a wait, a listener and a loop, and not from copies", async () => {
    using igb = await Igb.open(container, device);
    await expectCopy(igb, 64 * KiB);
    expect(igb.interrupt.take()).toBe(0);

    igb.sendInterrupt();
    expect(await igb.interrupt.wait({ timeout: 10_000 })).toBe(1);

    const heard = new Promise<number>((resolve) => igb.interrupt.once("interrupt", resolve));
    igb.sendInterrupt();
    expect(await heard).toBe(1);

    const counts: number[] = [];
    igb.sendInterrupt();
    for await (const count of igb.interrupt) {
      counts.push(count);
      if (counts.length === 3) break;
      igb.sendInterrupt();
    }
    expect(counts).toEqual([1, 1, 1]);
  });

  it("are the device's: without bus mastering none arrives", async () => {
    using igb = await Igb.open(container, device);
    device.busMaster = false;
    igb.sendInterrupt();
    expect(igb.interrupt.take()).toBe(0);
    // The kernel's own signal does not pass through the device.
    igb.interrupt.trigger();
    expect(igb.interrupt.take()).toBe(1);
  });
});

describe.each(["interrupt", "polling"] as const)("held, with copies under way, completion by %s", (completion) => {
  const open = () => Igb.open(container, device, { completion, timeout: 10_000 });
  // Two batches, and a bit more.
  const LENGTH = 300 * KiB;
  /** The second copies what the first has copied. */
  const chain = (igb: Igb) => [0, LENGTH].map((from) => igb.copy(mapping.at(from), mapping.at(from + LENGTH), LENGTH));
  const expectArrival = () => {
    const arrived = memory.bytes.subarray(2 * LENGTH, 3 * LENGTH);
    expect(Buffer.compare(arrived, memory.bytes.subarray(0, LENGTH))).toBe(0);
  };

  it("goes on when it is released", async () => {
    using igb = await open();
    randomFillSync(memory.bytes.subarray(0, LENGTH));
    await expectCopy(igb, KiB);
    const copies = chain(igb);
    await new Promise((resolve) => setImmediate(resolve));
    igb.hold();
    let over = false;
    void Promise.all(copies).then(() => {
      over = true;
    });
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    igb.release();
    await Promise.all(copies);
    expectArrival();
  });

  it("goes on in another driver", async () => {
    const former = await open();
    randomFillSync(memory.bytes.subarray(0, LENGTH));
    await expectCopy(former, KiB);
    void chain(former);
    await new Promise((resolve) => setImmediate(resolve));
    former.hold();
    const state = structuredClone(former.state());
    expect(state.frames.length).toBeGreaterThan(0);
    using igb = Igb.resume(container, device, former.memory, state, { timeout: 10_000 });
    expect(igb.inFlight.map(({ source }) => source)).toEqual([mapping.iova, mapping.at(LENGTH)]);
    await Promise.all(igb.inFlight.map(({ over }) => over));
    expectArrival();
    await expectCopy(igb, 300 * KiB);
  });
});

describe("a failure", () => {
  it("is reported, and the device works again: copies, interrupts, the same objects", async () => {
    using igb = await Igb.open(container, device, { timeout: 20 });
    const { interrupt } = igb;
    randomFillSync(memory.bytes.subarray(0, HALF));
    await expectCopy(igb, 4 * KiB);

    // A device that may not reach memory does not see the descriptors: nothing comes back.
    device.busMaster = false;
    memory.bytes.fill(0, HALF);
    const error = await igb.copy(mapping.iova, mapping.at(HALF), 4 * KiB).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(IgbCopyError);
    expect(error).toMatchObject({ code: "ETIMEDOUT", source: mapping.iova, length: 4 * KiB });
    expect(memory.bytes.subarray(HALF).every((byte) => byte === 0)).toBe(true);

    expect(device.busMaster).toBe(true);
    await expectCopy(igb, 300 * KiB);
    expect(interrupt.take()).toBe(0);
    igb.sendInterrupt();
    expect(await interrupt.wait({ timeout: 10_000 })).toBe(1);
  });

  it("does not take the copies with it that were asked for after it", async () => {
    using igb = await Igb.open(container, device, { timeout: 20 });
    memory.bytes.fill(7, 0, KiB);
    await expectCopy(igb, KiB);
    device.busMaster = false;
    const first = igb.copy(mapping.iova, mapping.at(HALF + KiB), KiB);
    const second = igb.copy(mapping.iova, mapping.at(HALF + 2 * KiB), KiB);
    await expect(first).rejects.toThrow(IgbCopyError);
    await second;
    expect(memory.bytes.subarray(HALF + 2 * KiB, HALF + 3 * KiB).every((byte) => byte === 7)).toBe(true);
  });

  it("of a step of opening leaves nothing behind", async () => {
    // Of the last step before the device is touched: somebody has the vector.
    const [vector] = device.msix.enable(1);
    // The device keeps the mapping of its registers until it is closed.
    device.region("bar0").registers();
    const held = resources();
    await expect(Igb.open(container, device)).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
    expect(resources()).toEqual(held);
    expect(container.mappingCount).toBe(1);
    vector?.close();

    // Of the first wait: the device goes away under it.
    const opening = Igb.open(container, device);
    device.close();
    await expect(opening).rejects.toMatchObject({ code: "ERR_INVALID_STATE" });
    expect(container.devices.size).toBe(0);
  });

  it("is what one gets for another device", needs("edu"), async () => {
    using _ = bind(devices.edu);
    using other = openContainer();
    await expect(Igb.open(other, other.attach(devices.edu))).rejects.toThrow(/not an 82576/);
    expect(other.mappingCount).toBe(0);
  });
});

describe("the end", () => {
  it("stops the device, and takes nothing else with it", async () => {
    {
      using igb = await Igb.open(container, device);
      await expectCopy(igb, KiB);
      expect(container.mappingCount).toBe(2);
      expect(device.msix.enabled).toBe(true);
    }
    expect(device.closed).toBe(false);
    expect(device.busMaster).toBe(false);
    expect(device.msix.enabled).toBe(false);
    expect(container.mappingCount).toBe(1);
    using again = await Igb.open(container, device);
    await expectCopy(again, KiB);
  });

  it("ends a copy that is under way", async () => {
    const igb = await Igb.open(container, device);
    const copy = igb.copy(mapping.iova, mapping.at(HALF), KiB);
    igb[Symbol.dispose]();
    await expect(copy).rejects.toThrow(/is closed/);
    igb[Symbol.dispose]();
  });

  it("may come after the container's", async () => {
    const igb = await Igb.open(container, device);
    container.close();
    igb[Symbol.dispose]();
    await expect(igb.copy(mapping.iova, mapping.iova + 1n, 1)).rejects.toThrow(/is closed/);
  });
});
