/**
 * A plan as a manifest: what the objects are, and the descriptors that say which.
 *
 * @module
 */

import { invalidStateError } from "../base/errors.js";
import { version } from "../base/version.js";
import type { Container } from "../container/container.js";
import { IommufdContainer } from "../container/iommufd.js";
import { LegacyContainer } from "../container/legacy.js";
import type { Device } from "../device/device.js";
import { mapDeviceState } from "../device/state.js";
import { IntxConnection } from "../kvm/intx-connection.js";
import type { MessageConnection } from "../kvm/message-connection.js";
import { DmaBuffer, type DmaMemory } from "../memory/dma-buffer.js";
import { UserContainer, withDescriptors } from "../vfio-user/client/container.js";
import type { ConnectionItem } from "./manifest/connection.js";
import type { ContainerItem } from "./manifest/container.js";
import type { DeviceItem } from "./manifest/device.js";
import type { FrozenPart } from "./manifest/frozen.js";
import type { Manifest } from "./manifest/manifest.js";
import type { MappingItem } from "./manifest/mappings.js";
import type { MemoryItem } from "./manifest/memory.js";
import type { SocketItem } from "./manifest/socket.js";
import type { Plan, PlannedConnection } from "./plan.js";

/** What a plan is at this moment. */
export interface Description {
  readonly manifest: Manifest;
  /** Borrowed. */
  readonly descriptors: readonly number[];
  /** The manifest's connections. */
  readonly connections: readonly PlannedConnection[];
  /** All memory of it that is not a device's. */
  readonly buffers: readonly DmaBuffer[];
}

/** Describes a plan that has no blockers. */
export function describe(plan: Plan): Description {
  const descriptors: number[] = [];
  const add = (fd: number) => descriptors.push(fd) - 1;
  const memory = new MemoryList(plan, add);
  for (const buffer of plan.memory.values()) memory.indexOf(buffer);
  const containers: ContainerItem[] = [];
  const sockets: SocketItem[] = [];
  for (const [name, container] of plan.containers) {
    if (container instanceof UserContainer) {
      sockets.push(describeSocket(name, container, memory, add));
    } else if (container instanceof LegacyContainer || container instanceof IommufdContainer) {
      containers.push(describeContainer(name, container, memory, add));
    }
  }
  const { connections } = plan;
  const manifest: Manifest = {
    writer: { version, node: process.versions.node, pid: process.pid },
    memory: memory.items,
    containers,
    sockets,
    connections: connections.map((each) => describeConnection(plan, each, add)),
    descriptors: [...plan.descriptors].map(([name, fd]) => ({ name, descriptor: add(fd) })),
  };
  return { manifest, descriptors, connections, buffers: memory.buffers };
}

/** Each piece of memory once, whatever maps it. */
class MemoryList {
  readonly items: MemoryItem[] = [];
  readonly buffers: DmaBuffer[] = [];
  readonly #indexes = new Map<DmaMemory, number>();
  readonly #names: ReadonlyMap<DmaBuffer, string>;
  readonly #bars: (memory: DmaMemory) => MemoryItem;
  readonly #add: (fd: number) => number;

  constructor(plan: Plan, add: (fd: number) => number) {
    this.#names = new Map([...plan.memory].map(([name, buffer]) => [buffer, name]));
    this.#add = add;
    this.#bars = (memory) => describeBar(plan, memory);
  }

  indexOf(memory: DmaMemory): number {
    const known = this.#indexes.get(memory);
    if (known !== undefined) return known;
    const item = memory instanceof DmaBuffer ? this.#file(memory) : this.#bars(memory);
    const index = this.items.push(item) - 1;
    this.#indexes.set(memory, index);
    return index;
  }

  #file(buffer: DmaBuffer): MemoryItem {
    const backing = buffer.backing();
    if (backing === undefined) throw invalidStateError(`${buffer.label} has no file`);
    this.buffers.push(buffer);
    const { length, pageSize, locked, label } = buffer;
    const name = this.#names.get(buffer);
    return { kind: "file", name, descriptor: this.#add(backing.fd), length, pageSize, locked, label };
  }
}

