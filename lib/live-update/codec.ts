/**
 * The manifest as bytes. `docs/live-update-manifest.md` describes the format.
 *
 * The two processes may run different versions of this package. What an older one wrote is read by every later one; what a
 * newer one wrote is refused, because a field that nobody here knows of may be the one that matters.
 *
 * A later version adds records (with numbers of their own), and fields at the end of an item. Both are read where
 * the version that wrote them has them, and have a value here for where it has not. Nothing is ever skipped.
 *
 * @module
 */
import { constants } from "node:os";
import { crc32 } from "node:zlib";
import type { ContainerMode } from "../container/container.js";
import type { IrqName } from "../device/irq-index.js";
import { argTypeError, outOfRangeError, VfioError } from "../errors.js";
import { ByteReader, ByteWriter, Codes } from "./bytes.js";
import { descriptorUses } from "./descriptor-uses.js";
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
} from "./manifest.js";
import { checkFrozen, checkFrozenFits, checkManifest, MAX_CONNECTIONS, MAX_PHASES, MAX_VECTORS } from "./rules.js";

/** The version of the format that this package writes, and the newest that it reads. */
export const FORMAT_VERSION = 1;

/**
 * The longest manifest, in bytes: a million mappings. A carrier takes no more than this from a peer. (The frozen part has the
 * program's own state in it, and is as long as that.)
 */
export const MAX_MANIFEST = 32 << 20;

const { EINVAL, EMSGSIZE, EPROTONOSUPPORT } = constants.errno;

// ---- the frame -------------------------------------------------------------------------------------------------------

/** "VFIOLIVE" */
const MAGIC = Uint8Array.of(0x56, 0x46, 0x49, 0x4f, 0x4c, 0x49, 0x56, 0x45);
const LENGTH_AT = 16;
const CHECKSUM_AT = 24;

/** A record: a number, a length, and that many bytes. */
interface RecordKind {
  readonly number: number;
  /** The version of the format that it came with. */
  readonly since: number;
}

/** One of the two documents of a hand-over. */
interface DocumentKind<Name extends string> {
  readonly number: number;
  readonly name: string;
  /** Each is there once, in the order of the numbers. */
  readonly records: Readonly<Record<Name, RecordKind>>;
}

const manifestKind: DocumentKind<"writer" | "memory" | "containers" | "connections" | "descriptors"> = {
  number: 1,
  name: "the manifest",
  records: {
    writer: { number: 1, since: 1 },
    memory: { number: 2, since: 1 },
    containers: { number: 3, since: 1 },
    connections: { number: 4, since: 1 },
    descriptors: { number: 5, since: 1 },
  },
};

const frozenKind: DocumentKind<"connections" | "times" | "state"> = {
  number: 2,
  name: "the manifest's frozen part",
  records: {
    connections: { number: 1, since: 1 },
    times: { number: 2, since: 1 },
    state: { number: 3, since: 1 },
  },
};

/** The checksum of all but itself. */
function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes.subarray(CHECKSUM_AT + 4), crc32(bytes.subarray(0, CHECKSUM_AT)));
}

class DocumentWriter<Name extends string> {
  readonly #kind: DocumentKind<Name>;
  readonly #writer = new ByteWriter();

  constructor(kind: DocumentKind<Name>) {
    this.#kind = kind;
    this.#writer.raw(MAGIC);
    this.#writer.u32(kind.number);
    this.#writer.u32(FORMAT_VERSION);
    this.#writer.size(0);
    this.#writer.u32(0);
  }

  record(name: Name, write: (writer: ByteWriter) => void): void {
    const writer = this.#writer;
    writer.u32(this.#kind.records[name].number);
    const lengthAt = writer.length;
    writer.size(0);
    write(writer);
    writer.sizeAt(lengthAt, writer.length - lengthAt - 8);
  }

  /** Length and checksum come last. */
  end(): Uint8Array {
    const writer = this.#writer;
    writer.sizeAt(LENGTH_AT, writer.length);
    writer.u32At(CHECKSUM_AT, checksumOf(writer.bytes));
    return writer.bytes;
  }
}

class DocumentReader<Name extends string> {
  readonly reader: ByteReader;
  /** The version that it was written in. */
  readonly version: number;
  readonly #kind: DocumentKind<Name>;
  #last = 0;

