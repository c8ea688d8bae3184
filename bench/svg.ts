/**
 * Pictures of a run: bars of what each benchmark costs in multiples of C, and lines where a number in the names tells how the cost
 * grows. They are 800 wide, have no script, and follow the reader's choice of light or dark.
 *
 * @module
 */
import { businessOf } from "./machine.js";
import { type Result, type Target, targetRatio } from "./measure.js";
import { machineName } from "./report.js";
import type { Place, Results, Row } from "./results.js";
import { duration, multiple } from "./units.js";

const WIDTH = 800;
const MARGIN = 20;

// ---- elements ----------------------------------------------------------------------------------------------------------

type Attributes = Readonly<Record<string, string | number>>;

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

// A tenth of a pixel is enough, and keeps files small.
function value(attribute: string | number): string {
  return typeof attribute === "number" ? String(Math.round(attribute * 10) / 10) : escapeXml(attribute);
}

function element(name: string, attributes: Attributes, content = ""): string {
  const list = Object.entries(attributes).map(([key, each]) => ` ${key}="${value(each)}"`);
  return `<${name}${list.join("")}${content === "" ? "/>" : `>${content}</${name}>`}`;
}

type Anchor = "start" | "middle" | "end";

function text(x: number, y: number, kind: string, words: string, anchor: Anchor = "start"): string {
  return element(
    "text",
    { x, y, class: kind, ...(anchor === "start" ? {} : { "text-anchor": anchor }) },
    escapeXml(words),
  );
}

function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return element("line", { x1, y1, x2, y2, class: kind });
}

// ---- colours -----------------------------------------------------------------------------------------------------------

interface Palette {
  readonly paper: string;
  readonly ink: string;
  readonly quiet: string;
  readonly grid: string;
  readonly met: string;
  readonly missed: string;
  readonly free: string;
  /** One for each line of a chart, over again if there are more. */
  readonly lines: readonly string[];
}

// Okabe and Ito's colours, which are told apart by the colour-blind, too; lighter ones on dark.
const light: Palette = {
  paper: "#ffffff",
  ink: "#1f2328",
  quiet: "#656d76",
  grid: "#d8dee4",
  met: "#009e73",
  missed: "#d55e00",
  free: "#0072b2",
  lines: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#4b5563"],
};
const dark: Palette = {
  paper: "#0d1117",
  ink: "#e6edf3",
  quiet: "#8d96a0",
  grid: "#2b323b",
  met: "#2dbd94",
  missed: "#f0883e",
  free: "#58a6ff",
  lines: ["#58a6ff", "#f0883e", "#2dbd94", "#e3a6c9", "#e3c04d", "#a8b3c1"],
};

function colorRules({ paper, ink, quiet, grid, met, missed, free, lines }: Palette): string {
  return [
    `.paper{fill:${paper}}.ink{fill:${ink}}.quiet{fill:${quiet}}.grid{stroke:${grid}}.c{stroke:${ink}}.whisker{stroke:${ink}}`,
    `.met{fill:${met}}.missed{fill:${missed}}.free{fill:${free}}.cut{stroke:${paper}}.mark{fill:${ink};stroke:${paper}}`,
    ...lines.map((color, index) => `.line${index}{stroke:${color}}.dot${index}{fill:${color}}`),
  ].join("");
}

const style = element(
  "style",
  {},
  [
    "text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}",
    ".title{font-size:20px;font-weight:600}.area{font-size:15px;font-weight:600}.small{font-size:11px}.strong{font-weight:600}",
    ".name{font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}",
    "line,polyline{fill:none}.grid{stroke-width:1}.c{stroke-width:1.5}.whisker{stroke-width:1.2}.cut{stroke-width:3}",
    ".base{opacity:.4}.ours{stroke-width:2}.floor{stroke-width:1.5;stroke-dasharray:4 3}",
    colorRules(light),
    `@media(prefers-color-scheme:dark){${colorRules(dark)}}`,
  ].join(""),
);

// ---- what is drawn -----------------------------------------------------------------------------------------------------

