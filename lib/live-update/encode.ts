/**
 * Writes the manifest and its frozen part as bytes. `docs/live-update-manifest.md` describes the format.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import type { ContainerMode } from "../container/container.js";
import { type ByteWriter, setSize } from "./bytes.js";
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
import { descriptorUses } from "./descriptor-uses.js";
import { DocumentWriter, frozenKind, manifestKind } from "./document.js";
import type {
  ConnectionItem,
  ContainerItem,
  DeviceItem,
  FrozenPart,
  IrqItem,
  Manifest,
  MappingItem,
  MemoryItem,
  SocketItem,
} from "./manifest.js";
import { checkFrozen, checkManifest, MAX_MANIFEST, tooLong } from "./rules.js";

const { EINVAL } = constants.errno;

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
  writeMappings(writer, container.mappings);
}

/** In one loop over the bytes: there are thousands, and every process does this once, with code that is not compiled yet. */
function writeMappings(writer: ByteWriter, mappings: readonly MappingItem[]): void {
  writer.u32(mappings.length);
  const view = writer.room(mappings.length * sizes.mapping);
  let at = 0;
  for (const { iova, length, offset, memory, read, write } of mappings) {
    view.setBigUint64(at, iova, true);
    setSize(view, at + 8, length);
    setSize(view, at + 16, offset);
    view.setUint32(at + 24, memory, true);
    view.setUint32(at + 28, (read ? READ : 0) | (write ? WRITE : 0), true);
    at += sizes.mapping;
  }
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
  writeIrqs(writer, device.irqs);
  writer.list(device.ioeventfds, ({ region, offset, width, value, eventfd }) => {
    writer.u32(region);
    writer.size(offset);
    writer.u8(width);
    writer.u64(value);
    writer.u32(eventfd);
  });
}

function writeIrqs(writer: ByteWriter, irqs: readonly IrqItem[]): void {
  writer.list(irqs, ({ kind, allocated, unmask, vectors }) => {
    writer.code(irqCodes, kind);
    writer.u32(allocated);
    writer.optional(unmask);
    writer.list(vectors, ({ index, eventfd }) => {
      writer.u32(index);
      writer.u32(eventfd);
    });
  });
}

function writeSocket(writer: ByteWriter, item: SocketItem): void {
  const { agreement, path, port } = item;
  // Texts have no NUL in them: what begins with one is said by a bit.
  const isAbstract = path?.startsWith("\0") === true;
  writer.text(item.name);
  writer.text(isAbstract ? path.slice(1) : path);
  writer.text(item.address);
  writer.u32(item.timeout);
  writer.u32(
    (item.postedWrites ? POSTED_WRITES : 0) |
      (item.trustServer ? TRUST_SERVER : 0) |
      (agreement.writeMultiple ? WRITE_MULTIPLE : 0) |
      (isAbstract ? ABSTRACT : 0),
  );
  writer.u32(item.socket);
  writer.optional(item.twin);
  writer.u32(agreement.minor);
  writer.u32(agreement.maxFds);
  writer.size(agreement.maxTransfer);
  writer.size(agreement.maxMaps);
  writer.u64(agreement.pageSizes);
  writer.u32(port.flags);
  writer.u32(port.numRegions);
  writer.u32(port.numIrqs);
  writer.list(port.regions, ({ index, status, flags, size, offset, capOffset, bytes, file }) => {
    writer.u32(index);
    writer.u32(-status);
    writer.u32(flags);
    writer.u64(size);
    writer.u64(offset);
    writer.u32(capOffset);
    writer.u32(bytes.length);
    writer.raw(bytes);
    writer.optional(file);
  });
  writer.list(port.irqs, ({ index, status, flags, count }) => {
    writer.u32(index);
    writer.u32(-status);
    writer.u32(flags);
    writer.u32(count);
  });
  writer.list(port.posted, (posted) => writer.flag(posted));
  writeIrqs(writer, item.device.irqs);
  writeMappings(writer, item.mappings);
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

/** Writes a manifest, whatever is in it. @internal */
export function writeManifest(manifest: Manifest): Uint8Array {
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
  document.record("sockets", (writer) => writer.list(manifest.sockets, (item) => writeSocket(writer, item)));
  return document.end();
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
  const bytes = writeManifest(manifest);
  if (bytes.length > MAX_MANIFEST) throw tooLong("encode", bytes.length);
  return bytes;
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
