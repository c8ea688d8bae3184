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
import type { Codes } from "./bytes.js";
import {
  type AddUse,
  called,
  type DescriptorUse,
  nothing,
  type Part,
  type Place,
  type Refuse,
  type ValueOf,
} from "./part.js";
import { code, type DescriptorPart, isDescriptor } from "./values.js";

export * from "./part.js";
export * from "./values.js";

/** A field in messages: it has the name that the schema and the documentation give it. */
function labelOf(key: string): string {
  return `field "${key}"`;
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
  /** The rule that its values must keep together. */
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
export function list<T>(each: Part<T>, max: number | "descriptors" = 0xffff_ffff): Part<readonly T[]> {
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
