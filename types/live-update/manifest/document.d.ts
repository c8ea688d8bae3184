import type { DescriptorUse, Part, Refuse } from "./schema.js";
/** The version of the format that this package writes, and the newest that it reads. */
export declare const FORMAT_VERSION = 2;
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
export declare function record<T>(number: number, part: Part<T>): DocumentRecord<T>;
/** Writes a document, whatever it says. Length and checksum come last. */
export declare function writeDocument<R extends Records>({ number, records }: DocumentKind<R>, value: DocumentValue<R>): Uint8Array;
/** Throws what `refuse` makes, if a value of the document is not one that a reader takes. */
export declare function checkValues<R extends Records>({ name, records }: DocumentKind<R>, value: DocumentValue<R>, refuse: Refuse): void;
/** Every place where a document names a descriptor, in the order of the bytes. */
export declare function usesIn<R extends Records>({ name, records }: DocumentKind<R>, value: DocumentValue<R>): readonly DescriptorUse[];
/**
 * Reads a document: first all that goes round the records.
 *
 * @param descriptorCount how many descriptors came with it
 */
export declare function readDocument<R extends Records>(kind: DocumentKind<R>, bytes: Uint8Array, descriptorCount: number): DocumentValue<R>;
export {};
