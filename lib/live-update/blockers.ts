/**
 * What keeps a hand-over from being made, found before anything is touched. Every object says what keeps it.
 *
 * @module
 */
import { type Blocker, closedBlocker, type UpdateScope } from "../base/preserve.js";
import type { Container } from "../container/container.js";
import { interruptBlockers } from "../kvm/claim.js";
import type { OutgoingCarrier } from "./carrier.js";
import type { Plan } from "./plan.js";

/** Everything that stands in the way, of every object of the plan. */
export function findBlockers(plan: Plan, carrier: OutgoingCarrier | undefined): readonly Blocker[] {
  const { scope } = plan;
  return [
    ...[...plan.containers].flatMap(([name, container]) => ofContainer(scope, name, container)),
    ...[...plan.memory].flatMap(([name, buffer]) =>
      // Under the name that the program gives it.
      buffer.blockers(scope).map((blocker) => ({ ...blocker, object: `the memory "${name}"` })),
    ),
    ...[...plan.machines].flatMap(([name, vm]) => (vm.closed ? [closedBlocker(`the machine "${name}"`)] : [])),
    ...plan.connections.flatMap(({ connection }) => connection.blockers(scope)),
    ...(carrier === undefined
      ? []
      : carrier.blockers().map((each) => ({ device: undefined, object: `the carrier (${carrier.name})`, ...each }))),
  ];
}

function ofContainer(scope: UpdateScope, name: string, container: Container): readonly Blocker[] {
  const object = `the container "${name}" (${container.mode})`;
  if (container.closed) return [closedBlocker(object)];
  const underWay = container.underWay.map(({ device, what }) => ({
    device,
    object: device ?? object,
    why: `it ${what}`,
    fix: "wait until that is over, and try again",
  }));
  // What is under way may hold locks that the questions below would wait for.
  if (underWay.length > 0) return underWay;
  const memory = new Set([...container.mappings].map((mapping) => mapping.memory));
  const unfit = [...memory].flatMap((each) => each.blockers(scope));
  return [
    ...unfit,
    // With memory that cannot go, the kernel's answer would only be less clear.
    ...(unfit.length > 0 ? [] : container.handOver.blockers()),
    ...[...container.devices.values()].flatMap((device) => [
      ...device.interrupts.flatMap((interrupt) => interruptBlockers(device.address, interrupt, scope)),
      ...device.blockers(),
    ]),
  ];
}
