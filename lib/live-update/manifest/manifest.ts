/**
 * What a hand-over says: which descriptors are what, and everything else that the successor cannot ask the kernel for.
 * `docs/live-update-manifest.md` describes the bytes.
 *
 * It comes in two parts. The manifest travels with the descriptors while the devices still run; nothing that it says changes
 * from then on. The frozen part (`frozen.ts`) follows.
 *
 * @module
 */
import { argTypeError, outOfRangeError } from "../../base/errors.js";
import { connection, MAX_CONNECTIONS } from "./connection.js";
import { container } from "./container.js";
import { checkValues, type DocumentValue, readDocument, record, usesIn, writeDocument } from "./document.js";
import { decodeRefusal, encodeRefusal, MAX_MANIFEST, tooLong } from "./faults.js";
import { memory } from "./memory.js";
import { checkDescriptors, checkRules } from "./rules.js";
import { type DescriptorUse, descriptor, item, list, name, quote, type Refuse, since, text, u32 } from "./schema.js";
import { socket } from "./socket.js";

/** Who wrote it, for messages. */
const writer = item({ version: text(), node: text(), pid: u32() }, { name: () => "the writer" });

/** A descriptor of the program's own. */
const named = item(
  { name: name(), descriptor: descriptor() },
  {
    name: ({ name }) => `descriptor ${quote(name)}`,
    descriptors: { descriptor: (_, what) => ({ expected: { kind: "any" }, what }) },
  },
);

/** The document, record by record. A new one gets the next number, and stands in `since`. */
const manifestKind = {
  number: 1,
  name: "the manifest",
  records: {
    writer: record(1, writer),
    memory: record(2, list(memory)),
    containers: record(3, list(container, "descriptors")),
    connections: record(4, list(connection, MAX_CONNECTIONS)),
    descriptors: record(5, list(named, "descriptors")),
    // A process that wrote version 1 had no vfio-user containers to hand over.
    sockets: record(6, since(2, list(socket, "descriptors"), [])),
  },
};

/** The part that travels with the descriptors. */
export interface Manifest extends DocumentValue<typeof manifestKind.records> {}

/** Every place where a manifest names a descriptor, in the order of the bytes. */
export function descriptorUses(manifest: Manifest): readonly DescriptorUse[] {
  return usesIn(manifestKind, manifest);
}

/** @param descriptorCount how many there are; by default as many as the manifest names */
function check(manifest: Manifest, refuse: Refuse, descriptorCount?: number): void {
  checkValues(manifestKind, manifest, refuse);
  checkRules(manifest, refuse);
  const uses = descriptorUses(manifest);
  checkDescriptors(uses, descriptorCount ?? uses.length, refuse);
}

/** Writes a manifest, whatever is in it. @internal */
export function writeManifest(manifest: Manifest): Uint8Array {
  return writeDocument(manifestKind, manifest);
}

/**
 * Encodes a manifest, after checking it by the same rules as its reader.
 *
 * The indexes of its descriptors must be 0, 1, 2, ..., each of them used once.
 *
 * @throws VfioError `EINVAL` for a manifest that no reader would accept, `EMSGSIZE` for one longer than {@link MAX_MANIFEST}
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  check(manifest, encodeRefusal(manifestKind.name));
  const bytes = writeManifest(manifest);
  if (bytes.length > MAX_MANIFEST) throw tooLong("encode", bytes.length);
  return bytes;
}

/**
 * Decodes a manifest and checks it. The descriptors have not been touched when it throws, and can be closed.
 *
 * @param bytes what came; borrowed
 * @param descriptorCount how many descriptors came with it
 * @throws VfioError `EPROTONOSUPPORT` for a newer version of the format, `EPROTO` for bytes that are not a manifest, `EINVAL` for
 *   contradictions in it or with the descriptors, `EMSGSIZE` for more than {@link MAX_MANIFEST}
 */
export function decodeManifest(bytes: Uint8Array, descriptorCount: number): Manifest {
  if (!(bytes instanceof Uint8Array)) throw argTypeError("bytes", "a Uint8Array", bytes);
  if (!Number.isSafeInteger(descriptorCount) || descriptorCount < 0) {
    throw outOfRangeError("descriptorCount", "a number of descriptors", descriptorCount);
  }
  if (bytes.length > MAX_MANIFEST) throw tooLong("decode", bytes.length);
  const manifest = readDocument(manifestKind, bytes, descriptorCount);
  check(manifest, decodeRefusal(manifestKind.name), descriptorCount);
  return manifest;
}
