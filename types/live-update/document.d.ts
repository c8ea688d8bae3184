import { ByteReader, ByteWriter } from "./bytes.js";
/** The version of the format that this package writes, and the newest that it reads. */
export declare const FORMAT_VERSION = 2;
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
export declare const manifestKind: DocumentKind<"writer" | "memory" | "containers" | "connections" | "descriptors" | "sockets">;
export declare const frozenKind: DocumentKind<"connections" | "times" | "state">;
/** Writes the records of a document. */
export declare class DocumentWriter<Name extends string> {
    #private;
    constructor(kind: DocumentKind<Name>);
    record(name: Name, write: (writer: ByteWriter) => void): void;
    /** Length and checksum come last. */
    end(): Uint8Array;
}
/** Reads them, after checking all that goes round them. */
export declare class DocumentReader<Name extends string> {
    #private;
    readonly reader: ByteReader;
    /** The version that it was written in. */
    readonly version: number;
    /** Checks header and checksum. */
    constructor(kind: DocumentKind<Name>, bytes: Uint8Array);
    /** Reads the next record, which must be this one. */
    record<T>(name: Name, read: (reader: ByteReader) => T): T;
    /** After the last record nothing may follow. */
    end(): void;
}
export {};
