/**
 * What interrupts are at the moment of a hand-over, they are after it: masked, pending, without a message, on their way.
 */
import { type Container, type Device, openContainer } from "vfio";
import { connectIntx, connectMessages, type GuestVector, type IntxConnection, Kvm, MessageConnection } from "vfio/kvm";
import { LiveUpdate, receiveLiveUpdate } from "vfio/live-update";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { TinyGuest } from "../../kvm/guest.js";
import { Machine, message } from "../../kvm/machine.js";
import { bind, devices, interruptHandlers, needs } from "../devices.js";
import { resources } from "../resources.mjs";
import { carriers, handOver, present } from "./hand-over.js";
import { EDU, IGB, startIgb } from "./registers.js";

/** How long nothing must have come for a guest to have taken everything. */
const SETTLED_MS = 200;
const state = (text: RegExp) =>
  expect.objectContaining({ code: "ERR_INVALID_STATE", message: expect.stringMatching(text) });

let bound: Disposable;
let before: ReturnType<typeof resources>;
let kvm: Kvm;
let machine: Machine;
let next: Machine;
let container: Container;

beforeAll(() => {
  before = resources();
  bound = bind(devices.edu, devices.igb);
  kvm = Kvm.open();
});

afterAll(() => {
  kvm.close();
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});

beforeEach(() => {
  machine = new Machine(kvm, { label: "the guest" });
  next = new Machine(kvm, { label: "the next guest" });
  container = openContainer();
});

afterEach(() => {
  container.close();
  machine.vm.close();
  next.vm.close();
});

const nothing = new Uint8Array(0);
/** The device after a hand-over. */
const same = (device: Device) => present(container.devices.get(device.address));
const counted = (eventfd: number) => {
  while (native.eventfdPending(eventfd) === 0);
};

/** Hands the container and the machine over; `between` is when everything is frozen. */
async function pass(between: () => void = () => {}) {
  const { incoming } = await handOver(
    {
      containers: { main: container },
      machines: { guest: machine.vm },
      save: () => {
        between();
        return nothing;
      },
    },
    { machines: { guest: next.vm } },
  );
  container = incoming.container("main");
  return incoming;
}

