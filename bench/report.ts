/**
 * What a run says: a table for people.
 *
 * @module
 */
import pc from "picocolors";
import type { Result, Times } from "./measure.js";

/** A benchmark and what came of it. */
export interface Row {
  readonly name: string;
  readonly what: string;
  /** How many bytes one operation moves. */
  readonly bytes?: number;
  /** Left out if it did not run. */
  readonly result?: Result;
  /** Why it did not run. */
  readonly error?: string;
}

function duration(nanoseconds: number): string {
  if (nanoseconds < 1e3) return `${nanoseconds.toFixed(0)} ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(2)} µs`;
  return `${(nanoseconds / 1e6).toFixed(2)} ms`;
}

function range({ min, max }: Times): string {
  return `${duration(min)} .. ${duration(max)}`;
}

function rate(nanoseconds: number, bytes: number | undefined): string {
  if (bytes !== undefined) return `${(bytes / nanoseconds).toFixed(2)} GB/s`;
  return `${Math.round(1e9 / nanoseconds).toLocaleString("en")}/s`;
}

const titles = ["x C", "benchmark", "median", "min .. max", "rate", "C", "C min .. max", ""];

function cells({ name, bytes, result, error }: Row): readonly string[] {
  if (result === undefined) return ["-", name, `did not run: ${error}`];
  const { ours, floor, ratio, noisy } = result;
  const note = noisy ? "noisy" : "";
  const times = [duration(ours.median), range(ours), rate(ours.median, bytes), duration(floor.median), range(floor)];
  return [ratio.toFixed(2), name, ...times, note];
}

/** Draws the table: the ratio first, a line for each benchmark, and below what one operation of each is. */
export function drawResults(rows: readonly Row[]): string {
  const table = [titles, ...rows.map(cells)];
  const widths = titles.map((_, column) =>
    // A failure's reason may be as long as it likes.
    Math.max(...table.filter((row) => row.length === titles.length).map((row) => row[column]?.length ?? 0)),
  );
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  widths[1] = Math.max(widths[1] ?? 0, nameWidth);
  const lines = table.map((row) =>
    row
      .map((text, column) => {
        const width = widths[column] ?? 0;
        return column === 1 || column === titles.length - 1 ? text.padEnd(width) : text.padStart(width);
      })
      .join("  ")
      .trimEnd(),
  );
  const legend = rows.map(({ name, what }) => pc.dim(`${name.padEnd(nameWidth)}  ${what}`));
  return [pc.bold(lines[0] ?? ""), ...lines.slice(1), "", ...legend].join("\n");
}
