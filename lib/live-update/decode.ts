/**
 * Reads the manifest and its frozen part from bytes that may be anybody's. `docs/live-update-manifest.md` describes the format.
 *
 * @module
 */
import { constants } from "node:os";
import { argTypeError, outOfRangeError, VfioError } from "../base/errors.js";
import { type ByteReader, getSize } from "./bytes.js";
import {
  ABSTRACT,
  connectionCodes,
  deliveryCodes,
  HAS_DEVICE_ID,
  HAS_MESSAGE,
  irqCodes,
  MASKED,
  maskingCodes,
  memoryCodes,
  modeCodes,
  POSTED_WRITES,
  READ,
  sizes,
  TO_GUEST,
  TRUST_SERVER,
  WRITE,
  WRITE_MULTIPLE,
} from "./codes.js";
import { quote } from "./descriptor-uses.js";
import { DocumentReader, frozenKind, manifestKind } from "./document.js";
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
import {
  checkFrozenFits,
  checkManifest,
  MAX_CONNECTIONS,
  MAX_MANIFEST,
  MAX_PHASES,
  MAX_VECTORS,
  tooLong,
} from "./rules.js";

const { EINVAL } = constants.errno;

/** Reads what is in the manifest's records. */
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

  /** In one loop over the bytes: there are thousands, and every process does this once, with code that is not compiled yet. */
  #mappings(): MappingItem[] {
    const reader = this.#reader;
    const count = reader.count("mappings", sizes.mapping);
    const begin = reader.at;
    const view = reader.view(count * sizes.mapping);
    const mappings: MappingItem[] = [];
    for (let at = 0; at < view.byteLength; at += sizes.mapping) {
      const length = getSize(view, at + 8);
      const offset = getSize(view, at + 16);
      const memory = view.getUint32(at + 24, true);
      const access = view.getUint32(at + 28, true);
      if (!Number.isSafeInteger(length) || !Number.isSafeInteger(offset)) {
        throw reader.refusal("a mapping's length or offset is 2^53 or more", begin + at);
      }
      if ((access & ~(READ | WRITE)) !== 0) {
        throw reader.refusal(`unknown access bits in a mapping: 0x${access.toString(16)}`, begin + at);
      }
      const [read, write] = [(access & READ) !== 0, (access & WRITE) !== 0];
      mappings.push({ iova: view.getBigUint64(at, true), length, read, write, memory, offset });
    }
    return mappings;
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

  sockets(): SocketItem[] {
    const reader = this.#reader;
    return reader.list(reader.count("vfio-user containers", sizes.socket, this.#descriptorCount), () => {
      const name = reader.text("container's name");
      const path = reader.optionalText("socket's path");
      const address = reader.text("device's name");
      const timeout = reader.u32();
      const bits = reader.bits("container's bits", POSTED_WRITES | TRUST_SERVER | WRITE_MULTIPLE | ABSTRACT);
      if ((bits & ABSTRACT) !== 0 && path === undefined) {
        throw reader.refusal(`the socket of container ${quote(name)} has an abstract name, and none`, reader.at - 4);
      }
      return {
        name,
        path: (bits & ABSTRACT) === 0 ? path : `\0${path}`,
        address,
        timeout,
        postedWrites: (bits & POSTED_WRITES) !== 0,
        trustServer: (bits & TRUST_SERVER) !== 0,
        socket: reader.number("descriptor"),
        twin: reader.optional(),
        agreement: {
          minor: reader.u32(),
          maxFds: reader.u32(),
          maxTransfer: reader.size("most bytes in one access"),
          maxMaps: reader.size("most ranges of memory"),
          pageSizes: reader.u64(),
          writeMultiple: (bits & WRITE_MULTIPLE) !== 0,
        },
        port: this.#port(),
        device: { irqs: this.#irqs(), ioeventfds: [] },
        mappings: this.#mappings(),
      };
    });
  }

  #port(): SocketItem["port"] {
    const reader = this.#reader;
    const [flags, numRegions, numIrqs] = [reader.u32(), reader.u32(), reader.u32()];
    const regions = this.#regions();
    const irqs = this.#irqInfos();
    // A byte each: without a bound, a list of them would take many times the memory of its bytes.
    const posted = reader.list(reader.count("flags for posted writes", 1, regions.length), () =>
      reader.flag("flag for posted writes"),
    );
    return { flags, numRegions, numIrqs, regions, irqs, posted };
  }

  #regions(): SocketItem["port"]["regions"] {
    const reader = this.#reader;
    return reader.list(reader.count("regions", sizes.region), () => ({
      index: reader.u32(),
      status: this.#status(),
      flags: reader.u32(),
      size: reader.u64(),
      offset: reader.u64(),
      capOffset: reader.u32(),
      bytes: reader.raw(reader.count("bytes of a region's answer", 1)).slice(),
      file: reader.optional(),
    }));
  }

  #irqInfos(): SocketItem["port"]["irqs"] {
    const reader = this.#reader;
    return reader.list(reader.count("kinds of interrupt", sizes.irqInfo), () => ({
      index: reader.u32(),
      status: this.#status(),
      flags: reader.u32(),
      count: reader.u32(),
    }));
  }

  /** An errno, as the `-errno` that the requests answer. */
  #status(): number {
    const errno = this.#reader.u32();
    return errno === 0 ? 0 : -errno;
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
  const parts = {
    writer: document.record("writer", () => items.writer()),
    memory: document.record("memory", () => items.memory()),
    containers: document.record("containers", () => items.containers()),
    connections: document.record("connections", () => items.connections()),
    descriptors: document.record("descriptors", () => items.descriptors()),
  };
  // A process that wrote version 1 had no vfio-user containers to hand over.
  const sockets = document.version < 2 ? [] : document.record("sockets", () => items.sockets());
  const manifest: Manifest = { ...parts, sockets };
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
