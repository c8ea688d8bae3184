/** Interrupts: what the kernel delivers, what it refuses, and what is left when they are off. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readlinkSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { type Container, type Device, type Interrupt, type IntxLine, openContainer, type Registers } from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../lib/kernel/native.js";
import {
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "../../lib/kernel/uapi.js";
import { refusal } from "../helpers/refusal.js";
import { bind, devices, interruptHandlers, leaveOut, Mdev, needs, onlyIf, rigOnly } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";
import { named } from "./selection.js";

const state = expect.objectContaining({ code: "ERR_INVALID_STATE" });
const outOfRange = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
const wrongType = expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" });
const library = new URL("../../dist/index.js", import.meta.url).href;

// QEMU, docs/specs/edu.rst
const EDU = { status: 0x24, raise: 0x60, acknowledge: 0x64 } as const;

/** Signals an eventfd. */
function signal(eventfd: number): void {
  writeSync(eventfd, new BigUint64Array([1n]));
}

/** Where a link of /proc leads; nowhere if it is gone. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

let bound: Disposable;
let before: ReturnType<typeof resources>;

beforeAll(() => {
  before = resources();
  const { xhci } = devices;
  bound = bind(devices.edu, devices.igb, devices.nvme, ...(xhci === undefined ? [] : [xhci]), ...(named ?? []));
});

afterAll(() => {
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});

/** What is sent by message, and how many vectors of it are tried: of MSI a machine may have one only. */
const messages: readonly (readonly ["msi" | "msix", string])[] = named?.flatMap((address) => [
  ["msi", address] as const,
  ["msix", address] as const,
]) ?? [
  ["msi", devices.edu],
  ["msix", devices.igb],
  ["msix", devices.nvme],
];
const most = { msi: 1, msix: 16 } as const;

describe.each(modes)("enable, trigger, disable in %s", (mode) => {
  test.for(messages)("%s of %s", async ([kind, address], context) => {
    using container = openContainer({ mode });
    const device = container.attach(address);
    const irq = device[kind];
    if (irq.count === 0) leaveOut(context, `takes a device with ${kind}`);
    const vectors = irq.enable(Math.min(irq.count, most[kind]));
    expect(vectors.map(({ index }) => index)).toEqual(vectors.map((_, i) => i));
    expect(irq.enabled).toBe(true);
    expect(interruptHandlers(address)).toEqual(vectors.map(({ index }) => `vfio-${kind}[${index}]`));
    for (const vector of vectors) {
      expect(vector.take()).toBe(0);
      vector.trigger();
      expect(await vector.wait()).toBe(1);
      expect(vector.take()).toBe(0);
    }
    irq.disable();
    irq.disable();
    expect(irq.enabled).toBe(false);
    expect(vectors.every(({ closed }) => closed)).toBe(true);
    expect(interruptHandlers(address)).toEqual([]);
  });
});

describe("what a device says of its interrupts", () => {
  let container: Container;
  beforeAll(() => {
    container = openContainer();
  });
  afterAll(() => container.close());

  test("edu has a line and one message", needs("edu"), () => {
    const device = container.attach(devices.edu);
    expect(device.irqs.map(({ name, count }) => [name, count])).toEqual([
      ["intx", 1],
      ["msi", 1],
      ["err", 1],
      ["req", 1],
    ]);
    expect(device.intx.info).toMatchObject({ eventfd: true, maskable: true, automasked: true, noresize: false });
    expect(device.msi.info).toMatchObject({ eventfd: true, maskable: false, noresize: true });
    expect(device.msix.count).toBe(0);
    expect(() => device.msix.enable(1)).toThrow(/ENODEV.*has no msix/);
    expect(() => device.msix.enableVector(0)).toThrow(/ENODEV.*has no msix/);
  });

  test("igb has messages that come and go, and errors", needs("igb"), () => {
    const device = container.attach(devices.igb);
    expect(device.msix).toMatchObject({ count: 10, enabled: false, info: { index: 2, noresize: false } });
    expect(device.irqs.map(({ name }) => name)).toEqual(["intx", "msi", "msix", "err", "req"]);
  });
});

