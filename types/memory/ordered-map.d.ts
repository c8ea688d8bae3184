/**
 * Values in the order of their keys, with the question an allocator asks: "which is the next one that is large enough?"
 * The IOVA allocator keeps its holes in it, the mapping table its mappings.
 *
 * It is a B+-tree. A node holds up to {@link FANOUT} items side by side in one `Float64Array`: a search reads three or four
 * short pieces of memory for 60,000 values, and an insertion moves them with one `copyWithin`. The values themselves stay
 * where they are, each in its slot of one array, and only the slot's number moves: V8 would have to note every moved
 * reference from an old object to a young one, which costs more than all the rest.
 *
 * ```text
 *  root    [ key tie weight rank -    | key tie weight rank -    | ... ]     one item for each node below: its first place
 *                  |                          |                              or less, and the greatest weight and rank in it
 *  leaves  [ key tie weight rank slot | ... ] [ ... ]
 * ```
 *
 * @module
 */
/**
 * Values ordered by a key, then a tie (for keys that are equal); the pair is a place, and no two values have the same.
 * Each has two measures to search by, a weight and a rank. Every operation takes a time that grows with the logarithm of
 * {@link size}.
 */
export declare class OrderedMap<V> {
    #private;
    /** How many values there are. */
    get size(): number;
    /**
     * Adds a value at a place that is free.
     *
     * @returns its slot: a small number that no other value has as long as this one is in the map
     */
    insert(key: number, tie: number, weight: number, rank: number, value: V): number;
    /** Takes the value at a place out, if there is one, and returns it. */
    remove(key: number, tie: number): V | undefined;
    /**
     * Changes the key and the measures of the value at a place. The new key must leave it between its neighbours: this is
     * for a hole that shrinks or grows, and saves taking it out and putting it back.
     */
    update(key: number, tie: number, newKey: number, weight: number, rank: number): void;
    /** Takes everything out. */
    clear(): void;
    /** The slot of the value at a place, or -1. */
    slotOf(key: number, tie: number): number;
    /** The value in a slot. */
    at(slot: number): V | undefined;
    /** The last value at or before a place. */
    floor(key: number, tie: number): V | undefined;
    /** The first value at or after a place. */
    ceiling(key: number, tie: number): V | undefined;
    /**
     * The first value at or after a place whose weight and rank are at least the given ones and which `accept` takes, if given.
     * Values that are too small cost nothing: whole branches of them are skipped.
     */
    firstFrom(key: number, tie: number, weight: number, rank: number, accept?: (value: V) => boolean): V | undefined;
    /** The last value at or before a place whose measures are at least the given ones and which `accept` takes. */
    lastUpTo(key: number, tie: number, weight: number, rank: number, accept: (value: V) => boolean): V | undefined;
    /** The values from one place to another, both included, as they are now. */
    slice(key: number, tie: number, lastKey: number, lastTie: number): V[];
    /** All values, in order, as they are now. */
    toArray(): V[];
}