describe.each(["irqfd", "eventfd"] as const)("MSI-X of igb, masked by %s", needs("igb"), (masking) => {
  let device: Device;
  beforeEach(() => {
    device = container.attach(devices.igb);
    for (const index of [0, 1, 2]) device.msix.enableVector(index);
    startIgb(device, 3);
  });

  const raise = (index: number) =>
    same(device)
      .region("bar0")
      .registers()
      .write32(IGB.cause, 1 << index);
  const connect = (vectors: Iterable<GuestVector>) => connectMessages(device.msix, machine.vm, vectors, { masking });
  const connectionOf = (incoming: Awaited<ReturnType<typeof pass>>) => {
    const [connection] = incoming.connections;
    if (!(connection instanceof MessageConnection)) throw new Error("no connection");
    return connection;
  };

  test("G6: what comes between two machines is raised in the next one, once", async () => {
    connect([{ index: 0, message: message(0x41) }]);
    raise(0);
    expect(machine.take(0x41)).toBe(true);
    const incoming = await pass(() => {
      raise(0);
      expect(machine.arrived).toEqual([]);
    });
    expect(next.take(0x41)).toBe(true);
    const connection = connectionOf(incoming);
    expect(connection.vector(0)).toMatchObject({ delivered: true, masked: false, pending: false });
    expect(native.eventfdPending(connection.vector(0).eventfd)).toBe(0);
    raise(0);
    expect(next.take(0x41)).toBe(true);
    expect(next.arrived).toEqual([]);
  });

  test("G41: a masked vector stays masked, and what came before and meanwhile stays pending", async () => {
    connect([
      { index: 0, message: message(0x41), masked: true },
      { index: 1, message: message(0x42), masked: true },
      { index: 2, message: message(0x43), masked: true },
    ]);
    raise(0);
    counted(device.msix.vector(0).eventfd);
    const connection = connectionOf(await pass(() => raise(1)));
    counted(connection.vector(1).interrupt.eventfd);
    expect([0, 1, 2].map((index) => connection.vector(index))).toEqual([
      expect.objectContaining({ masked: true, pending: true, delivered: false }),
      expect.objectContaining({ masked: true, pending: true, delivered: false }),
      expect.objectContaining({ masked: true, pending: false, delivered: false }),
    ]);
    expect(next.arrived).toEqual([]);
    for (const index of [0, 1]) {
      connection.vector(index).unmask();
      expect(next.take(0x41 + index)).toBe(true);
    }
    connection.vector(2).unmask();
    expect(next.arrived).toEqual([]);
    raise(2);
    expect(next.take(0x43)).toBe(true);
    // And it can be masked again.
    connection.vector(2).mask();
    raise(2);
    expect(same(device).msix.vector(2).waitSync(10_000)).toBe(1);
    expect(next.arrived).toEqual([]);
  });

  test("G8: a vector without a message is the process's, before and after, until it has one", async () => {
    connect([{ index: 0, message: message(0x41) }, { index: 1 }]);
    raise(1);
    expect(device.msix.vector(1).waitSync(10_000)).toBe(1);
    const connection = connectionOf(await pass(() => raise(1)));
    expect(connection.vector(1)).toMatchObject({ gsi: undefined, delivered: false, message: undefined });
    expect(same(device).msix.vector(1).waitSync(10_000)).toBe(1);
    connection.setMessages(new Map([[1, message(0x42)]]));
    raise(1);
    expect(next.take(0x42)).toBe(true);
    raise(0);
    expect(next.take(0x41)).toBe(true);
    expect(next.arrived).toEqual([]);
  });

  test("messages that the guest programs until everything is frozen are those of the next machine", async () => {
    const connection = connect([
      { index: 0, message: message(0x41) },
      { index: 1, message: message(0x42) },
    ]);
    const { incoming } = await handOver(
      {
        containers: { main: container },
        machines: { guest: machine.vm },
        // The last moment in which the guest runs.
        stop: () => {
          connection.setMessages(new Map([[0, message(0x51)]]));
          connection.vector(1).mask();
        },
      },
      { machines: { guest: next.vm } },
    );
    container = incoming.container("main");
    raise(0);
    expect(next.take(0x51)).toBe(true);
    raise(1);
    expect(same(device).msix.vector(1).waitSync(10_000)).toBe(1);
    connectionOf(incoming).vector(1).unmask();
    raise(1);
    expect(next.take(0x42)).toBe(true);
    expect(next.arrived).toEqual([]);
  });

  test("G9: what is connected or switched on while the manifest is on its way is refused, or ends the hand-over", async () => {
    const heldBefore = resources();
    const connection = connect([{ index: 0, message: message(0x41) }]);
    const attempts: [() => void, RegExp][] = [
      // Eventfds that the successor would not know.
      [() => device.msix.enableVector(5), /being handed over/],
      [() => device.msix.vector(2).close(), /being handed over/],
      [() => device.msix.disable(), /being handed over/],
      [() => device.err.enable(), /being handed over/],
    ];
    const failed = handOver(
      { containers: { main: container }, machines: { guest: machine.vm } },
      {
        machines: { guest: next.vm },
        ready: () => {
          for (const [act, why] of attempts) expect(act).toThrow(state(why));
          // The manifest is written: this vector's message, and its second eventfd, are not in it.
          connection.add([{ index: 1, message: message(0x42) }]);
        },
      },
    );
    await expect(failed).rejects.toThrow(/while the hand-over was prepared/);
    expect(connection.closed).toBe(false);
    for (const index of [0, 1]) {
      raise(index);
      expect(machine.take(0x41 + index)).toBe(true);
    }
    connection.close();
    expect(resources()).toEqual(heldBefore);
    // Afterwards everything can be changed again.
    device.msix.enableVector(5).close();
  });

  test("G4: what was never detached is not attached when the hand-over fails before", async () => {
    connect([{ index: 0, message: message(0x41) }]);
    const resumed: string[] = [];
    const failed = handOver(
      { containers: { main: container }, machines: { guest: machine.vm }, resume: () => resumed.push("resume") },
      {
        ready: () => {
          raise(0);
          expect(machine.take(0x41)).toBe(true);
          throw new Error("the successor has no time");
        },
      },
    );
    await expect(failed).rejects.toThrow(/the successor has no time/);
    raise(0);
    expect(machine.take(0x41)).toBe(true);
    expect([machine.arrived, resumed]).toEqual([[], []]);
  });

  test("G7: a guest that cannot have a vector, because another machine has its eventfd, is told; the rest goes on", async () => {
    const connection = connect([{ index: 0, message: message(0x41) }]);
    using thief = new Machine(kvm, { label: "a thief" });
    const { eventfd } = connection.vector(0);
    const [out, back] = await carriers();
    const update = new LiveUpdate({
      containers: { main: container },
      machines: { guest: machine.vm },
      save: () => {
        // Free for the moment.
        thief.vm.irqfd({ eventfd, gsi: thief.route(0x66) });
        return nothing;
      },
    });
    const sent = update.handOver(out);
    const incoming = await receiveLiveUpdate(back);
    const refused = await incoming.takeOver({ machines: { guest: next.vm } }).catch((error: unknown) => error);
    await sent;
    expect(machine.vm.closed).toBe(true);
    expect(refused).toMatchObject({ name: "AggregateError", errors: [{ code: "EBUSY", request: "KVM_IRQFD" }] });
    expect(incoming.committed).toBe(true);
    container = incoming.container("main");
    thief.vm.close();
    raise(0);
    // With two eventfds the kernel signals still the guest's, which nobody here has.
    if (masking === "irqfd") expect(same(device).msix.vector(0).waitSync(10_000)).toBe(1);
    connectMessages(same(device).msix, next.vm, [{ index: 0, message: message(0x41) }], { masking });
    raise(0);
    expect(next.take(0x41)).toBe(true);
  });

  test("a machine that is not named, and a connection that is detached, are blockers", () => {
    const connection = connect([{ index: 0, message: message(0x41) }]);
    const blockers = () => new LiveUpdate({ containers: { main: container } }).blockers();
    expect(blockers()).toEqual([
      expect.objectContaining({ device: devices.igb, why: expect.stringContaining("which is not handed over") }),
    ]);
    connection.detach();
    const named = new LiveUpdate({ containers: { main: container }, machines: { guest: machine.vm } }).blockers();
    expect(named).toEqual([
      expect.objectContaining({ device: devices.igb, why: expect.stringContaining("is detached") }),
    ]);
    connection.close();
    expect(blockers()).toEqual([]);
  });
});

