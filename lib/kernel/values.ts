/**
 * How arguments and results are shown.
 *
 * @module
 */
import { readlinkSync } from "node:fs";
import { type Names, none } from "./names.js";

/** What a value is shown with. */
export interface Shown {
  /** All arguments of the call, since one may say what another is. */
  readonly args: readonly unknown[];
  /** The address of a mapping, by its handle. */
  addressOf(mapping: unknown): unknown;
}

/** Shows a value that was passed to the addon, or came from it. */
export type Show = (value: unknown, shown: Shown) => string;

export const decimal: Show = (value) => String(value);

/** Anything that is not a natural number is shown as it is: -1 for none, what a caller passed by mistake. */
export const hex: Show = (value) =>
  (typeof value === "number" || typeof value === "bigint") && value >= 0 ? `0x${value.toString(16)}` : String(value);

/** A name in the abstract namespace begins with NUL. */
export const text: Show = (value) => JSON.stringify(value) ?? String(value);

/** A mapping, by where it is. */
export const mapping: Show = (value, { addressOf }) => hex(addressOf(value), { args: [], addressOf });

/** Bits by their names; those that have none in hexadecimal. */
export function flags(names: Names): Show {
  return (value) => {
    if (typeof value !== "number" || value <= 0) return String(value);
    const known = [...names()].filter(([bit]) => bit !== 0 && (value & bit) === bit);
    const rest = known.reduce((left, [bit]) => left & ~bit, value) >>> 0;
    return [...known.map(([, name]) => name), ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])].join("|");
  };
}

/** A number by its name. */
export function oneOf(names: Names): Show {
  return (value) => (typeof value === "number" ? names().get(value) : undefined) ?? String(value);
}

/** What a descriptor is: its path, `eventfd`, `memfd:name`, `socket:[123]`. Undefined for one that is not open. */
function describeDescriptor(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
      .replace(/^anon_inode:\[?(.*?)\]?$/, "$1")
      .replace(/^\/(memfd:.*) \(deleted\)$/, "$1");
  } catch {
    return undefined;
  }
}

/** A descriptor with what it is. */
export const descriptor: Show = (value) => {
  const what = typeof value === "number" && value >= 0 ? describeDescriptor(value) : undefined;
  return what === undefined ? String(value) : `${value}<${what}>`;
};

/** A list of descriptors in an Int32Array. */
export const descriptors: Show = (value, shown) =>
  value instanceof Int32Array ? `[${[...value].map((fd) => descriptor(fd, shown)).join(", ")}]` : "[]";

/**
 * Bytes: how many, and what they are where they may be one register. Longer ones are not shown: they may be secrets (a VF
 * token), and they are no help.
 */
export const bytes: Show = (value) => {
  if (!ArrayBuffer.isView(value)) return "none";
  const { buffer, byteOffset, byteLength } = value;
  if (![1, 2, 4, 8].includes(byteLength)) return `${byteLength} bytes`;
  const digits = [...new Uint8Array(buffer, byteOffset, byteLength)].map((each) => each.toString(16).padStart(2, "0"));
  return `0x${digits.reverse().join("")}`;
};

/** How many there are of something that takes so many bytes each. */
export function countOf(size: number): Show {
  return (value) => (ArrayBuffer.isView(value) ? String(value.byteLength / size) : "none");
}

const inHex = new Set(["size", "offset", "alignment", "iovaPgsizes"]);

/** An answer of more than one value, whose flags have names. Its bytes are the same once more. */
export function answer(names: Names = none): Show {
  const showFlags = flags(names);
  return function show(value, shown): string {
    if (typeof value !== "object" || value === null) return String(value);
    const fields = Object.entries(value).flatMap(([name, each]: [string, unknown]) => {
      if (Array.isArray(each)) return [`${name}=[${each.map((one) => show(one, shown)).join(", ")}]`];
      if (ArrayBuffer.isView(each) || name === "status") return [];
      const how = name === "flags" ? showFlags : inHex.has(name) ? hex : decimal;
      return [`${name}=${how(each, shown)}`];
    });
    return `{${fields.join(", ")}}`;
  };
}
