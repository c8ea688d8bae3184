/** Real interrupts of real devices in a guest: nothing of this process runs in between. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Container, type Device, type IntxLine, openContainer, type Registers } from "vfio";
import { connectIntx, connectMessages, type GuestVector, Kvm, type Vm } from "vfio/kvm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Igb } from "../../examples/igb.js";
import { native } from "../../lib/kernel/native.js";
import { refusal } from "../helpers/refusal.js";
import { TinyGuest } from "../kvm/guest.js";
import { Machine, message, noKvm, startReassigning } from "../kvm/machine.js";
import { bind, devices, interruptHandlers, needs, onlyIf } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const missing = noKvm();
const state = (text: RegExp) =>
  expect.objectContaining({ code: "ERR_INVALID_STATE", message: expect.stringMatching(text) });

// QEMU, docs/specs/edu.rst
const EDU = { status: 0x24, raise: 0x60, acknowledge: 0x64 } as const;
// Intel's 82576 datasheet: "Extended Interrupt Cause Set", "Mask Set", "Auto Clear"
const IGB = { cause: 0x1520, mask: 0x1524, autoClear: 0x152c } as const;

const used = [devices.edu, devices.igb, ...(devices.xhci === undefined ? [] : [devices.xhci])];
const larger = onlyIf(devices.xhci !== undefined, "takes a rig with a USB controller (--device qemu-xhci)");

let before: ReturnType<typeof resources>;
let bound: Disposable;
let kvm: Kvm;
let machine: Machine;

beforeAll(() => {
  if (missing !== undefined) return;
  before = resources();
  bound = bind(...used);
  kvm = Kvm.open();
});

afterAll(() => {
  if (missing !== undefined) return;
  kvm.close();
  bound[Symbol.dispose]();
  expect(resources()).toEqual(before);
});

beforeEach(() => {
  machine = new Machine(kvm, { label: "the guest" });
});

afterEach(() => {
  machine.vm.close();
});

describe.skipIf(missing !== undefined).each(["irqfd", "eventfd"] as const)(
  "MSI-X of igb, masked by %s",
  needs("igb"),
  (masking) => {
    let container: Container;
    let device: Device;
    let igb: Igb;
    let registers: Registers;

    beforeAll(async () => {
      container = openContainer();
      device = container.attach(devices.igb);
      igb = await Igb.open(container, device);
      for (const index of [1, 2]) device.msix.enableVector(index);
      registers = device.region("bar0").registers();
      for (const register of [IGB.mask, IGB.autoClear]) registers.write32(register, 7);
    });

    afterAll(() => {
      igb[Symbol.dispose]();
      container.close();
    });

    /** Has the device send the message of a vector. */
    const raise = (index: number) => registers.write32(IGB.cause, 1 << index);
    const vector = (index: number) => device.msix.vector(index);
    const connect = (vm: Vm, vectors: Iterable<GuestVector>) => connectMessages(device.msix, vm, vectors, { masking });

    test("arrives in the vCPU, with nothing in between", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      expect(connection.vector(0)).toMatchObject({ index: 0, delivered: true, masked: false, pending: false });
      igb.sendInterrupt();
      expect(machine.take(0x41)).toBe(true);
      expect(native.eventfdPending(vector(0).eventfd)).toBe(0);
    });

    test("of several vectors has a route each, made with one commit, and changed together", () => {
      using connection = connect(
        machine.vm,
        [0, 1, 2].map((index) => ({ index, message: message(0x41 + index) })),
      );
      expect([...connection.vectors.values()].map(({ gsi }) => gsi)).toEqual([24, 25, 26]);
      for (const index of [0, 1, 2]) {
        raise(index);
        expect(machine.take(0x41 + index)).toBe(true);
      }
      connection.setMessages(new Map([0, 1, 2].map((index) => [index, message(0x51 + index)])));
      for (const index of [2, 1, 0]) {
        raise(index);
        expect(machine.take(0x51 + index)).toBe(true);
      }
      expect(machine.arrived).toEqual([]);
    });

    test("goes to this process while the guest has the vector masked, and to the guest with what came", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      const guest = connection.vector(0);
      guest.mask();
      expect(guest).toMatchObject({ masked: true, delivered: false, pending: false });
      raise(0);
      raise(0);
      expect(vector(0).waitSync(10_000)).toBeGreaterThan(0);
      raise(0);
      while (!guest.pending);
      expect(machine.arrived).toEqual([]);
      guest.unmask();
      expect(guest).toMatchObject({ masked: false, delivered: true, pending: false });
      expect(machine.take(0x41)).toBe(true);
      // Programmed anew while it was masked.
      guest.mask();
      guest.unmask(message(0x42));
      raise(0);
      expect(machine.take(0x42)).toBe(true);
      expect(machine.arrived).toEqual([]);
    });

    test.runIf(masking === "irqfd")("is KVM's alone while the guest has it", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      expect(connection.vector(0).eventfd).toBe(vector(0).eventfd);
      expect(() => vector(0).take()).toThrow(state(/is lent to a guest's irqfd/));
      connection.vector(0).mask();
      const listener = () => {};
      vector(0).on("interrupt", listener);
      expect(() => connection.vector(0).unmask()).toThrow(state(/somebody listens/));
      expect(connection.vector(0).masked).toBe(true);
      vector(0).off("interrupt", listener);
      connection.vector(0).unmask();
      raise(0);
      expect(machine.take(0x41)).toBe(true);
    });

    test.runIf(masking === "eventfd")(
      "has an eventfd for the guest and one for this process, where one may listen",
      () => {
        const heard: number[] = [];
        const listener = (count: number) => heard.push(count);
        vector(0).on("interrupt", listener);
        using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
        expect(connection.vector(0).eventfd).not.toBe(vector(0).eventfd);
        raise(0);
        expect(machine.take(0x41)).toBe(true);
        expect(heard).toEqual([]);
        vector(0).off("interrupt", listener);
        // Taken from it while the kernel signals the guest's: the wrong one is refused.
        expect(() => device.msix.redirect(0, -1)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
        expect(() => device.msix.redirect(0, machine.vm.fd)).toThrow(/VFIO_DEVICE_SET_IRQS/);
      },
    );

    test("is heard while it is masked by who listens, and is then theirs", async () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41), masked: true }]);
      const heard = vector(0).wait();
      raise(0);
      expect(await heard).toBe(1);
      connection.vector(0).unmask();
      expect(machine.arrived).toEqual([]);
      raise(0);
      expect(machine.take(0x41)).toBe(true);
    });

    test("comes to the guest also if it came before the guest was connected", () => {
      raise(0);
      while (native.eventfdPending(vector(0).eventfd) === 0);
      using _connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      expect(machine.take(0x41)).toBe(true);
    });

    test("G4: attaching what was never detached, and detaching twice, changes nothing", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      connection.attach();
      connection.detach();
      connection.detach();
      connection.attach();
      connection.attach();
      raise(0);
      expect(machine.take(0x41)).toBe(true);
      expect(machine.arrived).toEqual([]);
    });

    test("G6: what comes while it is detached is raised when it is attached, here or in a new machine", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      const { eventfd } = connection.vector(0);
      connection.detach();
      raise(0);
      while (native.eventfdPending(eventfd) === 0);
      expect(machine.arrived).toEqual([]);
      connection.attach();
      expect(machine.take(0x41)).toBe(true);

      connection.detach();
      raise(0);
      while (native.eventfdPending(eventfd) === 0);
      using next = new Machine(kvm);
      machine.vm.close();
      expect(connection.closed).toBe(false);
      connection.attach(next.vm);
      expect(next.take(0x41)).toBe(true);
      expect(connection.vector(0).eventfd).toBe(eventfd);
      raise(0);
      expect(next.take(0x41)).toBe(true);
      expect(next.arrived).toEqual([]);
    });

    test("G8: a vector without a message is this process's, and is left alone when the others are detached", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }, { index: 1 }]);
      expect(connection.vector(1)).toMatchObject({ gsi: undefined, delivered: false });
      connection.detach();
      raise(1);
      expect(vector(1).waitSync(10_000)).toBe(1);
      connection.attach();
      raise(1);
      expect(vector(1).waitSync(10_000)).toBe(1);
      connection.setMessages(new Map([[1, message(0x42)]]));
      raise(1);
      expect(machine.take(0x42)).toBe(true);
    });

    test("G9: a vector that comes while the others are detached is attached with them", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      connection.detach();
      connection.add([{ index: 1, message: message(0x42) }]);
      expect(connection.vector(1).delivered).toBe(false);
      raise(1);
      while (native.eventfdPending(connection.vector(1).eventfd) === 0);
      connection.attach();
      expect(machine.take(0x42)).toBe(true);
      expect(() => connection.add([{ index: 1 }])).toThrow(state(/connected already/));
    });

    test("G41: a masked vector stays masked over detach and attach, and what came stays pending", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      const guest = connection.vector(0);
      guest.mask();
      connection.detach();
      raise(0);
      while (!guest.pending);
      using next = new Machine(kvm);
      connection.attach(next.vm);
      expect(guest).toMatchObject({ masked: true, pending: true, delivered: false });
      expect(next.arrived).toEqual([]);
      guest.unmask();
      expect(next.take(0x41)).toBe(true);
    });

    test("is this process's again when the connection is closed, with what the guest has not got", () => {
      const connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      connection.detach();
      raise(0);
      while (native.eventfdPending(connection.vector(0).eventfd) === 0);
      connection.close();
      connection.close();
      expect(vector(0).take()).toBe(1);
      raise(0);
      expect(vector(0).waitSync(10_000)).toBe(1);
      expect(machine.arrived).toEqual([]);
      expect(machine.vm.routing.routes.size).toBe(24);
      expect(() => connection.attach()).toThrow(state(/is closed/));
    });

    test("is this process's again when the machine is closed", () => {
      const connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      machine.vm.close();
      expect(connection.closed).toBe(true);
      raise(0);
      expect(vector(0).waitSync(10_000)).toBe(1);
    });

    test("goes to one of two machines: the other is refused, and told which eventfd and why, until the first lets go", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      using other = new Machine(kvm, { label: "another guest" });
      const { eventfd } = connection.vector(0);
      // The eventfd itself: KVM refuses.
      const refused = refusal(() => other.vm.irqfd({ eventfd, gsi: other.route(0x42) }));
      expect(refused).toMatchObject({ code: "EBUSY", object: `eventfd ${eventfd} in another guest` });
      expect(refused.why).toContain(`(msix 0 of ${devices.igb}) on GSI 24 of the guest`);
      // The vector, by a second eventfd: the library refuses.
      const vectors = [
        { index: 1, message: message(0x43) },
        { index: 0, message: message(0x42) },
      ];
      const again = refusal(() => connect(other.vm, vectors));
      expect(again).toMatchObject({ code: "EBUSY", object: `msix 0 of ${devices.igb} in another guest` });
      expect(again.why).toContain(`it goes to the guest already, through eventfd ${eventfd}`);
      raise(0);
      expect(machine.take(0x41)).toBe(true);
      // Nothing is left of the vector that was connected before the refusal.
      raise(1);
      expect(vector(1).waitSync(10_000)).toBe(1);
      connection.close();
      using _second = connect(other.vm, vectors);
      raise(0);
      expect(other.take(0x42)).toBe(true);
      expect(machine.arrived).toEqual([]);
    });

    test("stays as it was when a machine refuses it", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      using bare = kvm.createVm({ irqchip: "none" });
      expect(() => connection.attach(bare)).toThrow(/KVM_SET_GSI_ROUTING/);
      expect(connection.attached).toBe(false);
      raise(0);
      connection.attach(machine.vm);
      expect(machine.take(0x41)).toBe(true);
      expect(() => connect(machine.vm, [{ index: 5, message: message(0x45) }])).toThrow(state(/is off/));
    });

    test("G37: a connection lives through the vectors around it, which come and go", () => {
      using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
      const more = device.msix.enableVector(4);
      connection.add([{ index: 4, message: message(0x45) }]);
      more.trigger();
      expect(machine.take(0x45)).toBe(true);
      more.close();
      raise(0);
      expect(machine.take(0x41)).toBe(true);
    });

    test.runIf(masking === "irqfd")(
      "loses none of 10,000 interrupts while its irqfd is deassigned and assigned all the while",
      {
        timeout: 240_000,
      },
      async () => {
        using connection = connect(machine.vm, [{ index: 0, message: message(0x41) }]);
        const { eventfd, gsi = -1 } = connection.vector(0);
        const other = await startReassigning(machine.vm, eventfd, gsi);
        let arrived = 0;
        for (let edge = 0; edge < 10_000; edge++) {
          raise(0);
          if (!machine.take(0x41)) break;
          arrived++;
        }
        const rounds = await other.stop();
        expect(arrived).toBe(10_000);
        expect(rounds).toBeGreaterThan(100);
        connection.detach();
        expect([machine.arrived, native.eventfdPending(eventfd)]).toEqual([[], 0]);
      },
    );

    test("is over when the vectors are switched off, and the connection is closed after that", () => {
      using second = connect(machine.vm, [
        { index: 1, message: message(0x42) },
        { index: 2, message: message(0x43), masked: true },
      ]);
      for (const index of [1, 2]) vector(index).close();
      raise(1);
      expect(machine.arrived).toEqual([]);
      second.close();
      for (const index of [1, 2]) device.msix.enableVector(index);
      // What it raised meanwhile comes first, if the device kept it.
      raise(1);
      expect(vector(1).waitSync(10_000)).toBeGreaterThan(0);
    });
  },
);

