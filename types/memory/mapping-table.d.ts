import { type IovaRange } from "./iova-range.js";
/** What a table needs to know of a mapping. It reads these when the mapping is inserted; they must not change until it is removed. */
export interface Mapped {
    /** The first I/O virtual address. */
    readonly iova: bigint;
    /** The length in bytes. */
    readonly length: number | bigint;
    /** Where the memory is in this process, if it has an address: what {@link MappingTable.byAddress} searches. */
    readonly address?: number | bigint | undefined;
}
/** The range of a mapping, both ends included. */
export declare function rangeOf(mapping: Mapped): IovaRange;
/**
 * Mappings by IOVA, none of which overlap, and by the address of their memory. Insertions, removals and look-ups take a
 * time that grows with the logarithm of {@link size}.
 *
 * Arrays that it returns are snapshots: the table may be changed while one goes through them.
 */
export declare class MappingTable<M extends Mapped> implements Iterable<M> {
    #private;
    /** How many mappings there are. */
    get size(): number;
    /** How many bytes are mapped. */
    get bytes(): bigint;
    /**
     * Adds a mapping.
     *
     * @throws VfioError `EEXIST` if it overlaps one that is in the table, with the range of that one
     * @throws TypeError, RangeError if its range is none
     */
    insert(mapping: M): void;
    /**
     * Takes a mapping out.
     *
     * @returns whether it was in the table: this object, not an equal one
     */
    remove(mapping: M): boolean;
    /** Takes all mappings out. */
    clear(): void;
    /** The mapping that an IOVA lies in. */
    at(iova: number | bigint): M | undefined;
    /**
     * The first mapping that has an address in common with a range.
     *
     * @throws TypeError, RangeError for a range that is none
     */
    firstOverlap(iova: number | bigint, length: number | bigint): M | undefined;
    /**
     * The mappings that have an address in common with a range, in order.
     *
     * @throws TypeError, RangeError for a range that is none
     */
    overlapping(iova: number | bigint, length: number | bigint): M[];
    /**
     * The mappings that a range would cut, that is, covers in part: none, one or two. Native iommufd and type1v2 refuse to
     * unmap such a range, type1 in its first version unmaps more than asked.
     *
     * @throws TypeError, RangeError for a range that is none
     */
    cut(iova: number | bigint, length: number | bigint): M[];
    /**
     * The mappings whose memory contains an address of this process, by IOVA. Memory that is mapped more than once has
     * several.
     *
     * @throws TypeError, RangeError for what is no 64-bit address
     */
    byAddress(address: number | bigint): M[];
    /** The mappings in the order of their IOVAs, as they are when the iteration begins. */
    [Symbol.iterator](): IterableIterator<M>;
}
