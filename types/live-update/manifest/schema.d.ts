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
import { type ByteReader, type ByteWriter, type Codes } from "./bytes.js";
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
/** The smallest page of every machine that Linux runs on: addresses and lengths are multiples of it at the least. */
export declare const PAGE = 4096;
/** A name from a manifest as messages show it: what could disturb a terminal is escaped. */
export declare function quote(name: string): string;
export declare function checkInteger(value: number, place: Place, min: number, max: number): void;
export declare function u32({ min, max }?: {
    readonly min?: number;
    readonly max?: number;
}): Part<number>;
export declare function u64({ min }?: {
    readonly min?: bigint;
}): Part<bigint>;
/** 64 bits that fit a safe integer. */
export declare function size({ min, max }?: {
    max?: number | undefined;
    min?: number | undefined;
}): Part<number>;
/** A size that is a multiple of the page size. */
export declare function pages({ min }?: {
    min?: number | undefined;
}): Part<number>;
export declare function checkPages(value: number, place: Place, min?: number): void;
/** A number of another process or of the kernel, which must be there. */
export declare function id(): Part<number>;
export declare function flag(): Part<boolean>;
/** 32 bits, of which those in `mask` have a meaning. */
export declare function bits(mask: number): Part<number>;
/** One of some words, as a number. */
export declare function code<C extends string>(codes: Codes<C>): Part<C>;
/** One of some numbers below 256. */
export declare function oneOf<const N extends number>(...values: readonly N[]): Part<N>;
export declare function text(): Part<string>;
/** A text that is not empty. */
export declare function name(): Part<string>;
/** The same, or none. */
export declare function optionalName(): Part<string | undefined>;
/** The bytes that are left of a record: a view of the document. */
export declare function remainder(): Part<Uint8Array>;
/** Some bytes, with their number before them. A reader copies them: they outlive the document. */
export declare function blob(max: number): Part<Uint8Array>;
/** The same bytes, as another value. */
export declare function mapped<Wire, Value>(wire: Part<Wire>, decode: (wire: Wire, source: Source) => Value, encode: (value: Value) => Wire): Part<Value>;
/**
 * A part that came with a later version of the format than what it is in.
 *
 * @param before what its absence means in an older document
 */
export declare function since<T>(version: number, part: Part<T>, before: T): Part<T>;
/**
 * A part that some items have and others have not, where they are told apart by something that is read before.
 *
 * @param otherwise the value where it is left out
 */
export declare function only<T>(present: boolean, part: Part<T>, otherwise: T): Part<T>;
export declare function only<T>(present: boolean, part: Part<T>, otherwise: undefined): Part<T | undefined>;
/** A field that is a descriptor. Its item says what it must be, in {@link About.descriptors}. */
export interface DescriptorPart<T extends DescriptorIndex | undefined> extends Part<T> {
    readonly isDescriptor: true;
}
/** Which indexes there may be is checked for all of them together. */
export declare function descriptor(): DescriptorPart<DescriptorIndex>;
/** A descriptor, or none. */
export declare function optionalDescriptor(): DescriptorPart<DescriptorIndex | undefined>;
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
    /** What must hold for its values together. */
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
