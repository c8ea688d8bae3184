/**
 * The rules between the parts of a manifest: an object that one part names exists in another, and nothing exists twice. The rules of
 * a single item stand beside its fields.
 *
 * The writer checks it before anything is touched, the reader before any descriptor is used.
 *
 * @module
 */
import { type ConnectionItem, nameConnection } from "./connection.js";
import { type ContainerItem, nameContainer } from "./container.js";
import { checkUnique, type DeviceItem, type IrqItem } from "./device.js";
import { checkMappings } from "./mappings.js";
import { type MemoryItem, nameMemory } from "./memory.js";
import { type DescriptorUse, quote, type Refuse } from "./schema.js";
import type { SocketItem } from "./socket.js";

/** The records of a manifest that name each other. */
export interface Sections {
  readonly memory: readonly MemoryItem[];
  readonly containers: readonly ContainerItem[];
  readonly sockets: readonly SocketItem[];
  readonly connections: readonly ConnectionItem[];
  readonly descriptors: readonly { readonly name: string }[];
}

/** A device's container and itself, as a key. */
function deviceKey(container: string, device: string): string {
  // No name has a NUL in it.
  return `${container}\0${device}`;
}

/** A device of any container, as far as others name it. */
type NamedDevice = Pick<DeviceItem, "irqs">;

class Rules {
  readonly #refuse: Refuse;
  readonly #manifest: Sections;
  readonly #devices: ReadonlyMap<string, NamedDevice>;

  constructor(manifest: Sections, refuse: Refuse) {
    this.#manifest = manifest;
    this.#refuse = refuse;
    const { containers, sockets } = manifest;
    this.#devices = new Map<string, NamedDevice>([
      ...containers.flatMap(({ name, devices }) =>
        devices.map((device) => [deviceKey(name, device.address), device] as const),
      ),
      ...sockets.map(({ name, address, device }) => [deviceKey(name, address), device] as const),
    ]);
  }

  check(): void {
    const { memory, containers, sockets, connections } = this.#manifest;
    this.#names();
    for (const [index, item] of memory.entries()) {
      if (item.kind === "bar") this.#requireDevice(item, nameMemory(item, index));
    }
    for (const container of [...containers, ...sockets.map((socket) => ({ ...socket, mode: "vfio-user" as const }))]) {
      checkMappings(container, nameContainer(container), memory, this.#refuse);
    }
    this.#connections(connections);
  }

  /** Each container, group, device, memory and descriptor is there once. */
  #names(): void {
    const { memory, containers, sockets, descriptors } = this.#manifest;
    const refuse = this.#refuse;
    checkUnique([...containers, ...sockets], (container) => [container.name, nameContainer(container)], refuse);
    // A group belongs to one container, and a device to one as well.
    const groups = containers.flatMap(({ groups }) => groups);
    checkUnique(groups, ({ id }) => [id, `group ${id}`], refuse);
    const devices = containers.flatMap(({ devices }) => devices);
    checkUnique(devices, ({ address }) => [address, `device ${quote(address)}`], refuse);
    const named = memory.flatMap((item) => (item.kind === "file" && item.name !== undefined ? [item.name] : []));
    checkUnique(named, (name) => [name, `memory ${quote(name)}`], refuse);
    checkUnique(descriptors, ({ name }) => [name, `descriptor ${quote(name)}`], refuse);
  }

  #requireDevice(item: { readonly container: string; readonly device: string }, where: string): NamedDevice {
    const device = this.#devices.get(deviceKey(item.container, item.device));
    if (device !== undefined) return device;
    const { containers, sockets } = this.#manifest;
    const known = [...containers, ...sockets].some(({ name }) => name === item.container);
    throw this.#refuse(
      known
        ? `${where} is of device ${quote(item.device)}, which container ${quote(item.container)} does not have`
        : `${where} is of container ${quote(item.container)}, which is not there`,
    );
  }

  #connections(connections: readonly ConnectionItem[]): void {
    const free = new Map<IrqItem, Map<number, boolean>>();
    for (const connection of connections) {
      const where = nameConnection(connection);
      const irq = this.#requireDevice(connection, where).irqs.find(({ kind }) => kind === connection.kind);
      if (irq === undefined) throw this.#refuse(`${where} is of an interrupt that is not on`);
      const vectors = free.get(irq) ?? new Map(irq.vectors.map(({ index }) => [index, true]));
      free.set(irq, vectors);
      for (const index of connection.kind === "intx" ? [0] : connection.vectors.map((vector) => vector.index)) {
        const isFree = vectors.get(index);
        if (isFree === undefined) throw this.#refuse(`${where} has vector ${index}, which is not on`);
        // An interrupt goes to one guest.
        if (!isFree) throw this.#refuse(`${where} has vector ${index}, which is connected already`);
        vectors.set(index, false);
      }
      if (connection.kind === "intx" && connection.delivery === "resample" && irq.unmask === undefined) {
        throw this.#refuse(`${where} is resampled, and the line has no unmask eventfd`);
      }
    }
  }
}

/** Checks a manifest whose single items have been checked. */
export function checkRules(manifest: Sections, refuse: Refuse): void {
  new Rules(manifest, refuse).check();
}

/** Checks that each descriptor is used exactly once. */
export function checkDescriptors(uses: readonly DescriptorUse[], count: number, refuse: Refuse): void {
  const owners = new Array<string | undefined>(count).fill(undefined);
  for (const { index, what } of uses) {
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw refuse(`${what} is descriptor ${index}, and ${count} came`);
    }
    const owner = owners[index];
    if (owner !== undefined) throw refuse(`descriptor ${index} is ${owner}, and ${what} as well`);
    owners[index] = what;
  }
  const unused = owners.indexOf(undefined);
  if (unused >= 0) throw refuse(`descriptor ${unused} of ${count} came, and the manifest does not name it`);
}
