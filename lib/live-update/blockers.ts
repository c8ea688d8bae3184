/**
 * What keeps a hand-over from being made, found before anything is touched.
 *
 * @module
 */
import type { Container } from "../container/container.js";
import type { Blocker } from "../container/hand-over.js";
import type { Device } from "../device/device.js";
import type { Interrupt } from "../device/interrupt.js";
import { RegionMap } from "../device/region-map.js";
import { VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_STATE_RUNNING } from "../kernel/uapi.js";
import { claimedBy } from "../kvm/claim.js";
import { IrqFd } from "../kvm/irqfd.js";
import { MessageConnection } from "../kvm/message-connection.js";
import { DmaBuffer, type DmaMemory } from "../memory/dma-buffer.js";
import type { OutgoingCarrier } from "./carrier.js";
import type { Plan } from "./plan.js";

/** Everything that stands in the way, of every object of the plan. */
export function findBlockers(plan: Plan, carrier: OutgoingCarrier | undefined): readonly Blocker[] {
  const connected = new Set(
    plan.connections.flatMap(({ connection }) =>
      connection instanceof MessageConnection
        ? [...connection.vectors.values()].map(({ interrupt }) => interrupt)
        : [connection.line],
    ),
  );
  return [
    ...[...plan.containers].flatMap(([name, container]) => ofContainer(plan, name, container, connected)),
    ...[...plan.memory].flatMap(([name, buffer]) => ofMemory(plan, buffer, `the memory "${name}"`)),
    ...[...plan.machines].flatMap(([name, vm]) => (vm.closed ? [closed(`the machine "${name}"`)] : [])),
    ...plan.connections.flatMap(({ connection }) => {
      if (plan.deviceOf(connection) !== undefined) return [];
      return [
        {
          device: undefined,
          object: connection.label,
          why: `it goes to ${connection.vm.label}, which is handed over, and its device is not`,
          fix: "hand its container over too, or close the connection",
        },
      ];
    }),
    ...(carrier === undefined
      ? []
      : carrier.blockers().map((each) => ({ device: undefined, object: `the carrier (${carrier.name})`, ...each }))),
  ];
}

function closed(object: string): Blocker {
  return { device: undefined, object, why: "it is closed", fix: "leave it out" };
}

function ofContainer(
  plan: Plan,
  name: string,
  container: Container,
  connected: ReadonlySet<Interrupt>,
): readonly Blocker[] {
  const object = `the container "${name}" (${container.mode})`;
  if (container.closed) return [closed(object)];
  const underWay = container.underWay.map(({ device, what }) => ({
    device,
    object: device ?? object,
    why: `it ${what}`,
    fix: "wait until that is over, and try again",
  }));
  // What is under way may hold locks that the questions below would wait for.
  if (underWay.length > 0) return underWay;
  const memory = new Set([...container.mappings].map((mapping) => mapping.memory));
  const unfit = [...memory].flatMap((each) => ofMemory(plan, each, each.label));
  return [
    ...unfit,
    // Asked without what is unfit anyway, the kernel would only repeat it in fewer words.
    ...(unfit.length > 0 ? [] : container.handOver.blockers()),
    ...[...container.devices.values()].flatMap((device) => ofDevice(plan, device, connected)),
  ];
}

function ofMemory(plan: Plan, memory: DmaMemory, object: string): readonly Blocker[] {
  const blocker = (why: string, fix: string): Blocker[] => [{ device: undefined, object, why, fix }];
  if (memory instanceof RegionMap) {
    if (plan.devices.some(({ device }) => device.mapOf(memory) !== undefined)) return [];
    return blocker(
      "it is memory of a device that is not handed over",
      "hand its container over too, or unmap it first and map it again afterwards",
    );
  }
  if (!(memory instanceof DmaBuffer)) {
    return blocker("it is not this package's memory, so nobody knows whether another process can have it", "unmap it");
  }
  if (memory.closed) return [closed(object)];
  const held = [...memory.holders].find((holder) => !plan.maps(holder));
  if (held !== undefined) {
    return blocker(
      `it is also mapped at ${held}, which is not handed over`,
      "hand that container over too, or unmap it there",
    );
  }
  if (memory.backing() !== undefined) return [];
  return blocker(
    "it is private to this process, and has no file that could travel",
    'allocate it with { backing: "memfd" }, the default',
  );
}

function ofDevice(plan: Plan, device: Device, connected: ReadonlySet<Interrupt>): readonly Blocker[] {
  const blocker = (object: string, why: string, fix: string): Blocker => ({ device: device.address, object, why, fix });
  const interrupts = device.interrupts.flatMap((interrupt) => {
    if (connected.has(interrupt)) return [];
    const vm = claimedBy(interrupt);
    const detached = vm !== undefined && [...plan.machines.values()].includes(vm);
    if (detached) {
      return [blocker(interrupt.label, `its connection to ${vm} is detached`, "attach or close the connection first")];
    }
    if (vm !== undefined) {
      return [blocker(interrupt.label, `it goes to ${vm}, which is not handed over`, "name that machine too")];
    }
    const holder = IrqFd.holderOf(interrupt.eventfd) ?? interrupt.borrower;
    if (holder === undefined) return [];
    return [blocker(interrupt.label, `it is lent to ${holder}`, "take it back first; connectMessages() can travel")];
  });
  return [...interrupts, ...ofMigration(device)];
}

/** A device that is being migrated is stopped, or about to be: the successor would not know. */
function ofMigration(device: Device): readonly Blocker[] {
  if (!device.features.has(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, "get")) return [];
  // struct vfio_device_feature_mig_state: the state, and a descriptor that a read does not make.
  const state = new Uint32Array(2);
  device.features.get(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, new Uint8Array(state.buffer));
  if (state[0] === VFIO_DEVICE_STATE_RUNNING) return [];
  return [
    {
      device: device.address,
      object: device.address,
      why: `a migration is under way: its state is ${state[0]}, and not RUNNING`,
      fix: "finish or cancel the migration first",
    },
  ];
}