  /** Checks header and checksum. */
  constructor(kind: DocumentKind<Name>, bytes: Uint8Array) {
    const reader = new ByteReader(bytes, kind.name);
    this.#kind = kind;
    this.reader = reader;
    if (MAGIC.some((byte, at) => bytes[at] !== byte)) {
      throw reader.refusal('it does not begin with "VFIOLIVE": it is no part of a hand-over');
    }
    reader.raw(MAGIC.length);
    const number = reader.u32();
    if (number !== kind.number) {
      throw reader.refusal(`it is document ${number} of a hand-over, and ${kind.name} is document ${kind.number}`, 8);
    }
    this.version = reader.u32();
    // Before anything that a later version could have changed.
    if (this.version > FORMAT_VERSION) throw newerVersion(kind.name, this.version);
    if (this.version === 0) throw reader.refusal("it is in version 0 of the format, which there is not", 12);
    const length = reader.size("length");
    if (length > bytes.length) {
      throw reader.refusal(`it is truncated: ${bytes.length} bytes came of ${length}`, LENGTH_AT);
    }
    if (length < bytes.length) throw reader.refusal(`${bytes.length - length} bytes follow its end`, LENGTH_AT);
    if (reader.u32() !== checksumOf(bytes)) throw reader.refusal("its checksum is wrong", CHECKSUM_AT);
  }

  /** Reads the next record, which must be this one. */
  record<T>(name: Name, read: (reader: ByteReader) => T): T {
    const { reader } = this;
    const { number } = this.#kind.records[name];
    const where = `the record "${name}"`;
    if (reader.left === 0) throw reader.refusal(`${where} is missing`);
    const at = reader.at;
    reader.where = "a record's header";
    const found = reader.u32();
    if (found !== number) throw reader.refusal(this.#misplaced(found, where), at);
    this.#last = found;
    return reader.within(reader.size("length"), where, () => read(reader));
  }

