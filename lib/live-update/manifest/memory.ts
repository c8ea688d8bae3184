/**
 * Memory that devices reach.
 *
 * @module
 */
import { memoryCodes } from "./codes.js";
import { descriptor, flag, item, optionalName, pages, quote, text, u32, type ValueOf, variants } from "./schema.js";

function nameFile(
  { name, label }: { readonly name: string | undefined; readonly label: string },
  _: string,
  index: number,
): string {
  return `memory ${name === undefined ? `${index} (${quote(label)})` : quote(name)}`;
}

function nameBar(
  { device, region }: { readonly device: string; readonly region: number },
  _: string,
  index: number,
): string {
  return `memory ${index} (region ${region} of ${quote(device)})`;
}

/** Memory that is shared by descriptor. */
const file = item(
  {
    /** The program's name for it; undefined for memory that is only mapped. */
    name: optionalName(),
    /** For messages. */
    label: text(),
    descriptor: descriptor(),
    /** In bytes, from the start of the file. */
    length: pages({ min: 1 }),
    /** The size of its pages. */
    pageSize: pages({ min: 1 }),
    /** Whether it is kept in memory (`mlock`), which does not travel and is done anew. */
    locked: flag(),
  },
  {
    name: nameFile,
    descriptors: {
      descriptor: ({ length }, what) => ({ expected: { kind: "memory", length }, what }),
    },
    rule({ length, pageSize }, name, refuse) {
      if (!Number.isInteger(Math.log2(pageSize))) {
        throw refuse(`the page size of ${name()} is ${pageSize}, not a power of two`);
      }
      if (length % pageSize !== 0) {
        throw refuse(`the length of ${name()} is ${length}, not a multiple of its page size, ${pageSize}`);
      }
    },
  },
);

/** A part of a device's region, mapped for other devices by address (legacy containers). */
const bar = item(
  {
    /** The container's name, and the device's address in it. */
    container: text(),
    device: text(),
    region: u32(),
    /** In the region, in bytes. */
    offset: pages(),
    length: pages({ min: 1 }),
  },
  {
    name: nameBar,
    rule({ offset, length }, name, refuse) {
      if (!Number.isSafeInteger(offset + length)) throw refuse(`the end of ${name()} is 2^53 or more`);
    },
  },
);

export const memory = variants("kind", memoryCodes, { file, bar });
export type MemoryItem = ValueOf<typeof memory>;
export type FileMemory = Extract<MemoryItem, { kind: "file" }>;
export type BarMemory = Extract<MemoryItem, { kind: "bar" }>;

export function nameMemory(item: MemoryItem, index: number): string {
  return item.kind === "bar" ? nameBar(item, "", index) : nameFile(item, "", index);
}
