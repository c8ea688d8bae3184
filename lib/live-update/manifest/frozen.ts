/**
 * The frozen part: what changes to the last moment. It follows the manifest when the old process no longer looks at the devices.
 *
 * Writing and reading it is a part of the blackout, and there can be thousands of vectors: each is read and written with the
 * offsets of a `struct`.
 *
 * @module
 */
import { argTypeError } from "../../base/errors.js";
import { struct, u32 as u32Field, u64 as u64Field } from "../../base/struct.js";
import type { FrozenConnection, FrozenVector } from "../../kvm/part.js";
import type { ByteReader, ByteWriter } from "./bytes.js";
import { nameConnection } from "./connection.js";
import { checkValues, readDocument, record, writeDocument } from "./document.js";
import { decodeRefusal, encodeRefusal } from "./faults.js";
import type { Manifest } from "./manifest.js";
import { item, list, type Part, type Place, type Refuse, remainder, text, u64, type ValueOf } from "./schema.js";

const layout = struct({ index: u32Field, bits: u32Field, address: u64Field, data: u32Field, deviceId: u32Field });
const { offsets } = layout;
const HAS_MESSAGE = 1;
const HAS_DEVICE_ID = 2;
const MASKED = 4;
const TO_GUEST = 8;
const KNOWN = HAS_MESSAGE | HAS_DEVICE_ID | MASKED | TO_GUEST;

/** A bound: a hand-over has six. */
export const MAX_PHASES = 64;

function writeVectors(writer: ByteWriter, vectors: readonly FrozenVector[]): void {
  writer.u32(vectors.length);
  const view = writer.room(vectors.length * layout.size);
  let at = 0;
  for (const { index, message, masked, toGuest } of vectors) {
    const bits =
      (message === undefined ? 0 : HAS_MESSAGE) |
      (message?.deviceId === undefined ? 0 : HAS_DEVICE_ID) |
      (masked ? MASKED : 0) |
      (toGuest ? TO_GUEST : 0);
    view.setUint32(at + offsets.index, index, true);
    view.setUint32(at + offsets.bits, bits, true);
    view.setBigUint64(at + offsets.address, BigInt(message?.address ?? 0), true);
    view.setUint32(at + offsets.data, message?.data ?? 0, true);
    view.setUint32(at + offsets.deviceId, message?.deviceId ?? 0, true);
    at += layout.size;
  }
}

function readVectors(reader: ByteReader, count: number): readonly FrozenVector[] {
  const begin = reader.at;
  const view = reader.view(count * layout.size);
  const vectors: FrozenVector[] = [];
  for (let at = 0; at < view.byteLength; at += layout.size) vectors.push(readVector(reader, view, at, begin + at));
  return vectors;
}

/** @param place where it lies in the document, for messages */
function readVector(reader: ByteReader, view: DataView, at: number, place: number): FrozenVector {
  const index = view.getUint32(at + offsets.index, true);
  const bits = view.getUint32(at + offsets.bits, true);
  const address = view.getBigUint64(at + offsets.address, true);
  const data = view.getUint32(at + offsets.data, true);
  const deviceId = view.getUint32(at + offsets.deviceId, true);
  if ((bits & ~KNOWN) !== 0) {
    const [found, known] = [bits, KNOWN].map((each) => `0x${each.toString(16)}`);
    throw reader.refusal(
      `the field "bits" in ${reader.where} is ${found}, of which the bits ${known} are known`,
      place,
    );
  }
  const [hasMessage, hasDeviceId] = [(bits & HAS_MESSAGE) !== 0, (bits & HAS_DEVICE_ID) !== 0];
  // Absent values are zero, so that there is one way to write them.
  if ((!hasMessage && (hasDeviceId || address !== 0n || data !== 0)) || (!hasDeviceId && deviceId !== 0)) {
    throw reader.refusal(`vector ${index} in ${reader.where} has the numbers of a message, and no message`, place);
  }
  return {
    index,
    message: hasMessage ? { address, data, ...(hasDeviceId ? { deviceId } : {}) } : undefined,
    masked: (bits & MASKED) !== 0,
    toGuest: (bits & TO_GUEST) !== 0,
  };
}