  /** After the last record nothing may follow. */
  end(): void {
    const { reader } = this;
    if (reader.left === 0) return;
    const at = reader.at;
    reader.where = "a record's header";
    throw reader.refusal(this.#misplaced(reader.u32(), "the end"), at);
  }

  /** Why a record is not the one that should be there. */
  #misplaced(found: number, expected: string): string {
    for (const [name, { number, since }] of Object.entries<RecordKind>(this.#kind.records)) {
      if (number !== found || since > this.version) continue;
      // They come in the order of their numbers.
      return found <= this.#last
        ? `the record "${name}" is there twice, or out of order`
        : `${expected} is missing: the record "${name}" is in its place`;
    }
    return `unknown record ${found} in version ${this.version} of the format`;
  }
}

function newerVersion(object: string, version: number): VfioError {
  return new VfioError({
    errno: EPROTONOSUPPORT,
    syscall: "decode",
    object,
    why: `it is in version ${version} of the format, and this process reads up to version ${FORMAT_VERSION}`,
    fix: "update the package vfio in the new process to the version that the old one runs, or to a later one",
  });
}

// ---- numbers for words -----------------------------------------------------------------------------------------------

const modeCodes = new Codes<ContainerMode>(
  // 6 is kept for a vfio-user server's container.
  { type1: 1, type1v2: 2, "compat-type1": 3, "compat-type1v2": 4, iommufd: 5 },
  ["type1", "type1v2", "compat-type1", "compat-type1v2", "iommufd"],
);
const memoryCodes = new Codes<MemoryItem["kind"]>({ file: 1, bar: 2 }, ["file", "bar"]);
// The kernel's own indexes, VFIO_PCI_INTX_IRQ_INDEX and so on.
const irqCodes = new Codes<IrqName>({ intx: 0, msi: 1, msix: 2, err: 3, req: 4 }, [
  "intx",
  "msi",
  "msix",
  "err",
  "req",
]);
const connectionCodes = new Codes<ConnectionItem["kind"]>({ intx: 0, msi: 1, msix: 2 }, ["intx", "msi", "msix"]);
const maskingCodes = new Codes<"irqfd" | "eventfd">({ irqfd: 1, eventfd: 2 }, ["irqfd", "eventfd"]);
const deliveryCodes = new Codes<"resample" | "irqfd" | "user">({ resample: 1, irqfd: 2, user: 3 }, [
  "resample",
  "irqfd",
  "user",
]);

const READ = 1;
const WRITE = 2;

const HAS_MESSAGE = 1;
const HAS_DEVICE_ID = 2;
const MASKED = 4;
const TO_GUEST = 8;

/** The sizes of the items that have one, and the least of those that have not, by the sum of their fields. */
const sizes = {
  memory: 25,
  container: 19,
  group: 8,
  device: 18,
  irq: 13,
  vector: 8,
  ioeventfd: 25,
  mapping: 32,
  connection: 12,
  descriptor: 6,
  frozenConnection: 4,
  frozenVector: 24,
  time: 10,
} as const;

// ---- writing ---------------------------------------------------------------------------------------------------------

function writeMemory(writer: ByteWriter, memory: MemoryItem): void {
  writer.code(memoryCodes, memory.kind);
  if (memory.kind === "file") {
    writer.text(memory.name);
    writer.text(memory.label);
    writer.u32(memory.descriptor);
    writer.size(memory.length);
    writer.size(memory.pageSize);
    writer.flag(memory.locked);
  } else {
    writer.text(memory.container);
    writer.text(memory.device);
    writer.u32(memory.region);
    writer.size(memory.offset);
    writer.size(memory.length);
  }
}

function writeContainer(writer: ByteWriter, container: ContainerItem): void {
  writer.text(container.name);
  writer.code(modeCodes, container.mode);
  writer.u32(container.descriptor);
  if (container.mode === "iommufd") {
    writer.optional(container.ioas);
  } else {
    writer.list(container.groups, ({ id, descriptor }) => {
      writer.u32(id);
      writer.u32(descriptor);
    });
  }
  writer.list(container.devices, (device) => writeDevice(writer, device, container.mode));
  writer.list(container.mappings, ({ iova, length, offset, memory, read, write }) => {
    writer.u64(iova);
    writer.size(length);
    writer.size(offset);
    writer.u32(memory);
    writer.u32((read ? READ : 0) | (write ? WRITE : 0));
  });
}

function writeDevice(writer: ByteWriter, device: DeviceItem, mode: ContainerMode): void {
  writer.text(device.address);
  writer.u32(device.descriptor);
  if (mode === "iommufd") {
    writer.optional(device.iommufdId);
    writer.optional(device.pageTableId);
  } else {
    writer.optional(device.group);
  }
  writer.list(device.irqs, ({ kind, allocated, unmask, vectors }) => {
    writer.code(irqCodes, kind);
    writer.u32(allocated);
    writer.optional(unmask);
    writer.list(vectors, ({ index, eventfd }) => {
      writer.u32(index);
      writer.u32(eventfd);
    });
  });
  writer.list(device.ioeventfds, ({ region, offset, width, value, eventfd }) => {
    writer.u32(region);
    writer.size(offset);
    writer.u8(width);
    writer.u64(value);
    writer.u32(eventfd);
  });
}

function writeConnection(writer: ByteWriter, connection: ConnectionItem): void {
  writer.code(connectionCodes, connection.kind);
  writer.text(connection.machine);
  writer.text(connection.container);
  writer.text(connection.device);
  if (connection.kind === "intx") {
    writer.u32(connection.gsi);
    writer.code(deliveryCodes, connection.delivery);
  } else {
    writer.code(maskingCodes, connection.masking);
    writer.list(connection.vectors, ({ index, guest }) => {
      writer.u32(index);
      writer.optional(guest);
    });
  }
}

function encodeRefusal(object: string): (why: string) => VfioError {
  return (why) => new VfioError({ errno: EINVAL, syscall: "encode", object, why });
}

/**
 * Encodes a manifest, after checking it by the same rules as its reader.
 *
 * The indexes of its descriptors must be 0, 1, 2, ..., each of them spoken of once.
 *
 * @throws VfioError `EINVAL` for a manifest that no reader would accept, `EMSGSIZE` for one longer than {@link MAX_MANIFEST}
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  let descriptorCount = 0;
  for (const _ of descriptorUses(manifest)) descriptorCount++;
  checkManifest(manifest, descriptorCount, encodeRefusal(manifestKind.name));
  const document = new DocumentWriter(manifestKind);
  document.record("writer", (writer) => {
    writer.text(manifest.writer.version);
    writer.text(manifest.writer.node);
    writer.u32(manifest.writer.pid);
  });
  document.record("memory", (writer) => writer.list(manifest.memory, (item) => writeMemory(writer, item)));
  document.record("containers", (writer) => writer.list(manifest.containers, (item) => writeContainer(writer, item)));
  document.record("connections", (writer) =>
    writer.list(manifest.connections, (item) => writeConnection(writer, item)),
  );
  document.record("descriptors", (writer) =>
    writer.list(manifest.descriptors, ({ name, descriptor }) => {
      writer.text(name);
      writer.u32(descriptor);
    }),
  );
  const bytes = document.end();
  if (bytes.length > MAX_MANIFEST) throw tooLong("encode", bytes.length);
  return bytes;
}

function tooLong(syscall: "encode" | "decode", length: number): VfioError {
  return new VfioError({
    errno: EMSGSIZE,
    syscall,
    object: manifestKind.name,
    why: `it is ${length} bytes long, and ${MAX_MANIFEST} is the most`,
    fix: "map in larger pieces: each mapping takes 32 bytes",
  });
}

/**
 * Encodes the part that follows when everything is frozen.
 *
 * @throws VfioError `EINVAL` for numbers and names out of their ranges
 */
export function encodeFrozen(part: FrozenPart): Uint8Array {
  checkFrozen(part, encodeRefusal(frozenKind.name));
  const document = new DocumentWriter(frozenKind);
  document.record("connections", (writer) =>
    writer.list(part.connections, ({ vectors }) =>
      writer.list(vectors, ({ index, message, masked, toGuest }) => {
        writer.u32(index);
        writer.u32(
          (message === undefined ? 0 : HAS_MESSAGE) |
            (message?.deviceId === undefined ? 0 : HAS_DEVICE_ID) |
            (masked ? MASKED : 0) |
            (toGuest ? TO_GUEST : 0),
        );
        writer.u64(BigInt(message?.address ?? 0));
        writer.u32(message?.data ?? 0);
        writer.u32(message?.deviceId ?? 0);
      }),
    ),
  );
  document.record("times", (writer) =>
    writer.list(part.times, ({ phase, at }) => {
      writer.text(phase);
      writer.u64(at);
    }),
  );
  document.record("state", (writer) => writer.raw(part.state));
  return document.end();
}

// ---- reading ---------------------------------------------------------------------------------------------------------

/** Reads the manifest's records. */
class ManifestReader {
  readonly #reader: ByteReader;
  /** What has a descriptor of its own cannot be more than there are descriptors. */
  readonly #descriptorCount: number;