/** A benchmark that has a result. */
interface Drawn {
  readonly name: string;
  readonly area: string;
  /** The name without its area. */
  readonly rest: string;
  readonly what: string;
  readonly where: Place;
  readonly target: Target | undefined;
  readonly met: boolean | undefined;
  readonly result: Result;
}

function drawn({ name, what, where, target, met, result }: Row): Drawn[] {
  if (result === undefined) return [];
  const [area = "", ...rest] = name.split("/");
  return [{ name, area, rest: rest.length === 0 ? area : rest.join("/"), what, where, target, met, result }];
}

/** Groups in the order of their first members. */
function groups<T>(list: readonly T[], keyOf: (each: T) => string): readonly (readonly T[])[] {
  const found = new Map<string, T[]>();
  for (const each of list) {
    const key = keyOf(each);
    const group = found.get(key);
    if (group === undefined) found.set(key, [each]);
    else group.push(each);
  }
  return [...found.values()];
}

/** A part of the picture, drawn from its own top. */
interface Part {
  readonly height: number;
  readonly content: string;
}

function stack(parts: readonly Part[]): Part {
  let height = 0;
  const content = parts.map((part) => {
    const moved = element("g", { transform: `translate(0 ${value(height)})` }, part.content);
    height += part.height;
    return moved;
  });
  return { height, content: content.join("\n") };
}

// ---- bars --------------------------------------------------------------------------------------------------------------

const BARS = { left: 262, right: 640, row: 21, bar: 11, gap: 7 };
const RATIO_END = 692;
const VERDICT = 698;
const TIME_END = WIDTH - MARGIN;
// What fits beside the bars, of a font whose letters are 6.6 wide.
const NAME_LETTERS = 36;
// A bar that is longer would leave no room for the others: it is cut.
const MOST_RATIO = 10;
const MANY_BARS = 15;

/** Steps of an axis that has some five of them. */
function stepOf(end: number): number {
  const rough = end / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
}

function ticksOf(end: number): readonly number[] {
  const step = stepOf(end);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) => Number((index * step).toFixed(6)));
}

function shorten(name: string): string {
  return name.length <= NAME_LETTERS ? name : `${name.slice(0, NAME_LETTERS - 1)}…`;
}

function bar({ rest, name, what, target, met, result }: Drawn, top: number, end: number): string {
  const { ratio, ratioP10, ratioP90, noisy, ours, floor } = result;
  const at = (multiple: number) => BARS.left + (Math.min(multiple, end) / end) * (BARS.right - BARS.left);
  const middle = top + BARS.row / 2;
  const y = middle - BARS.bar / 2;
  const kind = met === undefined ? "free" : met ? "met" : "missed";
  const part = (from: number, to: number, more: string) =>
    element("rect", { x: from, y, width: Math.max(0, to - from), height: BARS.bar, class: `${kind}${more}` });
  const cap = (x: number) => line(x, middle - 3, x, middle + 3, "whisker");
  const wanted = target === undefined ? Number.POSITIVE_INFINITY : targetRatio(target, floor);
  const mark = at(wanted);
  const pieces = [
    element("title", {}, escapeXml(`${name}: ${what}. C: ${duration(floor.median)}${noisy ? ". Noisy" : ""}`)),
    text(MARGIN, middle + 4, "name ink", shorten(rest)),
    // What C takes, too, is fainter than what ours takes beyond it.
    part(BARS.left, at(Math.min(1, ratio)), " base"),
    ...(ratio > 1 ? [part(at(1), at(ratio), "")] : []),
    ...(ratio > end ? [line(BARS.right - 9, y + BARS.bar + 2, BARS.right - 3, y - 2, "cut")] : []),
    ...(ratioP10 < end ? [line(at(ratioP10), middle, at(ratioP90), middle, "whisker"), cap(at(ratioP10))] : []),
    ...(ratioP90 <= end ? [cap(at(ratioP90))] : []),
    ...(wanted <= end ? [element("path", { d: `M${value(mark - 4)} ${value(y - 4)}h8l-4 6z`, class: "mark" })] : []),
    text(RATIO_END, middle + 4, `strong ${met === undefined ? "ink" : kind}`, multiple(ratio), "end"),
    ...(met === undefined ? [] : [text(VERDICT, middle + 4, `strong ${kind}`, met ? "✓" : "✗")]),
    text(TIME_END, middle + 4, "quiet small", `${noisy ? "~ " : ""}${duration(ours.median)}`, "end"),
  ];
  return element("g", {}, pieces.join(""));
}

