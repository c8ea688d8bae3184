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

// Measured with 60,000 values in random order: 32 is alike, 128 loses.
const FANOUT = 64;
// Two neighbours are joined when they are this small together: so far below FANOUT that they are not split again soon.
const JOIN_AT = FANOUT / 2;

// An item's numbers.
const KEY = 0;
const TIE = 1;
const WEIGHT = 2;
const RANK = 3;
const SLOT = 4;
const ITEM = 5;

// Number arrays of nodes that are gone, for the next ones: mapping and unmapping at the edge of a full node would
// otherwise allocate outside V8's heap each time.
const spares: Float64Array[] = [];
const SPARES = 8;

/** What a search is for: an item at least this large, of which `accept` takes the slot. */
interface Wanted {
  readonly weight: number;
  readonly rank: number;
  readonly accept: (slot: number) => boolean;
}

const anySlot = () => true;

/** A sorted run of items. */
abstract class Node {
  size = 0;
  readonly numbers = spares.pop() ?? new Float64Array(ITEM * FANOUT);

  get(index: number, field: number): number {
    return this.numbers[ITEM * index + field] ?? 0;
  }

  set(index: number, key: number, tie: number, weight: number, rank: number): void {
    const { numbers } = this;
    const at = ITEM * index;
    numbers[at + KEY] = key;
    numbers[at + TIE] = tie;
    numbers[at + WEIGHT] = weight;
    numbers[at + RANK] = rank;
  }

  /** How many items are at or before a place. */
  upperBound(key: number, tie: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const k = this.get(middle, KEY);
      if (k < key || (k === key && this.get(middle, TIE) <= tie)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The greatest of one field; `limit` is what it cannot exceed, so that the search may end there. It begins at the end,
   * where the greatest is most often: the hole that nothing was taken from, the mapping that reaches furthest.
   */
  greatest(field: number, limit = Number.POSITIVE_INFINITY): number {
    let greatest = Number.NEGATIVE_INFINITY;
    for (let i = this.size - 1; i >= 0 && greatest < limit; i--) {
      const value = this.get(i, field);
      if (value > greatest) greatest = value;
    }
    return greatest;
  }

  /** Whether something below an item may be as large as wanted. */
  mayHave(index: number, wanted: Wanted): boolean {
    return this.get(index, WEIGHT) >= wanted.weight && this.get(index, RANK) >= wanted.rank;
  }

  /** Makes room for an item. */
  open(index: number): void {
    if (index < this.size) this.numbers.copyWithin(ITEM * (index + 1), ITEM * index, ITEM * this.size);
    this.size++;
  }

  /** Closes the gap of an item. */
  close(index: number): void {
    this.size--;
    if (index < this.size) this.numbers.copyWithin(ITEM * index, ITEM * (index + 1), ITEM * (this.size + 1));
  }

  /** Moves the items from `index` on to the end of another node. */
  moveTo(target: Node, index: number): void {
    target.numbers.set(this.numbers.subarray(ITEM * index, ITEM * this.size), ITEM * target.size);
    target.size += this.size - index;
    this.size = index;
  }

  /** Called once, when nothing refers to the node any more. */
  drop(): void {
    if (spares.length < SPARES) spares.push(this.numbers);
  }
}

class Leaf extends Node {
  /** How many items are before a place. */
  lowerBound(key: number, tie: number): number {
    const index = this.upperBound(key, tie);
    return index > 0 && this.#isAt(index - 1, key, tie) ? index - 1 : index;
  }

  #isAt(index: number, key: number, tie: number): boolean {
    return this.get(index, KEY) === key && this.get(index, TIE) === tie;
  }

  #indexOf(key: number, tie: number): number {
    const index = this.upperBound(key, tie) - 1;
    return index >= 0 && this.#isAt(index, key, tie) ? index : -1;
  }

