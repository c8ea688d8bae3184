/**
 * A device's registers, through whichever way reaches them.
 *
 * @module
 */
import { type Check, checkInteger, instanceOf } from "../base/arguments.js";
import { argTypeError, outOfRangeError } from "../base/errors.js";

/**
 * Reads and writes of a device's registers: each is exactly one access, of exactly the width that the name says, at an
 * offset that is a multiple of that width. Values are little-endian, as PCI's are.
 *
 * A mapped region (`RegionMap`) makes the accesses from this process; a `Region` asks the kernel to make them, with one
 * system call each. A driver need not care: `region.registers()` gives it the faster one of the two.
 *
 * Every method throws TypeError (`ERR_INVALID_ARG_TYPE`) for an offset that is no number and for a value of another type,
 * RangeError (`ERR_OUT_OF_RANGE`) for an offset that is misaligned or outside and for a value that does not fit the width,
 * and an error with `code` `ERR_INVALID_STATE` once the region is unmapped or the device closed. Nothing is accessed then.
 */
export interface Registers {
  /** For messages: `bar0 of 0000:01:00.0`. */
  readonly label: string;
  /** In bytes. */
  readonly length: number;
  /** One read of 8 bits. */
  read8(offset: number): number;
  /** One read of 16 bits. */
  read16(offset: number): number;
  /** One read of 32 bits. */
  read32(offset: number): number;
  /** One read of 64 bits. */
  read64(offset: number): bigint;
  /** One write of 8 bits. */
  write8(offset: number, value: number): void;
  /** One write of 16 bits. */
  write16(offset: number, value: number): void;
  /** One write of 32 bits. */
  write32(offset: number, value: number): void;
  /** One write of 64 bits. */
  write64(offset: number, value: number | bigint): void;
  /** Makes all accesses of a program, in order, in one call; none of them if one lies outside of the region. */
  run(program: RegisterProgram): void;
}

/** The widths of an access, in bytes. */
export type Width = 1 | 2 | 4 | 8;

/** @throws TypeError, RangeError */
export const checkWidth: Check = (name, value) => {
  if (typeof value !== "number") throw argTypeError(name, "a number", value);
  if (![1, 2, 4, 8].includes(value)) throw outOfRangeError(name, "1, 2, 4 or 8 bytes", value);
};

/** One access of a {@link RegisterProgram}. */
export interface ProgramStep {
  readonly width: Width;
  readonly write: boolean;
  readonly offset: number;
  /** What to write. */
  readonly value: bigint;
}

/** What a program read. Meaningful once the program has run, and until it runs again. */
export interface ProgramRead<Value> {
  readonly value: Value;
}

// native/mmio.cc: four words an access: width (with this bit for a write), offset, low word, high word.
const WRITE = 0x100;
const WORDS = 4;
const MAX_OFFSET = 0xffff_ffff;

/**
 * A sequence of register accesses that is made in one call: what is dear about an access from JavaScript is the call
 * (some 20 ns), not the access.
 *
 * ```ts
 * const program = new RegisterProgram();
 * program.write32(0x08, 7);
 * const status = program.read32(0x20);
 * registers.run(program);
 * if (status.value & 1) ...
 * ```
 *
 * It belongs to no device, and can run as often as one likes.
 */
export class RegisterProgram {
  #words = new Uint32Array(16 * WORDS);
  #length = 0;
  #writes = false;
  #end = 0;
  // Kept from one run to the next: a view costs more than the accesses of a short program.
  #packed: Uint32Array | undefined;

  /** How many accesses it makes. */
  get length(): number {
    return this.#length;
  }

  /** Adds a read of 8 bits; the value is there when the program has run. */
  read8(offset: number): ProgramRead<number> {
    return this.#read32(1, offset);
  }

  /** Adds a read of 16 bits; the value is there when the program has run. */
  read16(offset: number): ProgramRead<number> {
    return this.#read32(2, offset);
  }

  /** Adds a read of 32 bits; the value is there when the program has run. */
  read32(offset: number): ProgramRead<number> {
    return this.#read32(4, offset);
  }

  /** Adds a read of 64 bits; the value is there when the program has run. */
  read64(offset: number): ProgramRead<bigint> {
    const at = this.#add(8, offset);
    const value = () => this.#value(at);
    return {
      get value() {
        return value();
      },
    };
  }

  /** Adds a write of 8 bits. */
  write8(offset: number, value: number): this {
    return this.#write(1, offset, value);
  }

  /** Adds a write of 16 bits. */
  write16(offset: number, value: number): this {
    return this.#write(2, offset, value);
  }

