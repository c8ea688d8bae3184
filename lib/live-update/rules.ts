/**
 * What a manifest must fulfil beyond its form: that its parts fit together, and that nothing is there twice.
 *
 * The writer holds itself to it before anything is touched, the reader before any descriptor is used.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import type { AnyContainerMode, ContainerMode } from "../container/container.js";
import { MAX_DESCRIPTORS } from "../kernel/unix-socket.js";
import { MAX_IOVA } from "../memory/iova-range.js";
import { pciAddress } from "../pci/address.js";
import { mdevUuid } from "../pci/node.js";
import { MAX_TEXT, NO_NUMBER } from "./bytes.js";
import { descriptorUses, nameContainer, nameMemory, quote } from "./descriptor-uses.js";
import type {
  ConnectionItem,
  ContainerItem,
  DeviceItem,
  FrozenPart,
  IoeventfdItem,
  IrqItem,
  Manifest,
  MappingItem,
  MemoryItem,
  SocketItem,
} from "./manifest.js";

/**
 * The longest manifest, in bytes: a million mappings. A carrier takes no more than this from a peer. (The frozen part has the
 * program's own state in it, and is as long as that.)
 */
export const MAX_MANIFEST = 32 << 20;

/** The error for a manifest that is longer. */
export function tooLong(syscall: "encode" | "decode", length: number): VfioError {
  return new VfioError({
    errno: constants.errno.EMSGSIZE,
    syscall,
    object: "the manifest",
    why: `it is ${length} bytes long, and ${MAX_MANIFEST} is the most`,
    fix: "map in larger pieces: each mapping takes 32 bytes",
  });
}

/** Makes the error for what is wrong. */
export type Refuse = (why: string) => Error;

/** The smallest page of every machine that Linux runs on: addresses and lengths are multiples of it at the least. */
const PAGE = 4096;
const OFFSET_BITS = 4095n;
const END = MAX_IOVA + 1n;
const MAX_U32 = 0xffff_ffff;
/** Indexes and ids: the highest 32-bit number says that there is none. */
const MAX_NUMBER = NO_NUMBER - 1;
/** PCI 3.0, 6.8.1 and 6.8.2. */
const mostVectors = { msi: 32, msix: 2048 } as const;
/** The most vectors that a device can have. */
export const MAX_VECTORS = mostVectors.msix;
/** A bound that no host comes near. */
export const MAX_CONNECTIONS = 65_536;
/** A hand-over has six. */
export const MAX_PHASES = 64;

/** Node's timers count up to here, in milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;
/** linux/err.h: MAX_ERRNO */
const MAX_ERRNO = 4095;
/** A region's capabilities take some hundred bytes. */
const MAX_REGION_ANSWER = 1 << 16;

const lineAndMessages = ["intx", "msi", "msix"];

/** A device's container and itself, as a key. */
function deviceKey(container: string, device: string): string {
  // No name has a NUL in it.
  return `${container}\0${device}`;
}

function isDeviceAddress(address: string): boolean {
  try {
    return (address.includes("-") ? mdevUuid(address) : pciAddress(address)) === address;
  } catch {
    return false;
  }
}

/** Whether a container of this mode maps memory by its address in the process, and so also a device's BAR. */
function mapsByAddress(mode: AnyContainerMode): boolean {
  return mode === "type1" || mode === "type1v2";
}

function isInPages(value: number, min = 0): boolean {
  return Number.isSafeInteger(value) && value >= min && value % PAGE === 0;
}

/** What has mappings. */
interface Mapper {
  readonly name: string;
  readonly mode: AnyContainerMode;
  readonly mappings: readonly MappingItem[];
}

class Rules {
  readonly #refuse: Refuse;
  readonly #manifest: Manifest;
  readonly #devices = new Map<string, Pick<DeviceItem, "irqs">>();

  constructor(manifest: Manifest, refuse: Refuse) {
    this.#manifest = manifest;
    this.#refuse = refuse;
  }