function describeBar(plan: Plan, memory: DmaMemory): MemoryItem {
  for (const { container, device } of plan.devices) {
    const map = device.mapOf(memory);
    if (map === undefined) continue;
    const { region, offset, length } = map;
    return { kind: "bar", container, device: device.address, region: region.index, offset, length };
  }
  throw invalidStateError(`${memory.label} is of no device that is handed over`);
}

function describeContainer(
  name: string,
  container: LegacyContainer | IommufdContainer,
  memory: MemoryList,
  add: (fd: number) => number,
): ContainerItem {
  const { mode, fd, ioas, groups } = container.state;
  return {
    name,
    mode,
    descriptor: add(fd),
    ioas,
    groups: [...groups].map(([id, group]) => ({ id, descriptor: add(group) })),
    devices: [...container.devices.values()].map((device) => describeDevice(device, add)),
    mappings: describeMappings(container, memory),
  };
}

function describeSocket(
  name: string,
  container: UserContainer,
  memory: MemoryList,
  add: (fd: number) => number,
): SocketItem {
  return { ...withDescriptors(container.readUserState(), add), name, mappings: describeMappings(container, memory) };
}

function describeMappings(container: Container, memory: MemoryList): MappingItem[] {
  return [...container.mappings].map((mapping) => ({
    iova: mapping.iova,
    length: mapping.length,
    read: mapping.read,
    write: mapping.write,
    memory: memory.indexOf(mapping.memory),
    offset: mapping.offset,
  }));
}

function describeDevice(device: Device, add: (fd: number) => number): DeviceItem {
  const { address, port, group, iommufdId, pageTableId } = device.attachment;
  return {
    address,
    descriptor: add(port.fd),
    group,
    iommufdId,
    pageTableId,
    ...mapDeviceState(device.state, add),
  };
}

function describeConnection(
  plan: Plan,
  { machine, connection }: PlannedConnection,
  add: (fd: number) => number,
): ConnectionItem {
  const planned = plan.deviceOf(connection);
  if (planned === undefined) throw invalidStateError(`the device of ${connection.label} is not handed over`);
  const { container } = planned;
  const device = planned.device.address;
  if (connection instanceof IntxConnection) {
    const { gsi, delivery } = connection;
    return { kind: "intx", machine, container, device, gsi, delivery };
  }
  const vectors = [...connection.vectors.values()].map(({ state }) => ({
    index: state.index,
    guest: state.guest === undefined ? undefined : add(state.guest),
  }));
  const kind = connection.irq === planned.device.msi ? "msi" : "msix";
  return { kind, machine, container, device, masking: connection.masking, vectors };
}

/**
 * What has changed to the last moment.
 *
 * @throws an error with `code` `ERR_INVALID_STATE` if something is connected now that was not when the manifest was written
 */
export function describeFrozen(
  plan: Plan,
  described: Description,
  state: Uint8Array,
  times: FrozenPart["times"],
): FrozenPart {
  const { connections } = plan;
  const same = connections.every(
    ({ connection }, index) =>
      connection === described.connections[index]?.connection &&
      isAsDescribed(connection, described.manifest.connections[index]),
  );
  if (!same || connections.length !== described.connections.length) {
    throw invalidStateError("interrupts were connected or disconnected while the hand-over was prepared: try again");
  }
  return {
    connections: connections.map(({ connection }) => ({
      vectors:
        connection instanceof IntxConnection
          ? []
          : [...connection.vectors.values()].map(({ state: { index, message, masked, toGuest } }) => ({
              index,
              message,
              masked,
              toGuest,
            })),
    })),
    times,
    state,
  };
}

/** Whether a connection has the vectors that the manifest says. */
function isAsDescribed(connection: MessageConnection | IntxConnection, item: ConnectionItem | undefined): boolean {
  if (connection instanceof IntxConnection || item === undefined || item.kind === "intx") return true;
  const described = item.vectors.map(({ index }) => index);
  const now = [...connection.vectors.keys()];
  return now.length === described.length && now.every((index, at) => index === described[at]);
}