describe("without a guest", needs("edu", "igb"), () => {
  test("G54: the old process reads nothing any more, from before the last part is sent", async () => {
    const edu = container.attach(devices.edu);
    edu.busMaster = true;
    const [vector] = edu.msi.enable(1);
    const heard: number[] = [];
    vector?.on("interrupt", (count) => heard.push(count));
    // It ends before anybody looks at it again.
    const waiting = present(vector)
      .wait()
      .catch((error: unknown) => error);
    const registers = () => same(edu).region("bar0").registers();
    await pass(() => {
      expect(() => vector?.take()).toThrow(state(/between two processes|listen or wait/));
      expect(vector?.watched).toBe(false);
      registers().write32(EDU.raise, 1);
    });
    registers().write32(EDU.raise, 1);
    expect(await waiting).toEqual(state(/switched off/));
    const again = same(edu).msi.vector(0);
    let sum = 0;
    while (sum < 2) sum += await again.wait();
    expect([sum, again.take(), heard]).toEqual([2, 0, []]);
    registers().write32(EDU.acknowledge, 0xffff_ffff);
  });

  test("ERR and REQ go on, with what they had counted", async () => {
    const igb = container.attach(devices.igb);
    const notifications = [igb.err.enable(), igb.req.enable()];
    for (const notification of notifications) notification.trigger();
    await pass();
    expect(notifications.every(({ closed }) => closed)).toBe(true);
    const { err, req } = same(igb);
    for (const notification of [err, req]) {
      const [only] = notification.on;
      expect(present(only).take()).toBe(1);
      present(only).trigger();
      expect(await present(only).wait()).toBe(1);
      notification.disable();
      notification.enable().trigger();
    }
  });

  test("G18: the kernel's handlers are the same ones, before, meanwhile and after", async () => {
    const igb = container.attach(devices.igb);
    for (const index of [0, 3, 7]) igb.msix.enableVector(index);
    const handlers = ["vfio-msix[0]", "vfio-msix[3]", "vfio-msix[7]"];
    expect(interruptHandlers(devices.igb)).toEqual(handlers);
    await pass(() => expect(interruptHandlers(devices.igb)).toEqual(handlers));
    const { msix } = same(igb);
    expect(interruptHandlers(devices.igb)).toEqual(handlers);
    expect(msix.on.map(({ index }) => index)).toEqual([0, 3, 7]);
    // G37: they come and go after it as before.
    msix.vector(3).close();
    msix.enableVector(4);
    expect(interruptHandlers(devices.igb).sort()).toEqual(["vfio-msix[0]", "vfio-msix[4]", "vfio-msix[7]"]);
    msix.disable();
    expect(interruptHandlers(devices.igb)).toEqual([]);
  });

  test("ioeventfds stand all the while, and can be found and taken back", async () => {
    const edu = container.attach(devices.edu);
    edu.busMaster = true;
    edu.msi.enable(1);
    const order = edu.region("bar0").ioeventfd({ offset: EDU.raise, width: 4, value: 2 });
    const copy = native.dup(order.eventfd);
    order.signal();
    expect(edu.msi.vector(0).waitSync(10_000)).toBe(1);
    await pass(() => native.eventfdWrite(copy, 1));
    native.close(copy);
    const again = same(edu);
    expect(again.msi.vector(0).waitSync(10_000)).toBe(1);
    const [inherited] = again.ioeventfds;
    expect(inherited?.order).toEqual({ region: 0, offset: EDU.raise, width: 4, value: 2n });
    inherited?.signal();
    expect(again.msi.vector(0).waitSync(10_000)).toBe(1);
    expect(() => again.region("bar0").ioeventfd({ offset: EDU.raise, width: 4, value: 2 })).toThrow(/EEXIST/);
    inherited?.close();
    expect(again.ioeventfds).toEqual([]);
    again.region("bar0").ioeventfd({ offset: EDU.raise, width: 4, value: 2 });
    again.region("bar0").registers().write32(EDU.acknowledge, 0xffff_ffff);
  });
});