  check(descriptorCount: number): void {
    const { writer, memory, containers, sockets, connections, descriptors } = this.#manifest;
    this.#text("the writer's version", writer.version);
    this.#text("the writer's Node", writer.node);
    this.#integer("the writer's pid", writer.pid, MAX_U32);
    this.#containers(containers);
    this.#sockets(sockets);
    this.#memory(memory);
    for (const container of containers) this.#mappings(container);
    for (const socket of sockets) this.#mappings({ ...socket, mode: "vfio-user" });
    this.#connections(connections);
    this.#unique(descriptors, ({ name }) => [name, `descriptor ${quote(name)}`]);
    for (const { name } of descriptors) this.#name("a descriptor's name", name);
    this.#descriptors(descriptorCount);
  }

  // ---- single values -------------------------------------------------------------------------------------------------

  #text(what: string, text: string): void {
    const length = Buffer.byteLength(text);
    if (length > MAX_TEXT) throw this.#refuse(`${what} is ${length} bytes long, more than ${MAX_TEXT}`);
    if (text.includes("\0")) throw this.#refuse(`${what} has a NUL in it: ${quote(text)}`);
    // Half a surrogate pair has no UTF-8, and would come out as another text.
    if (/\p{Surrogate}/u.test(text)) throw this.#refuse(`${what} is no well-formed Unicode: ${quote(text)}`);
  }

  #name(what: string, name: string): void {
    this.#text(what, name);
    if (name === "") throw this.#refuse(`${what} is empty`);
  }

  #integer(what: string, value: number, max: number, min = 0): void {
    if (Number.isSafeInteger(value) && value >= min && value <= max) return;
    throw this.#refuse(`${what} is ${value}, not an integer from ${min} to ${max}`);
  }

  #pages(what: string, value: number, min = 0): void {
    this.#integer(what, value, Number.MAX_SAFE_INTEGER, min);
    if (!isInPages(value)) throw this.#refuse(`${what} is 0x${value.toString(16)}, not a multiple of ${PAGE}`);
  }

  #unique<T>(items: Iterable<T>, keyOf: (item: T) => readonly [key: string | number, name: string]): void {
    const seen = new Set<string | number>();
    for (const item of items) {
      const [key, name] = keyOf(item);
      if (seen.has(key)) throw this.#refuse(`${name} is there twice`);
      seen.add(key);
    }
  }

  // ---- containers and devices ----------------------------------------------------------------------------------------

  #containers(containers: readonly ContainerItem[]): void {
    const named = [...containers, ...this.#manifest.sockets];
    for (const { name } of named) this.#name("a container's name", name);
    this.#unique(named, (container) => [container.name, nameContainer(container)]);
    // A group belongs to one container, and a device to one as well.
    this.#unique(
      containers.flatMap(({ groups }) => groups),
      ({ id }) => [id, `group ${id}`],
    );
    this.#unique(
      containers.flatMap(({ devices }) => devices),
      ({ address }) => [address, `device ${quote(address)}`],
    );
    for (const container of containers) this.#container(container);
  }

  #container(container: ContainerItem): void {
    const { mode, ioas, groups, devices, name } = container;
    const where = nameContainer(container);
    if (mode === "iommufd") {
      if (ioas === undefined) throw this.#refuse(`${where} is an iommufd without the id of an address space`);
      this.#integer(`the address space's id in ${where}`, ioas, MAX_NUMBER);
      if (groups.length > 0) throw this.#refuse(`${where} is an iommufd, and has groups`);
      this.#unique(devices, ({ iommufdId }) => [iommufdId ?? NO_NUMBER, `device id ${iommufdId} in ${where}`]);
    } else if (ioas !== undefined) {
      throw this.#refuse(`${where} is in mode ${mode}, and has the id of an address space`);
    }
    for (const { id } of groups) this.#integer(`a group's number in ${where}`, id, MAX_NUMBER);
    const groupIds = new Set(groups.map(({ id }) => id));
    for (const device of devices) {
      this.#device(device, mode, groupIds, `device ${quote(device.address)} in ${where}`);
      this.#devices.set(deviceKey(name, device.address), device);
    }
    for (const { group } of devices) if (group !== undefined) groupIds.delete(group);
    for (const id of groupIds) throw this.#refuse(`group ${id} in ${where} has no device`);
  }

  #sockets(sockets: readonly SocketItem[]): void {
    for (const item of sockets) {
      const { name, path, address, timeout, agreement, port, device } = item;
      const where = nameContainer(item);
      this.#name(`the device's name in ${where}`, address);
      if (path !== undefined) this.#path(`the socket's path of ${where}`, path);
      this.#integer(`the timeout of ${where}`, timeout, LONGEST_TIMEOUT, 1);
      this.#integer(`the server's version of ${where}`, agreement.minor, MAX_U32);
      this.#integer(`the most descriptors of ${where}`, agreement.maxFds, MAX_DESCRIPTORS);
      this.#integer(`the most bytes in one access of ${where}`, agreement.maxTransfer, MAX_U32, 1);
      this.#integer(`the most ranges of ${where}`, agreement.maxMaps, Number.MAX_SAFE_INTEGER);
      if (agreement.pageSizes <= 0n || agreement.pageSizes > MAX_IOVA) {
        throw this.#refuse(`the page sizes of ${where} are ${agreement.pageSizes}, not a bitmap of 64 bits`);
      }
      this.#port(port, where);
      this.#irqs(device.irqs, `device ${quote(address)} in ${where}`);
      if (device.ioeventfds.length > 0) throw this.#refuse(`${where} has ioeventfds, which vfio-user has not`);
      this.#devices.set(deviceKey(name, address), device);
    }
  }

  /** A name in the abstract namespace begins with NUL. */
  #path(what: string, path: string): void {
    this.#name(what, path.startsWith("\0") ? path.slice(1) : path);
  }

  #port({ flags, numRegions, numIrqs, regions, irqs, posted }: SocketItem["port"], where: string): void {
    this.#integer(`the flags of ${where}`, flags, MAX_U32);
    if (regions.length !== numRegions || irqs.length !== numIrqs) {
      throw this.#refuse(`${where} says ${numRegions} regions and ${numIrqs} kinds of interrupt, and describes others`);
    }
    for (const [place, { index, status, flags, size, offset, capOffset, bytes, file }] of regions.entries()) {
      if (index !== place) throw this.#refuse(`region ${index} in ${where} stands at place ${place}`);
      this.#integer(`the errno of region ${index} in ${where}`, -status, MAX_ERRNO);
      this.#integer(`the flags of region ${index} in ${where}`, flags, MAX_U32);
      this.#integer(`the offset of the capabilities of region ${index} in ${where}`, capOffset, MAX_U32);
      if (size < 0n || size > MAX_IOVA || offset < 0n || offset > MAX_IOVA) {
        throw this.#refuse(`region ${index} in ${where} has a size or an offset of more than 64 bits`);
      }
      if (bytes.length > MAX_REGION_ANSWER) {
        throw this.#refuse(`the answer for region ${index} in ${where} is ${bytes.length} bytes long`);
      }
      if (status < 0 && file !== undefined) {
        throw this.#refuse(`region ${index} in ${where} was refused, and has a file`);
      }
    }
    for (const [place, { index, status, flags, count }] of irqs.entries()) {
      if (index !== place) throw this.#refuse(`kind of interrupt ${index} in ${where} stands at place ${place}`);
      this.#integer(`the errno of interrupt ${index} in ${where}`, -status, MAX_ERRNO);
      this.#integer(`the flags of interrupt ${index} in ${where}`, flags, MAX_U32);
      this.#integer(`the number of interrupts of kind ${index} in ${where}`, count, MAX_U32);
    }
    if (posted.length > numRegions) throw this.#refuse(`${where} posts writes to regions that it has not`);
  }

  #device(device: DeviceItem, mode: ContainerMode, groups: ReadonlySet<number>, where: string): void {
    const { address, group, iommufdId, pageTableId, irqs, ioeventfds } = device;
    if (!isDeviceAddress(address)) {
      throw this.#refuse(`${where} has neither a PCI address, like 0000:01:00.0, nor a UUID, in small letters`);
    }
    if (mode === "iommufd") {
      if (group !== undefined) throw this.#refuse(`${where} has a group, and its container is an iommufd`);
      if (iommufdId === undefined) throw this.#refuse(`${where} has no id of its own`);
      if (pageTableId === undefined) throw this.#refuse(`${where} has no id of a page table`);
      this.#integer(`the id of ${where}`, iommufdId, MAX_NUMBER);
      this.#integer(`the page table's id of ${where}`, pageTableId, MAX_NUMBER);
    } else {
      if (group === undefined) throw this.#refuse(`${where} has no group`);
      if (iommufdId !== undefined || pageTableId !== undefined) {
        throw this.#refuse(`${where} has ids of an iommufd, and its container is in mode ${mode}`);
      }
      if (!groups.has(group)) {
        throw this.#refuse(`${where} is of group ${group}, which its container does not have`);
      }
    }
    this.#irqs(irqs, where);
    this.#unique(ioeventfds, ({ region, offset, width, value }) => [
      `${region} ${offset} ${width} ${value}`,
      `the ioeventfd at 0x${offset.toString(16)} in region ${region} of ${where}`,
    ]);
    for (const ioeventfd of ioeventfds) this.#ioeventfd(ioeventfd, where);
  }

  #irqs(irqs: readonly IrqItem[], where: string): void {
    this.#unique(irqs, ({ kind }) => [kind, `${kind} of ${where}`]);
    const [first, second] = irqs.filter(({ kind }) => lineAndMessages.includes(kind));
    if (first !== undefined && second !== undefined) {
      throw this.#refuse(
        `${first.kind} and ${second.kind} of ${where} are both on, and the kernel has one on at a time`,
      );
    }
    for (const irq of irqs) this.#irq(irq, `${irq.kind} of ${where}`);
  }

  #irq({ kind, allocated, vectors, unmask }: IrqItem, where: string): void {
    if (vectors.length === 0) throw this.#refuse(`${where} is on without a vector`);
    if (unmask !== undefined && kind !== "intx")
      throw this.#refuse(`${where} has an unmask eventfd, which only intx has`);
    const messages = kind === "msi" || kind === "msix" ? mostVectors[kind] : undefined;
    this.#integer(
      `the number of vectors set aside for ${where}`,
      allocated,
      messages ?? 0,
      messages === undefined ? 0 : 1,
    );
    for (const { index } of vectors) this.#integer(`a vector of ${where}`, index, (messages ?? 1) - 1);
    this.#unique(vectors, ({ index }) => [index, `vector ${index} of ${where}`]);
  }

  #ioeventfd({ region, offset, width, value }: IoeventfdItem, where: string): void {
    this.#integer(`an ioeventfd's region of ${where}`, region, MAX_U32);
    this.#integer(`an ioeventfd's offset of ${where}`, offset, Number.MAX_SAFE_INTEGER);
    if (width !== 1 && width !== 2 && width !== 4 && width !== 8) {
      throw this.#refuse(`an ioeventfd of ${where} is ${width} bytes wide, not 1, 2, 4 or 8`);
    }
    if (value < 0n || value >= 1n << BigInt(8 * width)) {
      throw this.#refuse(
        `an ioeventfd of ${where} writes 0x${value.toString(16)}, more than its ${width} bytes can hold`,
      );
    }
  }

  // ---- memory and mappings -------------------------------------------------------------------------------------------

  #memory(memory: readonly MemoryItem[]): void {
    const named = memory.flatMap((item) => (item.kind === "file" && item.name !== undefined ? [item.name] : []));
    for (const name of named) this.#name("a memory's name", name);
    this.#unique(named, (name) => [name, `memory ${quote(name)}`]);
    for (const [index, item] of memory.entries()) {
      const where = nameMemory(item, index);
      this.#pages(`the length of ${where}`, item.length, 1);
      if (item.kind === "bar") {
        this.#integer(`the region of ${where}`, item.region, MAX_U32);
        this.#pages(`the offset of ${where}`, item.offset);
        this.#integer(`the end of ${where}`, item.offset + item.length, Number.MAX_SAFE_INTEGER);
        this.#requireDevice(item, where);
      } else {
        this.#text(`the label of ${where}`, item.label);
        this.#pages(`the page size of ${where}`, item.pageSize, 1);
        if (!Number.isInteger(Math.log2(item.pageSize))) {
          throw this.#refuse(`the page size of ${where} is ${item.pageSize}, not a power of two`);
        }
        if (item.length % item.pageSize !== 0) {
          throw this.#refuse(
            `the length of ${where} is ${item.length}, not a multiple of its page size, ${item.pageSize}`,
          );
        }
      }
    }
  }

  #requireDevice(
    item: { readonly container: string; readonly device: string },
    where: string,
  ): Pick<DeviceItem, "irqs"> {
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

  #mappings(container: Mapper): void {
    const { mappings } = container;
    let ascending = true;
    let next = 0n;
    for (const mapping of mappings) {
      if (mapping.iova < next) ascending = false;
      next = this.#mapping(mapping, container);
    }
    if (ascending) return;
    const sorted = [...mappings].sort((a, b) => (a.iova < b.iova ? -1 : a.iova > b.iova ? 1 : 0));
    let end = 0n;
    for (const { iova, length } of sorted) {
      if (iova < end) {
        throw this.#refuse(`two mappings in ${nameContainer(container)} overlap at IOVA 0x${iova.toString(16)}`);
      }
      end = iova + BigInt(length);
    }
  }

  /** Returns the IOVA behind it. */
  #mapping(mapping: MappingItem, container: Mapper): bigint {
    const { iova, length, offset, read, write } = mapping;
    // The words are put together for a refusal only: there are many mappings.
    const where = () => `the mapping at IOVA 0x${iova.toString(16)} in ${nameContainer(container)}`;
    if (iova < 0n || iova > MAX_IOVA || (iova & OFFSET_BITS) !== 0n) {
      throw this.#refuse(`${where()} is not at a multiple of ${PAGE} from 0 to 2^64 - 1`);
    }
    if (!isInPages(length, 1)) this.#pages(`the length of ${where()}`, length, 1);
    if (!isInPages(offset)) this.#pages(`the offset of ${where()}`, offset);
    const end = iova + BigInt(length);
    if (end > END) throw this.#refuse(`${where()} goes on past the end of the address space`);
    if (!read && !write) throw this.#refuse(`${where()} can be neither read nor written`);
    const memory = this.#manifest.memory[mapping.memory];
    if (memory === undefined) {
      throw this.#refuse(`${where()} is of memory ${mapping.memory}, and there are ${this.#manifest.memory.length}`);
    }
    if (offset + length > memory.length) {
      throw this.#refuse(
        `${where()} ends at 0x${(offset + length).toString(16)} in ${nameMemory(memory, mapping.memory)}, which is 0x${memory.length.toString(16)} bytes long`,
      );
    }
    if (memory.kind === "bar" && !mapsByAddress(container.mode)) {
      throw this.#refuse(
        `${where()} is of a BAR, which a container in mode ${container.mode} does not map by its address`,
      );
    }
    return end;
  }

  // ---- connections ---------------------------------------------------------------------------------------------------

  #connections(connections: readonly ConnectionItem[]): void {
    if (connections.length > MAX_CONNECTIONS) {
      throw this.#refuse(`there are ${connections.length} connections, more than ${MAX_CONNECTIONS}`);
    }
    for (const { machine } of connections) this.#name("a machine's name", machine);
    const nameOf = ({ kind, device, machine }: ConnectionItem) =>
      `${kind} of ${quote(device)} to machine ${quote(machine)}`;
    const free = new Map<IrqItem, Map<number, boolean>>();
    for (const connection of connections) {
      const where = `the connection of ${nameOf(connection)}`;
      const device = this.#requireDevice(connection, where);
      const irq = device.irqs.find(({ kind }) => kind === connection.kind);
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
      this.#connection(connection, irq, where);
    }
  }

  #connection(connection: ConnectionItem, irq: IrqItem, where: string): void {
    if (connection.kind === "intx") {
      this.#integer(`the GSI of ${where}`, connection.gsi, MAX_U32);
      if (connection.delivery === "resample" && irq.unmask === undefined) {
        throw this.#refuse(`${where} is resampled, and the line has no unmask eventfd`);
      }
      return;
    }
    const { kind, masking, vectors } = connection;
    if (masking === "eventfd" && kind !== "msix") throw this.#refuse(`${where} masks by eventfd, which only msix does`);
    for (const { index, guest } of vectors) {
      if ((guest !== undefined) === (masking === "eventfd")) continue;
      throw this.#refuse(
        `vector ${index} in ${where} has ${guest === undefined ? "no" : "a"} second eventfd, and masks by ${masking}`,
      );
    }
  }

  // ---- descriptors ---------------------------------------------------------------------------------------------------

  #descriptors(count: number): void {
    const owners = new Array<string | undefined>(count).fill(undefined);
    for (const { index, what } of descriptorUses(this.#manifest)) {
      if (!Number.isInteger(index) || index < 0 || index >= count) {
        throw this.#refuse(`${what} is descriptor ${index}, and ${count} came`);
      }
      const owner = owners[index];
      if (owner !== undefined) throw this.#refuse(`descriptor ${index} is ${owner}, and ${what} as well`);
      owners[index] = what;
    }
    const unused = owners.indexOf(undefined);
    if (unused >= 0) throw this.#refuse(`descriptor ${unused} of ${count} came, and nothing speaks of it`);
  }
}

