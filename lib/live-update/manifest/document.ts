/**
 * The frame of the two documents of a hand-over: a header, and records with lengths.
 *
 * ```text
 *  0           8         12        16       24         28
 *  | VFIOLIVE | document | version | length | checksum | record | record | ...
 *
 *  | number (4) | length (8) | as many bytes |                           one record
 * ```
 *
 * The two processes may run different versions of this package. Every later version reads what an older one wrote. A document of a
 * newer version is refused, because a field that this version does not know may be the one that matters. So a reader never skips
 * anything.
 *
 * A later version adds records, with the next number, and fields at the end of an item, both in `since`. The reader looks at the
 * version that the document was written in. Where the field is newer, it has the value that describes what the older version did.
 *
 * @module
 */
import { constants } from "node:os";
import { crc32 } from "node:zlib";
import { VfioError } from "../../base/errors.js";
import { ByteReader, ByteWriter } from "./bytes.js";
import type { DescriptorUse, Part, Refuse, Source } from "./schema.js";

/** The version of the format that this package writes, and the newest that it reads. */
export const FORMAT_VERSION = 2;

const { EPROTONOSUPPORT } = constants.errno;

/** "VFIOLIVE" */
const MAGIC = Uint8Array.of(0x56, 0x46, 0x49, 0x4f, 0x4c, 0x49, 0x56, 0x45);
const LENGTH_AT = 16;
const CHECKSUM_AT = 24;

/** A record of a document: a number, a length, and that many bytes. */
export interface DocumentRecord<T> {
  readonly number: number;
  readonly part: Part<T>;
}

/** The records of a document by name, in the order of their numbers. */
type Records = Readonly<Record<string, DocumentRecord<unknown>>>;

/** One of the two documents of a hand-over. */
export interface DocumentKind<R extends Records> {
  readonly number: number;
  readonly name: string;
  /** Each is there once. One that came later stands in {@link since}. */
  readonly records: R;
}

/** What a document says. */
export type DocumentValue<R extends Records> = {
  readonly [Name in keyof R]: R[Name] extends DocumentRecord<infer T> ? T : never;
};

export function record<T>(number: number, part: Part<T>): DocumentRecord<T> {
  return { number, part };
}

/** The checksum of all but itself. */
function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes.subarray(CHECKSUM_AT + 4), crc32(bytes.subarray(0, CHECKSUM_AT)));
}

/** Writes a document, whatever it says. Length and checksum come last. */
export function writeDocument<R extends Records>(
  { number, records }: DocumentKind<R>,
  value: DocumentValue<R>,
): Uint8Array {
  const values: Readonly<Record<string, unknown>> = value;
  const writer = new ByteWriter();
  writer.raw(MAGIC);
  writer.u32(number);
  writer.u32(FORMAT_VERSION);
  writer.size(0);
  writer.u32(0);
  for (const [name, { number, part }] of Object.entries(records)) {
    writer.u32(number);
    const lengthAt = writer.length;
    writer.size(0);
    part.write(writer, values[name]);
    writer.sizeAt(lengthAt, writer.length - lengthAt - 8);
  }
  writer.sizeAt(LENGTH_AT, writer.length);
  writer.u32At(CHECKSUM_AT, checksumOf(writer.bytes));
  return writer.bytes;
}

/** Throws what `refuse` makes, if a value of the document is not one that a reader takes. */
export function checkValues<R extends Records>(
  { name, records }: DocumentKind<R>,
  value: DocumentValue<R>,
  refuse: Refuse,
): void {
  const values: Readonly<Record<string, unknown>> = value;
  for (const [key, { part }] of Object.entries(records)) {
    part.check(values[key], { refuse, label: `record "${key}"`, of: () => name });
  }
}

/** Every place where a document names a descriptor, in the order of the bytes. */
export function usesIn<R extends Records>(
  { name, records }: DocumentKind<R>,
  value: DocumentValue<R>,
): readonly DescriptorUse[] {
  const uses: DescriptorUse[] = [];
  const values: Readonly<Record<string, unknown>> = value;
  for (const [key, { part }] of Object.entries(records)) part.uses(values[key], name, (use) => uses.push(use));
  return uses;
}

