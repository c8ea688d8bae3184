/**
 * Entries in the order of their keys, with the question an allocator asks: "which is the next entry that is large
 * enough?" The IOVA allocator keeps its holes in it, the mapping table its mappings.
 *
 * It is a B+-tree: nodes of {@link FANOUT} entries whose numbers lie in one `Float64Array`, so that a search reads three
 * or four short runs of memory for 60,000 entries, and an insertion moves a few dozen numbers and no objects.
 *
 * @module
 */

/**
 * What the map orders. The map reads these fields when the entry is inserted and writes them in {@link OrderedMap.update};
 * between the two nobody else may.
 */
export interface OrderedEntry {
  /** The place in the order. */
  key: number;
  /** Orders entries whose keys are equal; the pair of both is unique in the map. */
  tie: number;
  /** A measure to search by, see {@link OrderedMap.firstFrom}. */
  weight: number;
  /** A second measure to search by. */
  rank: number;
}

// Measured with 60,000 entries in random order: 32 inserts a tenth faster, 64 looks up a third faster, 128 loses.
const FANOUT = 64;
// Two neighbours are joined when a removal leaves them this small together: far enough below FANOUT that the next
// insertions do not split them again.
const JOIN_AT = FANOUT / 2;

// The four runs of numbers in a node: the place of each in the node's one array.
const TIE = FANOUT;
const WEIGHT = 2 * FANOUT;
const RANK = 3 * FANOUT;

// Number arrays of nodes that are gone, for the next ones: mapping and unmapping at the edge of a full node would
// otherwise allocate 2 KiB outside V8's heap each time, which costs more than all the rest.
const spares: Float64Array[] = [];
const SPARES = 8;

/**
 * A sorted run of items with their numbers. In a leaf the items are entries. In an inner node they are the nodes below,
 * each with a key that is not greater than any below it (and greater than all before it) and with the greatest weight
 * and rank below it.
 */
abstract class Node<T> {
  readonly numbers = spares.pop() ?? new Float64Array(4 * FANOUT);
  readonly items: T[] = [];