  constructor(reader: ByteReader, descriptorCount: number) {
    this.#reader = reader;
    this.#descriptorCount = descriptorCount;
  }

  writer(): Manifest["writer"] {
    const reader = this.#reader;
    return { version: reader.text("version"), node: reader.text("version of Node"), pid: reader.u32() };
  }

  memory(): MemoryItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("items of memory", sizes.memory), () => {
      if (reader.code(memoryCodes, "kind of memory") === "bar") {
        return {
          kind: "bar",
          container: reader.text("container's name"),
          device: reader.text("device's address"),
          region: reader.u32(),
          offset: reader.size("offset"),
          length: reader.size("length"),
        };
      }
      const name = reader.optionalText("memory's name");
      const label = reader.text("memory's label");
      return {
        kind: "file",
        name,
        label,
        descriptor: reader.number("descriptor"),
        length: reader.size("length"),
        pageSize: reader.size("page size"),
        locked: reader.flag("flag for locked memory"),
      };
    });
  }

  containers(): ContainerItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("containers", sizes.container, this.#descriptorCount), () => {
      const name = reader.text("container's name");
      const mode = reader.code(modeCodes, "mode of container");
      const descriptor = reader.number("descriptor");
      const isIommufd = mode === "iommufd";
      return {
        name,
        mode,
        descriptor,
        ioas: isIommufd ? reader.number("address space's id") : undefined,
        groups: isIommufd ? [] : this.#groups(),
        devices: this.#devices(isIommufd),
        mappings: this.#mappings(),
      };
    });
  }

  #groups(): ContainerItem["groups"] {
    const reader = this.#reader;
    return reader.list(reader.count("groups", sizes.group, this.#descriptorCount), () => ({
      id: reader.number("group's number"),
      descriptor: reader.number("descriptor"),
    }));
  }

  #devices(isIommufd: boolean): DeviceItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("devices", sizes.device, this.#descriptorCount), () => ({
      address: reader.text("device's address"),
      descriptor: reader.number("descriptor"),
      group: isIommufd ? undefined : reader.number("group's number"),
      iommufdId: isIommufd ? reader.number("device's id") : undefined,
      pageTableId: isIommufd ? reader.number("page table's id") : undefined,
      irqs: this.#irqs(),
      ioeventfds: this.#ioeventfds(),
    }));
  }

  #irqs(): IrqItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("kinds of interrupt", sizes.irq, this.#descriptorCount), () => ({
      kind: reader.code(irqCodes, "kind of interrupt"),
      allocated: reader.u32(),
      unmask: reader.optional(),
      vectors: reader.list(reader.count("vectors", sizes.vector, this.#descriptorCount), () => ({
        index: reader.u32(),
        eventfd: reader.number("descriptor"),
      })),
    }));
  }

  #ioeventfds(): IoeventfdItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("ioeventfds", sizes.ioeventfd, this.#descriptorCount), () => ({
      region: reader.u32(),
      offset: reader.size("ioeventfd's offset"),
      width: this.#width(),
      value: reader.u64(),
      eventfd: reader.number("descriptor"),
    }));
  }

  #width(): IoeventfdItem["width"] {
    const width = this.#reader.u8();
    if (width === 1 || width === 2 || width === 4 || width === 8) return width;
    throw this.#reader.refusal(`an ioeventfd is ${width} bytes wide, not 1, 2, 4 or 8`, this.#reader.at - 1);
  }

  #mappings(): MappingItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("mappings", sizes.mapping), () => {
      const iova = reader.u64();
      const length = reader.size("mapping's length");
      const offset = reader.size("mapping's offset");
      const memory = reader.u32();
      const access = reader.bits("mapping's access bits", READ | WRITE);
      return { iova, length, read: (access & READ) !== 0, write: (access & WRITE) !== 0, memory, offset };
    });
  }

  connections(): ConnectionItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("connections", sizes.connection, MAX_CONNECTIONS), () => {
      const kind = reader.code(connectionCodes, "kind of connection");
      const machine = reader.text("machine's name");
      const container = reader.text("container's name");
      const device = reader.text("device's address");
      const of = { machine, container, device };
      if (kind === "intx") {
        return { kind, ...of, gsi: reader.u32(), delivery: reader.code(deliveryCodes, "delivery") };
      }
      return {
        kind,
        ...of,
        masking: reader.code(maskingCodes, "masking"),
        vectors: reader.list(reader.count("connected vectors", sizes.vector, MAX_VECTORS), () => ({
          index: reader.u32(),
          guest: reader.optional(),
        })),
      };
    });
  }

  descriptors(): Manifest["descriptors"] {
    const reader = this.#reader;
    return reader.list(reader.count("descriptors", sizes.descriptor, this.#descriptorCount), () => ({
      name: reader.text("descriptor's name"),
      descriptor: reader.number("descriptor"),
    }));
  }
}

