/**
 * Checks of what a caller passes. The wrong type is a TypeError (`ERR_INVALID_ARG_TYPE`), a number outside of its range a
 * RangeError (`ERR_OUT_OF_RANGE`), any other value that there is not a TypeError (`ERR_INVALID_ARG_VALUE`), as in Node's own
 * functions. Each has the argument's name.
 *
 * @module
 */
import { argTypeError, argValueError, outOfRangeError } from "./errors.js";

/** Refuses a value that an argument, or an option, cannot have. */
export type Check = (name: string, value: unknown) => void;

/** The options that a function takes, each with its check. An option that is `undefined` counts as left out. */
export type KnownOptions = ReadonlyMap<string, Check>;

/** The options of an interface, each with its check: none can be forgotten, and none be made up. */
export function knownOptions<Options extends object>(
  checks: Readonly<Record<keyof Options & string, Check>>,
): KnownOptions {
  return new Map(Object.entries<Check>(checks));
}

// ---- values ---------------------------------------------------------------------------------------------------------

/** Any value. */
export const anything: Check = () => {};

/** @throws TypeError */
export const checkString: Check = (name, value) => {
  if (typeof value !== "string") throw argTypeError(name, "a string", value);
};

/** @throws TypeError */
export const checkBoolean: Check = (name, value) => {
  if (typeof value !== "boolean") throw argTypeError(name, "a boolean", value);
};

/** @throws TypeError */
export const checkFunction: Check = (name, value) => {
  if (typeof value !== "function") throw argTypeError(name, "a function", value);
};

/** @throws TypeError */
export const checkObject: Check = (name, value) => {
  if (typeof value !== "object" || value === null) throw argTypeError(name, "an object", value);
};

/** @throws TypeError */
export const checkArray: Check = (name, value) => {
  if (!Array.isArray(value)) throw argTypeError(name, "an array", value);
};

/** An array of strings. @throws TypeError */
export const checkStrings: Check = (name, value) => {
  if (!Array.isArray(value) || !value.every((each) => typeof each === "string")) {
    throw argTypeError(name, "an array of strings", value);
  }
};

/** An array, a set, ... @throws TypeError */
export const checkIterable: Check = (name, value) => {
  if (typeof value !== "object" || value === null || !(Symbol.iterator in value)) {
    throw argTypeError(name, "an iterable", value);
  }
};

/** A `Uint8Array`, or a `Buffer`. @throws TypeError */
export const checkBytes: Check = (name, value) => {
  if (!(value instanceof Uint8Array)) throw argTypeError(name, "a Uint8Array", value);
};

/**
 * A number that must be an integer between two others.
 *
 * @throws TypeError, RangeError
 */
export function checkInteger(name: string, value: unknown, low = 0, high: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number") throw argTypeError(name, "a number", value);
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw outOfRangeError(name, `an integer from ${low} to ${high}`, value);
}

/** {@link checkInteger} with its limits, for an option. */
export function integer(low = 0, high: number = Number.MAX_SAFE_INTEGER): Check {
  return (name, value) => checkInteger(name, value, low, high);
}

/** A descriptor of a file. @throws TypeError, RangeError */
export const checkDescriptor: Check = integer(0, 2 ** 31 - 1);

/** A time that may be Infinity. @throws TypeError, RangeError */
export const checkMilliseconds: Check = (name, value) => {
  if (typeof value !== "number") throw argTypeError(name, "a number of milliseconds", value);
  if (!(value >= 0)) throw outOfRangeError(name, "a number of milliseconds from 0 on", value);
};

/** An unsigned integer of 64 bits, as a safe integer or a bigint. @throws TypeError, RangeError */
export const checkU64: Check = (name, value) => {
  if (typeof value === "number" ? Number.isSafeInteger(value) && value >= 0 : isU64(value)) return;
  if (typeof value !== "number" && typeof value !== "bigint") throw argTypeError(name, "a number or a bigint", value);
  throw outOfRangeError(name, "an integer from 0 to 2^53 - 1, or a bigint up to 2^64 - 1", value);
};

function isU64(value: unknown): boolean {
  return typeof value === "bigint" && value >= 0n && value < 1n << 64n;
}

/** An object of a class. */
export function instanceOf(type: { [Symbol.hasInstance](value: unknown): boolean }, what: string): Check {
  return (name, value) => {
    if (!(value instanceof type)) throw argTypeError(name, what, value);
  };
}

/** @throws TypeError */
export const checkSignal: Check = instanceOf(AbortSignal, "an AbortSignal");

/** One of a few strings. */
export function oneOf(choices: readonly string[]): Check {
  return (name, value) => {
    if (typeof value !== "string") throw argTypeError(name, `one of ${choices.join(", ")}`, value);
    if (choices.includes(value)) return;
    throw argValueError(name, `one of ${choices.join(", ")}`, value, suggestion(value, choices));
  };
}

/** An object with other options. */
export function optionsOf(known: KnownOptions): Check {
  return (name, value) => checkOptions(name, value, known);
}

// ---- options --------------------------------------------------------------------------------------------------------

/**
 * An object with options: those that are known, with values that they can have.
 *
 * @throws TypeError, RangeError
 */
export function checkOptions(name: string, options: unknown, known: KnownOptions): void {
  if (options === undefined) return;
  if (!isRecord(options)) throw argTypeError(name, `an object with options (${[...known.keys()].join(", ")})`, options);
  for (const key in options) {
    const check = known.get(key);
    if (check === undefined) throw unknownOption(name, key, known);
    const value = options[key];
    if (value !== undefined) check(key, value);
  }
}

/**
 * {@link checkOptions} for options of which some must be given.
 *
 * @throws TypeError, RangeError
 */
export function checkRequired(
  name: string,
  options: unknown,
  known: KnownOptions,
  ...required: readonly string[]
): void {
  checkObject(name, options);
  checkOptions(name, options, known);
  for (const key of required) known.get(key)?.(key, isRecord(options) ? options[key] : undefined);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unknownOption(name: string, key: string, known: KnownOptions): TypeError {
  const names = [...known.keys()];
  return argValueError(name, `an object with no options but ${names.join(", ")}`, key, suggestion(key, names));
}

/** The one of some words that another one was probably meant to be, as a sentence. */
function suggestion(word: string, words: readonly string[]): string {
  const lower = word.toLowerCase();
  const near = words.find((each) => each.toLowerCase() === lower) ?? words.find((each) => differInOne(each, word));
  return near === undefined ? "" : `. Did you mean "${near}"?`;
}

/** Whether two words differ in one letter: another one, one more, one less, or two that changed places. */
function differInOne(a: string, b: string): boolean {
  let from = 0;
  while (from < a.length && a[from] === b[from]) from++;
  const [restA, restB] = [a.slice(from), b.slice(from)];
  if (restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1)) return true;
  return restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0];
}

/**
 * What an `on`, a `once` or an `off` is called with.
 *
 * @throws TypeError
 */
export function checkListener(events: readonly string[], event: unknown, listener: unknown): void {
  oneOf(events)("event", event);
  checkFunction("listener", listener);
}

// ---- parts ----------------------------------------------------------------------------------------------------------

/**
 * A part of something that has `size` bytes.
 *
 * @param whole what has these bytes, for the error
 * @throws TypeError, RangeError
 */
export function checkPart(whole: string, size: number, offset: unknown, length: unknown): void {
  const end = checkInteger("offset", offset) + checkInteger("length", length);
  if (end <= size) return;
  throw outOfRangeError("offset and length", `within the ${size} bytes of ${whole}`, { offset, length });
}
