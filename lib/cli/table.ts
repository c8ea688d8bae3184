/**
 * Tables without lines, that fit: in a narrow terminal long columns are cut, and then the least important ones left out.
 *
 * @module
 */
import Table from "cli-table3";

/** A column. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** It may be cut, down to so many characters. Left out: never. */
  readonly least?: number;
  /** What it is not cut below as long as there are columns to leave out instead. Left out: as `least`. */
  readonly good?: number;
  /** It may be left out: the highest goes first. Left out: never. */
  readonly drop?: number;
}

const GAP = 2;
// The package's defaults draw boxes.
const noLines = Object.fromEntries(
  ["top", "bottom", "left", "right", "mid", "middle"]
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`, `left-${side}`, `right-${side}`])
    .map((name) => [name, ""]),
);

// CSI ... m: colours take no place.
const colorCodes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");

/** How many characters wide a text is on a terminal. */
export function visibleLength(text: string): number {
  return Math.max(...text.split("\n").map((line) => line.replace(colorCodes, "").length));
}

/** Takes from the widest, so that two long columns end up alike. Returns what is too much still. */
function shrink(widths: Map<number, number>, width: number, floorOf: (index: number) => number): number {
  let excess = [...widths.values()].reduce((sum, each) => sum + each, 0) + GAP * (widths.size - 1) - width;
  while (excess > 0) {
    const [widest] = [...widths].filter(([index, each]) => each > floorOf(index)).sort(([, a], [, b]) => b - a);
    if (widest === undefined) break;
    widths.set(widest[0], widest[1] - 1);
    excess--;
  }
  return excess;
}

/** How wide each column is that is shown, by its number. */
export function fitColumns(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): ReadonlyMap<number, number> {
  const never = Number.POSITIVE_INFINITY;
  const shown = columns.map((_, index) => index);
  for (;;) {
    const widths = new Map(shown.map((index) => [index, natural[index] ?? 0]));
    const excess = shrink(widths, width, (index) => columns[index]?.good ?? columns[index]?.least ?? never);
    if (excess <= 0) return widths;
    const [dropped] = shown
      .filter((index) => columns[index]?.drop !== undefined)
      .sort((a, b) => (columns[b]?.drop ?? 0) - (columns[a]?.drop ?? 0));
    if (dropped === undefined) {
      shrink(widths, width, (index) => columns[index]?.least ?? never);
      return widths;
    }
    shown.splice(shown.indexOf(dropped), 1);
  }
}

/** What a table is made with. */
export interface TableOptions {
  /** In characters. */
  readonly width: number;
  /** Makes the titles stand out; without it there are none. */
  readonly head?: (text: string) => string;
  /** Long cells go on in the next line instead of being cut. */
  readonly wrap?: boolean;
}

/** Draws a table. */
export function drawTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { width, head, wrap = false }: TableOptions,
): string {
  const natural = columns.map(({ title }, index) =>
    Math.max(head === undefined ? 0 : title.length, ...rows.map((row) => visibleLength(row[index] ?? ""))),
  );
  const widths = fitColumns(columns, natural, width);
  const shown = [...widths.keys()];
  const table = new Table({
    chars: noLines,
    head: head === undefined ? [] : shown.map((index) => head(columns[index]?.title ?? "")),
    // The last one has nothing behind it, but the package counts the gap for each.
    colWidths: shown.map((index) => (widths.get(index) ?? 0) + GAP),
    colAligns: shown.map((index) => columns[index]?.align ?? "left"),
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": GAP },
    wordWrap: wrap,
    wrapOnWordBoundary: true,
  });
  table.push(...rows.map((row) => shown.map((index) => row[index] ?? "")));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
