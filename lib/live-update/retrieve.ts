/**
 * The old process's objects, made again from the manifest and the descriptors that came with it. Each kind of object has its own
 * `retrieve`; this is the order in which they are made.
 *
 * @module
 */
import type { ChangeLock } from "../base/change-lock.js";
import { invalidStateError, outOfRangeError } from "../base/errors.js";
import type { Container } from "../container/container.js";
import { retrieveContainer } from "../container/retrieve.js";
import type { Device } from "../device/device.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { IntxConnection } from "../kvm/intx-connection.js";
import { MessageConnection } from "../kvm/message-connection.js";
import type { FrozenVector } from "../kvm/part.js";
import type { Vm } from "../kvm/vm.js";
import { DmaBuffer, type DmaMemory } from "../memory/dma-buffer.js";
import { UserContainer, withDescriptors } from "../vfio-user/client/container.js";
import { checkDescriptor } from "./descriptor-kind.js";
import type { ConnectionItem } from "./manifest/connection.js";
import { descriptorUses, type Manifest } from "./manifest/manifest.js";
import type { BarMemory } from "./manifest/memory.js";

const NOT_YET: ChangeLock = {
  why: "still belongs to the old process: only reads are allowed until takeOver()",
  refuses: "use",
};

/** Checks, before anything is used, that every descriptor is what the manifest says, and that no two containers are one file. */
export function checkReceived(manifest: Manifest, descriptors: readonly OwnedFd[]): void {
  for (const { index, expected, what } of descriptorUses(manifest)) {
    const descriptor = descriptors[index];
    if (descriptor !== undefined) checkDescriptor(descriptor.number, expected, what);
  }
  const files = [
    ...manifest.containers.map(({ name, descriptor }) => ({ name, descriptor })),
    ...manifest.sockets.flatMap(({ name, socket, twin }) =>
      (twin === undefined ? [socket] : [socket, twin]).map((descriptor) => ({ name, descriptor })),
    ),
  ];
  const containers = files.map(({ name, descriptor }) => ({ name, fd: descriptors[descriptor]?.number ?? -1 }));
  for (const [index, { name, fd }] of containers.entries()) {
    // Two descriptors of one file have different numbers, and the same device and inode as any other container's.
    const twin = containers.slice(0, index).find((other) => native.kcmpFile(other.fd, fd) === 0);
    if (twin !== undefined)
      throw outOfRangeError("containers", `different files; "${twin.name}" and "${name}" are one`, fd);
  }
}

/** The objects that are made of the manifest. */
export interface RetrievedObjects {
  readonly containers: ReadonlyMap<string, Container>;
  readonly buffers: readonly DmaBuffer[];
  readonly memory: ReadonlyMap<string, DmaBuffer>;
  readonly descriptors: ReadonlyMap<string, OwnedFd>;
}

/**
 * Makes the containers with their devices and mappings, and the memory. They are frozen, and belong to the old process until it
 * commits.
 *
 * @throws after everything was closed again, except for the descriptors
 */
export function retrieveObjects(manifest: Manifest, descriptors: readonly OwnedFd[]): RetrievedObjects {
  const fd = (index: number) => {
    const found = descriptors[index];
    if (found === undefined) throw outOfRangeError("descriptor", "one that came", index);
    return found;
  };
  const containers = new Map<string, Container>();
  const memory: (DmaMemory | undefined)[] = [];
  const buffers: DmaBuffer[] = [];
  const named = new Map<string, DmaBuffer>();
  try {
    for (const [index, item] of manifest.memory.entries()) {
      if (item.kind === "bar") continue;
      const buffer = DmaBuffer.retrieve(item, fd(item.descriptor));
      memory[index] = buffer;
      buffers.push(buffer);
      if (item.name !== undefined) named.set(item.name, buffer);
    }
    for (const item of manifest.containers) containers.set(item.name, retrieveContainer(item, fd));
    for (const item of manifest.sockets) containers.set(item.name, UserContainer.retrieve(withDescriptors(item, fd)));
    for (const [index, item] of manifest.memory.entries()) {
      if (item.kind === "bar") memory[index] = mapBar(containers, item);
    }
    for (const { name, mappings } of [...manifest.containers, ...manifest.sockets]) {
      const parts = mappings.map(({ memory: index, ...rest }) => {
        const mapped = memory[index];
        if (mapped === undefined) throw outOfRangeError("memory", "one of the manifest's", index);
        return { ...rest, memory: mapped };
      });
      containers.get(name)?.inheritMappings(parts);
    }
  } catch (error) {
    for (const container of containers.values()) container.disown();
    for (const buffer of buffers) buffer.close();
    throw error;
  }
  for (const container of containers.values()) {
    container.handOver.prepare();
    container.lock(NOT_YET);
  }
  return {
    containers,
    buffers,
    memory: named,
    descriptors: new Map(manifest.descriptors.map(({ name, descriptor }) => [name, fd(descriptor)])),
  };
}

function findDevice(containers: ReadonlyMap<string, Container>, container: string, device: string): Device {
  const found = containers.get(container)?.devices.get(device);
  if (found === undefined) throw outOfRangeError("device", `one of the container "${container}"`, device);
  return found;
}

function mapBar(
  containers: ReadonlyMap<string, Container>,
  { container, device, region, offset, length }: BarMemory,
): DmaMemory {
  return findDevice(containers, container, device).region(region).map(offset, length);
}

/**
 * Connects a device's interrupts to a machine of this process.
 *
 * @param vectors of the frozen part
 * @param descriptors all that came
 */
export function retrieveConnection(
  item: ConnectionItem,
  vectors: readonly FrozenVector[],
  vm: Vm,
  containers: ReadonlyMap<string, Container>,
  descriptors: readonly OwnedFd[],
  setLevel: ((device: string, level: boolean) => void) | undefined,
): MessageConnection | IntxConnection {
  const device = findDevice(containers, item.container, item.device);
  if (item.kind === "intx") {
    const { line } = device.intx;
    if (line === undefined) throw invalidStateError(`${device.intx} is off`);
    const level = setLevel === undefined ? {} : { setLevel: (high: boolean) => setLevel(item.device, high) };
    return IntxConnection.retrieve(line, vm, { gsi: item.gsi, ...level });
  }
  const guests = new Map(item.vectors.map(({ index, guest }) => [index, guest]));
  const retrieved = vectors.map((vector) => {
    const guest = guests.get(vector.index);
    return { ...vector, guest: guest === undefined ? undefined : descriptors[guest] };
  });
  return MessageConnection.retrieve(device[item.kind], vm, item.masking, retrieved);
}
