/**
 * `npm run bench [-- names...] [--json] [--short]`: what the package costs over plain C.
 *
 * A name selects every benchmark whose name contains it. `--short` takes a few seconds, and shows that everything runs rather than
 * how fast. It fails if a benchmark does not run, and for nothing else.
 *
 * @module
 */
import os from "node:os";
import { parseArgs } from "node:util";
import type { Effort } from "./measure.js";
import { measure } from "./measure.js";
import { benchmarks } from "./registry.js";
import { drawResults, type Row } from "./report.js";

const long: Effort = { rounds: 9, slice: 150 };
const short: Effort = { rounds: 5, slice: 5 };
/** The version of what `--json` prints. It grows when a field goes away or changes its meaning. */
const SCHEMA = 1;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean" }, short: { type: "boolean" } },
});
const selected = benchmarks.filter(
  ({ name }) => positionals.length === 0 || positionals.some((part) => name.includes(part)),
);
const nowhere = positionals.filter((part) => !benchmarks.some(({ name }) => name.includes(part)));
if (nowhere.length > 0) {
  console.error(
    `no benchmark is called ${nowhere.join(", ")}; there are ${benchmarks.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

const effort = values.short === true ? short : long;
const loadBefore = os.loadavg()[0];
const rows: Row[] = [];
for (const [index, benchmark] of selected.entries()) {
  const { name, what, bytes } = benchmark;
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${index + 1}/${selected.length} ${name}`);
  const about = { name, what, ...(bytes === undefined ? {} : { bytes }) };
  try {
    rows.push({ ...about, result: await measure(benchmark, effort) });
  } catch (error) {
    rows.push({ ...about, error: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
  }
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");

const machine = {
  node: process.version,
  kernel: os.release(),
  cpu: os.cpus()[0]?.model ?? "unknown",
  cpus: os.cpus().length,
  /** What ran besides, before the first benchmark: the average of a minute. */
  load: loadBefore,
};
if (values.json === true) {
  console.log(JSON.stringify({ schema: SCHEMA, unit: "ns", machine, effort, benchmarks: rows }));
} else {
  console.log(drawResults(rows));
  const { node, kernel, cpu, cpus, load = 0 } = machine;
  console.log(`\n${effort.rounds} rounds; Node ${node}, Linux ${kernel}, ${cpus} x ${cpu}, load ${load.toFixed(1)}`);
}
