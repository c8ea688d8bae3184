/**
 * The shadow of what is mapped: which IOVAs stand for which memory, kept next to the kernel's own table, because the kernel
 * cannot be asked. Overlaps, cuts and look-ups in both directions are answered here, before and instead of an ioctl.
 *
 * @module
 */
import { constants } from "node:os";
import { outOfRangeError, VfioError } from "./errors.js";
import { approximate, type IovaRange, lastIova, showRange, toIova, toLength } from "./iova-range.js";
import { type OrderedEntry, OrderedMap } from "./ordered-map.js";

/** What a table needs to know of a mapping. It reads these when the mapping is inserted; they must not change until it is removed. */
export interface Mapped {
  /** The first I/O virtual address. */
  readonly iova: bigint;
  /** The length in bytes. */
  readonly length: number | bigint;
  /** Where the memory is in this process, if it has an address: what {@link MappingTable.byAddress} searches. */
  readonly address?: number | bigint | undefined;
}

// Up to here a double is the address itself. Above it only keeps the order: equal doubles are then told apart exactly.
const EXACT = 2 ** 53;

/**
 * A mapping in the order of IOVAs. The key is the double next to the first address and the tie what it differs by, so that
 * both together are exact. The weight is the double next to the last address.
 */
interface ByIova<M> extends OrderedEntry {
  readonly mapping: M;
  readonly bytes: number | bigint;
  readonly byAddress: ByAddress<M> | undefined;
}

/** The same in the order of addresses of this process, where several mappings may share one; there the tie is a counter. */
interface ByAddress<M> extends OrderedEntry {
  readonly mapping: M;
}

function tieOf(iova: bigint, key: number): number {
  return key < EXACT ? 0 : Number(iova - BigInt(key));
}

function lastOf(mapping: Mapped): bigint {
  return mapping.iova + BigInt(mapping.length) - 1n;
}

/** The range of a mapping, both ends included. */
export function rangeOf(mapping: Mapped): IovaRange {
  return { start: mapping.iova, last: lastOf(mapping) };
}

/**
 * Mappings by IOVA, none of which overlap, and by the address of their memory. Insertions, removals and look-ups take a
 * time that grows with the logarithm of {@link size}.
 *
 * Arrays that it returns are snapshots: the table may be changed while one goes through them.
 */
export class MappingTable<M extends Mapped> implements Iterable<M> {
  readonly #iovas = new OrderedMap<ByIova<M>>();
  readonly #addresses = new OrderedMap<ByAddress<M>>();
  #inserted = 0;
  // The total in two parts that stay exact: multiples of 4 GiB and the rest.
  #high = 0;
  #low = 0;

  /** How many mappings there are. */
  get size(): number {
    return this.#iovas.size;
  }