/** One area's bars, all on one axis. */
function bars(rows: readonly Drawn[], title: string): Part {
  const highest = Math.max(
    1.2,
    ...rows.map(({ result }) => Math.max(result.ratio, Math.min(result.ratioP90, 1.5 * result.ratio))),
  );
  const end = Math.min(MOST_RATIO, highest * 1.04);
  const at = (multiple: number) => BARS.left + (multiple / end) * (BARS.right - BARS.left);
  const top = 34;
  let y = top;
  let before: string | undefined;
  const drawnRows = rows.map((row) => {
    const [sub, ...deeper] = row.rest.split("/");
    // Names of three words or more come in groups by their second.
    if (before !== undefined && deeper.length > 0 && sub !== before) y += BARS.gap;
    before = sub;
    const content = bar(row, y, end);
    y += BARS.row;
    return content;
  });
  const bottom = y + 3;
  const labels = (baseline: number) => [
    ...ticksOf(end)
      .filter((tick) => Math.abs(at(tick) - at(1)) > 16)
      .map((tick) => text(at(tick), baseline, "quiet small", String(tick), "middle")),
    text(at(1), baseline, "ink small strong", "C", "middle"),
  ];
  const pieces = [
    text(MARGIN, 20, "area ink", title),
    text(RATIO_END, 20, "quiet small", "x C", "end"),
    text(TIME_END, 20, "quiet small", "time", "end"),
    ...ticksOf(end).map((tick) => line(at(tick), top - 4, at(tick), bottom, "grid")),
    ...drawnRows,
    line(at(1), top - 8, at(1), bottom + 2, "c"),
    ...labels(bottom + 14),
    // Whoever looks at the first of many bars does not see the last.
    ...(rows.length > MANY_BARS ? labels(top - 10) : []),
  ];
  return { height: bottom + 34, content: pieces.join("\n") };
}

// ---- lines -------------------------------------------------------------------------------------------------------------

const CHART = { width: 370, left: 52, right: 356, top: 34, bottom: 204, height: 250 };
const KEY_LINE = 14;

/** A count, or a size as names have it: 4k, 64m, 1g. */
function numberIn(word: string): number | undefined {
  const [, digits, unit = ""] = /^(\d+)([kmgt]?)$/i.exec(word) ?? [];
  return digits === undefined ? undefined : Number(digits) * 1024 ** " kmgt".indexOf(unit.toLowerCase() || " ");
}

interface Point {
  readonly x: number;
  readonly word: string;
  readonly result: Result;
}

/** Benchmarks whose names differ in one number alone. */
interface Series {
  /** Their names with a star for the number, but for the word that tells them from others in the same chart. */
  readonly title: string;
  readonly label: string;
  readonly where: Place;
  readonly points: readonly Point[];
}

/** What stands at a chart, and at the line in it: the last word that is not the number's, unless that is the area. */
function namesOf(pattern: string): Pick<Series, "title" | "label"> {
  const words = pattern.split("/");
  const last = words.findLastIndex((word) => word !== "*");
  if (last <= 0) return { title: pattern, label: "ours" };
  return { title: words.toSpliced(last, 1).join("/"), label: words[last] ?? "" };
}

function seriesOf(rows: readonly Drawn[]): readonly Series[] {
  const members = rows.flatMap(({ name, where, result }) =>
    name.split("/").flatMap((word, index, words) => {
      const x = numberIn(word);
      return x === undefined ? [] : [{ pattern: words.with(index, "*").join("/"), where, x, word, result }];
    }),
  );
  return groups(members, ({ pattern, where }) => `${where} ${pattern}`).flatMap((points) => {
    const [first] = points;
    // Two points are no line.
    if (first === undefined || points.length < 3) return [];
    return [{ ...namesOf(first.pattern), where: first.where, points: points.toSorted((a, b) => a.x - b.x) }];
  });
}

