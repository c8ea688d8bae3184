/**
 * The language of the manifest's sections. A section is stated once, as a {@link Part}. Its TypeScript type, its writer, its reader,
 * the checks of its single values, and the list of its descriptors follow from that.
 *
 * ```ts
 * const group = item(
 *   { id: id(), descriptor: descriptor() },
 *   {
 *     name: ({ id }) => `group ${id}`,
 *     descriptors: { descriptor: ({ id }, what) => ({ expected: { kind: "group", id }, what }) },
 *   },
 * );
 * ```
 *
 * Messages give a field the name that it has in the schema: `the field "pageSize" of memory "ram" is 12288, ...`.
 * A field that came later than its item stands in {@link since}.
 *
 * Nothing in the manifest is aligned, and much of it has no fixed size. Where there are thousands of a thing (the mappings, the
 * vectors of the frozen part), a `struct` (lib/base) gives the offsets, and a loop of its own does the rest.
 *
 * @module
 */
import type { DescriptorKind } from "../descriptor-kind.js";
import { type ByteReader, type ByteWriter, type Codes, MAX_TEXT, NO_NUMBER } from "./bytes.js";

/** An index into the descriptors that travel with the manifest. The manifest uses each of them exactly once. */
export type DescriptorIndex = number;

/** What a part is read from. */
export interface Source {
  readonly reader: ByteReader;
  /** The version that the document was written in. */
  readonly version: number;
  /** Items that have a descriptor each cannot be more than these. */
  readonly descriptorCount: number;
}

/** Makes the error for what is wrong. */
export type Refuse = (why: string) => Error;

/** Where a value stands, for messages. The sentences are put together for a refusal only. */
export interface Place {
  readonly refuse: Refuse;
  /** Its field: `field "pageSize"`. */
  readonly label: string;
  /** The item that it is a field of: `memory "ram"`. */
  readonly of: () => string;
}

/** One place where a manifest names a descriptor. */
export interface DescriptorUse {
  readonly index: DescriptorIndex;
  /** What the descriptor must be. */
  readonly expected: DescriptorKind;
  /** What it is to the program, for messages: `vector 3 of msix of 0000:01:00.0`. */
  readonly what: string;
}

export type AddUse = (use: DescriptorUse) => void;

/** The checks and the descriptors of a part that has none. Items leave such parts out of their loops. */
const nothing = (): void => {};

/** A part of a document: how it is written, read, checked, and what descriptors it names. */
export interface Part<T> {
  /** The version of the format that it came with, if that is later than what it is in. See {@link since}. */
  readonly since?: number;
  /** The fewest bytes that it takes in a document of this version. */
  leastIn(version: number): number;
  /** @param label its field, for messages */
  read(source: Source, label: string): T;
  /** Writes a value that was checked. */
  write(writer: ByteWriter, value: T): void;
  /** Throws what `place.refuse` makes, if no reader would take the value. */
  check(value: T, place: Place): void;
  /** Adds the descriptors in it, in the order of the bytes. `of` names the item that it is a field of. */
  uses(value: T, of: string, add: AddUse): void;
}

/** The TypeScript type of a part. */
export type ValueOf<P> = P extends Part<infer T> ? T : never;

const MAX_U32 = 0xffff_ffff;
const MAX_U64 = 2n ** 64n - 1n;
/** The smallest page of every machine that Linux runs on: addresses and lengths are multiples of it at the least. */
export const PAGE = 4096;

// A name can be 4096 bytes long, and a message should be readable.
const SHOWN = 64;

/** A name from a manifest as messages show it: what could disturb a terminal is escaped. */
export function quote(name: string): string {
  return JSON.stringify(name.length > SHOWN ? `${name.slice(0, SHOWN)}...` : name);
}

function called({ label, of }: Place): string {
  return `the ${label} of ${of()}`;
}

/** A field in messages: it has the name that the schema and the documentation give it. */
function labelOf(key: string): string {
  return `field "${key}"`;
}

// ---- numbers and texts -----------------------------------------------------------------------------------------------

/** A part without descriptors. */
function plain<T>(
  least: number,
  read: (reader: ByteReader, label: string) => T,
  write: (writer: ByteWriter, value: T) => void,
  check: (value: T, place: Place) => void = nothing,
): Part<T> {
  return {
    leastIn: () => least,
    read: ({ reader }, label) => read(reader, label),
    write,
    check,
    uses: nothing,
  };
}

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