  /** The number of items whose place is at most the given one. */
  upperBound(key: number, tie: number): number {
    const { numbers } = this;
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const k = numbers[middle] ?? 0;
      if (k < key || (k === key && (numbers[TIE + middle] ?? 0) <= tie)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  number(run: number, index: number): number {
    return this.numbers[run + index] ?? 0;
  }

  /** The greatest number of a run; `limit` is what it cannot exceed, so that the search may end there. */
  greatest(run: number, limit = Number.POSITIVE_INFINITY): number {
    const { numbers } = this;
    let greatest = Number.NEGATIVE_INFINITY;
    for (let i = run, end = run + this.items.length; i < end && greatest < limit; i++) {
      const value = numbers[i] ?? 0;
      if (value > greatest) greatest = value;
    }
    return greatest;
  }

  set(index: number, key: number, tie: number, weight: number, rank: number): void {
    const { numbers } = this;
    numbers[index] = key;
    numbers[TIE + index] = tie;
    numbers[WEIGHT + index] = weight;
    numbers[RANK + index] = rank;
  }

  insertAt(index: number, item: T, key: number, tie: number, weight: number, rank: number): void {
    const { numbers, items } = this;
    const size = items.length;
    if (index === size) {
      items.push(item);
    } else {
      items.splice(index, 0, item);
      for (let run = 0; run < 4 * FANOUT; run += FANOUT) {
        for (let i = run + size; i > run + index; i--) numbers[i] = numbers[i - 1] ?? 0;
      }
    }
    this.set(index, key, tie, weight, rank);
  }

  removeAt(index: number): void {
    const { numbers, items } = this;
    const last = items.length - 1;
    if (index === last) {
      items.pop();
      return;
    }
    items.splice(index, 1);
    for (let run = 0; run < 4 * FANOUT; run += FANOUT) {
      for (let i = run + index; i < run + last; i++) numbers[i] = numbers[i + 1] ?? 0;
    }
  }

  /** Called once, when nothing refers to the node any more. */
  drop(): void {
    if (spares.length < SPARES) spares.push(this.numbers);
  }

  /** Moves the items from `index` on to the end of another node. */
  moveTo(target: Node<T>, index: number): void {
    const count = this.items.length - index;
    const at = target.items.length;
    for (let run = 0; run < 4 * FANOUT; run += FANOUT) {
      target.numbers.set(this.numbers.subarray(run + index, run + index + count), run + at);
    }
    for (const item of this.items.splice(index)) target.items.push(item);
  }
}

class Leaf<E extends OrderedEntry> extends Node<E> {
  /** The number of entries before the given place. */
  lowerBound(key: number, tie: number): number {
    const index = this.upperBound(key, tie);
    return index > 0 && this.#isAt(index - 1, key, tie) ? index - 1 : index;
  }

  #isAt(index: number, key: number, tie: number): boolean {
    return this.number(0, index) === key && this.number(TIE, index) === tie;
  }

  /** Returns the new right half where the leaf had to be split. */
  insert(entry: E): Leaf<E> | undefined {
    const { key, tie, weight, rank } = entry;
    const index = this.upperBound(key, tie);
    if (this.items.length < FANOUT) {
      this.insertAt(index, entry, key, tie, weight, rank);
      return undefined;
    }
    const right = new Leaf<E>();
    // An entry after the last one is likely to be followed by the next, as addresses that go up are: this leaf stays full.
    if (index < FANOUT) this.moveTo(right, FANOUT / 2);
    if (index <= FANOUT / 2) this.insertAt(index, entry, key, tie, weight, rank);
    else right.insertAt(index - this.items.length, entry, key, tie, weight, rank);
    return right;
  }

  indexOf(key: number, tie: number): number {
    const index = this.upperBound(key, tie) - 1;
    return index >= 0 && this.#isAt(index, key, tie) ? index : -1;
  }

  find(key: number, tie: number): E | undefined {
    const index = this.indexOf(key, tie);
    return index < 0 ? undefined : this.items[index];
  }

  remove(key: number, tie: number): E | undefined {
    const index = this.indexOf(key, tie);
    if (index < 0) return undefined;
    const entry = this.items[index];
    this.removeAt(index);
    return entry;
  }

  update(entry: E, key: number, weight: number, rank: number): void {
    const index = this.indexOf(entry.key, entry.tie);
    if (index >= 0) this.set(index, key, entry.tie, weight, rank);
  }

  floor(key: number, tie: number): E | undefined {
    const index = this.upperBound(key, tie);
    return index === 0 ? undefined : this.items[index - 1];
  }

  firstFrom(key: number, tie: number, weight: number, rank: number, accept: (entry: E) => boolean): E | undefined {
    for (let index = this.lowerBound(key, tie); index < this.items.length; index++) {
      if (this.number(WEIGHT, index) < weight || this.number(RANK, index) < rank) continue;
      const entry = this.items[index];
      if (entry !== undefined && accept(entry)) return entry;
    }
    return undefined;
  }

  lastUpTo(key: number, tie: number, weight: number, rank: number, accept: (entry: E) => boolean): E | undefined {
    for (let index = this.upperBound(key, tie) - 1; index >= 0; index--) {
      if (this.number(WEIGHT, index) < weight || this.number(RANK, index) < rank) continue;
      const entry = this.items[index];
      if (entry !== undefined && accept(entry)) return entry;
    }
    return undefined;
  }

  slice(key: number, tie: number, lastKey: number, lastTie: number, into: E[]): void {
    const end = this.upperBound(lastKey, lastTie);
    for (let index = this.lowerBound(key, tie); index < end; index++) {
      const entry = this.items[index];
      if (entry !== undefined) into.push(entry);
    }
  }
}

class Inner<E extends OrderedEntry> extends Node<Inner<E> | Leaf<E>> {
  /** The index of the node below that holds, or would hold, this place. */
  route(key: number, tie: number): number {
    return Math.max(0, this.upperBound(key, tie) - 1);
  }

  append(child: Inner<E> | Leaf<E>): void {
    this.insertChild(this.items.length, child);
  }