describe("INTx of edu", needs("edu"), () => {
  let container: Container;
  let device: Device;
  let registers: Registers;
  let line: IntxLine;

  beforeEach(() => {
    container = openContainer();
    device = container.attach(devices.edu);
    registers = device.region("bar0").registers();
    line = device.intx.enable();
  });

  afterEach(() => {
    registers.write32(EDU.acknowledge, 0xffff_ffff);
    container.close();
  });

  const acknowledge = () => registers.write32(EDU.acknowledge, registers.read32(EDU.status));

  test("is delivered, and masked until it is unmasked", async () => {
    expect(interruptHandlers(devices.edu)).toEqual(["vfio-intx"]);
    expect(device.intx.line).toBe(line);
    registers.write32(EDU.raise, 1);
    expect(await line.wait()).toBe(1);
    expect(registers.read32(EDU.status)).toBe(1);
    // Not acknowledged: unmasked, it comes again at once.
    line.unmask();
    expect(line.take()).toBe(1);
    acknowledge();
    // Raised while it is masked: it waits for the unmasking.
    registers.write32(EDU.raise, 2);
    expect(line.take()).toBe(0);
    line.unmask();
    expect(await line.wait()).toBe(1);
    acknowledge();
    line.unmask();
    expect(line.take()).toBe(0);
  });

  test("is masked by the program", async () => {
    line.mask();
    registers.write32(EDU.raise, 1);
    expect(line.take()).toBe(0);
    line.unmask();
    expect(await line.wait()).toBe(1);
  });

  test("is unmasked by going round a loop", async () => {
    const seen: number[] = [];
    registers.write32(EDU.raise, 1);
    for await (const count of line) {
      seen.push(count);
      acknowledge();
      if (seen.length === 3) break;
      registers.write32(EDU.raise, 1);
    }
    expect(seen).toEqual([1, 1, 1]);
    // The loop was left: nobody has unmasked the line.
    registers.write32(EDU.raise, 1);
    expect(line.take()).toBe(0);
  });

  test("is left masked by a loop that is told so", async () => {
    registers.write32(EDU.raise, 1);
    const loop = line.interrupts({ unmask: false });
    expect((await loop.next()).value).toBe(1);
    acknowledge();
    const next = loop.next();
    registers.write32(EDU.raise, 1);
    line.unmask();
    expect((await next).value).toBe(1);
    await loop.return?.();
  });

  test("comes as an event", async () => {
    const heard = new Promise<number>((resolve) => line.once("interrupt", resolve));
    registers.write32(EDU.raise, 1);
    expect(await heard).toBe(1);
  });

  test("is unmasked by an eventfd", async () => {
    const unmask = line.setUnmaskEventfd();
    expect(line.unmaskEventfd).toBe(unmask);
    expect(refusal(() => line.setUnmaskEventfd())).toMatchObject({
      code: "EBUSY",
      message: expect.stringContaining("an unmask eventfd is set already"),
    });
    registers.write32(EDU.raise, 1);
    expect(await line.wait()).toBe(1);
    acknowledge();
    registers.write32(EDU.raise, 1);
    expect(line.take()).toBe(0);
    signal(unmask);
    expect(await line.wait()).toBe(1);
    acknowledge();
    line.clearUnmaskEventfd();
    line.clearUnmaskEventfd();
    expect(line.unmaskEventfd).toBeUndefined();
    line.unmask();
    line.setUnmaskEventfd();
  });

  test("refuses an eventfd that is none", () => {
    const file = openSync("/dev/null", "r+");
    try {
      const held = resources();
      const refused = refusal(() => line.setUnmaskEventfd(file));
      expect(refused).toMatchObject({
        code: "EINVAL",
        object: devices.edu,
        args: { action: "UNMASK", data: "eventfd" },
      });
      expect(refused.why).toMatch(/^could not set the UNMASK eventfd of intx 0: .*the descriptor is no eventfd$/);
      expect(() => line.setUnmaskEventfd(-2)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
      const bar = device.region("bar0");
      expect(() => bar.ioeventfd({ offset: 4, width: 4, value: 0, eventfd: file })).toThrow(/EINVAL.*an eventfd/);
      expect(line.unmaskEventfd).toBeUndefined();
      expect(resources()).toEqual(held);
    } finally {
      closeSync(file);
    }
  });

  test("is raised by loopback", async () => {
    line.trigger();
    expect(await line.wait()).toBe(1);
  });

  test("is alone: no MSI beside it", () => {
    expect(refusal(() => device.msi.enable(1))).toMatchObject({
      code: "EBUSY",
      why: expect.stringContaining("intx is on"),
      fix: expect.stringContaining("device.intx.disable()"),
    });
    expect(() => device.intx.enable()).toThrow(state);
    line.close();
    expect(device.intx).toMatchObject({ enabled: false, line: undefined });
    expect(() => line.unmask()).toThrow(state);
    expect(() => line.mask()).toThrow(state);
    expect(() => line.setUnmaskEventfd()).toThrow(state);
    const [vector] = device.msi.enable(1);
    expect(() => device.intx.enable()).toThrow(/msi is on/);
    vector?.close();
    expect(device.msi.enabled).toBe(false);
    line = device.intx.enable();
  });

  test("is refused where config space forbids it", async () => {
    // DisINTx is the program's own mask on top of the kernel's.
    device.config.command |= 0x400;
    registers.write32(EDU.raise, 1);
    expect(line.take()).toBe(0);
    device.config.command &= ~0x400;
    expect(await line.wait()).toBe(1);
  });
});

describe("MSI of edu", needs("edu"), () => {
  test("is sent by a device that may be bus master", async () => {
    using container = openContainer();
    const device = container.attach(devices.edu);
    const registers = device.region("bar0").registers();
    const [vector] = device.msi.enable(1);
    if (vector === undefined) throw new Error("no vector");
    registers.write32(EDU.raise, 1);
    expect(await vector.wait({ timeout: 50 })).toBe(0);
    registers.write32(EDU.acknowledge, 1);
    device.busMaster = true;
    for (let i = 0; i < 3; i++) {
      registers.write32(EDU.raise, 1);
      expect(await vector.wait()).toBe(1);
      registers.write32(EDU.acknowledge, 1);
    }
    const loop = vector.interrupts();
    registers.write32(EDU.raise, 1);
    expect((await loop.next()).value).toBe(1);
    registers.write32(EDU.acknowledge, 1);
    await loop.return?.();
  });
});

describe("MSI-X of igb", needs("igb"), () => {
  let container: Container;
  let device: Device;

  beforeEach(() => {
    container = openContainer();
    device = container.attach(devices.igb);
  });

  afterEach(() => container.close());

  test("has vectors switched on and off one by one", async () => {
    const { msix } = device;
    const five = msix.enableVector(5);
    expect(interruptHandlers(devices.igb)).toEqual(["vfio-msix[5]"]);
    const two = msix.enableVector(2);
    expect([...msix.vectors.keys()].sort()).toEqual([2, 5]);
    expect(msix.vector(2)).toBe(two);
    expect(() => msix.vector(3)).toThrow(/msix 3 of .* is off/);
    expect(() => msix.enableVector(2)).toThrow(state);
    for (const vector of [five, two]) {
      vector.trigger();
      expect(await vector.wait()).toBe(1);
    }
    five.close();
    five.close();
    expect(interruptHandlers(devices.igb)).toEqual(["vfio-msix[2]"]);
    two.trigger();
    expect(two.take()).toBe(1);
    expect(() => five.trigger()).toThrow(state);
    two.close();
    expect(msix.enabled).toBe(false);
    // Off: the line may be on again.
    device.intx.enable().close();
  });

  test("is raised in several vectors at once", () => {
    const vectors = device.msix.enable(4);
    device.msix.trigger([0, 2]);
    device.msix.trigger([2]);
    device.msix.trigger([]);
    expect(vectors.map((vector) => vector.take())).toEqual([1, 0, 2, 0]);
    expect(() => device.msix.trigger([4])).toThrow(outOfRange);
  });

  test("refuses what there is not", () => {
    const { msix } = device;
    expect(() => msix.enable(11)).toThrow(outOfRange);
    expect(() => msix.enable(0)).toThrow(outOfRange);
    expect(() => msix.enable(1.5)).toThrow(outOfRange);
    for (const count of [undefined, "1", null])
      expect(() => Reflect.apply(msix.enable, msix, [count])).toThrow(wrongType);
    expect(() => msix.enableVector(10)).toThrow(outOfRange);
    expect(() => msix.enableVector(-1)).toThrow(outOfRange);
    msix.enable(1);
    expect(() => msix.enable(1)).toThrow(state);
    expect(() => device.intx.enable()).toThrow(/EBUSY.*msix is on/);
    expect(() => device.msi.enable(1)).toThrow(/EBUSY.*msix is on/);
  });

  test("leaves nothing open when the kernel refuses", () => {
    // Behind the library's back the line is on: only the kernel knows.
    const descriptor = readdirSync("/proc/self/fd").find((fd) => /vfio\/devices/.test(linkOf(`/proc/self/fd/${fd}`)));
    const intx = (data: number, count: number) =>
      native.vfioDeviceSetIrqs(
        Number(descriptor),
        VFIO_IRQ_SET_ACTION_TRIGGER | data,
        0,
        0,
        count,
        new Int32Array([-1]),
      );
    expect(intx(VFIO_IRQ_SET_DATA_EVENTFD, 1)).toBe(0);
    try {
      const held = resources();
      const refused = refusal(() => device.msix.enable(4));
      expect(refused).toMatchObject({ code: "EINVAL", request: "VFIO_DEVICE_SET_IRQS", object: devices.igb });
      expect(refused.why).toMatch(/^could not set the TRIGGER eventfds of msix: .*another of INTx, MSI and MSI-X is/);
      expect(() => device.msix.enableVector(3)).toThrow(/could not set the TRIGGER eventfd of msix 0: /);
      expect(device.msix.enabled).toBe(false);
      expect(resources()).toEqual(held);
    } finally {
      expect(intx(VFIO_IRQ_SET_DATA_NONE, 0)).toBe(0);
    }
    expect(device.msix.enable(4)).toHaveLength(4);
  });

  test("stays on over a reset", async () => {
    const [vector] = device.msix.enable(1);
    device.reset();
    vector?.trigger();
    expect(vector?.take()).toBe(1);
  });
});

describe("the kernel's notifications", () => {
  test("come by loopback, beside a line", needs("igb"), async () => {
    using container = openContainer();
    const device = container.attach(devices.igb);
    device.intx.enable();
    for (const notification of [device.err, device.req]) {
      const interrupt = notification.enable();
      expect(() => notification.enable()).toThrow(state);
      interrupt.trigger();
      expect(await interrupt.wait()).toBe(1);
      interrupt.close();
      expect(notification.enabled).toBe(false);
      notification.enable();
    }
  });

  const wanted = "REQ comes when the host wants the device back, which nothing resets meanwhile";
  test(wanted, needs("nvme"), async () => {
    using container = openContainer();
    const device = container.attach(devices.nvme);
    const wanted = device.req.enable().wait();
    const driver = "/sys/bus/pci/drivers/vfio-pci";
    const unbind = spawn("sh", [
      "-c",
      `echo ${devices.nvme} > ${driver}/unbind; echo ${devices.nvme} > ${driver}/bind`,
    ]);
    const ended = once(unbind, "exit");
    expect(await wanted).toBe(1);
    // The unbinding holds the device's lock.
    expect(refusal(() => device.reset())).toMatchObject({ code: "EAGAIN", fix: "try again" });
    await expect(device.resetAsync()).rejects.toThrow(/EAGAIN.*something else holds the device/);
    device.close();
    expect((await ended)[0]).toBe(0);
  });
});

describe("a mediated device", rigOnly("makes a mediated device, of the kernel's sample driver"), () => {
  test("mtty keeps the rules of a line", () => {
    using mdev = new Mdev("mtty", "1");
    using container = openContainer();
    const device = container.attach(mdev.uuid);
    expect(device.irqs.map(({ name, count }) => [name, count])).toEqual([
      ["intx", 1],
      ["msi", 1],
    ]);
    const line = device.intx.enable();
    line.trigger();
    expect(line.take()).toBe(1);
    // Masked by its own delivery.
    line.trigger();
    expect(line.take()).toBe(0);
    line.unmask();
    line.trigger();
    expect(line.take()).toBe(1);
    line.unmask();
    line.mask();
    line.trigger();
    expect(line.take()).toBe(0);
    expect(refusal(() => line.setUnmaskEventfd())).toMatchObject({
      code: "ENOTTY",
      why: expect.stringContaining("no UNMASK of that form"),
    });
    expect(() => device.msi.enable(1)).toThrow(/EBUSY.*intx is on/);
    line.close();
    const [vector] = device.msi.enable(1);
    vector?.trigger();
    vector?.trigger();
    expect(vector?.take()).toBe(2);
    vector?.close();
    expect(device.msi.enabled).toBe(false);
    expect(() => device.req.enable()).toThrow(/ENODEV/);
  });
});

const larger = onlyIf(devices.xhci !== undefined, "takes a rig with a USB controller (--device qemu-xhci)");
describe("MSI of several vectors", larger, () => {
  let container: Container;
  let device: Device;
  let most: number;

  beforeEach(() => {
    container = openContainer();
    device = container.attach(devices.xhci ?? "none");
    most = mostVectors(device);
  });

  afterEach(() => container.close());

  /** How many vectors the machine gives: all of them with interrupt remapping, one without. */
  function mostVectors({ msi }: Device): number {
    try {
      const { length } = msi.enable(msi.count);
      msi.disable();
      return length;
    } catch (error) {
      return error instanceof Error && "args" in error ? Number(Object(error.args).available) : 0;
    }
  }

  test("answers how many there are, where the machine has fewer", ({ skip }) => {
    if (most === device.msi.count) skip("this machine has them all");
    const { msi } = device;
    expect(refusal(() => msi.enable(4))).toMatchObject({
      code: "ENOSPC",
      args: { wanted: 4, available: 1 },
      fix: expect.stringContaining("enable 1"),
    });
    expect(msi.enabled).toBe(false);
    const [only] = msi.enable(1);
    // The one that is on stays on when it cannot be joined by another.
    expect(() => msi.enableVector(1)).toThrow(/ENOSPC/);
    expect(interruptHandlers(device.address)).toEqual(["vfio-msi[0]"]);
    only?.trigger();
    expect(only?.take()).toBe(1);
  });

  test("grows by being switched off and on, with the same eventfds", ({ skip }) => {
    if (most === 1) skip("this machine has one only");
    const { msi } = device;
    expect(msi.info.noresize).toBe(true);
    const vectors: Interrupt[] = [...msi.enable(2)];
    const eventfds = vectors.map(({ eventfd }) => eventfd);
    vectors.push(msi.enableVector(3));
    expect(vectors.slice(0, 2).map(({ eventfd }) => eventfd)).toEqual(eventfds);
    expect(interruptHandlers(device.address)).toEqual(["vfio-msi[0]", "vfio-msi[1]", "vfio-msi[3]"]);
    for (const vector of vectors) {
      vector.trigger();
      expect(vector.take()).toBe(1);
    }
    // Within what was set aside, one comes and goes alone.
    vectors.push(msi.enableVector(2));
    vectors[0]?.close();
    expect(interruptHandlers(device.address)).toEqual(["vfio-msi[1]", "vfio-msi[2]", "vfio-msi[3]"]);
    msi.disable();
    expect(msi.enableVector(1).index).toBe(1);
  });
});

describe("the event loop", needs("igb"), () => {
  const run = promisify(execFile);
  const program = (body: string) =>
    run(process.execPath, [
      "--input-type=module",
      "-e",
      `const { openContainer } = await import(${JSON.stringify(library)});
       const container = openContainer();
       const [vector] = container.attach(${JSON.stringify(devices.igb)}).msix.enable(1);
       process.on("exit", () => console.log("left"));
       ${body}`,
    ]);

  test("goes on while somebody listens or waits, and not for who does not care", async () => {
    const { stdout } = await program(`
      setImmediate(() => vector.trigger());
      console.log("waited", await vector.wait());
      process.once("uncaughtException", (error) => {
        console.log("caught", error.message);
        vector.trigger();
      });
      let calls = 0;
      vector.on("interrupt", () => {
        if (++calls === 1) throw new Error("thrown");
        console.log("heard again");
        vector.unref();
      });
      setImmediate(() => vector.trigger());
    `);
    expect(stdout.split("\n")).toEqual(["waited 1", "caught thrown", "heard again", "left", ""]);
  });
});

describe("a worker", needs("igb"), () => {
  const start = (body: string) =>
    new Worker(
      `const { parentPort } = require("node:worker_threads");
       import(${JSON.stringify(library)}).then(async ({ openContainer }) => {
         const container = openContainer();
         const device = container.attach(${JSON.stringify(devices.igb)});
         const [vector, other] = device.msix.enable(2);
         ${body}
       });`,
      { eval: true },
    );

  test("has interrupts of its own", async () => {
    const outside = resources();
    const worker = start(`
      const counts = [];
      vector.trigger();
      counts.push(vector.waitSync());
      const waiting = vector.wait();
      vector.trigger();
      counts.push(await waiting);
      counts.push(vector.waitSync(1));
      container.close();
      parentPort.postMessage(counts);
    `);
    expect((await once(worker, "message"))[0]).toEqual([1, 1, 0]);
    await once(worker, "exit");
    expect(resources()).toEqual(outside);
  });

  test.each([
    ["waits for ever", "parentPort.postMessage(1); vector.waitSync();"],
    [
      "listens, has BARs mapped and is in a reset",
      `vector.on("interrupt", () => {});
       other.wait();
       device.region("bar0").map();
       device.region("bar0").registers();
       device.req.enable().on("interrupt", () => {});
       device.resetAsync();
       parentPort.postMessage(1);`,
    ],
  ])("that %s releases everything when it is terminated", async (_what, body) => {
    const outside = resources();
    const worker = start(body);
    await once(worker, "message");
    expect(resources().descriptors.length).toBeGreaterThan(outside.descriptors.length);
    await worker.terminate();
    expect(resources()).toEqual(outside);
    expect(interruptHandlers(devices.igb)).toEqual([]);
  });
});