/** A scale from the least to the most, by their logarithms where they are far from each other. */
function scale(
  least: number,
  most: number,
  from: number,
  to: number,
): { at(x: number): number; ticks: readonly number[] } {
  const logarithmic = most > 20 * least;
  const low = logarithmic ? 10 ** Math.floor(Math.log10(least)) : 0;
  const high = logarithmic ? 10 ** Math.ceil(Math.log10(most)) : most * 1.1;
  const of = (x: number) => (logarithmic ? Math.log10(x / low) / Math.log10(high / low) : x / high);
  const decades = Math.round(Math.log10(high / Math.max(low, 1e-9)));
  const ticks = logarithmic ? Array.from({ length: decades + 1 }, (_, index) => low * 10 ** index) : ticksOf(high);
  return { at: (x) => from + of(x) * (to - from), ticks };
}

interface Key {
  readonly label: string;
  readonly x: number;
  readonly line: number;
  readonly color: number;
}

/** Which line is which: below the chart, in as many lines of words as it takes. */
function keys(series: readonly Series[]): readonly Key[] {
  let x: number = CHART.left;
  let line = 0;
  return series.map(({ label }, index) => {
    const width = 18 + 6.2 * label.length + 14;
    if (x + width > CHART.width && x > CHART.left) {
      x = CHART.left;
      line++;
    }
    const key = { label, x, line, color: index % light.lines.length };
    x += width;
    return key;
  });
}

function chart(series: readonly Series[], left: number): string {
  const [first] = series;
  if (first === undefined) return "";
  const points = series.flatMap((each) => each.points);
  const times = points.flatMap(({ result }) => [result.ours.median, result.floor.median]);
  const { at: y, ticks } = scale(Math.min(...times), Math.max(...times), CHART.bottom, CHART.top);
  // There may be none at all of something, which has no logarithm.
  const position = (x: number) => Math.log2(1 + x);
  const [start, stop] = [
    Math.min(...points.map((each) => position(each.x))),
    Math.max(...points.map((each) => position(each.x))),
  ];
  const x = (each: Point) =>
    CHART.left + ((position(each.x) - start) / Math.max(1e-9, stop - start)) * (CHART.right - CHART.left - 8) + 4;
  const words = new Map(points.map((each) => [each.word, each]));
  const path = (each: Series, time: (result: Result) => number) =>
    each.points.map((point) => `${value(x(point))},${value(y(time(point.result)))}`).join(" ");
  const pieces = [
    text(0, 16, "area ink small", first.title + (first.where === "guest" ? " (guest)" : "")),
    ...ticks.flatMap((tick) => [
      line(CHART.left, y(tick), CHART.right, y(tick), "grid"),
      text(CHART.left - 5, y(tick) + 4, "quiet small", tick === 0 ? "0" : duration(tick).replace(/\.0+ /, " "), "end"),
    ]),
    ...[...words].map(([word, each]) => text(x(each), CHART.bottom + 16, "quiet small", word, "middle")),
    ...series.flatMap((each, index) => {
      const color = index % light.lines.length;
      return [
        element("polyline", { points: path(each, ({ floor }) => floor.median), class: `floor line${color}` }),
        element("polyline", { points: path(each, ({ ours }) => ours.median), class: `ours line${color}` }),
        ...each.points.map((point) =>
          element("circle", { cx: x(point), cy: y(point.result.ours.median), r: 2.6, class: `dot${color}` }),
        ),
      ];
    }),
    ...keys(series).map(({ label, x: place, line: row, color }) => {
      const y = CHART.bottom + 34 + row * KEY_LINE;
      return line(place, y - 4, place + 14, y - 4, `ours line${color}`) + text(place + 18, y, "ink small", label);
    }),
  ];
  return element("g", { transform: `translate(${value(left)} 0)` }, pieces.join("\n"));
}

