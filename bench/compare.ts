/**
 * Two runs side by side.
 *
 * @module
 */
import type { Column } from "../types/cli/table.js";
import type { Colors } from "../types/cli/terminal.js";
import { machineName, type Table } from "./report.js";
import type { Machine, Results, Row } from "./results.js";
import { multiple } from "./units.js";

/** What became of a benchmark's ratio. The same: the rounds of the two runs overlap. */
export type Change = "same" | "better" | "worse" | "new" | "gone";

/** A benchmark in two runs. */
export interface Pair {
  readonly name: string;
  readonly before?: Row;
  readonly after?: Row;
  readonly change: Change;
}

function changeOf(before: Row | undefined, after: Row | undefined): Change | undefined {
  const [old, now] = [before?.result, after?.result];
  if (old === undefined) return now === undefined ? undefined : "new";
  if (now === undefined) return "gone";
  if (now.ratioP90 < old.ratioP10) return "better";
  return now.ratioP10 > old.ratioP90 ? "worse" : "same";
}

// A place of its own is a measurement of its own: emulation costs both sides, but not alike.
const key = ({ name, where }: Row) => `${where} ${name}`;

/** Finds what belongs together, in the later run's order. What ran in neither is left out. */
export function pair(before: Results, after: Results): readonly Pair[] {
  const old = new Map(before.benchmarks.map((row) => [key(row), row]));
  const now = new Set(after.benchmarks.map(key));
  const rows: readonly (readonly [Row | undefined, Row | undefined])[] = [
    ...after.benchmarks.map((row) => [old.get(key(row)), row] as const),
    ...before.benchmarks.filter((row) => !now.has(key(row))).map((row) => [row, undefined] as const),
  ];
  return rows.flatMap(([first, second]) => {
    const change = changeOf(first, second);
    const name = (second ?? first)?.name;
    if (change === undefined || name === undefined) return [];
    return [{ name, change, ...(first === undefined ? {} : { before: first }), ...(second ? { after: second } : {}) }];
  });
}

const columns: readonly Column[] = [
  { title: "BENCHMARK" },
  { title: "x C BEFORE", align: "right" },
  { title: "AFTER", align: "right" },
  { title: "CHANGE", align: "right", drop: 1 },
  { title: "" },
];

/** The table of two runs. */
export function tabulatePairs(pairs: readonly Pair[], colors: Colors): Table {
  const words: Readonly<Record<Change, string>> = {
    same: colors.dim("within the spread"),
    better: colors.green("better"),
    worse: colors.red("worse"),
    new: "new",
    gone: "gone, or did not run",
  };
  const rows = pairs.map(({ name, before, after, change }) => {
    const [old, now] = [before?.result, after?.result];
    const noisy = old?.noisy === true || now?.noisy === true ? colors.yellow(", noisy") : "";
    const percent = old !== undefined && now !== undefined ? 100 * (now.ratio / old.ratio - 1) : undefined;
    return [
      name,
      old === undefined ? "" : multiple(old.ratio),
      now === undefined ? "" : multiple(now.ratio),
      percent === undefined ? "" : `${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`,
      `${words[change]}${noisy}`,
    ];
  });
  return { columns, rows };
}

/** What was not the same beside the code: how long was measured, and on what. */
export function differences(before: Results, after: Results): readonly string[] {
  const [old, now] = [before.effort, after.effort];
  const same = old.rounds === now.rounds && old.slice === now.slice;
  const effort = `The runs were not as long as each other: ${old.rounds} rounds of ${old.slice} ms, now ${now.rounds} of ${now.slice} ms.`;
  return [...(same ? [] : [effort]), ...after.machines.flatMap((machine) => machineDifference(before, machine))];
}

function machineDifference(before: Results, now: Machine): readonly string[] {
  const old = before.machines.find(({ where }) => where === now.where);
  if (old === undefined) return [];
  const facts: readonly (readonly [what: string, old: string | number, now: string | number])[] = [
    ["Node", old.node, now.node],
    ["Linux", old.kernel, now.kernel],
    ["CPU", old.cpu, now.cpu],
    ["CPUs", old.cpus, now.cpus],
  ];
  const changed = facts.filter(([, first, second]) => first !== second);
  if (changed.length === 0) return [];
  const text = changed.map(([what, first, second]) => `${what} ${first}, now ${second}`).join("; ");
  return [`${machineName(now)} was another: ${text}.`];
}