/** The same bytes, as another value. */
export function mapped<Wire, Value>(
  wire: Part<Wire>,
  decode: (wire: Wire, source: Source) => Value,
  encode: (value: Value) => Wire,
): Part<Value> {
  return {
    leastIn: (version) => wire.leastIn(version),
    read: (source, label) => decode(wire.read(source, label), source),
    write: (writer, value) => wire.write(writer, encode(value)),
    check: (value, place) => wire.check(encode(value), place),
    uses: (value, of, add) => wire.uses(encode(value), of, add),
  };
}

/**
 * A part that came with a later version of the format than what it is in.
 *
 * @param before what its absence means in an older document
 */
export function since<T>(version: number, part: Part<T>, before: T): Part<T> {
  return {
    ...part,
    since: version,
    leastIn: (written) => (written < version ? 0 : part.leastIn(written)),
    read: (source, label) => (source.version < version ? before : part.read(source, label)),
  };
}

/**
 * A part that some items have and others have not, where they are told apart by something that is read before.
 *
 * @param otherwise the value where it is left out
 */
export function only<T>(present: boolean, part: Part<T>, otherwise: T): Part<T>;
export function only<T>(present: boolean, part: Part<T>, otherwise: undefined): Part<T | undefined>;
export function only<T>(present: boolean, part: Part<T>, otherwise: T | undefined): Part<T | undefined> {
  if (present) return part;
  return plain<T | undefined>(
    0,
    () => otherwise,
    () => {},
    (value, place) => {
      const isLeftOut = value === undefined || (Array.isArray(value) && value.length === 0);
      if (!isLeftOut) throw place.refuse(`${place.of()} cannot have the ${place.label} in its mode`);
    },
  );
}

// ---- descriptors -----------------------------------------------------------------------------------------------------

/** A field that is a descriptor. Its item says what it must be, in {@link About.descriptors}. */
export interface DescriptorPart<T extends DescriptorIndex | undefined> extends Part<T> {
  readonly isDescriptor: true;
}