function charts(rows: readonly Drawn[]): Part {
  const all = groups(seriesOf(rows), ({ title, where }) => `${where} ${title}`);
  if (all.length === 0) return { height: 0, content: "" };
  const pairs = Array.from({ length: Math.ceil(all.length / 2) }, (_, index) => all.slice(2 * index, 2 * index + 2));
  const heading: Part = {
    height: 40,
    content: `${text(MARGIN, 20, "area ink", "How the cost grows")}${text(MARGIN, 35, "quiet small", "Time of one operation; dashed: C.")}`,
  };
  const rowsOfCharts = pairs.map((pair): Part => {
    const deepest = Math.max(...pair.flatMap((series) => keys(series).map((key) => key.line)));
    const content = pair.map((series, index) => chart(series, MARGIN + index * (CHART.width + 20)));
    return { height: CHART.height + KEY_LINE * deepest, content: content.join("\n") };
  });
  return stack([heading, ...rowsOfCharts]);
}

// ---- the picture -------------------------------------------------------------------------------------------------------

function legend(rows: readonly Drawn[]): Part {
  const used = (kind: boolean | undefined) => rows.some(({ met }) => met === kind);
  const square = (kind: string) => (x: number) => element("rect", { x, y: 6, width: 11, height: 11, class: kind });
  const entries: readonly (readonly [draw: (x: number) => string, words: string])[] = [
    ...(used(true) ? [[square("met"), "meets its target"] as const] : []),
    ...(used(false) ? [[square("missed"), "misses it"] as const] : []),
    ...(used(undefined) ? [[square("free"), "has no target"] as const] : []),
    [(x) => line(x + 7, 3, x + 7, 20, "c"), "C"],
    [
      (x) => line(x, 12, x + 12, 12, "whisker") + line(x, 9, x, 15, "whisker") + line(x + 12, 9, x + 12, 15, "whisker"),
      "p10 .. p90 of the rounds",
    ],
    ...(rows.some(({ target }) => target !== undefined)
      ? [[(x: number) => element("path", { d: `M${x + 1} 8h8l-4 6z`, class: "mark" }), "target"] as const]
      : []),
    ...(rows.some(({ result }) => result.noisy)
      ? [[(x: number) => text(x + 2, 16, "quiet", "~"), "noisy"] as const]
      : []),
  ];
  let x = MARGIN;
  const content = entries.map(([draw, words]) => {
    const piece = draw(x) + text(x + 17, 16, "ink small", words);
    x += 17 + 6.1 * words.length + 22;
    return piece;
  });
  return { height: 30, content: content.join("\n") };
}

function heading({ machines, effort }: Results): Part {
  const lines = machines.map((machine) => {
    const { node, kernel, cpu, cpus } = machine;
    const busy = businessOf(machine) === undefined ? "" : "; did other work, too";
    return `${machineName(machine)}: Node ${node}, Linux ${kernel}, ${cpus} x ${cpu}${busy}`;
  });
  const content = [
    text(MARGIN, 34, "title ink", "What it costs over plain C"),
    text(MARGIN, 54, "quiet", `Time as a multiple of C's; median of ${effort.rounds} rounds, both sides in turns`),
    ...lines.map((words, index) => text(MARGIN, 71 + 15 * index, "quiet small", words)),
  ];
  return { height: 70 + 15 * lines.length, content: content.join("\n") };
}

/** Draws a run. The same results make the same picture. */
export function drawSvg(results: Results): string {
  const rows = results.benchmarks.flatMap(drawn);
  const areas = groups(rows, ({ area, where }) => `${where} ${area}`).flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return [bars(group, `${first.area}${first.where === "guest" ? " (in the rig's guest)" : ""}`)];
  });
  const { height, content } = stack([heading(results), legend(rows), ...areas, charts(rows)]);
  const attributes = { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${WIDTH} ${Math.ceil(height)}`, role: "img" };
  const paper = element("rect", { width: WIDTH, height: Math.ceil(height), rx: 6, class: "paper" });
  const title = element("title", {}, "What it costs over plain C");
  return `${element("svg", { ...attributes, width: WIDTH, height: Math.ceil(height) }, [title, style, paper, content].join("\n"))}\n`;
}