/**
 * Reads a document: first all that goes round the records.
 *
 * @param descriptorCount how many descriptors came with it
 */
export function readDocument<R extends Records>(
  kind: DocumentKind<R>,
  bytes: Uint8Array,
  descriptorCount: number,
): DocumentValue<R> {
  const reader = new ByteReader(bytes, kind.name);
  const version = readHeader(kind, bytes, reader);
  const source = { reader, version, descriptorCount };
  const records = new RecordReader(kind, source);
  const value: Record<string, unknown> = {};
  for (const [name, { part }] of Object.entries(kind.records)) {
    // Of an older document it is what its absence means.
    value[name] = version < sinceOf(part) ? part.read(source, "list") : records.read(name);
  }
  records.end();
  // Every record of R is there with its type, which the compiler cannot see from a loop.
  return value as DocumentValue<R>;
}

function sinceOf(part: Part<unknown>): number {
  return part.since ?? 1;
}

/** Checks header and checksum. Returns the version that the document was written in. */
function readHeader(kind: DocumentKind<Records>, bytes: Uint8Array, reader: ByteReader): number {
  if (MAGIC.some((byte, at) => bytes[at] !== byte)) {
    throw reader.refusal('it does not begin with "VFIOLIVE": it is no part of a hand-over');
  }
  reader.raw(MAGIC.length);
  const number = reader.u32();
  if (number !== kind.number) {
    throw reader.refusal(`it is document ${number} of a hand-over, and ${kind.name} is document ${kind.number}`, 8);
  }
  const version = reader.u32();
  // Before anything that a later version could have changed.
  if (version > FORMAT_VERSION) throw newerVersion(kind.name, version);
  if (version === 0) throw reader.refusal("it is in version 0 of the format, which does not exist", 12);
  const length = reader.size("length");
  if (length > bytes.length) {
    throw reader.refusal(`it is truncated: ${bytes.length} bytes came of ${length}`, LENGTH_AT);
  }
  if (length < bytes.length) throw reader.refusal(`${bytes.length - length} bytes follow its end`, LENGTH_AT);
  if (reader.u32() !== checksumOf(bytes)) throw reader.refusal("its checksum is wrong", CHECKSUM_AT);
  return version;
}

/** Reads the records of a document, one after the other. */
class RecordReader {
  readonly #kind: DocumentKind<Records>;
  readonly #source: Source;
  #last = 0;

  constructor(kind: DocumentKind<Records>, source: Source) {
    this.#kind = kind;
    this.#source = source;
  }

  /** Reads the next record, which must be this one. */
  read(name: string): unknown {
    const { reader } = this.#source;
    const record = this.#kind.records[name];
    const where = `the record "${name}"`;
    if (reader.left === 0 || record === undefined) throw reader.refusal(`${where} is missing`);
    const at = reader.at;
    reader.where = "a record's header";
    const found = reader.u32();
    if (found !== record.number) throw reader.refusal(this.#misplaced(found, where), at);
    this.#last = found;
    return reader.within(reader.size("length"), where, () => record.part.read(this.#source, "list"));
  }

  /** Nothing may follow the last record. */
  end(): void {
    const { reader } = this.#source;
    if (reader.left === 0) return;
    const at = reader.at;
    reader.where = "a record's header";
    throw reader.refusal(this.#misplaced(reader.u32(), "the end"), at);
  }

  /** Why a record is not the one that should be there. */
  #misplaced(found: number, expected: string): string {
    const { version } = this.#source;
    for (const [name, { number, part }] of Object.entries(this.#kind.records)) {
      if (number !== found || sinceOf(part) > version) continue;
      // They come in the order of their numbers.
      return found <= this.#last
        ? `the record "${name}" is there twice, or out of order`
        : `${expected} is missing: the record "${name}" is in its place`;
    }
    return `unknown record ${found} in version ${version} of the format`;
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
