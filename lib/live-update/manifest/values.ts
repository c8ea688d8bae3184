/**
 * Parts that are single values: numbers, texts, descriptors.
 *
 * @module
 */
import { type Codes, MAX_TEXT, NO_NUMBER } from "./bytes.js";
import { called, type DescriptorIndex, nothing, type Part, type Place, plain, quote } from "./part.js";

const MAX_U32 = 0xffff_ffff;
const MAX_U64 = 2n ** 64n - 1n;
/** The smallest page of every machine that Linux runs on: addresses and lengths are multiples of it at the least. */
export const PAGE = 4096;

export function checkInteger(value: number, place: Place, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw place.refuse(`${called(place)} is ${value}, not an integer from ${min} to ${max}`);
}

export function u32({ min = 0, max = MAX_U32 }: { readonly min?: number; readonly max?: number } = {}): Part<number> {
  return plain(
    4,
    (reader) => reader.u32(),
    (writer, value) => writer.u32(value),
    (value, place) => checkInteger(value, place, min, max),
  );
}

export function u64({ min = 0n }: { readonly min?: bigint } = {}): Part<bigint> {
  return plain(
    8,
    (reader) => reader.u64(),
    (writer, value) => writer.u64(value),
    (value, place) => {
      if (value >= min && value <= MAX_U64) return;
      throw place.refuse(`${called(place)} is ${value}, not an integer from ${min} to 2^64 - 1`);
    },
  );
}

/** 64 bits that fit a safe integer. */
export function size({ min = 0, max = Number.MAX_SAFE_INTEGER } = {}): Part<number> {
  return plain(
    8,
    (reader, label) => reader.size(label),
    (writer, value) => writer.size(value),
    (value, place) => checkInteger(value, place, min, max),
  );
}

/** A size that is a multiple of the page size. */
export function pages({ min = 0 } = {}): Part<number> {
  return plain(
    8,
    (reader, label) => reader.size(label),
    (writer, value) => writer.size(value),
    (value, place) => checkPages(value, place, min),
  );
}

export function checkPages(value: number, place: Place, min = 0): void {
  checkInteger(value, place, min, Number.MAX_SAFE_INTEGER);
  if (value % PAGE !== 0) {
    throw place.refuse(`${called(place)} is 0x${value.toString(16)}, not a multiple of ${PAGE}`);
  }
}

/** A number of another process or of the kernel, which must be there. */
export function id(): Part<number> {
  return plain(
    4,
    (reader, label) => reader.number(label),
    (writer, value) => writer.optional(value),
    (value, place) => checkInteger(value, place, 0, NO_NUMBER - 1),
  );
}

export function flag(): Part<boolean> {
  return plain(
    1,
    (reader, label) => reader.flag(label),
    (writer, value) => writer.flag(value),
  );
}

/** 32 bits, of which those in `mask` have a meaning. */
export function bits(mask: number): Part<number> {
  return plain(
    4,
    (reader, label) => reader.bits(label, mask),
    (writer, value) => writer.u32(value),
  );
}

/** One of some words, as a number. */
export function code<C extends string>(codes: Codes<C>): Part<C> {
  return plain(
    1,
    (reader, label) => reader.code(codes, label),
    (writer, value) => writer.code(codes, value),
  );
}

/** One of some numbers below 256. */
export function oneOf<const N extends number>(...values: readonly N[]): Part<N> {
  const known = `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
  const find = (value: number) => values.find((each) => each === value);
  return plain(
    1,
    (reader, label) => {
      const value = reader.u8();
      const found = find(value);
      if (found !== undefined) return found;
      throw reader.refusal(`the ${label} in ${reader.where} is ${value}, not ${known}`, reader.at - 1);
    },
    (writer, value) => writer.u8(value),
    (value, place) => {
      if (find(value) === undefined) throw place.refuse(`${called(place)} is ${value}, not ${known}`);
    },
  );
}

function checkText(value: string, place: Place): void {
  const length = Buffer.byteLength(value);
  if (length > MAX_TEXT) throw place.refuse(`${called(place)} is ${length} bytes long, more than ${MAX_TEXT}`);
  if (value.includes("\0")) throw place.refuse(`${called(place)} has a NUL in it: ${quote(value)}`);
  // Half a surrogate pair has no UTF-8, and would come out as another text.
  if (/\p{Surrogate}/u.test(value)) throw place.refuse(`${called(place)} is not well-formed Unicode: ${quote(value)}`);
}

function checkName(value: string, place: Place): void {
  checkText(value, place);
  if (value === "") throw place.refuse(`${called(place)} is empty`);
}

export function text(): Part<string> {
  return plain(
    2,
    (reader, label) => reader.text(label),
    (writer, value) => writer.text(value),
    checkText,
  );
}

/** A text that is not empty. */
export function name(): Part<string> {
  return { ...text(), check: checkName };
}

/** The same, or none. */
export function optionalName(): Part<string | undefined> {
  return plain<string | undefined>(
    2,
    (reader, label) => reader.optionalText(label),
    (writer, value) => writer.text(value),
    (value, place) => {
      if (value !== undefined) checkName(value, place);
    },
  );
}

/** The bytes that are left of a record: a view of the document. */
export function remainder(): Part<Uint8Array> {
  return plain(
    0,
    (reader) => reader.raw(reader.left),
    (writer, value) => writer.raw(value),
  );
}

/** Some bytes, with their number before them. A reader copies them: they outlive the document. */
export function blob(max: number): Part<Uint8Array> {
  return plain(
    4,
    (reader, label) => reader.raw(reader.count(label, 1)).slice(),
    (writer, value) => {
      writer.u32(value.length);
      writer.raw(value);
    },
    (value, place) => {
      if (value.length > max) throw place.refuse(`${called(place)} is ${value.length} bytes long, more than ${max}`);
    },
  );
}

// ---- descriptors -----------------------------------------------------------------------------------------------------

/** A field that is a descriptor. Its item says what it must be, in {@link About.descriptors}. */
export interface DescriptorPart<T extends DescriptorIndex | undefined> extends Part<T> {
  readonly isDescriptor: true;
}

export function isDescriptor(part: Part<unknown>): boolean {
  return "isDescriptor" in part;
}

/** Which indexes there may be is checked for all of them together. */
export function descriptor(): DescriptorPart<DescriptorIndex> {
  return { ...id(), check: nothing, isDescriptor: true };
}

/** A descriptor, or none. */
export function optionalDescriptor(): DescriptorPart<DescriptorIndex | undefined> {
  const part = plain<DescriptorIndex | undefined>(
    4,
    (reader) => reader.optional(),
    (writer, value) => writer.optional(value),
  );
  return { ...part, isDescriptor: true };
}
