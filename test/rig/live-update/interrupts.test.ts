/**
 * No interrupt is lost, and none comes twice, over many hand-overs in a row: with irqfd and without.
 */
import { setImmediate as turn } from "node:timers/promises";
import { type Container, openContainer } from "vfio";
import { connectMessages, Kvm } from "vfio/kvm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { native } from "../../../lib/kernel/native.js";
import { Machine, message } from "../../kvm/machine.js";
import { bind, devices, needs } from "../devices.js";
import { resources } from "../resources.mjs";
import { handOver, ownModes, present } from "./hand-over.js";
import { EDU, IGB, startIgb } from "./registers.js";
import { Stimulus } from "./stimulus.js";

const HAND_OVERS = Number(process.env.VFIO_HAND_OVERS ?? 200);

let bound: Disposable;
let before: ReturnType<typeof resources>;
let kvm: Kvm;
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

const find = (container: Container) => ({
  edu: present(container.devices.get(devices.edu)),
  igb: present(container.devices.get(devices.igb)),
});

/**
 * A virtual machine that takes interrupts and counts them.
 *
 * No guest runs in it: what has reached its local APIC is taken there. Under emulation a processor that runs takes one in several
 * hundred interrupts twice, also one that was sent by KVM_SIGNAL_MSI, and nobody could say then whose fault it was.
 */
class Guest implements Disposable {
  readonly machine = new Machine(kvm);
  #taken = 0;

  /** How many it has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes what has come. */
  step(): void {
    const apic = this.machine.vcpu.readLocalApic();
    const vectors = apic.requested;
    if (vectors.length === 0) return;
    for (const vector of vectors) apic.clearRequest(vector);
    // One is on its way at a time, so that nothing comes in between.
    this.machine.vcpu.writeLocalApic(apic);
    this.#taken += vectors.length;
  }

  [Symbol.dispose](): void {
    this.machine.vm.close();
  }
}

describe.each(ownModes)("in %s", needs("edu", "igb"), (mode) => {
  test(`each of many interrupts comes once, here or in the guest, over ${HAND_OVERS} hand-overs`, {
    timeout: 60_000 + HAND_OVERS * 1000,
  }, async () => {
    let container: Container = openContainer({ mode });
    const edu = container.attach(devices.edu);
    const igb = container.attach(devices.igb);
    edu.busMaster = true;
    edu.region("bar0").registers().write32(EDU.acknowledge, 0xffff_ffff);
    edu.msi.enable(1);
    igb.msix.enable(3);
    startIgb(igb, 3);

    let guest = new Guest();
    connectMessages(igb.msix, guest.machine.vm, [{ index: 1, message: message(0x41) }]);
    connectMessages(igb.msix, guest.machine.vm, [{ index: 2, message: message(0x42) }], { masking: "eventfd" });

    const heard = { edu: 0, igb: 0 };
    const listen = () => {
      const { edu, igb } = find(container);
      edu.msi.vector(0).on("interrupt", (count) => {
        heard.edu += count;
      });
      igb.msix.vector(0).on("interrupt", (count) => {
        heard.igb += count;
      });
    };
    listen();
    const steady = await Stimulus.start([
      { device: edu, register: EDU.raise, value: 1, handler: "vfio-msi[0]" },
      { device: igb, register: IGB.cause, value: 1 << 0, handler: "vfio-msix[0]" },
    ]);
    // The next one when the guest has taken the last one, so that one that comes twice is one too many.
    const paced = await Stimulus.start(
      [1, 2].map((index) => ({ device: igb, register: IGB.cause, value: 1 << index, handler: `vfio-msix[${index}]` })),
      true,
    );
    let takenBefore = 0;
    let running = true;
    const run = async () => {
      let allowed = 0;
      let progress = performance.now();
      while (running || takenBefore + guest.taken < allowed) {
        const taken = takenBefore + guest.taken;
        if (taken > allowed) throw new Error(`the guest took ${taken} interrupts where ${allowed} were to come`);
        if (taken === allowed && running) {
          paced.allow(++allowed);
          progress = performance.now();
        }
        if (performance.now() - progress > 20_000) throw new Error(`interrupt ${allowed} never came to the guest`);
        guest.step();
        await turn();
      }
    };
    const guests = run();
    let crossing = 0;
    for (let generation = 0; generation < HAND_OVERS; generation++) {
      let frozenAt = 0;
      const next = new Guest();
      let last: Guest | undefined;
      const { incoming } = await Promise.race([
        handOver(
          {
            containers: { main: container },
            machines: { guest: guest.machine.vm },
            save: () => {
              // What a program would save, and give to the next machine.
              guest.step();
              takenBefore += guest.taken;
              [guest, last] = [next, guest];
              frozenAt = steady.raised + paced.raised;
              return new Uint8Array(0);
            },
          },
          { machines: { guest: next.machine.vm } },
        ),
        guests.then(() => Promise.reject(new Error("the guest ended"))),
      ]);
      crossing += steady.raised + paced.raised - frozenAt;
      last?.[Symbol.dispose]();
      container = incoming.container("main");
      listen();
    }
    running = false;
    await guests;
    const [raised, sent] = await Promise.all([steady.stop(), paced.stop()]);
    await expect
      .poll(() => heard, { timeout: 10_000, interval: 5 })
      .toEqual({
        edu: Math.ceil(raised / 2),
        igb: Math.floor(raised / 2),
      });
    for (let i = 0; i < 50; i++) guest.step();
    expect(takenBefore + guest.taken).toBe(sent);
    const last = find(container);
    const eventfds = [...[0, 1, 2].map((index) => last.igb.msix.vector(index).eventfd), last.edu.msi.vector(0).eventfd];
    expect(eventfds.map((eventfd) => native.eventfdPending(eventfd))).toEqual([0, 0, 0, 0]);
    // Not all of them came while nothing happened.
    expect(crossing).toBeGreaterThan(HAND_OVERS / 2);
    container.close();
    guest[Symbol.dispose]();
  });
});