/**
 * Checks a manifest.
 *
 * @param descriptorCount how many descriptors travel with it
 * @param refuse makes the error that is thrown at the first fault
 */
export function checkManifest(manifest: Manifest, descriptorCount: number, refuse: Refuse): void {
  new Rules(manifest, refuse).check(descriptorCount);
}

/** Checks a frozen part by itself. */
export function checkFrozen({ connections, times }: FrozenPart, refuse: Refuse): void {
  const isU32 = (value: number) => Number.isInteger(value) && value >= 0 && value <= MAX_U32;
  const isU64 = (value: number | bigint) =>
    typeof value === "bigint" ? value >= 0n && value <= MAX_IOVA : Number.isSafeInteger(value) && value >= 0;
  if (times.length > MAX_PHASES) throw refuse(`there are ${times.length} phases, more than ${MAX_PHASES}`);
  for (const { phase, at } of times) {
    if (Buffer.byteLength(phase) > MAX_TEXT || /\p{Surrogate}|\0/u.test(phase)) {
      throw refuse(`the phase ${quote(phase)} has no proper name`);
    }
    if (!isU64(at)) throw refuse(`the time of the phase ${quote(phase)} is ${at}, not from 0 to 2^64 - 1`);
  }
  for (const [number, { vectors }] of connections.entries()) {
    for (const { index, message } of vectors) {
      const sound =
        message === undefined ||
        (isU64(message.address) && isU32(message.data) && (message.deviceId === undefined || isU32(message.deviceId)));
      if (!sound || !isU32(index))
        throw refuse(`vector ${index} of connection ${number} has numbers out of their ranges`);
    }
  }
}

/** Checks that a frozen part speaks of its manifest's connections, one to one. */
export function checkFrozenFits({ connections }: FrozenPart, manifest: Manifest, refuse: Refuse): void {
  for (const [number, connection] of manifest.connections.entries()) {
    const vectors = connections[number]?.vectors ?? [];
    const expected = connection.kind === "intx" ? [] : connection.vectors;
    const where = `the connection of ${connection.kind} of ${quote(connection.device)} to machine ${quote(connection.machine)}`;
    for (const [place, { index }] of expected.entries()) {
      const vector = vectors[place];
      if (vector?.index !== index) {
        throw refuse(`${where} has vector ${vector?.index ?? "none"} where the manifest has ${index}`);
      }
      if (vector.toGuest && !(connection.kind === "msix" && connection.masking === "eventfd")) {
        throw refuse(`vector ${index} in ${where} goes to the guest's eventfd, and there is none`);
      }
    }
  }
}
