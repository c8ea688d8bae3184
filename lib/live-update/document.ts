/**
 * What goes round the two documents of a hand-over: a header, and records with lengths.
 *
 * ```text
 *  0           8         12        16       24         28
 *  | VFIOLIVE | document | version | length | checksum | record | record | ...
 *
 *  | number (4) | length (8) | as many bytes |                           one record
 * ```
 *
 * The two processes may run different versions of this package. What an older one wrote is read by every later one; what a
 * newer one wrote is refused, because a field that nobody here knows of may be the one that matters. So nothing is ever
 * skipped, and there is no need to.
 *
 * A later version adds records, with the next number, and fields at the end of an item. The reader looks at the version that
 * the document was written in: where it is older than the field, the field has the value that nobody would have noticed then.
 *
 * @module
 */
import { constants } from "node:os";
import { crc32 } from "node:zlib";
import { VfioError } from "../base/errors.js";
import { ByteReader, ByteWriter } from "./bytes.js";

/** The version of the format that this package writes, and the newest that it reads. */
export const FORMAT_VERSION = 2;

const { EPROTONOSUPPORT } = constants.errno;

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

export const manifestKind: DocumentKind<
  "writer" | "memory" | "containers" | "connections" | "descriptors" | "sockets"
> = {
  number: 1,
  name: "the manifest",
  records: {
    writer: { number: 1, since: 1 },
    memory: { number: 2, since: 1 },
    containers: { number: 3, since: 1 },
    connections: { number: 4, since: 1 },
    descriptors: { number: 5, since: 1 },
    sockets: { number: 6, since: 2 },
  },
};

export const frozenKind: DocumentKind<"connections" | "times" | "state"> = {
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

/** Writes the records of a document. */
export class DocumentWriter<Name extends string> {
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

/** Reads them, after checking all that goes round them. */
export class DocumentReader<Name extends string> {
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
