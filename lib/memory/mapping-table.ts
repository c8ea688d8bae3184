/**
 * The shadow of what is mapped: which IOVAs stand for which memory, kept next to the kernel's own table, because the kernel
 * cannot be asked. Overlaps, cuts and look-ups in both directions are answered here, before and instead of an ioctl.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import { approximate, type IovaRange, lastIova, showRange, toIova, toLength } from "./iova-range.js";
import { OrderedMap } from "./ordered-map.js";

/** What a table needs to know of a mapping. It reads these when the mapping is inserted; they must not change until it is removed. */
export interface Mapped {
  /** The first I/O virtual address. */
  readonly iova: bigint;
  /** The length in bytes. */
  readonly length: number | bigint;
  /** Where the memory is in this process, if it has an address: what {@link MappingTable.byAddress} searches. */
  readonly address?: number | bigint | undefined;
}

// Below this a double is the address itself. Above, equal doubles are told apart by what the addresses differ by from them.
const EXACT = 2 ** 53;

function tieOf(address: bigint, key: number): number {
  return key < EXACT ? 0 : Number(address - BigInt(key));
}

/** How far an address is behind a mapping's first one. In numbers where both are exact: they take a tenth of a bigint's time. */
function distance(address: bigint, mapping: Mapped): number | bigint {
  const to = approximate(address);
  const from = approximate(mapping.iova);
  return to < EXACT && from < EXACT ? to - from : address - mapping.iova;
}

/** Checks that there are `bytes` from an address on. */
function checkEnd(name: string, address: number | bigint, bytes: number | bigint): void {
  const exact = typeof address === "number" && typeof bytes === "number" && address >= 0 && address + bytes < EXACT;
  if (!exact || !Number.isInteger(address)) lastIova(toIova(name, address), bytes);
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
  readonly #iovas = new OrderedMap<M>();
  // By address several mappings may have the same key; the tie is their slot in the other map. The weight is where they end.
  // There from the first search on: most programs make none, and to keep it is a third of what a map and an unmap take.
  #addresses: OrderedMap<M> | undefined;
  // The key in #addresses by slot in #iovas; NaN for a mapping without an address.
  #addressKeys: number[] = [];
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
    if (mapping.address !== undefined) checkEnd("address", mapping.address, bytes);
    const key = approximate(iova);
    // In numbers where they are exact, which they are for nearly every mapping there is.
    const end = typeof bytes === "number" ? key + bytes : EXACT;
    const overlapped =
      end < EXACT ? this.#firstOverlap(iova, end - 1, 0) : this.#firstOverlapUpTo(iova, lastIova(iova, bytes));
    if (overlapped !== undefined) {
      throw new VfioError({
        errno: constants.errno.EEXIST,
        syscall: "map",
        args: { iova, length: bytes },
        reason: "overlap",
        why: `it overlaps the mapping ${showRange(rangeOf(overlapped))}`,
        fix: "unmap that one first, or map elsewhere",
      });
    }
    const slot = this.#iovas.insert(key, tieOf(iova, key), 0, 0, mapping);
    if (this.#addresses !== undefined) this.#index(this.#addresses, mapping, slot);
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
    const slot = this.#iovas.slotOf(key, tie);
    if (this.#iovas.at(slot) !== mapping) return false;
    this.#iovas.remove(key, tie);
    this.#addresses?.remove(this.#addressKeys[slot] ?? Number.NaN, slot);
    this.#count(mapping.length, -1);
    return true;
  }

  /** Takes all mappings out. */
  clear(): void {
    this.#iovas.clear();
    this.#addresses = undefined;
    this.#addressKeys = [];
    this.#high = 0;
    this.#low = 0;
  }

  /** The mapping that an IOVA lies in. */
  at(iova: number | bigint): M | undefined {
    return this.#at(toIova("iova", iova));
  }

  /**
   * The first mapping that has an address in common with a range.
   *
   * @throws TypeError, RangeError for a range that is none
   */
  firstOverlap(iova: number | bigint, length: number | bigint): M | undefined {
    const start = toIova("iova", iova);
    return this.#firstOverlapUpTo(start, lastIova(start, toLength("length", length)));
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
    const lastKey = approximate(last);
    const found = this.#iovas.slice(key, tieOf(start, key), lastKey, tieOf(last, lastKey));
    const before = this.#at(start);
    if (before !== undefined && before !== found[0]) found.unshift(before);
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
    this.#byAddress().lastUpTo(key, Number.POSITIVE_INFINITY, key, 0, (mapping) => {
      const offset = wanted - BigInt(mapping.address ?? 0);
      if (offset >= 0n && offset < mapping.length) found.push(mapping);
      return false;
    });
    return found.sort((a, b) => (a.iova < b.iova ? -1 : 1));
  }

  /** The mappings in the order of their IOVAs, as they are when the iteration begins. */
  [Symbol.iterator](): IterableIterator<M> {
    return this.#iovas.toArray()[Symbol.iterator]();
  }

  #at(iova: bigint): M | undefined {
    const key = approximate(iova);
    const mapping = this.#iovas.floor(key, tieOf(iova, key));
    return mapping !== undefined && distance(iova, mapping) < mapping.length ? mapping : undefined;
  }

  /** The map by address, which is made when it is asked for the first time. */
  #byAddress(): OrderedMap<M> {
    if (this.#addresses !== undefined) return this.#addresses;
    const addresses = new OrderedMap<M>();
    for (const mapping of this) {
      const key = approximate(mapping.iova);
      this.#index(addresses, mapping, this.#iovas.slotOf(key, tieOf(mapping.iova, key)));
    }
    this.#addresses = addresses;
    return addresses;
  }

  #index(addresses: OrderedMap<M>, mapping: M, slot: number): void {
    if (mapping.address === undefined) {
      this.#addressKeys[slot] = Number.NaN;
      return;
    }
    const address = BigInt(mapping.address);
    const key = approximate(address);
    this.#addressKeys[slot] = key;
    addresses.insert(key, slot, approximate(address + BigInt(mapping.length) - 1n), 0, mapping);
  }

  #firstOverlapUpTo(start: bigint, last: bigint): M | undefined {
    const lastKey = approximate(last);
    return this.#firstOverlap(start, lastKey, tieOf(last, lastKey));
  }

  #firstOverlap(start: bigint, lastKey: number, lastTie: number): M | undefined {
    // Mappings do not overlap, so if the last one that begins in the range or before it ends before it, they all do.
    const final = this.#iovas.floor(lastKey, lastTie);
    if (final === undefined || distance(start, final) >= final.length) return undefined;
    const key = approximate(start);
    return this.#at(start) ?? this.#iovas.ceiling(key, tieOf(start, key));
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