  insertChild(index: number, child: Inner<E> | Leaf<E>): void {
    this.insertAt(index, child, child.number(0, 0), child.number(TIE, 0), child.greatest(WEIGHT), child.greatest(RANK));
  }

  insert(entry: E): Inner<E> | undefined {
    const index = this.route(entry.key, entry.tie);
    const child = this.items[index];
    if (child === undefined) return undefined;
    const split = child.insert(entry);
    if (split === undefined) {
      this.#raise(index, entry);
      return undefined;
    }
    this.set(index, child.number(0, 0), child.number(TIE, 0), child.greatest(WEIGHT), child.greatest(RANK));
    if (this.items.length < FANOUT) {
      this.insertChild(index + 1, split);
      return undefined;
    }
    const right = new Inner<E>();
    if (index + 1 < FANOUT) this.moveTo(right, FANOUT / 2);
    if (index + 1 > FANOUT / 2) right.insertChild(index + 1 - this.items.length, split);
    else this.insertChild(index + 1, split);
    return right;
  }

  // Takes a new entry below `index` into account.
  #raise(index: number, entry: E): void {
    const { numbers } = this;
    const first = this.number(0, index);
    if (entry.key < first || (entry.key === first && entry.tie < this.number(TIE, index))) {
      numbers[index] = entry.key;
      numbers[TIE + index] = entry.tie;
    }
    if (entry.weight > this.number(WEIGHT, index)) numbers[WEIGHT + index] = entry.weight;
    if (entry.rank > this.number(RANK, index)) numbers[RANK + index] = entry.rank;
  }

  find(key: number, tie: number): E | undefined {
    return this.items[this.route(key, tie)]?.find(key, tie);
  }

  remove(key: number, tie: number): E | undefined {
    const index = this.route(key, tie);
    const child = this.items[index];
    const entry = child?.remove(key, tie);
    if (child === undefined || entry === undefined) return undefined;
    if (child.items.length === 0) {
      this.removeAt(index);
      child.drop();
      return entry;
    }
    this.#lower(WEIGHT, index, child, entry.weight);
    this.#lower(RANK, index, child, entry.rank);
    if (child.items.length <= JOIN_AT / 2) this.#join(index);
    return entry;
  }