  /** Adds a write of 32 bits. */
  write32(offset: number, value: number): this {
    return this.#write(4, offset, value);
  }

  /** Adds a write of 64 bits. */
  write64(offset: number, value: number | bigint): this {
    return this.#write(8, offset, value);
  }

  #read32(width: Width, offset: number): ProgramRead<number> {
    const at = this.#add(width, offset);
    const value = () => this.#words[at + 2] ?? 0;
    return {
      get value() {
        return value();
      },
    };
  }

  #write(width: Width, offset: number, value: number | bigint): this {
    checkOffset(offset, width);
    const checked = checkValue(value, width);
    this.#set(this.#append(width | WRITE, offset, width), checked);
    this.#writes = true;
    return this;
  }

  #add(width: Width, offset: number): number {
    checkOffset(offset, width);
    return this.#append(width, offset, width);
  }

  #append(code: number, offset: number, width: Width): number {
    const at = this.#length * WORDS;
    if (at === this.#words.length) {
      const larger = new Uint32Array(2 * at);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[at] = code;
    this.#words[at + 1] = offset;
    this.#length += 1;
    this.#end = Math.max(this.#end, offset + width);
    this.#packed = undefined;
    return at;
  }

  #value(at: number): bigint {
    return (BigInt(this.#words[at + 3] ?? 0) << 32n) | BigInt(this.#words[at + 2] ?? 0);
  }

  #set(at: number, value: bigint): void {
    this.#words[at + 2] = Number(value & 0xffff_ffffn);
    this.#words[at + 3] = Number(value >> 32n);
  }

  /** The packed form that the addon runs; what is read comes back in it. @internal */
  get words(): Uint32Array {
    this.#packed ??= this.#words.subarray(0, this.#length * WORDS);
    return this.#packed;
  }

  /** @internal */
  step(index: number): ProgramStep {
    const at = index * WORDS;
    const code = this.#words[at] ?? 0;
    return {
      width: toWidth(code & 0xff),
      write: (code & WRITE) !== 0,
      offset: this.#words[at + 1] ?? 0,
      value: this.#value(at),
    };
  }

  /** Enters what an access read. @internal */
  answer(index: number, value: bigint): void {
    this.#set(index * WORDS, value);
  }

  /**
   * Refuses a region that one of the accesses does not lie in.
   *
   * @throws RangeError
   * @internal
   */
  checkFits(label: string, length: number): void {
    if (this.#end <= length) return;
    for (let index = 0; index < this.#length; index++) {
      const { offset, width } = this.step(index);
      checkRegister(label, length, offset, width);
    }
  }

  /** Whether it writes anything. @internal */
  get writes(): boolean {
    return this.#writes;
  }
}

/** @throws TypeError */
export const checkProgram: Check = instanceOf(RegisterProgram, "a RegisterProgram");

function toWidth(code: number): Width {
  return code === 1 || code === 2 || code === 4 ? code : 8;
}

/** The largest value of a register, by its width. */
const largest: Readonly<Record<Width, bigint>> = { 1: 0xffn, 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn };

/**
 * The value of a register. A bigint is for 64 bits only.
 *
 * @throws TypeError, RangeError
 */
export function checkValue(value: unknown, width: Width): bigint {
  if (typeof value === "bigint" && width === 8) {
    if (value >= 0n && value <= largest[8]) return value;
    throw outOfRangeError("value", "from 0 to 2^64 - 1", value);
  }
  if (typeof value !== "number") throw argTypeError("value", width === 8 ? "a number or a bigint" : "a number", value);
  if (Number.isSafeInteger(value) && value >= 0 && value <= largest[width]) return BigInt(value);
  const range = width === 8 ? "0 to 2^53 - 1, or a bigint" : `0 to 0x${largest[width].toString(16)}`;
  throw outOfRangeError("value", `an integer from ${range}`, value);
}

/** Refuses an offset that no region can have a register of this width at. */
function checkOffset(offset: number, width: Width): void {
  checkInteger("offset", offset, 0, MAX_OFFSET);
  if (offset % width !== 0) throw outOfRangeError("offset", `a multiple of ${width}, the register's width`, offset);
}

/**
 * Refuses an access that a register cannot have.
 *
 * @throws TypeError, RangeError
 */
export function checkRegister(label: string, length: number, offset: unknown, width: Width): void {
  if (typeof offset !== "number") throw argTypeError("offset", "a number", offset);
  if (Number.isInteger(offset) && offset >= 0 && offset % width === 0 && offset + width <= length) return;
  throw outOfRangeError(
    "offset",
    `that of a register of ${width} bytes in ${label}: aligned to its width, within its ${length} bytes`,
    offset,
  );
}
