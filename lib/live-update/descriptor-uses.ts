/**
 * What each descriptor of a manifest is.
 *
 * @module
 */
import type { DescriptorKind } from "./descriptor-kind.js";
import type { ContainerItem, DescriptorIndex, DeviceItem, IrqItem, Manifest, MemoryItem } from "./manifest.js";

/** One place where a manifest speaks of a descriptor. */
export interface DescriptorUse {
  readonly index: DescriptorIndex;
  /** What the descriptor must be. */
  readonly expected: DescriptorKind;
  /** What it is to the program, for messages: `msix 3 of 0000:01:00.0`. */
  readonly what: string;
}

// A name can be 4096 bytes long, and a message should be readable.
const SHOWN = 64;

/** A name from a manifest as messages show it: what could disturb a terminal is escaped. */
export function quote(name: string): string {
  return JSON.stringify(name.length > SHOWN ? `${name.slice(0, SHOWN)}...` : name);
}

export function nameContainer(container: { readonly name: string }): string {
  return `container ${quote(container.name)}`;
}

export function nameMemory(memory: MemoryItem, index: number): string {
  if (memory.kind === "bar") return `memory ${index} (region ${memory.region} of ${quote(memory.device)})`;
  return `memory ${memory.name === undefined ? `${index} (${quote(memory.label)})` : quote(memory.name)}`;
}

function* irqUses(irqs: readonly IrqItem[], address: string): Generator<DescriptorUse> {
  for (const { kind, vectors, unmask } of irqs) {
    for (const { index, eventfd } of vectors) {
      yield { index: eventfd, expected: { kind: "eventfd" }, what: `${kind} ${index} of ${address}` };
    }
    if (unmask !== undefined) {
      yield { index: unmask, expected: { kind: "eventfd" }, what: `unmask of ${kind} of ${address}` };
    }
  }
}

function* deviceUses(container: ContainerItem, device: DeviceItem): Generator<DescriptorUse> {
  const { address } = device;
  const through = container.mode === "iommufd" ? "cdev" : "group";
  yield { index: device.descriptor, expected: { kind: "device", address, through }, what: address };
  yield* irqUses(device.irqs, address);
  for (const { region, offset, eventfd } of device.ioeventfds) {
    const what = `ioeventfd at 0x${offset.toString(16)} in region ${region} of ${address}`;
    yield { index: eventfd, expected: { kind: "eventfd" }, what };
  }
}

/** Every place where a manifest speaks of a descriptor, in the manifest's order. */
export function* descriptorUses(manifest: Manifest): Generator<DescriptorUse> {
  for (const [index, memory] of manifest.memory.entries()) {
    if (memory.kind !== "file") continue;
    const expected = { kind: "memory", length: memory.length } as const;
    yield { index: memory.descriptor, expected, what: nameMemory(memory, index) };
  }
  for (const container of manifest.containers) {
    const { mode, descriptor } = container;
    const what = nameContainer(container);
    if (mode === "iommufd") {
      yield { index: descriptor, expected: { kind: "iommufd" }, what };
    } else {
      const compat = mode === "compat-type1" || mode === "compat-type1v2";
      yield { index: descriptor, expected: { kind: "legacy-container", compat }, what };
    }
    for (const { id, descriptor } of container.groups) {
      yield { index: descriptor, expected: { kind: "group", id }, what: `group ${id}` };
    }
    for (const device of container.devices) yield* deviceUses(container, device);
  }
  for (const { name, address, socket, twin, port, device } of manifest.sockets) {
    const what = nameContainer({ name });
    yield { index: socket, expected: { kind: "socket" }, what };
    if (twin !== undefined) yield { index: twin, expected: { kind: "socket" }, what: `twin socket of ${what}` };
    for (const { index, file } of port.regions) {
      if (file !== undefined) yield { index: file, expected: { kind: "any" }, what: `region ${index} of ${address}` };
    }
    yield* irqUses(device.irqs, address);
  }
  for (const connection of manifest.connections) {
    if (connection.kind === "intx") continue;
    const { kind, device, machine } = connection;
    for (const { index, guest } of connection.vectors) {
      if (guest === undefined) continue;
      const what = `eventfd of ${kind} ${index} of ${device} for machine ${quote(machine)}`;
      yield { index: guest, expected: { kind: "eventfd" }, what };
    }
  }
  for (const { name, descriptor } of manifest.descriptors) {
    yield { index: descriptor, expected: { kind: "any" }, what: `descriptor ${quote(name)}` };
  }
}