function isDescriptor(part: Part<unknown>): boolean {
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

// ---- items -----------------------------------------------------------------------------------------------------------

/** The fields of an item, in the order of the bytes. */
export type Fields = Readonly<Record<string, Part<unknown>>>;

export type ItemValue<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** What an item is called, and what else must hold for it. */
export interface About<F extends Fields, T> {
  /**
   * Its name in messages. Without one it is called as the item that it is in.
   *
   * @param of the name of the item that it is in
   * @param index its place in its list
   */
  readonly name?: (value: T, of: string, index: number) => string;
  /** What each of its descriptors must be, and is called. */
  readonly descriptors?: {
    readonly [K in keyof F as F[K] extends DescriptorPart<never> ? K : never]: (
      value: T,
      name: string,
    ) => Omit<DescriptorUse, "index">;
  };
  /** What must hold for its values together. */
  readonly rule?: (value: T, name: () => string, refuse: Refuse) => void;
}

/** A part that knows its place in a list. */
export interface ListedPart<T> extends Part<T> {
  check(value: T, place: Place, index?: number): void;
  uses(value: T, of: string, add: AddUse, index?: number): void;
}

/** Several fields, one after the other. */
export function item<const F extends Fields>(fields: F, about: About<F, ItemValue<F>> = {}): ListedPart<ItemValue<F>> {
  type Value = ItemValue<F>;
  const entries = Object.entries(fields).map(([key, part]) => ({ key, part, label: labelOf(key) }));
  const kinds: Readonly<Record<string, (value: Value, name: string) => Omit<DescriptorUse, "index">>> =
    about.descriptors ?? {};
  for (const { key, part } of entries) {
    if (isDescriptor(part) && kinds[key] === undefined)
      throw new TypeError(`the schema does not say what the descriptor ${key} must be`);
  }
  const checked = entries.filter(({ part }) => part.check !== nothing);
  const used = entries.filter(({ part }) => part.uses !== nothing || isDescriptor(part));
  const nameOf = (value: Value, of: string, index: number) => about.name?.(value, of, index) ?? of;
  const valuesOf = (value: Value): Readonly<Record<string, unknown>> => value;
  return {
    leastIn: (version) => entries.reduce((sum, { part }) => sum + part.leastIn(version), 0),
    read(source) {
      const value: Record<string, unknown> = {};
      for (const { key, part, label } of entries) value[key] = part.read(source, label);
      // Every field of F is there with its type, which the compiler cannot see from a loop.
      return value as Value;
    },
    write(writer, value) {
      const values = valuesOf(value);
      for (const { key, part } of entries) part.write(writer, values[key]);
    },
    check(value, { refuse, of }, index = 0) {
      const values = valuesOf(value);
      const name = () => nameOf(value, of(), index);
      for (const { key, part, label } of checked) part.check(values[key], { refuse, label, of: name });
      about.rule?.(value, name, refuse);
    },
    uses(value, of, add, index = 0) {
      if (used.length === 0) return;
      const values = valuesOf(value);
      const name = nameOf(value, of, index);
      for (const { key, part } of used) {
        const kind = kinds[key];
        if (kind === undefined) part.uses(values[key], name, add);
        else if (typeof values[key] === "number") add({ index: values[key], ...kind(value, name) });
      }
    },
  };
}

/**
 * An item whose end depends on its beginning.
 *
 * @param smallest the end that takes the fewest bytes
 * @param name as that of an item
 */
export function dependent<const H extends Fields, T extends object>(
  head: H,
  smallest: Part<T>,
  tailOf: (head: ItemValue<H>) => Part<T>,
  name?: (head: ItemValue<H>, of: string, index: number) => string,
): ListedPart<ItemValue<H> & T> {
  const begin = item(head, name === undefined ? {} : { name });
  return {
    leastIn: (version) => begin.leastIn(version) + smallest.leastIn(version),
    read(source, label) {
      const first = begin.read(source, label);
      return { ...first, ...tailOf(first).read(source, label) };
    },
    write(writer, value) {
      begin.write(writer, value);
      tailOf(value).write(writer, value);
    },
    check(value, place, index = 0) {
      begin.check(value, place, index);
      const of = () => name?.(value, place.of(), index) ?? place.of();
      tailOf(value).check(value, { ...place, of });
    },
    uses(value, of, add, index = 0) {
      begin.uses(value, of, add, index);
      tailOf(value).uses(value, name?.(value, of, index) ?? of, add);
    },
  };
}

/** The items of a union: each of its codes has fields of its own behind it. */
export type Variants<K extends string, V extends Readonly<Record<string, Part<object>>>> = {
  readonly [C in keyof V]: { readonly [Key in K]: C } & ValueOf<V[C]>;
}[keyof V];

/** One of several items, told apart by a code before them. */
export function variants<
  const K extends string,
  C extends string,
  const V extends { readonly [Code in C]: ListedPart<object> },
>(key: K, codes: Codes<C>, tails: V): ListedPart<Variants<K, V>> {
  type Value = Variants<K, V>;
  const kind = code(codes);
  const label = labelOf(key);
  // Each variant has its code, which the compiler does not see through a union of mapped types.
  const codeOf = (value: Value): C => (value as Readonly<Record<K, C>>)[key];
  const tailOf = (value: Value): ListedPart<object> => tails[codeOf(value)];
  return {
    leastIn: (version) => 1 + Math.min(...Object.values<Part<object>>(tails).map((tail) => tail.leastIn(version))),
    read(source) {
      const found = kind.read(source, label);
      // As of an item.
      return { [key]: found, ...tails[found].read(source, label) } as Value;
    },
    write(writer, value) {
      kind.write(writer, codeOf(value));
      tailOf(value).write(writer, value);
    },
    check: (value, place, index) => tailOf(value).check(value, place, index),
    uses: (value, of, add, index) => tailOf(value).uses(value, of, add, index),
  };
}

/**
 * Some items, with their number before them.
 *
 * @param max the most that there can be; `"descriptors"` where each item has one of its own
 */
export function list<T>(each: Part<T>, max: number | "descriptors" = MAX_U32): Part<readonly T[]> {
  const listed: ListedPart<T> = each;
  return {
    leastIn: () => 4,
    read(source, label) {
      const { reader, version, descriptorCount } = source;
      const most = max === "descriptors" ? descriptorCount : max;
      return reader.list(reader.count(label, each.leastIn(version), most), () => each.read(source, label));
    },
    write: (writer, values) => writer.list(values, (value) => each.write(writer, value)),
    check(values, place) {
      if (typeof max === "number" && values.length > max) {
        throw place.refuse(`${called(place)} has ${values.length} items, more than ${max}`);
      }
      for (const [index, value] of values.entries()) listed.check(value, place, index);
    },
    uses(values, of, add) {
      for (const [index, value] of values.entries()) listed.uses(value, of, add, index);
    },
  };
}
