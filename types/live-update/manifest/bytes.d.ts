import { VfioError } from "../../base/errors.js";
/** The longest name or label, in bytes of UTF-8: as long as a path (`PATH_MAX`). */
export declare const MAX_TEXT = 4096;
export declare const NO_NUMBER = 4294967295;
/** The values of a field that says which, and their numbers. */
export declare class Codes<T extends string> {
    #private;
    constructor(codes: Readonly<Record<T, number>>);
    codeOf(value: T): number;
    valueOf(code: number): T | undefined;
}
/** Writes. What it is given was checked. */
export declare class ByteWriter {
    #private;
    get length(): number;
    /** What was written: a view. */
    get bytes(): Uint8Array;
    u8(value: number): void;
    u32(value: number): void;
    u64(value: bigint): void;
    /** 64 bits, from a safe integer. */
    size(value: number): void;
    /** Writes over what is there. */
    sizeAt(at: number, value: number): void;
    /** Writes over what is there. */
    u32At(at: number, value: number): void;
    optional(value: number | undefined): void;
    flag(value: boolean): void;
    raw(bytes: Uint8Array): void;
    text(text: string | undefined): void;
    code<T extends string>(codes: Codes<T>, value: T): void;
    list<T>(items: readonly T[], write: (item: T) => void): void;
    /** Makes room for bytes that the caller writes. */
    room(length: number): DataView;
}
/** Writes a safe integer as 64 bits. */
export declare function setSize(view: DataView, at: number, value: number): void;
/** Reads 64 bits as a number: exact where it is a safe integer, and none where it is 2^53 or more. */
export declare function getSize(view: DataView, at: number): number;
/** Reads, from `at` to `end`. Everything that is wrong is an `EPROTO`. */
export declare class ByteReader {
    #private;
    /** What is being read, for messages. */
    where: string;
    /** @param object what the bytes are, for messages */
    constructor(bytes: Uint8Array, object: string);
    get at(): number;
    get left(): number;
    /** The error for what is wrong with these bytes. */
    refusal(why: string, offset?: number): VfioError;
    /** Reads what lies in the next `length` bytes, all of it. */
    within<T>(length: number, where: string, read: () => T): T;
    u8(): number;
    u32(): number;
    u64(): bigint;
    /** 64 bits that must fit a safe integer. */
    size(what: string): number;
    /** An index or an id that must be there. */
    number(what: string): number;
    optional(): number | undefined;
    flag(what: string): boolean;
    /** Bits, of which those in `mask` have a meaning. */
    bits(what: string, mask: number): number;
    /** Bytes that the caller reads. */
    view(length: number): DataView;
    /** Bytes as they are: a view, and no `Buffer` even of one. */
    raw(length: number): Uint8Array;
    text(what: string): string;
    optionalText(what: string): string | undefined;
    code<T extends string>(codes: Codes<T>, what: string): T;
    /**
     * How many items follow, before any is read.
     *
     * @param size what the smallest one takes
     * @param max how many there can be, for another reason
     */
    count(what: string, size: number, max?: number): number;
    list<T>(count: number, read: () => T): T[];
}