describe.skipIf(missing !== undefined)("edu", needs("edu"), () => {
  let container: Container;
  let device: Device;
  let registers: Registers;

  beforeEach(() => {
    container = openContainer();
    device = container.attach(devices.edu);
    device.busMaster = true;
    registers = device.region("bar0").registers();
    registers.write32(EDU.acknowledge, 0xffff_ffff);
  });

  afterEach(() => {
    registers.write32(EDU.acknowledge, 0xffff_ffff);
    container.close();
  });

  const raise = () => registers.write32(EDU.raise, 1);
  const acknowledge = () => registers.write32(EDU.acknowledge, registers.read32(EDU.status));

  describe("by message", () => {
    test("arrives in the vCPU, with nothing in between", () => {
      const [vector] = device.msi.enable(1);
      using connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
      raise();
      expect(machine.take(0x41)).toBe(true);
      // The vector has one eventfd, which is KVM's now.
      expect(connection.vector(0).eventfd).toBe(vector?.eventfd);
      expect(() => vector?.take()).toThrow(state(/is lent to a guest's irqfd/));
      expect(() => vector?.on("interrupt", () => {})).toThrow(state(/is lent/));
      connection.close();
      raise();
      expect(vector?.waitSync(10_000)).toBe(1);
    });

    test("is pending while it is masked, and raised when it is unmasked", () => {
      const [vector] = device.msi.enable(1);
      using connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
      const guest = connection.vector(0);
      guest.mask();
      raise();
      while (!guest.pending);
      expect(machine.arrived).toEqual([]);
      guest.unmask();
      expect(machine.take(0x41)).toBe(true);
      guest.mask();
      raise();
      expect(vector?.waitSync(10_000)).toBe(1);
      vector?.on("interrupt", () => {});
      expect(() => guest.unmask()).toThrow(state(/somebody listens/));
      expect(guest.masked).toBe(true);
    });

    test("is not masked by an eventfd, because it keeps nothing pending", () => {
      device.msi.enable(1);
      const vectors = [{ index: 0, message: message(0x41) }];
      expect(() => connectMessages(device.msi, machine.vm, vectors, { masking: "eventfd" })).toThrow(
        /"masking" must be/,
      );
    });

    test("G6: what comes while it is detached is raised in a new machine", () => {
      device.msi.enable(1);
      using connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
      connection.detach();
      raise();
      while (native.eventfdPending(connection.vector(0).eventfd) === 0);
      using next = new Machine(kvm);
      connection.attach(next.vm);
      expect(next.take(0x41)).toBe(true);
      expect(machine.arrived).toEqual([]);
    });

    test("G38: fewer vectors than were asked for are none, and nothing can be connected", () => {
      const most = device.msi.count;
      expect(() => device.msi.enable(most + 1)).toThrow(/"count" must be an integer from 1 to/);
      expect(() => connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }])).toThrow(
        state(/is off/),
      );
    });

    test("G39: switched off, the device has no interrupt at all until one is switched on", () => {
      device.msi.enable(1);
      using connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
      device.msi.disable();
      expect(interruptHandlers(devices.edu)).toEqual([]);
      connection.close();
      const line = device.intx.enable();
      expect(interruptHandlers(devices.edu)).toEqual(["vfio-intx"]);
      raise();
      expect(line.waitSync(10_000)).toBe(1);
    });

    test("loses none of 10,000 interrupts while its irqfd is deassigned and assigned all the while", {
      timeout: 240_000,
    }, async () => {
      device.msi.enable(1);
      using connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
      const { eventfd, gsi = -1 } = connection.vector(0);
      const other = await startReassigning(machine.vm, eventfd, gsi);
      let arrived = 0;
      for (let edge = 0; edge < 10_000; edge++) {
        raise();
        if (!machine.take(0x41)) break;
        arrived++;
      }
      expect(await other.stop()).toBeGreaterThan(100);
      expect(arrived).toBe(10_000);
      connection.detach();
      expect([machine.arrived, native.eventfdPending(eventfd)]).toEqual([[], 0]);
    });

    test("closes with the device, whichever is first", () => {
      device.msi.enable(1);
      const connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
      device.close();
      connection.close();
      device = container.attach(devices.edu);
      registers = device.region("bar0").registers();
    });
  });

  describe("by line", () => {
    const pin = { pin: 5, vector: 0x45 };
    let line: IntxLine;
    let guest: TinyGuest;

    beforeEach(() => {
      line = device.intx.enable();
      guest = new TinyGuest(machine.vm, machine.vcpu, { pin });
      guest.step();
    });

    afterEach(() => {
      machine.vm.close();
      guest[Symbol.dispose]();
    });

    /** Runs the guest until it has taken so many interrupts. */
    const taken = (count: number) => {
      const deadline = performance.now() + 10_000;
      while (guest.interrupts < count && performance.now() < deadline) guest.step();
      return guest.interrupts;
    };

    test("G40: arrives, and after the guest's EOI again, as long as the device raises it", () => {
      using connection = connectIntx(line, machine.vm, { gsi: pin.pin });
      expect(connection.delivery).toBe("resample");
      raise();
      const deadline = performance.now() + 10_000;
      while (machine.arrived.length === 0 && performance.now() < deadline);
      expect(machine.arrived).toEqual([pin.vector]);
      // Not acknowledged at the device: each EOI lets it come again.
      expect(taken(3)).toBeGreaterThanOrEqual(3);
      acknowledge();
      // What was on its way arrives; then it is quiet.
      for (let i = 0; i < 50; i++) guest.step();
      const quiet = guest.interrupts;
      for (let i = 0; i < 50; i++) guest.step();
      expect(guest.interrupts).toBe(quiet);
      raise();
      expect(taken(quiet + 1)).toBeGreaterThan(quiet);
      acknowledge();
      connection.close();
    });

    test("G40: a second unmask eventfd is refused, and the line is as it was", () => {
      line.setUnmaskEventfd();
      const error = refusal(() => connectIntx(line, machine.vm, { gsi: pin.pin }));
      expect(error).toMatchObject({ code: "EBUSY", request: "VFIO_DEVICE_SET_IRQS" });
      raise();
      expect(line.waitSync(10_000)).toBe(1);
      acknowledge();
      line.unmask();
      line.clearUnmaskEventfd();
      using _connection = connectIntx(line, machine.vm, { gsi: pin.pin });
      raise();
      expect(taken(1)).toBeGreaterThanOrEqual(1);
      acknowledge();
    });

    test("is this process's again when the connection is closed, also while the device raises it", () => {
      const connection = connectIntx(line, machine.vm, { gsi: pin.pin });
      expect(() => line.take()).toThrow(state(/is lent/));
      raise();
      expect(taken(1)).toBeGreaterThanOrEqual(1);
      connection.close();
      connection.close();
      expect(line.waitSync(10_000)).toBe(1);
      acknowledge();
      line.unmask();
      raise();
      expect(line.waitSync(10_000)).toBe(1);
      expect(line.unmaskEventfd).toBeUndefined();
    });

    test("G6: what comes while it is detached is raised when it is attached; none is stuck, here or in a new machine", () => {
      using connection = connectIntx(line, machine.vm, { gsi: pin.pin });
      connection.detach();
      connection.detach();
      raise();
      while (native.eventfdPending(line.eventfd) === 0);
      connection.attach();
      connection.attach();
      expect(taken(1)).toBeGreaterThanOrEqual(1);
      acknowledge();
      for (let i = 0; i < 50; i++) guest.step();
      // Raised in the old machine, which never acknowledges it: the line is masked, and the eventfd empty.
      raise();
      const deadline = performance.now() + 10_000;
      while (machine.arrived.length === 0 && performance.now() < deadline);
      connection.detach();
      using next = new Machine(kvm);
      using guestOfNext = new TinyGuest(next.vm, next.vcpu, { pin });
      guestOfNext.step();
      connection.attach(next.vm);
      const late = performance.now() + 10_000;
      while (guestOfNext.interrupts === 0 && performance.now() < late) guestOfNext.step();
      expect(guestOfNext.interrupts).toBeGreaterThan(0);
      acknowledge();
      connection.close();
      next.vm.close();
    });

    test("goes to one of two machines", () => {
      using connection = connectIntx(line, machine.vm, { gsi: pin.pin });
      using other = new Machine(kvm, { label: "another guest" });
      const error = refusal(() => connectIntx(line, other.vm, { gsi: pin.pin }));
      expect(error).toMatchObject({ code: "EBUSY", object: `intx of ${devices.edu} in another guest` });
      expect(error.why).toContain("it goes to the guest already");
      connection.close();
      using _then = connectIntx(line, other.vm, { gsi: pin.pin });
    });

    test("goes as far as a split irqchip allows: KVM raises it, the program tells of the EOI", () => {
      using split = new Machine(kvm, { irqchip: "split", label: "split" });
      // The pin of an IOAPIC in user space is a message.
      split.vm.routing.setMsi(pin.pin, message(0x46)).commit();
      using connection = connectIntx(line, split.vm, { gsi: pin.pin });
      expect(connection.delivery).toBe("irqfd");
      for (let i = 0; i < 3; i++) {
        raise();
        expect(split.take(0x46)).toBe(true);
        // Masked until the EOI.
        expect(native.eventfdPending(line.eventfd)).toBe(0);
        acknowledge();
        connection.eoi();
      }
    });

    test("goes through this process without an irqchip in the kernel", async () => {
      using bare = kvm.createVm({ irqchip: "none", label: "bare" });
      expect(refusal(() => connectIntx(line, bare, { gsi: pin.pin }))).toMatchObject({ code: "EAGAIN" });
      const levels: boolean[] = [];
      let changed = () => {};
      const setLevel = (level: boolean) => {
        levels.push(level);
        changed();
      };
      const connection = connectIntx(line, bare, { gsi: pin.pin, setLevel });
      expect(connection.delivery).toBe("user");
      const next = () => new Promise<void>((resolve) => (changed = resolve));
      const raised = next();
      raise();
      await raised;
      acknowledge();
      connection.eoi();
      expect(levels).toEqual([true, false]);
      connection.detach();
      raise();
      while (native.eventfdPending(line.eventfd) === 0);
      const again = next();
      connection.attach();
      await again;
      connection.close();
      expect(levels).toEqual([true, false, true, false]);
      // Its listener is gone, and the line is unmasked.
      expect(line.waitSync(10_000)).toBe(1);
    });
  });

  test("is the device of the example", () => {
    device.close();
    bound[Symbol.dispose]();
    const example = fileURLToPath(new URL("../../dist/examples/irqfd.js", import.meta.url));
    expect(execFileSync(process.execPath, [example, devices.edu], { encoding: "utf8" })).toBe(
      "vector 0x41 has arrived in the first guest\nvector 0x41 has arrived in the second guest\n",
    );
    bound = bind(...used);
    device = container.attach(devices.edu);
    registers = device.region("bar0").registers();
  });

  test("rings in a circle: the guest's write, the device's register, its message, the guest's vector", () => {
    device.msi.enable(1);
    using guest = new TinyGuest(machine.vm, machine.vcpu);
    guest.step();
    using _connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(0x41) }]);
    const DOORBELL = 0xd000_0000;
    using fromGuest = machine.vm.ioeventfd({ address: DOORBELL, length: 4 });
    using _toDevice = device
      .region("bar0")
      .ioeventfd({ offset: EDU.raise, width: 4, value: 1, eventfd: fromGuest.eventfd });
    const before = guest.interrupts;
    guest.write(DOORBELL, 0);
    const deadline = performance.now() + 10_000;
    while (guest.interrupts === before && performance.now() < deadline) guest.step();
    expect(guest.interrupts).toBe(before + 1);
    expect(registers.read32(EDU.status)).toBe(1);
    machine.vm.close();
  });
});

