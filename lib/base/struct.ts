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

type Named<F extends Fields> = { [K in keyof F as F[K] extends Padding ? never : K]: F[K] };

/** What a struct with these fields holds. */
export type StructValue<F extends Fields> = { readonly [K in keyof Named<F>]: ValueOf<Named<F>[K]> };

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
  readonly offsets: { readonly [K in keyof Named<F>]: number };

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

export const u8: Field<number> = {
  size: 1,
  align: 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, value) => view.setUint8(at, value),
};

export const u16: Field<number> = {
  size: 2,
  align: 2,
  read: (view, at) => view.getUint16(at, true),
  write: (view, at, value) => view.setUint16(at, value, true),
};

export const u32: Field<number> = {
  size: 4,
  align: 4,
  read: (view, at) => view.getUint32(at, true),
  write: (view, at, value) => view.setUint32(at, value, true),
};

export const i32: Field<number> = {
  size: 4,
  align: 4,
  read: (view, at) => view.getInt32(at, true),
  write: (view, at, value) => view.setInt32(at, value, true),
};

export const u64: Field<bigint> = {
  size: 8,
  align: 8,
  read: (view, at) => view.getBigUint64(at, true),
  write: (view, at, value) => view.setBigUint64(at, value, true),
};

/** Some bytes. A reader gives a view of them, and no copy. */
export function bytes(length: number): Field<Uint8Array> {
  const part = (view: DataView, at: number) => new Uint8Array(view.buffer, view.byteOffset + at, length);
  return {
    size: length,
    align: 1,
    read: part,
    write(view, at, value) {
      if (value.length !== length) throw new RangeError(`${value.length} bytes for a field of ${length}`);
      part(view, at).set(value);
    },
  };
}

/** Bytes without a meaning, up to the next field's alignment or to the end of the struct. */
export function padding(length: number): Padding {
  return { padding: true, size: length, align: 1, read: () => undefined, write: () => {} };
}

/**
 * The same field several times. Where the count is in the data, make the array when it is known:
 * `array(range, count).read(view, Header.size)`, after a check that `array(range, count).size` bytes are there.
 */
export function array<T>(field: Field<T>, count: number): Field<readonly T[]> {
  const { size, align } = field;
  return {
    size: count * size,
    align,
    read: (view, at) => Array.from({ length: count }, (_, i) => field.read(view, at + i * size)),
    write(view, at, values) {
      if (values.length !== count) throw new RangeError(`${values.length} values for an array of ${count}`);
      for (const [i, value] of values.entries()) field.write(view, at + i * size, value);
    },
  };
}

/** A field with its name and place. */
interface Member {
  readonly name: string;
  readonly field: Field<unknown>;
  readonly offset: number;
}

function isPadding(field: Field<unknown>): boolean {
  return "padding" in field;
}

/** Gives each field its place, and refuses a schema in which one is not aligned. */
function place(fields: Fields): { members: readonly Member[]; size: number; align: number } {
  const members: Member[] = [];
  let [size, align] = [0, 1];
  for (const [name, field] of Object.entries(fields)) {
    if (size % field.align !== 0) {
      const missing = field.align - (size % field.align);
      throw new TypeError(`the field ${name} is at offset ${size}: padding(${missing}) must stand before it`);
    }
    members.push({ name, field, offset: size });
    size += field.size;
    align = Math.max(align, field.align);
  }
  if (size % align !== 0) {
    throw new TypeError(`the struct has ${size} bytes: padding(${align - (size % align)}) must stand at its end`);
  }
  return { members, size, align };
}

/**
 * Declares a layout: its fields, in their order.
 *
 * @throws TypeError for a field that is not at a multiple of its alignment, and for a size that is not
 */
export function struct<const F extends Fields>(fields: F): Struct<F> {
  type Value = StructValue<F>;
  const { members, size, align } = place(fields);
  const named = members.filter(({ field }) => !isPadding(field));

  const read = (view: DataView, at: number): Value => {
    const value: Record<string, unknown> = {};
    for (const { name, field, offset } of named) value[name] = field.read(view, at + offset);
    // Every field of F is there with its type, which the compiler cannot see from a loop. The same holds for `offsets`.
    return value as Value;
  };
  const writeSome = (view: DataView, at: number, values: Partial<Value>): void => {
    const given: Readonly<Record<string, unknown>> = values;
    for (const { name, field, offset } of named) {
      if (given[name] !== undefined) field.write(view, at + offset, given[name]);
    }
  };
  const viewOf = (input: Uint8Array, refuse: (short: Short) => Error): DataView => {
    if (input.length < size) {
      const cut = members.find(({ field, offset }) => offset + field.size > input.length);
      throw refuse({ length: input.length, size, field: cut?.name ?? "" });
    }
    return new DataView(input.buffer, input.byteOffset, input.byteLength);
  };

  return {
    size,
    align,
    offsets: Object.fromEntries(named.map(({ name, offset }) => [name, offset])) as Struct<F>["offsets"],
    read,
    write: writeSome,
    writeSome,
    encode(value) {
      const view = new DataView(new ArrayBuffer(size));
      writeSome(view, 0, value);
      return new Uint8Array(view.buffer);
    },
    viewOf,
    decode: (input, refuse) => read(viewOf(input, refuse), 0),
  };
}
