/**
 * The building blocks of the hand-over's binary format: little-endian numbers, texts and lists, written and read.
 *
 * What is read comes from outside. Nothing is read beyond the end, no list is begun that the bytes cannot hold, and every
 * value has one encoding: what was accepted encodes to the same bytes again.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../../base/errors.js";

const { EPROTO } = constants.errno;

/** The longest name or label, in bytes of UTF-8: as long as a path (`PATH_MAX`). */
export const MAX_TEXT = 4096;

/** Where a text, an index or an id may be left out: what none of them can be. */
const NO_TEXT = 0xffff;
export const NO_NUMBER = 0xffff_ffff;

const encoder = new TextEncoder();
// A byte order mark is a part of the text as any other: without it the text would be another one.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The values of a field that says which, and their numbers. */
export class Codes<T extends string> {
  readonly #codes: Readonly<Record<T, number>>;
  readonly #values: ReadonlyMap<number, T>;

  constructor(codes: Readonly<Record<T, number>>) {
    const values = new Map<number, T>();
    for (const value in codes) values.set(codes[value], value);
    this.#codes = codes;
    this.#values = values;
  }

  codeOf(value: T): number {
    return this.#codes[value];
  }

  valueOf(code: number): T | undefined {
    return this.#values.get(code);
  }
}

