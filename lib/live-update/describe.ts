/**
 * A plan as a manifest: every object says what a successor must know of it.
 *
 * @module
 */

import { invalidStateError } from "../base/errors.js";
import type { AddDescriptor } from "../base/preserve.js";
import { version } from "../base/version.js";
import type { Container } from "../container/container.js";
import type { FrozenConnection } from "../kvm/part.js";
import type { DmaMemory } from "../memory/dma-buffer.js";
import type { ConnectionItem } from "./manifest/connection.js";
import type { ContainerItem } from "./manifest/container.js";
import type { FrozenPart } from "./manifest/frozen.js";
import type { Manifest } from "./manifest/manifest.js";
import type { MappingItem } from "./manifest/mappings.js";
import type { MemoryItem } from "./manifest/memory.js";
import type { SocketItem } from "./manifest/socket.js";
import type { Plan, PlannedConnection, Scope } from "./plan.js";

/** What a plan is at this moment. */
export interface Description {
  readonly manifest: Manifest;
  /** Borrowed. */
  readonly descriptors: readonly number[];
  /** The manifest's connections. */
  readonly connections: readonly PlannedConnection[];
  /** The manifest's memory. */
  readonly memory: readonly DmaMemory[];
}

/** Describes a plan that has no blockers. */
export function describe(plan: Plan): Description {
  const { scope, connections } = plan;
  const descriptors: number[] = [];
  const add = (fd: number) => descriptors.push(fd) - 1;
  const memory = new MemoryList(plan, scope, add);
  for (const buffer of plan.memory.values()) memory.indexOf(buffer);
  const containers: ContainerItem[] = [];
  const sockets: SocketItem[] = [];
  for (const [name, container] of plan.containers) {
    const preserved = container.preserve(add);
    const mappings = describeMappings(container, memory);
    if (preserved.record === "sockets") {
      sockets.push({ ...preserved.state, name, mappings });
    } else {
      const devices = [...container.devices.values()].map((device) => device.preserve(add));
      containers.push({ ...preserved.state, name, devices, mappings });
    }
  }
  const manifest: Manifest = {
    writer: { version, node: process.versions.node, pid: process.pid },
    memory: memory.items,
    containers,
    sockets,
    connections: connections.map((each) => describeConnection(scope, each, add)),
    descriptors: [...plan.descriptors].map(([name, fd]) => ({ name, descriptor: add(fd) })),
  };
  return { manifest, descriptors, connections, memory: [...memory.all] };
}

/** Each piece of memory once, in whatever containers it is mapped. */
class MemoryList {
  readonly items: MemoryItem[] = [];
  readonly #indexes = new Map<DmaMemory, number>();
  readonly #names: ReadonlyMap<DmaMemory, string>;
  readonly #scope: Scope;
  readonly #add: AddDescriptor;

  constructor(plan: Plan, scope: Scope, add: AddDescriptor) {
    this.#names = new Map([...plan.memory].map(([name, buffer]) => [buffer, name]));
    this.#scope = scope;
    this.#add = add;
  }

  get all(): Iterable<DmaMemory> {
    return this.#indexes.keys();
  }

  indexOf(memory: DmaMemory): number {
    const known = this.#indexes.get(memory);
    if (known !== undefined) return known;
    const index = this.items.push(this.#describe(memory)) - 1;
    this.#indexes.set(memory, index);
    return index;
  }

  #describe(memory: DmaMemory): MemoryItem {
    const preserved = memory.preserve(this.#add);
    if (preserved.kind === "file") return { ...preserved, name: this.#names.get(memory) };
    const planned = this.#scope.deviceOf(preserved.device);
    if (planned === undefined) throw invalidStateError(`${memory.label} is of no device that is handed over`);
    return { ...preserved, container: planned.container, device: planned.device.address };
  }
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

function describeConnection(
  scope: Scope,
  { machine, connection }: PlannedConnection,
  add: AddDescriptor,
): ConnectionItem {
  const planned = scope.deviceOf(connection.source);
  if (planned === undefined) throw invalidStateError(`the device of ${connection.label} is not handed over`);
  const { container, device } = planned;
  return { ...connection.preserve(add), machine, container, device: device.address };
}

/** A connection that is frozen. */
export interface Frozen extends PlannedConnection {
  readonly state: FrozenConnection;
}

/**
 * What has changed to the last moment.
 *
 * @throws an error with `code` `ERR_INVALID_STATE` if something is connected now that was not when the manifest was written
 */
export function describeFrozen(
  frozen: readonly Frozen[],
  { connections, manifest }: Description,
  state: Uint8Array,
  times: FrozenPart["times"],
): FrozenPart {
  const same = frozen.every(({ connection }, index) => {
    const item = manifest.connections[index];
    return connection === connections[index]?.connection && item !== undefined && connection.isStill(item);
  });
  if (!same || frozen.length !== connections.length) {
    throw invalidStateError("interrupts were connected or disconnected while the hand-over was prepared: try again");
  }
  return { connections: frozen.map(({ state }) => state), times, state };
}