function decodeRefusal(object: string): (why: string) => VfioError {
  return (why) =>
    new VfioError({
      errno: EINVAL,
      syscall: "decode",
      object,
      why,
      fix: "the process that wrote it is at fault: nothing of it was used",
    });
}

/**
 * Decodes a manifest and checks it. The descriptors have not been touched when it throws, and can be closed.
 *
 * @param bytes what came; borrowed
 * @param descriptorCount how many descriptors came with it
 * @throws VfioError `EPROTONOSUPPORT` for a newer version of the format, `EPROTO` for bytes that are none, `EINVAL` for what
 *   contradicts itself or the descriptors, `EMSGSIZE` for more than {@link MAX_MANIFEST}
 */
export function decodeManifest(bytes: Uint8Array, descriptorCount: number): Manifest {
  if (!(bytes instanceof Uint8Array)) throw argTypeError("bytes", "a Uint8Array", bytes);
  if (!Number.isSafeInteger(descriptorCount) || descriptorCount < 0) {
    throw outOfRangeError("descriptorCount", "a number of descriptors", descriptorCount);
  }
  if (bytes.length > MAX_MANIFEST) throw tooLong("decode", bytes.length);
  const document = new DocumentReader(manifestKind, bytes);
  const items = new ManifestReader(document.reader, descriptorCount);
  const manifest: Manifest = {
    writer: document.record("writer", () => items.writer()),
    memory: document.record("memory", () => items.memory()),
    containers: document.record("containers", () => items.containers()),
    connections: document.record("connections", () => items.connections()),
    descriptors: document.record("descriptors", () => items.descriptors()),
  };
  document.end();
  checkManifest(manifest, descriptorCount, decodeRefusal(manifestKind.name));
  return manifest;
}

