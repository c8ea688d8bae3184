/**
 * Binary layouts, each stated once: a schema gives the TypeScript type, the size, the offsets, a reader and a writer.
 *
 * ```ts
 * const DmaMap = struct({ argsz: u32, flags: u32, offset: u64, iova: u64, size: u64 });
 * type DmaMap = ValueOf<typeof DmaMap>;   // { readonly argsz: number; ...; readonly offset: bigint; ... }
 * DmaMap.size;                            // 32
 * DmaMap.offsets.iova;                    // 16
 * ```
 *
 * Layouts are those of the kernel's headers: little endian, every field at a multiple of its alignment. The schema never
 * inserts padding by itself. Where C would, `struct` throws until the schema says {@link padding}, so that each byte of a layout
 * is visible in it. Data of variable length follows a struct: it begins at `size`.
 *
 * A hot path does not read whole structs. It takes `offsets` and uses its own `DataView`.
 *
 * @module
 */
/** A part of a layout with a fixed size. */
export interface Field<T> {
    /** In bytes. */
    readonly size: number;
    /** The field's offset must be a multiple of it. */
    readonly align: number;
    /** The caller has checked that `size` bytes are there. */
    read(view: DataView, at: number): T;
    write(view: DataView, at: number, value: T): void;
}
/** The TypeScript type of a field or a struct. */
export type ValueOf<F> = F extends Field<infer T> ? T : never;
/** Bytes without a meaning. They have no value, are skipped by readers, and are left as they are by writers. */
export interface Padding extends Field<undefined> {
    readonly padding: true;
}
/** The fields of a struct by name, in their order. */
export type Fields = Readonly<Record<string, Field<unknown>>>;
type Named<F extends Fields> = {
    [K in keyof F as F[K] extends Padding ? never : K]: F[K];
};
/** What a struct with these fields holds. */
export type StructValue<F extends Fields> = {
    readonly [K in keyof Named<F>]: ValueOf<Named<F>[K]>;
};
/** Input that is too short for a struct. */
export interface Short {
    /** How many bytes there are. */
    readonly length: number;
    /** How many the struct has. */
    readonly size: number;
    /** The first field that is not completely there. */
    readonly field: string;
}
/** A layout. It is a field itself: structs nest. */
export interface Struct<F extends Fields> extends Field<StructValue<F>> {
    /** Where each field begins, in bytes from the start of the struct. */
    readonly offsets: {
        readonly [K in keyof Named<F>]: number;
    };
    /** Writes some of the fields, and leaves the others as they are. */
    writeSome(view: DataView, at: number, values: Partial<StructValue<F>>): void;
    /** New bytes with this value. */
    encode(value: StructValue<F>): Uint8Array<ArrayBuffer>;
    /**
     * Checks the length, and reads the struct at the beginning of `bytes`. More bytes may follow.
     *
     * @param refuse makes the caller's error, which says what the bytes are
     * @throws what `refuse` returns, if there are fewer than `size` bytes
     */
    decode(bytes: Uint8Array, refuse: (short: Short) => Error): StructValue<F>;
    /** The check of {@link decode} alone: a view of `bytes`, which has the whole struct. */
    viewOf(bytes: Uint8Array, refuse: (short: Short) => Error): DataView;
}
export declare const u8: Field<number>;
export declare const u16: Field<number>;
export declare const u32: Field<number>;
export declare const i32: Field<number>;
export declare const u64: Field<bigint>;
/** Some bytes. A reader gives a view of them, and no copy. */
export declare function bytes(length: number): Field<Uint8Array>;
/** Bytes without a meaning, up to the next field's alignment or to the end of the struct. */
export declare function padding(length: number): Padding;
/**
 * The same field several times. Where the count is in the data, make the array when it is known:
 * `array(range, count).read(view, Header.size)`, after a check that `array(range, count).size` bytes are there.
 */
export declare function array<T>(field: Field<T>, count: number): Field<readonly T[]>;
/**
 * Declares a layout: its fields, in their order.
 *
 * @throws TypeError for a field that is not at a multiple of its alignment, and for a size that is not
 */
export declare function struct<const F extends Fields>(fields: F): Struct<F>;
export {};
