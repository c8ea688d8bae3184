/** Refuses a value that an argument, or an option, cannot have. */
export type Check = (name: string, value: unknown) => void;
/** The options that a function takes, each with its check. An option that is `undefined` counts as left out. */
export type KnownOptions = ReadonlyMap<string, Check>;
/** The options of an interface, each with its check: none can be forgotten, and none be made up. */
export declare function knownOptions<Options extends object>(checks: Readonly<Record<keyof Options & string, Check>>): KnownOptions;
/** Any value. */
export declare const anything: Check;
/** @throws TypeError */
export declare const checkString: Check;
/** @throws TypeError */
export declare const checkBoolean: Check;
/** @throws TypeError */
export declare const checkFunction: Check;
/** @throws TypeError */
export declare const checkObject: Check;
/** @throws TypeError */
export declare const checkArray: Check;
/** An array of strings. @throws TypeError */
export declare const checkStrings: Check;
/** An array, a set, ... @throws TypeError */
export declare const checkIterable: Check;
/** A `Uint8Array`, or a `Buffer`. @throws TypeError */
export declare const checkBytes: Check;
/**
 * A number that must be an integer between two others.
 *
 * @throws TypeError, RangeError
 */
export declare function checkInteger(name: string, value: unknown, low?: number, high?: number): number;
/** {@link checkInteger} with its limits, for an option. */
export declare function integer(low?: number, high?: number): Check;
/** A descriptor of a file. @throws TypeError, RangeError */
export declare const checkDescriptor: Check;
/** A time that may be Infinity. @throws TypeError, RangeError */
export declare const checkMilliseconds: Check;
/** An unsigned integer of 64 bits, as a safe integer or a bigint. @throws TypeError, RangeError */
export declare const checkU64: Check;
/** An object of a class. */
export declare function instanceOf(type: {
    [Symbol.hasInstance](value: unknown): boolean;
}, what: string): Check;
/** @throws TypeError */
export declare const checkSignal: Check;
/** One of a few strings. */
export declare function oneOf(choices: readonly string[]): Check;
/** An object with other options. */
export declare function optionsOf(known: KnownOptions): Check;
/**
 * An object with options: those that are known, with values that they can have.
 *
 * @throws TypeError, RangeError
 */
export declare function checkOptions(name: string, options: unknown, known: KnownOptions): void;
/**
 * {@link checkOptions} for options of which some must be given.
 *
 * @throws TypeError, RangeError
 */
export declare function checkRequired(name: string, options: unknown, known: KnownOptions, ...required: readonly string[]): void;
/**
 * What an `on`, a `once` or an `off` is called with.
 *
 * @throws TypeError
 */
export declare function checkListener(events: readonly string[], event: unknown, listener: unknown): void;
/**
 * A part of something that has `size` bytes.
 *
 * @param whole what has these bytes, for the error
 * @throws TypeError, RangeError
 */
export declare function checkPart(whole: string, size: number, offset: unknown, length: unknown): void;
