/**
 * The contract of a part of the manifest, and the parts that are made of others.
 *
 * @module
 */
import type { DescriptorKind } from "../descriptor-kind.js";
import type { ByteReader, ByteWriter } from "./bytes.js";
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
export declare const nothing: () => void;
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
/** A name from a manifest as messages show it: what could disturb a terminal is escaped. */
export declare function quote(name: string): string;
/** A part without descriptors. */
export declare function plain<T>(least: number, read: (reader: ByteReader, label: string) => T, write: (writer: ByteWriter, value: T) => void, check?: (value: T, place: Place) => void): Part<T>;
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
