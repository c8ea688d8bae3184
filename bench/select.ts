/**
 * Which benchmarks are meant by the words of a command line.
 *
 * @module
 */

/** What some words select. */
export interface Selection<T> {
  readonly selected: readonly T[];
  /** Words that select nothing. */
  readonly unknown: readonly string[];
}

/** A word with a star is the beginning of a name, its stars standing for anything; any other is a part of a name. */
function matches(name: string, word: string): boolean {
  if (!word.includes("*")) return name.includes(word);
  const parts = word.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}`).test(name);
}

/**
 * Selects what one of the words means, in the order in which it is. Without words: everything that is not on demand; a word means what is on
 * demand only if it means nothing else.
 */
export function select<T extends { readonly name: string; readonly onDemand?: boolean }>(
  all: readonly T[],
  words: readonly string[],
): Selection<T> {
  const standing = all.filter(({ onDemand }) => onDemand !== true);
  const meant = words.map((word) => {
    const among = (list: readonly T[]) => list.filter(({ name }) => matches(name, word));
    const found = among(standing);
    return { word, found: new Set(found.length > 0 ? found : among(all)) };
  });
  return {
    selected: words.length === 0 ? standing : all.filter((each) => meant.some(({ found }) => found.has(each))),
    unknown: meant.flatMap(({ word, found }) => (found.size === 0 ? [word] : [])),
  };
}