  /** Returns the new right half where the leaf had to be split. */
  insert(key: number, tie: number, weight: number, rank: number, slot: number): Leaf | undefined {
    const index = this.upperBound(key, tie);
    if (this.size < FANOUT) {
      this.#insertAt(index, key, tie, weight, rank, slot);
      return undefined;
    }
    const right = new Leaf();
    // What comes after the last item is likely to be followed by the next, as rising addresses are: this leaf stays full.
    if (index < FANOUT) this.moveTo(right, FANOUT / 2);
    if (index <= FANOUT / 2) this.#insertAt(index, key, tie, weight, rank, slot);
    else right.#insertAt(index - this.size, key, tie, weight, rank, slot);
    return right;
  }

  #insertAt(index: number, key: number, tie: number, weight: number, rank: number, slot: number): void {
    this.open(index);
    this.set(index, key, tie, weight, rank);
    this.numbers[ITEM * index + SLOT] = slot;
  }

  slotOf(key: number, tie: number): number {
    const index = this.#indexOf(key, tie);
    return index < 0 ? -1 : this.get(index, SLOT);
  }

  remove(key: number, tie: number): number {
    const index = this.#indexOf(key, tie);
    if (index < 0) return -1;
    const slot = this.get(index, SLOT);
    this.close(index);
    return slot;
  }

  update(key: number, tie: number, newKey: number, weight: number, rank: number): void {
    const index = this.#indexOf(key, tie);
    if (index >= 0) this.set(index, newKey, tie, weight, rank);
  }

  floor(key: number, tie: number): number {
    const index = this.upperBound(key, tie);
    return index === 0 ? -1 : this.get(index - 1, SLOT);
  }

  ceiling(key: number, tie: number): number {
    const index = this.lowerBound(key, tie);
    return index === this.size ? -1 : this.get(index, SLOT);
  }

  firstFrom(key: number, tie: number, wanted: Wanted): number {
    for (let index = this.lowerBound(key, tie); index < this.size; index++) {
      if (this.mayHave(index, wanted) && wanted.accept(this.get(index, SLOT))) return this.get(index, SLOT);
    }
    return -1;
  }

  lastUpTo(key: number, tie: number, wanted: Wanted): number {
    for (let index = this.upperBound(key, tie) - 1; index >= 0; index--) {
      if (this.mayHave(index, wanted) && wanted.accept(this.get(index, SLOT))) return this.get(index, SLOT);
    }
    return -1;
  }

  visit(key: number, tie: number, lastKey: number, lastTie: number, visitor: (slot: number) => void): void {
    const end = this.upperBound(lastKey, lastTie);
    for (let index = this.lowerBound(key, tie); index < end; index++) visitor(this.get(index, SLOT));
  }
}

class Inner extends Node {
  readonly children: (Inner | Leaf)[] = [];