const isU32 = (value: number) => Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
const isAddress = (value: number | bigint) =>
  typeof value === "bigint" ? value >= 0n && value < 2n ** 64n : Number.isSafeInteger(value) && value >= 0;

function isSound({ index, message }: FrozenVector): boolean {
  if (!isU32(index)) return false;
  if (message === undefined) return true;
  const { address, data, deviceId } = message;
  return isAddress(address) && isU32(data) && (deviceId === undefined || isU32(deviceId));
}

/**
 * The connections as the manifest has them.
 *
 * @param manifest undefined for a writer, which describes the same objects
 */
function connections(manifest: Manifest | undefined): Part<readonly FrozenConnection[]> {
  return {
    leastIn: () => 4,
    uses: () => {},
    write(writer, items) {
      writer.list(items, ({ vectors }) => writeVectors(writer, vectors));
    },
    read({ reader }, label) {
      const expected = manifest?.connections ?? [];
      // The counts come first: nothing is made before they are right.
      const expectCount = (found: number, count: number, what: string) => {
        if (found === count) return;
        throw reader.refusal(`${found} ${what}, and the manifest has ${count}`, reader.at - 4);
      };
      expectCount(reader.count(label, 4), expected.length, "connections");
      return expected.map((connection) => {
        const count = reader.count("vectors", layout.size);
        const { kind, device } = connection;
        expectCount(
          count,
          connection.kind === "intx" ? 0 : connection.vectors.length,
          `vectors of ${kind} of ${device}`,
        );
        return { vectors: readVectors(reader, count) };
      });
    },
    check(items, { refuse }: Place) {
      for (const [number, { vectors }] of items.entries()) {
        const unsound = vectors.find((vector) => !isSound(vector));
        if (unsound === undefined) continue;
        throw refuse(`vector ${unsound.index} of connection ${number} has numbers out of their ranges`);
      }
    },
  };
}

const time = item({ phase: text(), at: u64() }, { name: (_value, _of, index) => `time ${index}` });

const kindFor = (manifest: Manifest | undefined) => ({
  number: 2,
  name: "the manifest's frozen part",
  records: {
    connections: record(1, connections(manifest)),
    /** When each phase began, in nanoseconds of the monotonic clock, which all processes share. */
    times: record(2, list(time, MAX_PHASES)),
    /** The program's own state. */
    state: record(3, remainder()),
  },
});
const writerKind = kindFor(undefined);

/** The part that follows when everything is frozen. */
export interface FrozenPart {
  readonly connections: readonly FrozenConnection[];
  readonly times: ValueOf<typeof writerKind.records.times.part>;
  readonly state: Uint8Array;
}

/**
 * Encodes the part that follows when everything is frozen.
 *
 * @throws VfioError `EINVAL` for numbers and names out of their ranges
 */
export function encodeFrozen(part: FrozenPart): Uint8Array {
  checkValues(writerKind, part, encodeRefusal(writerKind.name));
  return writeDocument(writerKind, part);
}

/**
 * Decodes the part that follows when everything is frozen, and checks that it is its manifest's.
 *
 * @param bytes what came; the program's state in the result is a view of it
 * @throws VfioError as `decodeManifest`
 */
export function decodeFrozen(bytes: Uint8Array, manifest: Manifest): FrozenPart {
  if (!(bytes instanceof Uint8Array)) throw argTypeError("bytes", "a Uint8Array", bytes);
  const part = readDocument(kindFor(manifest), bytes, 0);
  checkFits(part, manifest, decodeRefusal(writerKind.name));
  return part;
}

/** Checks that a frozen part has its manifest's connections, one to one. */
function checkFits({ connections }: FrozenPart, manifest: Manifest, refuse: Refuse): void {
  for (const [number, connection] of manifest.connections.entries()) {
    const vectors = connections[number]?.vectors ?? [];
    const expected = connection.kind === "intx" ? [] : connection.vectors;
    const where = nameConnection(connection);
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
