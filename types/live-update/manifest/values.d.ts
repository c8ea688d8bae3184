/**
 * Parts that are single values: numbers, texts, descriptors.
 *
 * @module
 */
import { type Codes } from "./bytes.js";
import { type DescriptorIndex, type Part, type Place } from "./part.js";
/** The smallest page of every machine that Linux runs on: addresses and lengths are multiples of it at the least. */
export declare const PAGE = 4096;
export declare function checkInteger(value: number, place: Place, min: number, max: number): void;
export declare function u32({ min, max }?: {
    readonly min?: number;
    readonly max?: number;
}): Part<number>;
export declare function u64({ min }?: {
    readonly min?: bigint;
}): Part<bigint>;
/** 64 bits that fit a safe integer. */
export declare function size({ min, max }?: {
    max?: number | undefined;
    min?: number | undefined;
}): Part<number>;
/** A size that is a multiple of the page size. */
export declare function pages({ min }?: {
    min?: number | undefined;
}): Part<number>;
export declare function checkPages(value: number, place: Place, min?: number): void;
/** A number of another process or of the kernel, which must be there. */
export declare function id(): Part<number>;
export declare function flag(): Part<boolean>;
/** 32 bits, of which those in `mask` have a meaning. */
export declare function bits(mask: number): Part<number>;
/** One of some words, as a number. */
export declare function code<C extends string>(codes: Codes<C>): Part<C>;
/** One of some numbers below 256. */
export declare function oneOf<const N extends number>(...values: readonly N[]): Part<N>;
export declare function text(): Part<string>;
/** A text that is not empty. */
export declare function name(): Part<string>;
/** The same, or none. */
export declare function optionalName(): Part<string | undefined>;
/** The bytes that are left of a record: a view of the document. */
export declare function remainder(): Part<Uint8Array>;
/** Some bytes, with their number before them. A reader copies them: they outlive the document. */
export declare function blob(max: number): Part<Uint8Array>;
/** A field that is a descriptor. Its item says what it must be, in {@link About.descriptors}. */
export interface DescriptorPart<T extends DescriptorIndex | undefined> extends Part<T> {
    readonly isDescriptor: true;
}
export declare function isDescriptor(part: Part<unknown>): boolean;
/** Which indexes there may be is checked for all of them together. */
export declare function descriptor(): DescriptorPart<DescriptorIndex>;
/** A descriptor, or none. */
export declare function optionalDescriptor(): DescriptorPart<DescriptorIndex | undefined>;
