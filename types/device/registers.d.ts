/**
 * A device's registers, through whichever way reaches them.
 *
 * @module
 */
import { type Check } from "../base/arguments.js";
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
export declare const checkWidth: Check;
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
export declare class RegisterProgram {
    #private;
    /** How many accesses it makes. */
    get length(): number;
    /** Adds a read of 8 bits; the value is there when the program has run. */
    read8(offset: number): ProgramRead<number>;
    /** Adds a read of 16 bits; the value is there when the program has run. */
    read16(offset: number): ProgramRead<number>;
    /** Adds a read of 32 bits; the value is there when the program has run. */
    read32(offset: number): ProgramRead<number>;
    /** Adds a read of 64 bits; the value is there when the program has run. */
    read64(offset: number): ProgramRead<bigint>;
    /** Adds a write of 8 bits. */
    write8(offset: number, value: number): this;
    /** Adds a write of 16 bits. */
    write16(offset: number, value: number): this;
    /** Adds a write of 32 bits. */
    write32(offset: number, value: number): this;
    /** Adds a write of 64 bits. */
    write64(offset: number, value: number | bigint): this;
}
/** @throws TypeError */
export declare const checkProgram: Check;
/**
 * The value of a register. A bigint is for 64 bits only.
 *
 * @throws TypeError, RangeError
 */
export declare function checkValue(value: unknown, width: Width): bigint;
/**
 * Refuses an access that a register cannot have.
 *
 * @throws TypeError, RangeError
 */
export declare function checkRegister(label: string, length: number, offset: unknown, width: Width): void;