describe("G37: MSI, which cannot have more vectors than it was switched on with", larger, () => {
  test("grows by being switched off and on, under a guest", () => {
    using container = openContainer();
    const device = container.attach(devices.xhci ?? "none");
    device.msi.enable(2);
    using connection = connectMessages(device.msi, machine.vm, [{ index: 1, message: message(0x41) }]);
    // And a vector that signals another eventfd than its own.
    const elsewhere = native.eventfd();
    device.msi.redirect(0, elsewhere);
    const last = device.msi.enableVector(3);
    connection.add([{ index: 3, message: message(0x43) }]);
    device.msi.vector(1).trigger();
    expect(machine.take(0x41)).toBe(true);
    last.trigger();
    expect(machine.take(0x43)).toBe(true);
    device.msi.vector(0).trigger();
    expect(native.eventfdRead(elsewhere)).toBe(1);
    device.msi.redirect(0, undefined);
    device.msi.vector(0).trigger();
    expect(device.msi.vector(0).take()).toBe(1);
    native.close(elsewhere);
  });
});

describe.skipIf(missing !== undefined)("KVM's VFIO device", needs("edu"), () => {
  test.each(modes)("G42: knows a file before the device is opened, in %s", (mode) => {
    using device = machine.vm.createVfioDevice();
    let file = -1;
    let added: Disposable | undefined;
    const container = openContainer({ mode });
    container.attach(devices.edu, {
      beforeOpen: (fd) => {
        file = fd;
        expect(container.devices.size).toBe(0);
        added = device.addFile(fd);
      },
    });
    expect(refusal(() => device.addFile(file))).toMatchObject({ code: "EEXIST", why: "the file was added already" });
    container.close();
    // KVM keeps the file until it is removed, and removes it although it is closed here.
    if (mode !== "iommufd") {
      using early = openContainer({ mode });
      expect(refusal(() => early.attach(devices.edu)).code).toBe("EBUSY");
    }
    added?.[Symbol.dispose]();
    added?.[Symbol.dispose]();
    using again = openContainer({ mode });
    again.attach(devices.edu);
  });

  test("says so when somebody else has removed its file", () => {
    using device = machine.vm.createVfioDevice();
    using container = openContainer();
    let file = -1;
    container.attach(devices.edu, { beforeOpen: (fd) => (file = fd) });
    const added = device.addFile(file);
    expect(native.kvmSetDeviceAttrFd(device.fd, 1, 2, file)).toBe(0);
    expect(refusal(() => added[Symbol.dispose]())).toMatchObject({ code: "ENOENT", why: "the file was not added" });
  });

  test.each(modes)("G42: lets a device go that it refuses, in %s", (mode) => {
    using container = openContainer({ mode });
    const inside = resources();
    expect(() =>
      container.attach(devices.edu, {
        beforeOpen: () => {
          throw new Error("not this one");
        },
      }),
    ).toThrow("not this one");
    expect(resources()).toEqual(inside);
    container.attach(devices.edu);
  });

  test("G42: of a second machine is told anew", () => {
    using container = openContainer({ mode: "iommufd" });
    let file = -1;
    container.attach(devices.edu, { beforeOpen: (fd) => (file = fd) });
    const first = machine.vm.createVfioDevice();
    using _added = first.addFile(file);
    using next = new Machine(kvm);
    using second = next.vm.createVfioDevice();
    using _addedAgain = second.addFile(file);
    machine.vm.close();
  });
});
