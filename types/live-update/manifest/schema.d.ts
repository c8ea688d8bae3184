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
import { type AddUse, type DescriptorUse, type Part, type Place, type Refuse, type ValueOf } from "./part.js";
import { type DescriptorPart } from "./values.js";
export * from "./part.js";
export * from "./values.js";
/** The fields of an item, in the order of the bytes. */
export type Fields = Readonly<Record<string, Part<unknown>>>;
export type ItemValue<F extends Fields> = {
    readonly [K in keyof F]: ValueOf<F[K]>;
};
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
        readonly [K in keyof F as F[K] extends DescriptorPart<never> ? K : never]: (value: T, name: string) => Omit<DescriptorUse, "index">;
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
export declare function item<const F extends Fields>(fields: F, about?: About<F, ItemValue<F>>): ListedPart<ItemValue<F>>;
/**
 * An item whose end depends on its beginning.
 *
 * @param smallest the end that takes the fewest bytes
 * @param name as that of an item
 */
export declare function dependent<const H extends Fields, T extends object>(head: H, smallest: Part<T>, tailOf: (head: ItemValue<H>) => Part<T>, name?: (head: ItemValue<H>, of: string, index: number) => string): ListedPart<ItemValue<H> & T>;
/** The items of a union: each of its codes has fields of its own behind it. */
export type Variants<K extends string, V extends Readonly<Record<string, Part<object>>>> = {
    readonly [C in keyof V]: {
        readonly [Key in K]: C;
    } & ValueOf<V[C]>;
}[keyof V];
/** One of several items, told apart by a code before them. */
export declare function variants<const K extends string, C extends string, const V extends {
    readonly [Code in C]: ListedPart<object>;
}>(key: K, codes: Codes<C>, tails: V): ListedPart<Variants<K, V>>;
/**
 * Some items, with their number before them.
 *
 * @param max the most that there can be; `"descriptors"` where each item has one of its own
 */
export declare function list<T>(each: Part<T>, max?: number | "descriptors"): Part<readonly T[]>;
