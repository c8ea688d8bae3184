/**
 * What a run says: a table for people, and what to know of the run as a whole.
 *
 * @module
 */
import type { Column } from "../types/cli/table.js";
import type { Colors } from "../types/cli/terminal.js";
import { businessOf } from "./machine.js";
import type { Machine, Results, Row } from "./results.js";
import { longEffort } from "./run.js";
import { duration, multiple, rate, targetText } from "./units.js";

/** A table, for whoever knows how wide it may be. */
export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

/** What a machine is called. */
export function machineName({ where }: Machine): string {
  return where === "host" ? "This machine" : "The rig's guest";
}

const columns: readonly Column[] = [
  { title: "x C", align: "right" },
  { title: "BENCHMARK" },
  { title: "TARGET", drop: 5 },
  { title: "", drop: 6 },
  { title: "WHERE", drop: 4 },
  { title: "MEDIAN", align: "right" },
  { title: "p10 .. p90", align: "right", drop: 2 },
  { title: "RATE", align: "right", drop: 3 },
  { title: "C", align: "right", drop: 7 },
  { title: "C p10 .. p90", align: "right", drop: 8 },
  { title: "", drop: 1 },
  { title: "ONE OPERATION", least: 20, drop: 9 },
];

function verdict(met: boolean | undefined, colors: Colors): string {
  if (met === undefined) return "";
  return met ? colors.green("met") : colors.red("missed");
}

function range({ p10, p90 }: { readonly p10: number; readonly p90: number }): string {
  return `${duration(p10)} .. ${duration(p90)}`;
}

function cells({ name, what, where, bytes, target, met, result }: Row, colors: Colors): readonly string[] {
  if (result === undefined) return [];
  const { ours, floor, ratio, noisy } = result;
  return [
    colors.bold(multiple(ratio)),
    name,
    target === undefined ? "" : targetText(target),
    verdict(met, colors),
    where,
    duration(ours.median),
    range(ours),
    rate(ours.median, bytes),
    duration(floor.median),
    range(floor),
    noisy ? colors.yellow("noisy") : "",
    colors.dim(what),
  ];
}

/** The table: the ratio first, a line for each benchmark that ran. */
export function tabulate({ benchmarks, machines }: Results, colors: Colors): Table {
  const rows = benchmarks.filter(({ result }) => result !== undefined).map((row) => cells(row, colors));
  // One machine needs no column, and neither do targets that nobody has.
  const used = columns.map(({ title }, index) =>
    title === "WHERE" ? machines.length > 1 : index <= 1 || rows.some((row) => row[index] !== ""),
  );
  const filled = <T>(list: readonly T[]) => list.filter((_, index) => used[index]);
  return { columns: filled(columns), rows: rows.map(filled) };
}

/** Names by the reason that they share. */
function byReason(rows: readonly Row[], reasonOf: (row: Row) => string | undefined): ReadonlyMap<string, string[]> {
  const reasons = new Map<string, string[]>();
  for (const row of rows) {
    const reason = reasonOf(row);
    if (reason !== undefined) reasons.set(reason, [...(reasons.get(reason) ?? []), row.name]);
  }
  return reasons;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Names in one line: the first of many. */
function some(names: readonly string[]): string {
  const [first = ""] = names;
  return names.length <= 3 ? names.join(", ") : `${plural(names.length, "benchmark")} (${first}, ...)`;
}

/** What to know besides: what did not run and why, what was missed, and how far the numbers are to be trusted. */
export function remarks({ benchmarks, machines, effort }: Results, colors: Colors): readonly string[] {
  const failed = [...byReason(benchmarks, ({ error }) => error)].map(
    ([reason, names]) => `${colors.red("did not run:")} ${some(names)}: ${reason}`,
  );
  const missing = [...byReason(benchmarks, ({ missing }) => missing)].map(
    ([reason, names]) => `${colors.yellow("left out:")} ${some(names)}: ${reason}`,
  );
  const wanted = benchmarks.filter(({ met }) => met !== undefined);
  const met = wanted.filter(({ met }) => met === true).length;
  const noisy = benchmarks.filter(({ result }) => result?.noisy === true).length;
  const busy = machines.flatMap((machine) => {
    const business = businessOf(machine);
    return business === undefined
      ? []
      : [colors.yellow(`${machineName(machine)} did other work, too: ${business}. The numbers are rough.`)];
  });
  return [
    ...failed,
    ...missing,
    ...(wanted.length > 0 ? [`${met} of ${plural(wanted.length, "target")} met.`] : []),
    ...(noisy > 0
      ? [
          `${plural(noisy, "line")} noisy. There the middle half of the rounds of one side is wider than a fifth of its median.`,
        ]
      : []),
    ...busy,
    ...(effort.slice < longEffort.slice
      ? ["This was the short run: it shows that everything runs, and not how fast."]
      : []),
    ...machines.map((machine) => {
      const { node, kernel, cpu, cpus, load } = machine;
      return colors.dim(
        `${machineName(machine)}: Node ${node}, Linux ${kernel}, ${cpus} x ${cpu}, load ${load.toFixed(1)}; ${effort.rounds} rounds`,
      );
    }),
  ];
}