  // Joins the node at `index` with a neighbour if both are small.
  #join(index: number): void {
    for (const left of [index - 1, index]) {
      const [a, b] = [this.items[left], this.items[left + 1]];
      if (a === undefined || b === undefined || a.items.length + b.items.length > JOIN_AT) continue;
      if (a instanceof Leaf && b instanceof Leaf) b.moveTo(a, 0);
      else if (a instanceof Inner && b instanceof Inner) b.moveTo(a, 0);
      this.numbers[WEIGHT + left] = a.greatest(WEIGHT);
      this.numbers[RANK + left] = a.greatest(RANK);
      this.removeAt(left + 1);
      b.drop();
      return;
    }
  }

  update(entry: E, key: number, weight: number, rank: number): void {
    const index = this.route(entry.key, entry.tie);
    const child = this.items[index];
    if (child === undefined) return;
    child.update(entry, key, weight, rank);
    if (key < this.number(0, index)) {
      this.numbers[index] = key;
      this.numbers[TIE + index] = entry.tie;
    }
    if (weight >= this.number(WEIGHT, index)) this.numbers[WEIGHT + index] = weight;
    else this.#lower(WEIGHT, index, child, entry.weight);
    if (rank >= this.number(RANK, index)) this.numbers[RANK + index] = rank;
    else this.#lower(RANK, index, child, entry.rank);
  }

  // Keeps the greatest measure below `index` right after one that was `before` has gone or become smaller.
  #lower(run: number, index: number, child: Inner<E> | Leaf<E>, before: number): void {
    const greatest = this.number(run, index);
    if (before >= greatest) this.numbers[run + index] = child.greatest(run, greatest);
  }

  floor(key: number, tie: number): E | undefined {
    const index = this.route(key, tie);
    // A node's key may be lower than the first one in it, once that was removed: then the one before has the answer.
    return this.items[index]?.floor(key, tie) ?? this.items[index - 1]?.floor(key, tie);
  }

  firstFrom(key: number, tie: number, weight: number, rank: number, accept: (entry: E) => boolean): E | undefined {
    for (let index = this.route(key, tie); index < this.items.length; index++) {
      if (this.number(WEIGHT, index) < weight || this.number(RANK, index) < rank) continue;
      const entry = this.items[index]?.firstFrom(key, tie, weight, rank, accept);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  lastUpTo(key: number, tie: number, weight: number, rank: number, accept: (entry: E) => boolean): E | undefined {
    for (let index = this.upperBound(key, tie) - 1; index >= 0; index--) {
      if (this.number(WEIGHT, index) < weight || this.number(RANK, index) < rank) continue;
      const entry = this.items[index]?.lastUpTo(key, tie, weight, rank, accept);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  slice(key: number, tie: number, lastKey: number, lastTie: number, into: E[]): void {
    const last = this.route(lastKey, lastTie);
    for (let index = this.route(key, tie); index <= last; index++) {
      this.items[index]?.slice(key, tie, lastKey, lastTie, into);
    }
  }
}

const any = () => true;

/**
 * Entries ordered by `key`, then `tie`. Every operation takes a time that grows with the logarithm of {@link size}.
 */
export class OrderedMap<E extends OrderedEntry> {
  #root: Inner<E> | Leaf<E> = new Leaf<E>();
  #size = 0;

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds an entry, whose pair of key and tie must not be in the map yet. */
  insert(entry: E): void {
    const split = this.#root.insert(entry);
    if (split !== undefined) {
      const root = new Inner<E>();
      root.append(this.#root);
      root.append(split);
      this.#root = root;
    }
    this.#size++;
  }

  /** Takes the entry at exactly this place out, and returns it. */
  remove(key: number, tie: number): E | undefined {
    const entry = this.#root.remove(key, tie);
    if (entry === undefined) return undefined;
    this.#size--;
    while (this.#root instanceof Inner) {
      const root = this.#root;
      if (root.items.length > 1) break;
      this.#root = root.items[0] ?? new Leaf<E>();
      root.drop();
    }
    return entry;
  }

  /**
   * Changes an entry's key and measures where it stands. The new key must leave it between its neighbours: this is for a
   * hole that shrinks or grows, and saves taking it out and putting it back.
   */
  update(entry: E, key: number, weight: number, rank: number): void {
    this.#root.update(entry, key, weight, rank);
    entry.key = key;
    entry.weight = weight;
    entry.rank = rank;
  }

  /** Takes everything out. */
  clear(): void {
    this.#root = new Leaf<E>();
    this.#size = 0;
  }

  /** The entry at exactly this place. */
  find(key: number, tie: number): E | undefined {
    return this.#root.find(key, tie);
  }

  /** The last entry at or before this place. */
  floor(key: number, tie: number): E | undefined {
    return this.#root.floor(key, tie);
  }

  /** The first entry at or after this place. */
  ceiling(key: number, tie: number): E | undefined {
    return this.#root.firstFrom(key, tie, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, any);
  }

  /**
   * The first entry at or after this place whose weight and rank are at least the given ones and which `accept` takes.
   * Entries that are too small cost nothing: whole branches of them are skipped.
   */
  firstFrom(key: number, tie: number, weight: number, rank: number, accept: (entry: E) => boolean): E | undefined {
    return this.#root.firstFrom(key, tie, weight, rank, accept);
  }

  /** The last entry at or before this place whose measures are at least the given ones and which `accept` takes. */
  lastUpTo(key: number, tie: number, weight: number, rank: number, accept: (entry: E) => boolean): E | undefined {
    return this.#root.lastUpTo(key, tie, weight, rank, accept);
  }

  /** The entries from one place to another, both included, as they are now. */
  slice(key: number, tie: number, lastKey: number, lastTie: number): E[] {
    const entries: E[] = [];
    this.#root.slice(key, tie, lastKey, lastTie, entries);
    return entries;
  }

  /** All entries, in order, as they are now. */
  toArray(): E[] {
    return this.slice(Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY, 0);
  }
}