/** Writes. What it is given was checked. */
export class ByteWriter {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Makes room, and says where it begins. */
  #advance(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  get length(): number {
    return this.#length;
  }

  /** What was written: a view. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  u8(value: number): void {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
  }

  u32(value: number): void {
    const at = this.#advance(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    const at = this.#advance(8);
    this.#view.setBigUint64(at, value, true);
  }

  /** 64 bits, from a safe integer. */
  size(value: number): void {
    this.sizeAt(this.#advance(8), value);
  }

  /** Writes over what is there. */
  sizeAt(at: number, value: number): void {
    setSize(this.#view, at, value);
  }

  /** Writes over what is there. */
  u32At(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  optional(value: number | undefined): void {
    this.u32(value ?? NO_NUMBER);
  }

  flag(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#advance(bytes.length);
    this.#bytes.set(bytes, at);
  }

  text(text: string | undefined): void {
    const bytes = text === undefined ? undefined : encoder.encode(text);
    const at = this.#advance(2);
    this.#view.setUint16(at, bytes?.length ?? NO_TEXT, true);
    if (bytes !== undefined) this.raw(bytes);
  }

  code<T extends string>(codes: Codes<T>, value: T): void {
    this.u8(codes.codeOf(value));
  }

  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.u32(items.length);
    for (const item of items) write(item);
  }

  /** Makes room for bytes that the caller writes. */
  room(length: number): DataView {
    const at = this.#advance(length);
    return new DataView(this.#bytes.buffer, at, length);
  }
}

const HALF = 0x1_0000_0000;

/** Writes a safe integer as 64 bits. */
export function setSize(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % HALF, true);
  view.setUint32(at + 4, Math.floor(value / HALF), true);
}

/** Reads 64 bits as a number: exact where it is a safe integer, and none where it is 2^53 or more. */
export function getSize(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * HALF;
}

/** Reads, from `at` to `end`. Everything that is wrong is an `EPROTO`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #object: string;
  #at: number;
  #end: number;
  /** What is being read, for messages. */
  where = "the header";

  /** @param object what the bytes are, for messages */
  constructor(bytes: Uint8Array, object: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#object = object;
    this.#at = 0;
    this.#end = bytes.length;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  /** The error for what is wrong with these bytes. */
  refusal(why: string, offset = this.#at): VfioError {
    return new VfioError({
      errno: EPROTO,
      syscall: "decode",
      args: { offset },
      object: this.#object,
      why,
      fix: "these bytes are damaged, or not what this package writes: hand over again",
    });
  }

  #advance(size: number): number {
    const at = this.#at;
    if (size > this.#end - at) {
      throw this.refusal(`${this.where} ends too early: ${size} bytes are needed, and ${this.#end - at} are left`);
    }
    this.#at = at + size;
    return at;
  }

  /** Reads what lies in the next `length` bytes, all of it. */
  within<T>(length: number, where: string, read: () => T): T {
    const [end, before] = [this.#end, this.where];
    this.where = where;
    this.#at = this.#advance(length);
    this.#end = this.#at + length;
    const result = read();
    if (this.left > 0) throw this.refusal(`${this.left} bytes are left over in ${where}`);
    this.#end = end;
    this.where = before;
    return result;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  /** 64 bits that must fit a safe integer. */
  size(what: string): number {
    const at = this.#advance(8);
    const value = getSize(this.#view, at);
    if (Number.isSafeInteger(value)) return value;
    throw this.refusal(`the ${what} in ${this.where} is 2^53 or more`, at);
  }

  /** An index or an id that must be there. */
  number(what: string): number {
    const value = this.u32();
    if (value !== NO_NUMBER) return value;
    throw this.refusal(`the ${what} is missing in ${this.where}`, this.#at - 4);
  }

  optional(): number | undefined {
    const value = this.u32();
    return value === NO_NUMBER ? undefined : value;
  }

  flag(what: string): boolean {
    const value = this.u8();
    if (value > 1) throw this.refusal(`the ${what} in ${this.where} is ${value}, neither 0 nor 1`, this.#at - 1);
    return value === 1;
  }

  /** Bits, of which those in `mask` have a meaning. */
  bits(what: string, mask: number): number {
    const value = this.u32();
    if ((value & ~mask) === 0) return value;
    throw this.refusal(
      `the ${what} in ${this.where} is 0x${value.toString(16)}, of which the bits 0x${mask.toString(16)} are known`,
      this.#at - 4,
    );
  }

  /** Bytes that the caller reads. */
  view(length: number): DataView {
    const at = this.#advance(length);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, length);
  }

  /** Bytes as they are: a view, and no `Buffer` even of one. */
  raw(length: number): Uint8Array {
    const at = this.#advance(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length);
  }

  text(what: string): string {
    const text = this.optionalText(what);
    if (text !== undefined) return text;
    throw this.refusal(`the ${what} is missing in ${this.where}`, this.#at - 2);
  }

  optionalText(what: string): string | undefined {
    const length = this.#view.getUint16(this.#advance(2), true);
    if (length === NO_TEXT) return undefined;
    if (length > MAX_TEXT) {
      throw this.refusal(`the ${what} in ${this.where} is ${length} bytes long, more than ${MAX_TEXT}`, this.#at - 2);
    }
    const at = this.#advance(length);
    let text: string;
    try {
      text = decoder.decode(this.#bytes.subarray(at, this.#at));
    } catch {
      throw this.refusal(`the ${what} in ${this.where} is not UTF-8`, at);
    }
    if (text.includes("\0")) throw this.refusal(`the ${what} in ${this.where} has a NUL in it`, at);
    return text;
  }

  code<T extends string>(codes: Codes<T>, what: string): T {
    const code = this.u8();
    const value = codes.valueOf(code);
    if (value === undefined)
      throw this.refusal(`the ${what} in ${this.where} is ${code}, which has no meaning`, this.#at - 1);
    return value;
  }

  /**
   * How many items follow, before any is read.
   *
   * @param size what the smallest one takes
   * @param max how many there can be, for another reason
   */
  count(what: string, size: number, max = Number.POSITIVE_INFINITY): number {
    const count = this.u32();
    if (count * size > this.left) {
      throw this.refusal(
        `the ${what} in ${this.where} has ${count} items, which do not fit into the ${this.left} bytes that are left`,
        this.#at - 4,
      );
    }
    if (count > max) {
      throw this.refusal(`the ${what} in ${this.where} has ${count} items, more than ${max}`, this.#at - 4);
    }
    return count;
  }

  list<T>(count: number, read: () => T): T[] {
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(read());
    return items;
  }
}