  /** How many bytes are mapped. */
  get bytes(): bigint {
    return BigInt(this.#high) * 0x1_0000_0000n + BigInt(this.#low);
  }

  /**
   * Adds a mapping.
   *
   * @throws VfioError `EEXIST` if it overlaps one that is in the table, with the range of that one
   * @throws TypeError, RangeError if its range is none
   */
  insert(mapping: M): void {
    const iova = toIova("iova", mapping.iova);
    const bytes = toLength("length", mapping.length);
    const key = approximate(iova);
    const tie = tieOf(iova, key);
    const sum = typeof bytes === "number" ? key + bytes : Number.POSITIVE_INFINITY;
    const last = sum < EXACT ? sum - 1 : approximate(lastIova(iova, bytes));
    const overlapped = this.#firstOverlap(iova, key, tie, last, bytes);
    if (overlapped !== undefined) {
      throw new VfioError({
        errno: constants.errno.EEXIST,
        syscall: "map",
        args: { iova, length: bytes },
        why: `it overlaps the mapping ${showRange(rangeOf(overlapped))}`,
        fix: "unmap that one first, or map elsewhere",
      });
    }
    const byAddress = this.#address(mapping, bytes);
    this.#iovas.insert({ key, tie, weight: last, rank: 0, mapping, bytes, byAddress });
    if (byAddress !== undefined) this.#addresses.insert(byAddress);
    this.#count(bytes, 1);
  }

  /**
   * Takes a mapping out.
   *
   * @returns whether it was in the table: this object, not an equal one
   */
  remove(mapping: M): boolean {
    const key = approximate(mapping.iova);
    const tie = tieOf(mapping.iova, key);
    const entry = this.#iovas.find(key, tie);
    if (entry?.mapping !== mapping) return false;
    this.#iovas.remove(key, tie);
    if (entry.byAddress !== undefined) this.#addresses.remove(entry.byAddress.key, entry.byAddress.tie);
    this.#count(entry.bytes, -1);
    return true;
  }

  /** Takes all mappings out. */
  clear(): void {
    this.#iovas.clear();
    this.#addresses.clear();
    this.#high = 0;
    this.#low = 0;
  }

  /** The mapping that an IOVA lies in. */
  at(iova: number | bigint): M | undefined {
    const address = toIova("iova", iova);
    const key = approximate(address);
    const entry = this.#iovas.floor(key, tieOf(address, key));
    return entry !== undefined && reaches(entry, address, key) ? entry.mapping : undefined;
  }

  /**
   * The first mapping that has an address in common with a range.
   *
   * @throws TypeError, RangeError for a range that is none
   */
  firstOverlap(iova: number | bigint, length: number | bigint): M | undefined {
    const start = toIova("iova", iova);
    const bytes = toLength("length", length);
    const key = approximate(start);
    return this.#firstOverlap(start, key, tieOf(start, key), approximate(lastIova(start, bytes)), bytes);
  }

  /**
   * The mappings that have an address in common with a range, in order.
   *
   * @throws TypeError, RangeError for a range that is none
   */
  overlapping(iova: number | bigint, length: number | bigint): M[] {
    const start = toIova("iova", iova);
    const last = lastIova(start, toLength("length", length));
    const key = approximate(start);
    const tie = tieOf(start, key);
    const before = this.#iovas.floor(key, tie);
    const found: M[] = [];
    if (before !== undefined && before.mapping.iova < start && reaches(before, start, key)) found.push(before.mapping);
    const lastKey = approximate(last);
    for (const entry of this.#iovas.slice(key, tie, lastKey, tieOf(last, lastKey))) found.push(entry.mapping);
    return found;
  }

  /**
   * The mappings that a range would cut, that is, covers in part: none, one or two. Native iommufd and type1v2 refuse to
   * unmap such a range, type1 in its first version unmaps more than asked.
   *
   * @throws TypeError, RangeError for a range that is none
   */
  cut(iova: number | bigint, length: number | bigint): M[] {
    const start = toIova("iova", iova);
    const last = lastIova(start, toLength("length", length));
    const first = this.at(start);
    const end = this.at(last);
    const found: M[] = [];
    if (first !== undefined && (first.iova < start || lastOf(first) > last)) found.push(first);
    if (end !== undefined && end !== first && lastOf(end) > last) found.push(end);
    return found;
  }

  /**
   * The mappings whose memory contains an address of this process, by IOVA. Memory that is mapped more than once has
   * several.
   *
   * @throws TypeError, RangeError for what is no 64-bit address
   */
  byAddress(address: number | bigint): M[] {
    const wanted = toIova("address", address);
    const key = approximate(wanted);
    const found: M[] = [];
    // From the address downwards, over everything that reaches up to it.
    this.#addresses.lastUpTo(key, Number.POSITIVE_INFINITY, key, 0, ({ mapping }) => {
      const offset = wanted - BigInt(mapping.address ?? 0);
      if (offset >= 0n && offset < mapping.length) found.push(mapping);
      return false;
    });
    return found.sort((a, b) => (a.iova < b.iova ? -1 : 1));
  }

  /** The mappings in the order of their IOVAs, as they are when the iteration begins. */
  [Symbol.iterator](): IterableIterator<M> {
    return this.#iovas
      .toArray()
      .map((entry) => entry.mapping)
      [Symbol.iterator]();
  }

  #firstOverlap(iova: bigint, key: number, tie: number, last: number, bytes: number | bigint): M | undefined {
    const before = this.#iovas.floor(key, tie);
    if (before !== undefined && reaches(before, iova, key)) return before.mapping;
    const after = this.#iovas.ceiling(key, tie);
    if (after === undefined || after.key > last) return undefined;
    if (after.key === last && last >= EXACT && after.mapping.iova > lastIova(iova, bytes)) return undefined;
    return after.mapping;
  }

  #address(mapping: M, bytes: number | bigint): ByAddress<M> | undefined {
    if (mapping.address === undefined) return undefined;
    const address = toIova("address", mapping.address);
    const last = address + BigInt(bytes) - 1n;
    if (last >= 1n << 64n)
      throw outOfRangeError("address", "within the 64-bit address space, to its last byte", address);
    return { key: approximate(address), tie: this.#inserted++, weight: approximate(last), rank: 0, mapping };
  }

  #count(bytes: number | bigint, sign: 1 | -1): void {
    if (typeof bytes === "number") {
      this.#high += sign * Math.floor(bytes / 0x1_0000_0000);
      this.#low += sign * (bytes % 0x1_0000_0000);
    } else {
      this.#high += sign * Number(bytes >> 32n);
      this.#low += sign * Number(bytes & 0xffff_ffffn);
    }
  }
}

// Whether a mapping that begins at or before an address contains it.
function reaches<M extends Mapped>(entry: ByIova<M>, iova: bigint, key: number): boolean {
  return entry.weight > key || (entry.weight === key && (key < EXACT || lastOf(entry.mapping) >= iova));
}