describe("INTx of edu", needs("edu"), () => {
  const pin = { pin: 5, vector: 0x45 };
  let device: Device;
  beforeEach(() => {
    device = container.attach(devices.edu);
    acknowledge();
    device.intx.enable();
  });
  afterEach(() => {
    if (!container.closed) acknowledge();
  });

  const registers = () => same(device).region("bar0").registers();
  const raise = () => registers().write32(EDU.raise, 1);
  const acknowledge = () => registers().write32(EDU.acknowledge, 0xffff_ffff);
  const line = () => present(same(device).intx.line);

  test("masked by the kernel since it was heard, it is unmasked by the successor, and then comes what waits", async () => {
    raise();
    expect(line().waitSync(10_000)).toBe(1);
    acknowledge();
    // It waits for the unmasking, which is the successor's.
    raise();
    await pass(() => expect(() => line().unmask()).toThrow(state(/being handed over/)));
    expect(line().take()).toBe(0);
    line().unmask();
    expect(await line().wait()).toBe(1);
    acknowledge();
    line().unmask();
    expect(line().take()).toBe(0);
  });

  test("unmasked, it is counted meanwhile, and heard by the successor", async () => {
    await pass(() => raise());
    expect(await line().wait()).toBe(1);
    acknowledge();
    line().unmask();
    raise();
    expect(await line().wait()).toBe(1);
  });

  test("masked by the program, it stays masked", async () => {
    line().mask();
    raise();
    await pass();
    expect(line().take()).toBe(0);
    line().unmask();
    expect(await line().wait()).toBe(1);
  });

  test("has its unmask eventfd still", async () => {
    const unmask = line().setUnmaskEventfd();
    raise();
    expect(line().waitSync(10_000)).toBe(1);
    acknowledge();
    raise();
    await pass();
    const inherited = present(line().unmaskEventfd);
    expect(native.eventfdPending(unmask)).toBeLessThanOrEqual(0);
    native.eventfdWrite(inherited, 1);
    expect(await line().wait()).toBe(1);
    acknowledge();
    expect(() => line().setUnmaskEventfd()).toThrow(/EBUSY/);
    line().clearUnmaskEventfd();
    line().unmask();
    line().setUnmaskEventfd();
  });

  describe("resampled by a guest", () => {
    let guest: TinyGuest;
    let nextGuest: TinyGuest;
    beforeEach(() => {
      guest = new TinyGuest(machine.vm, machine.vcpu, { pin });
      nextGuest = new TinyGuest(next.vm, next.vcpu, { pin });
      for (const each of [guest, nextGuest]) each.step();
      connectIntx(line(), machine.vm, { gsi: pin.pin });
    });
    afterEach(() => {
      container.close();
      machine.vm.close();
      next.vm.close();
      for (const each of [guest, nextGuest]) each[Symbol.dispose]();
    });

    /** Runs a guest until it has taken one more; then the device is acknowledged, and it takes what was on its way. */
    const takes = (who: TinyGuest) => {
      const already = who.interrupts;
      const deadline = performance.now() + 10_000;
      while (who.interrupts === already && performance.now() < deadline) who.step();
      const taken = who.interrupts > already;
      acknowledge();
      // With its EOI the guest has unmasked a line that the device still raised: that comes too, by a work queue of KVM's, and
      // nothing tells when that is through.
      for (let last = performance.now(), seen = who.interrupts; performance.now() - last < SETTLED_MS; who.step()) {
        if (who.interrupts === seen) continue;
        seen = who.interrupts;
        last = performance.now();
      }
      return taken;
    };
    /** Runs it some more: nothing may come. */
    const quiet = (who: TinyGuest) => {
      const already = who.interrupts;
      for (let i = 0; i < 20; i++) who.step();
      return who.interrupts === already;
    };

    test("comes to the next guest after an EOI before, meanwhile and after", async () => {
      raise();
      expect(takes(guest)).toBe(true);
      const incoming = await pass(() => raise());
      expect((incoming.connections[0] as IntxConnection).delivery).toBe("resample");
      expect(takes(nextGuest)).toBe(true);
      expect(quiet(nextGuest)).toBe(true);
      raise();
      expect(takes(nextGuest)).toBe(true);
      expect(quiet(nextGuest)).toBe(true);
    });

    test("that the old guest had not taken yet comes to the next one, because the device raises it still", async () => {
      raise();
      const deadline = performance.now() + 10_000;
      // The kernel has masked the line, and the old machine's controller has it.
      while (machine.arrived.length === 0 && performance.now() < deadline);
      expect(machine.arrived).toEqual([pin.vector]);
      await pass();
      expect(takes(nextGuest)).toBe(true);
      expect(quiet(nextGuest)).toBe(true);
      raise();
      expect(takes(nextGuest)).toBe(true);
    });

    test("that was acknowledged at the device, and not by an EOI, is over; the line is not left masked", async () => {
      raise();
      const deadline = performance.now() + 10_000;
      while (machine.arrived.length === 0 && performance.now() < deadline);
      acknowledge();
      await pass();
      expect(quiet(nextGuest)).toBe(true);
      raise();
      expect(takes(nextGuest)).toBe(true);
      expect(quiet(nextGuest)).toBe(true);
    });

    test("none is lost or invented over 20 hand-overs", { timeout: 120_000 }, async () => {
      let [current, following] = [guest, nextGuest];
      for (let generation = 0; generation < 20; generation++) {
        raise();
        expect(takes(current)).toBe(true);
        await pass(() => {
          if (generation % 2 === 0) raise();
        });
        if (generation % 2 === 0) expect(takes(following)).toBe(true);
        expect(quiet(following)).toBe(true);
        current[Symbol.dispose]();
        [current, machine] = [following, next];
        next = new Machine(kvm);
        following = new TinyGuest(next.vm, next.vcpu, { pin });
        following.step();
      }
      [guest, nextGuest] = [current, following];
    });

    test("a machine with another interrupt controller is refused before anything is touched", async () => {
      using split = kvm.createVm({ irqchip: "split" });
      const failed = handOver(
        { containers: { main: container }, machines: { guest: machine.vm } },
        { machines: { guest: split } },
      );
      await expect(failed).rejects.toThrow();
      raise();
      expect(takes(guest)).toBe(true);
    });
  });

  test("goes on by setLevel where the controllers are the program's", async () => {
    using bare = kvm.createVm({ irqchip: "none" });
    using nextBare = kvm.createVm({ irqchip: "none" });
    const levels: string[] = [];
    const setLevel = (who: string) => (level: boolean) => levels.push(`${who} ${level}`);
    connectIntx(line(), bare, { gsi: 5, setLevel: setLevel("old") });
    const { incoming } = await handOver(
      {
        containers: { main: container },
        machines: { guest: bare },
        save: () => {
          raise();
          return nothing;
        },
      },
      {
        machines: { guest: nextBare },
        setLevel: (address, level) => setLevel(`new ${address}`)(level),
      },
    );
    container = incoming.container("main");
    await expect.poll(() => levels).toEqual([`new ${devices.edu} true`]);
    acknowledge();
    (incoming.connections[0] as IntxConnection).eoi();
    expect(levels.at(-1)).toBe(`new ${devices.edu} false`);
    raise();
    await expect.poll(() => levels.length).toBe(3);
  });

  test("goes on by irqfd where the program tells of the EOI", async () => {
    const [split, nextSplit] = [kvm.createVm({ irqchip: "split" }), kvm.createVm({ irqchip: "split" })];
    using _closing = nextSplit;
    const vcpu = nextSplit.createVcpu();
    const apic = vcpu.readLocalApic();
    apic.enabled = true;
    vcpu.writeLocalApic(apic);
    for (const vm of [split, nextSplit]) vm.routing.setMsi(5, message(0x45)).commit();
    connectIntx(line(), split, { gsi: 5 });
    const { incoming } = await handOver(
      { containers: { main: container }, machines: { guest: split } },
      { machines: { guest: nextSplit } },
    );
    container = incoming.container("main");
    const [connection] = incoming.connections as readonly IntxConnection[];
    for (let i = 0; i < 2; i++) {
      raise();
      const deadline = performance.now() + 10_000;
      let arrived = false;
      while (!arrived && performance.now() < deadline) {
        const now = vcpu.readLocalApic();
        arrived = now.isRequested(0x45);
        if (!arrived) continue;
        now.clearRequest(0x45);
        vcpu.writeLocalApic(now);
      }
      expect(arrived).toBe(true);
      acknowledge();
      connection?.eoi();
    }
    container.close();
  });
});
