/** KVM's side of an interrupt, on the machine's own /dev/kvm: an eventfd stands for the device. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type GsiRoute, Kvm, Vm } from "vfio/kvm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../lib/kernel/native.js";
import { refusal } from "../helpers/refusal.js";
import { TinyGuest } from "../kvm/guest.js";
import { Machine, message, noKvm, startReassigning, startWorker } from "../kvm/machine.js";
import { outcome } from "../rig/outcome.js";
import { resources } from "../rig/resources.mjs";

// linux/kvm.h
const DEASSIGN = 1;
const FILE = 1;
const FILE_DEL = 2;
const state = (text: RegExp) =>
  expect.objectContaining({ code: "ERR_INVALID_STATE", message: expect.stringMatching(text) });
const missing = noKvm();

describe("opening KVM", () => {
  test("without /dev/kvm says how to get it", () => {
    expect(refusal(() => Kvm.open("/dev/no-kvm"))).toMatchObject({
      code: "ENOENT",
      path: "/dev/no-kvm",
      why: expect.stringContaining("there is no KVM"),
      fix: expect.stringContaining("modprobe kvm_intel or kvm_amd"),
    });
  });

  test("refuses a file that is something else", () => {
    const before = resources();
    expect(refusal(() => Kvm.open("/dev/null"))).toMatchObject({ code: "ENOTTY", why: "the file is not KVM's" });
    expect(resources()).toEqual(before);
  });

  test.skipIf(missing !== undefined || process.getuid?.() !== 0)("without permission says how to get it", () => {
    const library = new URL("../../dist/kvm/index.js", import.meta.url).href;
    const program = `
      const { Kvm } = await import(${JSON.stringify(library)});
      process.setuid(65534);
      try { Kvm.open(); } catch (error) { console.log(JSON.stringify(error)); }`;
    const told = JSON.parse(
      execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" }),
    );
    expect(told).toMatchObject({ code: "EACCES", path: "/dev/kvm", fix: expect.stringContaining("usually kvm") });
  });
});

describe.skipIf(missing !== undefined)(`KVM${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  let before: ReturnType<typeof resources>;
  let kvm: Kvm;
  let eventfds: number[] = [];

  /** An eventfd that is closed after the test. */
  const eventfd = () => {
    const fd = native.eventfd();
    eventfds.push(fd);
    return fd;
  };
  const signal = (fd: number, count = 1) => expect(native.eventfdWrite(fd, count)).toBe(8);

  beforeEach(() => {
    before = resources();
    kvm = Kvm.open();
  });

  afterEach(() => {
    kvm.close();
    for (const fd of eventfds) native.close(fd);
    eventfds = [];
    expect(resources()).toEqual(before);
  });

  test("runs the example, with an eventfd for the device", () => {
    const example = fileURLToPath(new URL("../../dist/examples/irqfd.js", import.meta.url));
    expect(execFileSync(process.execPath, [example], { encoding: "utf8" })).toBe(
      "vector 0x41 has arrived in the first guest\nvector 0x41 has arrived in the second guest\n",
    );
  });

  test("says what it can", () => {
    const KVM_CAP_IRQFD = 32;
    expect(kvm.checkExtension(KVM_CAP_IRQFD)).toBe(1);
    expect(kvm.checkExtension(0xffff)).toBe(0);
    expect(() => kvm.checkExtension(-1)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });

  describe("an irqfd, as the kernel's irqfd_test has it", () => {
    test("is the eventfd's only one, in its machine and in every other", () => {
      using first = kvm.createVm({ label: "first" });
      using second = kvm.createVm({ label: "second" });
      const fd = eventfd();
      using held = first.irqfd({ eventfd: fd, gsi: 10, label: "msix 0" });
      expect(held.assigned).toBe(true);
      for (const [vm, gsi] of [
        [first, 11],
        [second, 12],
      ] as const) {
        const error = refusal(() => vm.irqfd({ eventfd: fd, gsi }));
        expect(error).toMatchObject({ code: "EBUSY", request: "KVM_IRQFD" });
        // Which eventfd, and why.
        expect(error.object).toBe(`eventfd ${fd} in ${vm.label}`);
        expect(error.why).toContain(`this one has it already: eventfd ${fd} (msix 0) on GSI 10 of first`);
        expect(error.fix).toContain("deassign that one first");
      }
      held.close();
      using _then = second.irqfd({ eventfd: fd, gsi: 12 });
    });

    test("is named also through another descriptor of the eventfd; one of another process is not known", () => {
      using vm = kvm.createVm();
      const fd = eventfd();
      const copy = native.dup(fd);
      eventfds.push(copy);
      using _held = vm.irqfd({ eventfd: fd, gsi: 10 });
      expect(refusal(() => vm.irqfd({ eventfd: copy, gsi: 10 })).why).toContain(`eventfd ${fd} on GSI 10`);
      const other = eventfd();
      expect(native.kvmIrqfd(vm.fd, other, 11, 0, 0)).toBe(0);
      expect(refusal(() => vm.irqfd({ eventfd: other, gsi: 11 })).why).toContain(
        "an irqfd of another process or thread",
      );
    });

    test("is deassigned also where it was never assigned, as long as the eventfd is open", () => {
      using vm = kvm.createVm();
      const fd = native.eventfd();
      expect(native.kvmIrqfd(vm.fd, fd, 10, 0, 0)).toBe(0);
      for (const gsi of [11, 12, 13, 14, 10]) expect(native.kvmIrqfd(vm.fd, fd, gsi, DEASSIGN, 0)).toBe(0);
      native.close(fd);
      expect(outcome(native.kvmIrqfd(vm.fd, fd, 10, DEASSIGN, 0))).toBe("EBADF");
    });

    test("is assigned, deassigned and closed from two threads over two machines", { timeout: 120_000 }, async () => {
      using first = kvm.createVm();
      using second = kvm.createVm();
      // [round, the eventfd of the round, the round that the other thread has finished]
      const shared = new Int32Array(new SharedArrayBuffer(12));
      const worker = await startWorker(
        `const { first, second, shared } = data;
         const seen = new Set();
         for (let round = 1; ; round++) {
           Atomics.wait(shared, 0, round - 1);
           const fd = Atomics.load(shared, 1);
           if (fd < 0) break;
           seen.add(native.kvmIrqfd(first, fd, 10, 0, 0));
           seen.add(native.kvmIrqfd(second, fd, 12, 0, 0));
           seen.add(native.kvmIrqfd(first, fd, 10, 1, 0));
           seen.add(native.kvmIrqfd(second, fd, 12, 1, 0));
           Atomics.store(shared, 2, round);
           Atomics.notify(shared, 2);
         }
         parentPort.postMessage([...seen]);`,
        { first: first.fd, second: second.fd, shared },
      );
      const answer = new Promise<number[]>((resolve) => worker.once("message", resolve));
      const exit = new Promise((resolve) => worker.once("exit", resolve));
      const seen = new Set<string | number | bigint>();
      const ROUNDS = 10_000;
      for (let round = 1; round <= ROUNDS; round++) {
        const fd = native.eventfd();
        Atomics.store(shared, 1, fd);
        Atomics.store(shared, 0, round);
        Atomics.notify(shared, 0);
        seen.add(outcome(native.kvmIrqfd(second.fd, fd, 12, 0, 0)));
        seen.add(outcome(native.kvmIrqfd(first.fd, fd, 11, 0, 0)));
        seen.add(outcome(native.kvmIrqfd(second.fd, fd, 12, DEASSIGN, 0)));
        // In every third round the other thread may find it closed; in the others it must not.
        if (round % 3 === 0) native.close(fd);
        Atomics.wait(shared, 2, round - 1);
        if (round % 3 !== 0) native.close(fd);
      }
      Atomics.store(shared, 1, -1);
      Atomics.store(shared, 0, ROUNDS + 1);
      Atomics.notify(shared, 0);
      for (const status of await answer) seen.add(outcome(status));
      await exit;
      expect([...seen].sort()).toEqual(expect.arrayContaining([0]));
      expect([...seen].filter((each) => each !== 0 && each !== "EBUSY" && each !== "EBADF")).toEqual([]);
    });
  });

  describe("an irqfd", () => {
    test("raises its vector with nothing of this process in between", () => {
      using machine = new Machine(kvm);
      const fd = eventfd();
      using _irqfd = machine.vm.irqfd({ eventfd: fd, gsi: machine.route(0x41) });
      expect(machine.arrived).toEqual([]);
      signal(fd);
      expect(machine.take(0x41)).toBe(true);
      expect(native.eventfdPending(fd)).toBe(0);
    });

    test("G6: what comes while it is deassigned is raised once when it is back", () => {
      using machine = new Machine(kvm);
      const fd = eventfd();
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi: machine.route(0x41) });
      irqfd.deassign();
      signal(fd, 3);
      expect(machine.arrived).toEqual([]);
      expect(native.eventfdPending(fd)).toBe(1);
      irqfd.assign();
      expect(machine.take(0x41)).toBe(true);
      // Not a second time, neither here nor for the next reader.
      irqfd.deassign();
      expect(native.eventfdPending(fd)).toBe(0);
      irqfd.assign();
      irqfd.deassign();
      expect(machine.arrived).toEqual([]);
    });

    test("G6: what comes meanwhile is raised once in a new machine", () => {
      const fd = eventfd();
      {
        using old = new Machine(kvm);
        using irqfd = old.vm.irqfd({ eventfd: fd, gsi: old.route(0x41) });
        signal(fd);
        expect(old.take(0x41)).toBe(true);
        irqfd.deassign();
        signal(fd);
        signal(fd);
        expect(old.arrived).toEqual([]);
      }
      using machine = new Machine(kvm);
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi: machine.route(0x42) });
      expect(machine.take(0x42)).toBe(true);
      irqfd.deassign();
      expect(machine.arrived).toEqual([]);
    });

    test("takes back an eventfd that blocks, without waiting for it", () => {
      using machine = new Machine(kvm);
      const fd = eventfd();
      const FIONBIO = 0x5421;
      expect(native.ioctl(fd, FIONBIO, Int32Array.of(0))).toBe(0);
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi: machine.route(0x41) });
      irqfd.deassign();
      signal(fd);
      irqfd.assign();
      expect(machine.take(0x41)).toBe(true);
      expect(native.eventfdPending(fd)).toBe(0);
    });

    test("G4: assigning and deassigning twice is the same as once", () => {
      using machine = new Machine(kvm);
      const fd = eventfd();
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi: machine.route(0x41) });
      irqfd.assign();
      irqfd.deassign();
      irqfd.deassign();
      irqfd.assign();
      irqfd.assign();
      signal(fd);
      expect(machine.take(0x41)).toBe(true);
      irqfd.close();
      irqfd.close();
      expect(() => irqfd.assign()).toThrow(state(/is closed/));
    });

    test("G7: a new machine gets the eventfd once the old one lets go, be it only by its end", () => {
      const old = new Machine(kvm, { label: "old" });
      const fd = eventfd();
      old.vm.irqfd({ eventfd: fd, gsi: old.route(0x41) });
      using machine = new Machine(kvm, { label: "new" });
      const gsi = machine.route(0x42);
      expect(refusal(() => machine.vm.irqfd({ eventfd: fd, gsi })).why).toContain("on GSI 24 of old");
      old.vm.close();
      using _irqfd = machine.vm.irqfd({ eventfd: fd, gsi });
      signal(fd);
      expect(machine.take(0x42)).toBe(true);
    });

    test("goes on when its caller closes the eventfd's descriptor", () => {
      using machine = new Machine(kvm);
      const fd = native.eventfd();
      const copy = native.dup(fd);
      eventfds.push(copy);
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi: machine.route(0x41) });
      native.close(fd);
      signal(copy);
      expect(machine.take(0x41)).toBe(true);
      irqfd.deassign();
      expect(irqfd.assigned).toBe(false);
    });

    test("loses none of 10,000 interrupts while another thread deassigns and assigns it all the while", {
      timeout: 120_000,
    }, async () => {
      using machine = new Machine(kvm);
      const fd = eventfd();
      const gsi = machine.route(0x41);
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi });
      const other = await startReassigning(machine.vm, fd, gsi);
      let arrived = 0;
      for (let edge = 0; edge < 10_000; edge++) {
        signal(fd);
        if (!machine.take(0x41)) break;
        arrived++;
      }
      expect(await other.stop()).toBeGreaterThan(0);
      expect(arrived).toBe(10_000);
      irqfd.deassign();
      // As many as there were, and no more.
      expect([machine.arrived, native.eventfdPending(fd)]).toEqual([[], 0]);
    });
  });

  describe("an irqfd is refused", () => {
    test("without an interrupt controller", () => {
      using vm = kvm.createVm({ irqchip: "none", label: "bare" });
      expect(refusal(() => vm.irqfd({ eventfd: eventfd(), gsi: 5 }))).toMatchObject({
        code: "EAGAIN",
        why: expect.stringContaining("bare has no interrupt controller in the kernel"),
        fix: expect.stringContaining('irqchip: "full"'),
      });
    });

    test("on a GSI that has no route, where KVM would drop every interrupt", () => {
      using machine = new Machine(kvm);
      const fd = eventfd();
      expect(refusal(() => machine.vm.irqfd({ eventfd: fd, gsi: 200 }))).toMatchObject({
        code: "ENXIO",
        why: "GSI 200 has no route, and KVM would drop every interrupt",
      });
      // It does.
      expect(native.kvmIrqfd(machine.vm.fd, fd, 200, 0, 0)).toBe(0);
      signal(fd);
      expect([machine.arrived, native.eventfdPending(fd)]).toEqual([[], 0]);
    });

    test("for an eventfd that is closed", () => {
      using vm = kvm.createVm();
      const good = eventfd();
      const fd = native.eventfd();
      native.close(fd);
      expect(refusal(() => vm.irqfd({ eventfd: fd, gsi: 5 }))).toMatchObject({
        code: "EBADF",
        object: `eventfd ${fd}`,
        why: "the eventfd is closed: nothing can signal it any more",
      });
      expect(refusal(() => vm.irqfd({ eventfd: good, gsi: 5, resample: fd })).code).toBe("EBADF");
    });

    test("for a descriptor that is no eventfd", () => {
      using vm = kvm.createVm();
      const error = refusal(() => vm.irqfd({ eventfd: vm.fd, gsi: 5 }));
      expect(error).toMatchObject({ code: "EINVAL", why: expect.stringContaining("is no eventfd") });
      expect(refusal(() => vm.irqfd({ eventfd: eventfd(), gsi: 5, resample: vm.fd })).why).toContain("is no eventfd");
    });

    test("G40: with resample and a split irqchip", () => {
      using vm = kvm.createVm({ irqchip: "split" });
      vm.routing.setMsi(5, message(0x45)).commit();
      const error = refusal(() => vm.irqfd({ eventfd: eventfd(), gsi: 5, resample: eventfd() }));
      expect(error).toMatchObject({ code: "EINVAL", why: expect.stringContaining("the IOAPIC is in user space") });
      using _plain = vm.irqfd({ eventfd: eventfd(), gsi: 5 });
    });
  });

  describe("resample", () => {
    test("holds the line up until the guest's EOI", () => {
      using machine = new Machine(kvm);
      // The guest programs the pin; its EOI is tested where KVM delivers to a running guest.
      using guest = new TinyGuest(machine.vm, machine.vcpu, { pin: { pin: 5, vector: 0x45 } });
      guest.step();
      const [fd, resample] = [eventfd(), eventfd()];
      using _irqfd = machine.vm.irqfd({ eventfd: fd, gsi: 5, resample });
      signal(fd);
      expect(machine.take(0x45)).toBe(true);
      expect(native.eventfdPending(resample)).toBe(0);
      machine.vm.close();
    });

    test("is of two devices on one line", () => {
      using vm = kvm.createVm();
      using _one = vm.irqfd({ eventfd: eventfd(), gsi: 5, resample: eventfd() });
      using _two = vm.irqfd({ eventfd: eventfd(), gsi: 5, resample: eventfd() });
    });
  });

  describe("the routing table", () => {
    test("takes several changes at once, and only with the commit", () => {
      using machine = new Machine(kvm);
      const { vm } = machine;
      const fds = [eventfd(), eventfd()] as const;
      const gsis = [machine.route(0x41), machine.route(0x42)] as const;
      using _one = vm.irqfd({ eventfd: fds[0], gsi: gsis[0] });
      using _two = vm.irqfd({ eventfd: fds[1], gsi: gsis[1] });
      vm.routing.setMsi(gsis[0], message(0x51)).setMsi(gsis[1], message(0x52));
      expect(vm.routing.changed).toBe(true);
      signal(fds[0]);
      expect(machine.take(0x41)).toBe(true);
      vm.routing.commit();
      expect(vm.routing.changed).toBe(false);
      for (const fd of fds) signal(fd);
      expect(machine.take(0x51) && machine.take(0x52)).toBe(true);
      expect(machine.arrived).toEqual([]);
    });

    test("begins as KVM makes it, and keeps the lines when messages come", () => {
      using machine = new Machine(kvm);
      using guest = new TinyGuest(machine.vm, machine.vcpu, { pin: { pin: 9, vector: 0x49 } });
      guest.step();
      expect(machine.vm.routing.routes.size).toBe(24);
      machine.route(0x41);
      machine.vm.irqLine(9, true);
      expect(machine.take(0x49)).toBe(true);
      machine.vm.irqLine(9, false);
      machine.vm.close();
    });

    test("allocates what is free, above the pins", () => {
      using vm = kvm.createVm();
      const { routing } = vm;
      expect([routing.allocate(), routing.allocate()]).toEqual([24, 25]);
      routing.setMsi(24, message(0x41)).setMsi(25, message(0x42)).commit();
      routing.delete(24).commit();
      expect([routing.allocate(), routing.allocate()]).toEqual([24, 26]);
    });

    test("ends", () => {
      using vm = kvm.createVm({ irqchip: "split" });
      let count = 0;
      const error = refusal(() => {
        for (;;) {
          vm.routing.setMsi(vm.routing.allocate(), message(0x41));
          count++;
        }
      });
      expect(error).toMatchObject({ code: "ENOSPC", why: expect.stringContaining("is in use") });
      vm.routing.commit();
      expect(vm.routing.routes.size).toBe(count);
    });

    test("is rolled back, and stays what it was when KVM refuses", () => {
      using machine = new Machine(kvm);
      const { routing } = machine.vm;
      const gsi = machine.route(0x41);
      routing.setPins(4, [{ irqchip: "ioapic", pin: 400 }]);
      expect(refusal(() => routing.commit())).toMatchObject({ code: "EINVAL", request: "KVM_SET_GSI_ROUTING" });
      expect(routing.changed).toBe(true);
      routing.rollback();
      expect(routing.changed).toBe(false);
      const fd = eventfd();
      using _irqfd = machine.vm.irqfd({ eventfd: fd, gsi });
      signal(fd);
      expect(machine.take(0x41)).toBe(true);
    });

    test("keeps a route that an irqfd hangs on", () => {
      using machine = new Machine(kvm);
      const { routing } = machine.vm;
      const fd = eventfd();
      const gsi = machine.route(0x41);
      using irqfd = machine.vm.irqfd({ eventfd: fd, gsi, label: "msix 0" });
      routing.delete(gsi);
      expect(() => routing.commit()).toThrow(state(/\(msix 0\) hangs on GSI 24 .* would be lost/));
      irqfd.deassign();
      routing.commit();
      expect(refusal(() => irqfd.assign()).code).toBe("ENXIO");
    });

    test("refuses what is no message", () => {
      using vm = kvm.createVm();
      const range = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" });
      const { routing } = vm;
      expect(() => routing.setMsi(4096, message(1))).toThrow(range);
      expect(() => routing.setMsi(-1, message(1))).toThrow(range);
      expect(() => routing.setMsi(30, { address: -1, data: 0 })).toThrow(range);
      expect(() => routing.setMsi(30, { address: 0, data: 2 ** 32 })).toThrow(range);
      expect(() => routing.setMsi(30, { address: 0, data: 0, deviceId: -1 })).toThrow(range);
      expect(() => routing.setPins(30, [])).toThrow(range);
    });

    test("refuses arguments of the wrong type, and misspelt options", () => {
      using vm = kvm.createVm();
      const misspelt = expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" });
      const wrongType = expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" });
      const call = (object: object, method: string, ...args: readonly unknown[]) =>
        Reflect.apply(Reflect.get(object, method), object, args);
      expect(() => call(kvm, "createVm", { irqChip: "full" })).toThrow(misspelt);
      expect(() => call(kvm, "createVm", { irqchip: "ful" })).toThrow(misspelt);
      expect(() => call(vm.routing, "setMsi", "30", message(1))).toThrow(wrongType);
      expect(() => call(vm.routing, "setMsi", 30)).toThrow(wrongType);
      expect(() => call(vm.routing, "setPins", 30, [{ irqchip: "apic", pin: 1 }])).toThrow(misspelt);
      expect(() => call(vm, "irqfd", { eventfd: 1, gsi: 1, resampl: 2 })).toThrow(misspelt);
      expect(() => call(vm, "irqfd", { gsi: 1 })).toThrow(wrongType);
      expect(() => call(vm, "ioeventfd", { address: 0, length: 4, space: "io" })).toThrow(misspelt);
      expect(() => call(vm, "ioeventfd", { address: 0, length: 3 })).toThrow(
        expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }),
      );
      expect(() => call(vm, "signalMsi", { address: "0", data: 0 })).toThrow(wrongType);
      expect(() => call(vm, "irqLine", 1, 1)).toThrow(wrongType);
    });
  });

  describe("a machine", () => {
    test("takes a message without a route, if somebody is there", () => {
      using machine = new Machine(kvm);
      expect(machine.vm.signalMsi(message(0x55))).toBe(true);
      expect(machine.take(0x55)).toBe(true);
      expect(machine.vm.signalMsi({ address: 0xfee0_3000, data: 0x55 })).toBe(false);
    });

    test("without an irqchip has neither lines nor messages nor local APICs", () => {
      using vm = kvm.createVm({ irqchip: "none" });
      const why = expect.stringContaining("no interrupt controller in the kernel");
      expect(refusal(() => vm.irqLine(5, true))).toMatchObject({ code: "ENXIO", why });
      expect(refusal(() => vm.signalMsi(message(0x55)))).toMatchObject({ code: "EINVAL", why });
      using vcpu = vm.createVcpu();
      expect(refusal(() => vcpu.readLocalApic())).toMatchObject({
        code: "EINVAL",
        why: "the virtual machine has no local APICs in the kernel",
      });
    });

    test("is taken over, with the table that it is said to have", () => {
      const source = new Machine(kvm);
      const gsi = source.route(0x41);
      const routes = new Map<number, GsiRoute>(source.vm.routing.routes);
      const fd = eventfd();
      const copy = native.dup(source.vm.fd);
      const blind = Vm.adopt(native.dup(source.vm.fd), { irqchip: "full" });
      expect(blind.hasRoute(gsi)).toBeUndefined();
      {
        using _irqfd = blind.irqfd({ eventfd: fd, gsi });
        signal(fd);
        expect(source.take(0x41)).toBe(true);
      }
      expect(() => blind.routing.setMsi(30, message(1))).toThrow(state(/nobody said what is in the routing table/));
      expect(() => blind.routing.allocate()).toThrow(state(/nobody said/));
      blind.close();

      using vm = Vm.adopt(copy, { irqchip: "full", routes, label: "taken over" });
      vm.routing.setMsi(vm.routing.allocate(), message(0x42)).commit();
      using _irqfd = vm.irqfd({ eventfd: fd, gsi });
      signal(fd);
      expect(source.take(0x41)).toBe(true);
      source.vm.close();
      // The descriptor is the object's own.
      vm.irqfd({ eventfd: eventfd(), gsi: 25 });
    });

    test("is not taken over if it is none", () => {
      expect(refusal(() => Vm.adopt(eventfd(), { irqchip: "full" }))).toMatchObject({
        why: "the descriptor is no virtual machine",
      });
      const other = native.open("/dev/kvm", 2);
      expect(refusal(() => Vm.adopt(other, { irqchip: "full" })).why).toBe("the descriptor is no virtual machine");
      native.close(other);
      expect(refusal(() => Vm.adopt(other, { irqchip: "full" }))).toMatchObject({
        code: "EBADF",
        why: "the descriptor is not open",
      });
    });

    test("closes what it made, also after a forgotten one", () => {
      const vm = kvm.createVm();
      vm.createVcpu();
      vm.createVfioDevice();
      const irqfd = vm.irqfd({ eventfd: eventfd(), gsi: 5 });
      const order = vm.ioeventfd({ address: 0xd000_0000, length: 4 });
      vm.close();
      vm.close();
      expect([vm.closed, irqfd.closed]).toEqual([true, true]);
      expect(() => order.eventfd).toThrow(state(/is closed/));
      expect(() => vm.createVcpu()).toThrow(state(/is closed/));
    });
  });

  describe("KVM's VFIO device", () => {
    test("is one for a machine", () => {
      using vm = kvm.createVm();
      using device = vm.createVfioDevice();
      expect(device.takesFiles).toBe(true);
      expect(refusal(() => vm.createVfioDevice())).toMatchObject({
        code: "EBUSY",
        why: expect.stringContaining("this one has it already"),
      });
    });

    test("refuses what is no file of VFIO's", () => {
      using vm = kvm.createVm();
      using device = vm.createVfioDevice();
      const fd = eventfd();
      expect(refusal(() => device.addFile(fd))).toMatchObject({
        code: "EINVAL",
        request: "KVM_SET_DEVICE_ATTR",
        why: "the file is neither a VFIO group nor a VFIO device",
      });
      expect(outcome(native.kvmSetDeviceAttrFd(device.fd, FILE, FILE_DEL, fd))).toBe("ENOENT");
      const closed = native.eventfd();
      native.close(closed);
      expect(refusal(() => device.addFile(closed))).toMatchObject({ code: "EBADF", why: "the descriptor is not open" });
      expect(outcome(native.kvmSetDeviceAttrFd(device.fd, FILE, FILE_DEL, closed))).toBe("EBADF");
      // Attributes that it does not have.
      expect(outcome(native.kvmHasDeviceAttr(device.fd, FILE, 99))).toBe("ENXIO");
      expect(outcome(native.kvmHasDeviceAttr(device.fd, 99, FILE_DEL))).toBe("ENXIO");
    });
  });

  describe("an ioeventfd", () => {
    test("is signalled by the guest's write", () => {
      using machine = new Machine(kvm);
      using guest = new TinyGuest(machine.vm, machine.vcpu);
      using any = machine.vm.ioeventfd({ address: 0xd000_0000, length: 4 });
      using seven = machine.vm.ioeventfd({ address: 0xd000_0004, length: 4, match: 7 });
      guest.write(0xd000_0000, 1);
      guest.write(0xd000_0004, 7);
      expect([native.eventfdRead(any.eventfd), native.eventfdRead(seven.eventfd)]).toEqual([1, 1]);
      // Nobody's write goes to who runs the guest.
      expect(() => guest.write(0xd000_0004, 8)).toThrow("exit reason 6");
      expect(outcome(native.eventfdRead(seven.eventfd))).toBe("EAGAIN");
      machine.vm.close();
    });

    test("is refused where there is one", () => {
      using vm = kvm.createVm();
      const fd = eventfd();
      using first = vm.ioeventfd({ address: 0xd000_0000, length: 4, eventfd: fd });
      const again = () => vm.ioeventfd({ address: 0xd000_0000, length: 4, eventfd: fd });
      expect(refusal(again)).toMatchObject({ code: "EEXIST", why: "a write there has an ioeventfd already" });
      first.close();
      first.close();
      again().close();
      expect(refusal(() => vm.ioeventfd({ address: 0xd000_0000, length: 4, eventfd: vm.fd })).code).toBe("EINVAL");
      const closed = native.eventfd();
      native.close(closed);
      expect(refusal(() => vm.ioeventfd({ address: 0xd000_0000, length: 4, eventfd: closed }))).toMatchObject({
        code: "EBADF",
        why: "the eventfd is closed",
      });
      expect(() => vm.ioeventfd({ address: 0, length: 0, match: 1 })).toThrow(/"length" must be/);
    });

    test("is of ports too, which are addresses of their own", () => {
      using vm = kvm.createVm();
      using _port = vm.ioeventfd({ address: 0x81, length: 1, space: "pio" });
      using _memory = vm.ioeventfd({ address: 0x81, length: 1 });
      expect(refusal(() => vm.ioeventfd({ address: 0x81, length: 1, space: "pio" })).code).toBe("EEXIST");
    });
  });
});
