import { describe, expect, it } from "vitest";
import { OrderedMap } from "../../../lib/memory/ordered-map.js";
import { forSeeds, Prng } from "../prng.js";

interface Entry {
  key: number;
  readonly tie: number;
  weight: number;
  rank: number;
}

const before = (a: Entry, b: Entry) => a.key - b.key || a.tie - b.tie;

function insert(map: OrderedMap<Entry>, entry: Entry): number {
  return map.insert(entry.key, entry.tie, entry.weight, entry.rank, entry);
}

/** The same by sorting and filtering an array. */
class Model {
  entries: Entry[] = [];

  insert(entry: Entry): void {
    this.entries.push(entry);
    this.entries.sort(before);
  }

  remove(entry: Entry): void {
    this.entries = this.entries.filter((other) => other !== entry);
  }

  at(key: number, tie: number): Entry | undefined {
    return this.entries.find((entry) => entry.key === key && entry.tie === tie);
  }
}

const isAtLeast = (place: Entry) => (entry: Entry) => before(entry, place) >= 0;
const isAtMost = (place: Entry) => (entry: Entry) => before(entry, place) <= 0;

function shuffled<T>(items: readonly T[], prng: Prng): T[] {
  const left = [...items];
  return items.flatMap(() => left.splice(prng.below(left.length), 1));
}

function randomEntry(prng: Prng): Entry {
  return { key: prng.below(500), tie: prng.below(3), weight: prng.below(1000), rank: prng.below(8) };
}

function compare(map: OrderedMap<Entry>, model: Model, prng: Prng): void {
  const place = randomEntry(prng);
  const { key, tie, weight, rank } = place;
  const large = (entry: Entry) => entry.weight >= weight && entry.rank >= rank;
  const odd = (entry: Entry) => entry.weight % 2 === 1;
  expect(map.size).toBe(model.entries.length);
  expect(map.at(map.slotOf(key, tie))).toBe(model.at(key, tie));
  expect(map.floor(key, tie)).toBe(model.entries.filter(isAtMost(place)).at(-1));
  expect(map.ceiling(key, tie)).toBe(model.entries.find(isAtLeast(place)));
  expect(map.firstFrom(key, tie, weight, rank, odd)).toBe(
    model.entries.filter(isAtLeast(place)).filter(large).find(odd),
  );
  expect(map.lastUpTo(key, tie, weight, rank, odd)).toBe(
    model.entries.filter(isAtMost(place)).filter(large).filter(odd).at(-1),
  );
  const end = randomEntry(prng);
  expect(map.slice(key, tie, end.key, end.tie)).toEqual(model.entries.filter(isAtLeast(place)).filter(isAtMost(end)));
}

describe("OrderedMap", () => {
  it("agrees with a sorted array, whatever is done to it", () => {
    forSeeds(6, (prng) => {
      const map = new OrderedMap<Entry>();
      const model = new Model();
      // Growing, then shrinking to nothing, then growing again: nodes split, empty and join.
      for (let step = 0; step < 3000; step++) {
        const growing = step % 1500 < 800;
        const entry = randomEntry(prng);
        if (prng.oneIn(growing ? 4 : 1.2)) {
          const victim = model.entries.length > 0 ? prng.pick(model.entries) : entry;
          expect(map.remove(victim.key, victim.tie)).toBe(model.at(victim.key, victim.tie));
          model.remove(victim);
        } else if (model.at(entry.key, entry.tie) === undefined) {
          insert(map, entry);
          model.insert(entry);
        }
        if (model.entries.length > 0 && prng.oneIn(3)) {
          const index = prng.below(model.entries.length);
          const [previous, changed] = [model.entries[index - 1], model.entries[index]];
          // Halfway to the one before it: lower than every key of its own node, now and then.
          const key = previous === undefined ? -1 : ((changed?.key ?? 0) + previous.key) / 2;
          const free = changed !== undefined && (previous === undefined || key > previous.key);
          if (free) {
            Object.assign(changed, { weight: prng.below(1000), rank: prng.below(8) });
            map.update(changed.key, changed.tie, key, changed.weight, changed.rank);
            changed.key = key;
          }
        }
        if (step % 5 === 0) compare(map, model, prng);
      }
      expect(map.toArray()).toEqual(model.entries);
    });
  });

  it.each([
    ["from the first on", (entries: Entry[]) => entries],
    ["from the last on", (entries: Entry[]) => [...entries].reverse()],
    ["in no order", (entries: Entry[]) => shuffled(entries, new Prng(1))],
  ])("grows and empties over three levels: %s", (_, arrange) => {
    const entries = Array.from({ length: 20_000 }, (_, key) => ({ key, tie: 0, weight: key % 977, rank: key % 8 }));
    const map = new OrderedMap<Entry>();
    const order = arrange(entries);
    for (const entry of order) insert(map, entry);
    expect(map.toArray()).toEqual(entries);
    expect(map.firstFrom(1, 0, 976, 0, () => true)).toBe(entries[976]);
    expect(map.lastUpTo(19_000, 0, 976, 7, () => true)).toBe(
      entries.findLast((e) => e.key <= 19_000 && e.weight === 976 && e.rank === 7),
    );
    let wrong = 0;
    for (const [index, entry] of order.entries()) {
      if (map.remove(entry.key, 0) !== entry || map.size !== order.length - index - 1) wrong++;
      if (index % 1000 === 0) expect(map.toArray()).toEqual(order.slice(index + 1).sort(before));
    }
    expect(wrong).toBe(0);
    expect(map.toArray()).toEqual([]);
  });
});
