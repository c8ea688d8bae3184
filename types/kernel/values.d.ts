import { type Names } from "./names.js";
/** What a value is shown with. */
export interface Shown {
    /** All arguments of the call, since one may say what another is. */
    readonly args: readonly unknown[];
    /** The address of a mapping, by its handle. */
    addressOf(mapping: unknown): unknown;
}
/** Shows a value that was passed to the addon, or came from it. */
export type Show = (value: unknown, shown: Shown) => string;
export declare const decimal: Show;
/** Anything that is not a natural number is shown as it is: -1 for none, what a caller passed by mistake. */
export declare const hex: Show;
/** A name in the abstract namespace begins with NUL. */
export declare const text: Show;
/** A mapping, by where it is. */
export declare const mapping: Show;
/** Bits by their names; those that have none in hexadecimal. */
export declare function flags(names: Names): Show;
/** A number by its name. */
export declare function oneOf(names: Names): Show;
/** A descriptor with what it is. */
export declare const descriptor: Show;
/** A list of descriptors in an Int32Array. */
export declare const descriptors: Show;
/**
 * Bytes: how many, and what they are where they may be one register. Longer ones are not shown: they may be secrets (a VF
 * token), and they are no help.
 */
export declare const bytes: Show;
/** How many there are of something that takes so many bytes each. */
export declare function countOf(size: number): Show;
/** An answer of more than one value, whose flags have names. Its bytes are the same once more. */
export declare function answer(names?: Names): Show;