/**
 * Decodes the part that follows when everything is frozen, and checks that it is its manifest's.
 *
 * @param bytes what came; the program's state in the result is a view of it
 * @throws VfioError as {@link decodeManifest}
 */
export function decodeFrozen(bytes: Uint8Array, manifest: Manifest): FrozenPart {
  if (!(bytes instanceof Uint8Array)) throw argTypeError("bytes", "a Uint8Array", bytes);
  const document = new DocumentReader(frozenKind, bytes);
  const part: FrozenPart = {
    connections: document.record("connections", (reader) => readFrozenConnections(reader, manifest)),
    times: document.record("times", (reader) =>
      reader.list(reader.count("phases", sizes.time, MAX_PHASES), () => ({
        phase: reader.text("phase"),
        at: reader.u64(),
      })),
    ),
    state: document.record("state", (reader) => reader.raw(reader.left)),
  };
  document.end();
  checkFrozenFits(part, manifest, decodeRefusal(frozenKind.name));
  return part;
}

function readFrozenConnections(reader: ByteReader, { connections }: Manifest): FrozenPart["connections"] {
  const expectCount = (found: number, expected: number, what: string) => {
    if (found === expected) return;
    throw reader.refusal(`${found} ${what}, and the manifest has ${expected}`, reader.at - 4);
  };
  expectCount(reader.count("connections", sizes.frozenConnection), connections.length, "connections");
  return connections.map((connection) => {
    const count = reader.count("connected vectors", sizes.frozenVector);
    const expected = connection.kind === "intx" ? 0 : connection.vectors.length;
    expectCount(count, expected, `vectors of ${connection.kind} of ${connection.device}`);
    return { vectors: reader.list(count, () => readFrozenVector(reader)) };
  });
}

function readFrozenVector(reader: ByteReader): FrozenPart["connections"][number]["vectors"][number] {
  const index = reader.u32();
  const bits = reader.bits("vector's bits", HAS_MESSAGE | HAS_DEVICE_ID | MASKED | TO_GUEST);
  const [address, data, deviceId] = [reader.u64(), reader.u32(), reader.u32()];
  const [hasMessage, hasDeviceId] = [(bits & HAS_MESSAGE) !== 0, (bits & HAS_DEVICE_ID) !== 0];
  // What is not there is zero, so that there is one way to write it.
  if ((!hasMessage && (hasDeviceId || address !== 0n || data !== 0)) || (!hasDeviceId && deviceId !== 0)) {
    throw reader.refusal(`vector ${index} in ${reader.where} has numbers of a message, and none`, reader.at - 24);
  }
  return {
    index,
    message: hasMessage ? { address, data, ...(hasDeviceId ? { deviceId } : {}) } : undefined,
    masked: (bits & MASKED) !== 0,
    toGuest: (bits & TO_GUEST) !== 0,
  };
}