  /** The index of the node below that holds, or would hold, a place. */
  #route(key: number, tie: number): number {
    return Math.max(0, this.upperBound(key, tie) - 1);
  }

  insertChild(index: number, child: Inner | Leaf): void {
    this.open(index);
    this.children.splice(index, 0, child);
    this.#describe(index, child);
  }

  #describe(index: number, child: Inner | Leaf): void {
    this.set(index, child.get(0, KEY), child.get(0, TIE), child.greatest(WEIGHT), child.greatest(RANK));
  }

  #removeChild(index: number, child: Inner | Leaf): void {
    this.close(index);
    this.children.splice(index, 1);
    child.drop();
  }

  insert(key: number, tie: number, weight: number, rank: number, slot: number): Inner | undefined {
    const index = this.#route(key, tie);
    const child = this.children[index];
    const split = child?.insert(key, tie, weight, rank, slot);
    if (child === undefined || split === undefined) {
      this.#lower(index, key, tie);
      this.#raise(index, WEIGHT, weight);
      this.#raise(index, RANK, rank);
      return undefined;
    }
    this.#describe(index, child);
    if (this.size < FANOUT) {
      this.insertChild(index + 1, split);
      return undefined;
    }
    const right = new Inner();
    if (index + 1 < FANOUT) {
      this.moveTo(right, FANOUT / 2);
      right.children.push(...this.children.splice(FANOUT / 2));
    }
    if (index + 1 <= FANOUT / 2) this.insertChild(index + 1, split);
    else right.insertChild(index + 1 - this.size, split);
    return right;
  }

  // A place below `index` may be the first there now.
  #lower(index: number, key: number, tie: number): void {
    const first = this.get(index, KEY);
    if (key > first || (key === first && tie >= this.get(index, TIE))) return;
    this.numbers[ITEM * index + KEY] = key;
    this.numbers[ITEM * index + TIE] = tie;
  }

  // A measure below `index` may be the greatest there now.
  #raise(index: number, field: number, value: number): void {
    if (value > this.get(index, field)) this.numbers[ITEM * index + field] = value;
  }

  // A measure below `index` may have been the greatest there until now; the others are no greater.
  #recompute(index: number, field: number, child: Inner | Leaf): void {
    const at = ITEM * index + field;
    this.numbers[at] = child.greatest(field, this.numbers[at]);
  }

  slotOf(key: number, tie: number): number {
    return this.children[this.#route(key, tie)]?.slotOf(key, tie) ?? -1;
  }

  remove(key: number, tie: number): number {
    const index = this.#route(key, tie);
    const child = this.children[index];
    const slot = child?.remove(key, tie) ?? -1;
    if (child === undefined || slot < 0) return -1;
    if (child.size === 0) {
      this.#removeChild(index, child);
      return slot;
    }
    this.#recompute(index, WEIGHT, child);
    this.#recompute(index, RANK, child);
    if (child.size <= JOIN_AT / 2) this.#join(index);
    return slot;
  }

  // Joins the node at `index` with a neighbour if both are small.
  #join(index: number): void {
    for (const left of [index - 1, index]) {
      const a = this.children[left];
      const b = this.children[left + 1];
      if (a === undefined || b === undefined || a.size + b.size > JOIN_AT) continue;
      b.moveTo(a, 0);
      if (a instanceof Inner && b instanceof Inner) a.children.push(...b.children);
      this.#raise(left, WEIGHT, this.get(left + 1, WEIGHT));
      this.#raise(left, RANK, this.get(left + 1, RANK));
      this.#removeChild(left + 1, b);
      return;
    }
  }

  update(key: number, tie: number, newKey: number, weight: number, rank: number): void {
    const index = this.#route(key, tie);
    const child = this.children[index];
    if (child === undefined) return;
    child.update(key, tie, newKey, weight, rank);
    this.#lower(index, newKey, tie);
    this.#raise(index, WEIGHT, weight);
    this.#raise(index, RANK, rank);
    this.#recompute(index, WEIGHT, child);
    this.#recompute(index, RANK, child);
  }

  floor(key: number, tie: number): number {
    const index = this.#route(key, tie);
    const slot = this.children[index]?.floor(key, tie) ?? -1;
    // A node's place may be lower than the first one in it, once that was removed: then the node before has the answer.
    return slot >= 0 ? slot : (this.children[index - 1]?.floor(key, tie) ?? -1);
  }

  ceiling(key: number, tie: number): number {
    const index = this.#route(key, tie);
    const slot = this.children[index]?.ceiling(key, tie) ?? -1;
    // What follows the last one of a node is the first one of the next.
    return slot >= 0 ? slot : (this.children[index + 1]?.ceiling(key, tie) ?? -1);
  }

  firstFrom(key: number, tie: number, wanted: Wanted): number {
    for (let index = this.#route(key, tie); index < this.size; index++) {
      if (!this.mayHave(index, wanted)) continue;
      const slot = this.children[index]?.firstFrom(key, tie, wanted) ?? -1;
      if (slot >= 0) return slot;
    }
    return -1;
  }

  lastUpTo(key: number, tie: number, wanted: Wanted): number {
    for (let index = this.upperBound(key, tie) - 1; index >= 0; index--) {
      if (!this.mayHave(index, wanted)) continue;
      const slot = this.children[index]?.lastUpTo(key, tie, wanted) ?? -1;
      if (slot >= 0) return slot;
    }
    return -1;
  }

  visit(key: number, tie: number, lastKey: number, lastTie: number, visitor: (slot: number) => void): void {
    const last = this.#route(lastKey, lastTie);
    for (let index = this.#route(key, tie); index <= last; index++) {
      this.children[index]?.visit(key, tie, lastKey, lastTie, visitor);
    }
  }
}

