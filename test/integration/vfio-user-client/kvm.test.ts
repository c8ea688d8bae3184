/** A device of a socket whose interrupts go into a guest: neither VFIO nor this process's event loop has a part in it. */
import path from "node:path";
import type { Device, Registers } from "vfio";
import { connectIntx, connectMessages, Kvm } from "vfio/kvm";
import { UserContainer } from "vfio/user";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Machine, message, noKvm } from "../../kvm/machine.js";
import { type EduProcess, socketDirectory, startEdu } from "./edu-process.js";

// QEMU, docs/specs/edu.rst
const EDU = { status: 0x24, raise: 0x60, acknowledge: 0x64 } as const;
const PIN = 10;
const VECTOR = 0x41;

const missing = noKvm();

describe.skipIf(missing !== undefined)(`a vfio-user device and a guest${missing ?? ""}`, () => {
  const directory = socketDirectory();
  const socket = path.join(directory.path, "edu.sock");
  let server: EduProcess;
  let kvm: Kvm;
  let machine: Machine;
  let container: UserContainer;
  let device: Device;
  let registers: Registers;

  beforeAll(async () => {
    server = await startEdu(socket);
    kvm = Kvm.open();
  });

  afterAll(async () => {
    kvm.close();
    await server[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  beforeEach(() => {
    machine = new Machine(kvm);
    container = UserContainer.open({ socket });
    device = container.attach();
    registers = device.region("bar0").registers();
  });

  afterEach(() => {
    container.close();
    machine[Symbol.dispose]();
  });

  const acknowledge = () => registers.write32(EDU.acknowledge, registers.read32(EDU.status));

  test("a message arrives in the vCPU, is kept while it is masked, and comes back to this process", () => {
    const [vector] = device.msi.enable(1);
    using connection = connectMessages(device.msi, machine.vm, [{ index: 0, message: message(VECTOR) }]);
    registers.write32(EDU.raise, 1);
    expect(machine.take(VECTOR)).toBe(true);
    const guest = connection.vector(0);
    guest.mask();
    registers.write32(EDU.raise, 1);
    while (!guest.pending);
    expect(machine.arrived).toEqual([]);
    guest.unmask();
    expect(machine.take(VECTOR)).toBe(true);
    connection.close();
    registers.write32(EDU.raise, 1);
    expect(vector?.waitSync(10_000)).toBe(1);
    acknowledge();
  });

  test("a line arrives in the vCPU, once for each time that the program tells of the guest's EOI", () => {
    using split = new Machine(kvm, { irqchip: "split" });
    // The pin of an I/O APIC in user space is a message.
    split.vm.routing.setMsi(PIN, message(VECTOR)).commit();
    using connection = connectIntx(device.intx.enable(), split.vm, { gsi: PIN });
    registers.write32(EDU.raise, 1);
    expect(split.take(VECTOR)).toBe(true);
    // Not acknowledged at the device.
    connection.eoi();
    expect(split.take(VECTOR)).toBe(true);
    acknowledge();
  });
});
