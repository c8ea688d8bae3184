/**
 * The registers of the benchmarks' device, in BAR 0.
 *
 * @module
 */

/** Any value may be written, and nothing happens. */
export const NOTHING = 0x00;
/** How many pieces the next copy has. */
export const COUNT = 0x04;
/** Where in the client's memory a piece lies. 64 bits. */
export const IOVA = 0x08;
/** Raises the interrupt as often as the value says. */
export const RAISE = 0x10;
/** A read copies pieces from the client's memory, and is answered when that is done. */
export const COPY_IN = 0x14;
/** A read copies pieces into the client's memory, and is answered when that is done. */
export const COPY_OUT = 0x18;

/** The length of a piece, in bytes. One message holds it. */
export const PIECE = 1 << 20;