/**
 * Values ordered by a key, then a tie (for keys that are equal); the pair is a place, and no two values have the same.
 * Each has two measures to search by, a weight and a rank. Every operation takes a time that grows with the logarithm of
 * {@link size}.
 */
export class OrderedMap<V> {
  #root: Inner | Leaf = new Leaf();
  #size = 0;
  #values: (V | undefined)[] = [];
  #freeSlots: number[] = [];

  /** How many values there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a value at a place that is free.
   *
   * @returns its slot: a small number that no other value has as long as this one is in the map
   */
  insert(key: number, tie: number, weight: number, rank: number, value: V): number {
    const slot = this.#freeSlots.pop() ?? this.#values.length;
    this.#values[slot] = value;
    const split = this.#root.insert(key, tie, weight, rank, slot);
    if (split !== undefined) {
      const root = new Inner();
      root.insertChild(0, this.#root);
      root.insertChild(1, split);
      this.#root = root;
    }
    this.#size++;
    return slot;
  }

  /** Takes the value at a place out, if there is one, and returns it. */
  remove(key: number, tie: number): V | undefined {
    const slot = this.#root.remove(key, tie);
    if (slot < 0) return undefined;
    this.#size--;
    const value = this.#values[slot];
    this.#values[slot] = undefined;
    this.#freeSlots.push(slot);
    while (this.#root instanceof Inner && this.#root.size <= 1) {
      const root = this.#root;
      this.#root = root.children[0] ?? new Leaf();
      root.drop();
    }
    return value;
  }

  /**
   * Changes the key and the measures of the value at a place. The new key must leave it between its neighbours: this is
   * for a hole that shrinks or grows, and saves taking it out and putting it back.
   */
  update(key: number, tie: number, newKey: number, weight: number, rank: number): void {
    this.#root.update(key, tie, newKey, weight, rank);
  }

  /** Takes everything out. */
  clear(): void {
    this.#root = new Leaf();
    this.#size = 0;
    this.#values = [];
    this.#freeSlots = [];
  }

  /** The slot of the value at a place, or -1. */
  slotOf(key: number, tie: number): number {
    return this.#root.slotOf(key, tie);
  }

  /** The value in a slot. */
  at(slot: number): V | undefined {
    return slot < 0 ? undefined : this.#values[slot];
  }

  /** The last value at or before a place. */
  floor(key: number, tie: number): V | undefined {
    return this.at(this.#root.floor(key, tie));
  }

  /** The first value at or after a place. */
  ceiling(key: number, tie: number): V | undefined {
    return this.at(this.#root.ceiling(key, tie));
  }

  /**
   * The first value at or after a place whose weight and rank are at least the given ones and which `accept` takes, if given.
   * Values that are too small cost nothing: whole branches of them are skipped.
   */
  firstFrom(key: number, tie: number, weight: number, rank: number, accept?: (value: V) => boolean): V | undefined {
    return this.at(this.#root.firstFrom(key, tie, this.#wanted(weight, rank, accept)));
  }

  /** The last value at or before a place whose measures are at least the given ones and which `accept` takes. */
  lastUpTo(key: number, tie: number, weight: number, rank: number, accept: (value: V) => boolean): V | undefined {
    return this.at(this.#root.lastUpTo(key, tie, this.#wanted(weight, rank, accept)));
  }

  /** The values from one place to another, both included, as they are now. */
  slice(key: number, tie: number, lastKey: number, lastTie: number): V[] {
    const values: V[] = [];
    this.#root.visit(key, tie, lastKey, lastTie, (slot) => {
      const value = this.#values[slot];
      if (value !== undefined) values.push(value);
    });
    return values;
  }

  /** All values, in order, as they are now. */
  toArray(): V[] {
    return this.slice(Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY, 0);
  }

  #wanted(weight: number, rank: number, accept?: (value: V) => boolean): Wanted {
    if (accept === undefined) return { weight, rank, accept: anySlot };
    return {
      weight,
      rank,
      accept: (slot) => {
        const value = this.#values[slot];
        return value !== undefined && accept(value);
      },
    };
  }
}
