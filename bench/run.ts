/**
 * A run: benchmark after benchmark, here; and those that take what this machine lacks, in the rig's guest if that is wanted.
 *
 * @module
 */
import { watchMachine } from "./machine.js";
import { type Benchmark, type Effort, measure } from "./measure.js";
import {
  failedRow,
  type Machine,
  measuredRow,
  messageOf,
  missingRow,
  type Place,
  type Results,
  type Row,
} from "./results.js";

/** Long enough for numbers. */
export const longEffort: Effort = { rounds: 9, slice: 150 };
/** Shows that everything runs. */
export const shortEffort: Effort = { rounds: 5, slice: 5 };

/** Told about every benchmark that begins. */
export type RunListener = (name: string, where: Place) => void;

/** What a guest came to. */
export interface GuestRun {
  readonly machine?: Machine;
  /** Of those that came to an end. */
  readonly rows: readonly Row[];
  /** Why there are no more. */
  readonly error?: string;
}

/** A run. */
export interface Run {
  readonly benchmarks: readonly Benchmark[];
  readonly effort: Effort;
  /** Runs those with these names in a guest. Left out: what this machine lacks something for is left out. */
  readonly inGuest?: (names: readonly string[], effort: Effort, listener: RunListener) => Promise<GuestRun>;
  readonly listener: RunListener;
  /** Ends the run before the next benchmark. */
  readonly signal?: AbortSignal;
}

/** Runs one benchmark right here. */
export async function runOne(benchmark: Benchmark, effort: Effort, where: Place): Promise<Row> {
  try {
    const missing = benchmark.missing?.();
    if (missing !== undefined) return missingRow(benchmark, where, missing);
    return measuredRow(benchmark, where, await measure(benchmark, effort));
  } catch (error) {
    return failedRow(benchmark, where, messageOf(error));
  }
}

/** Runs everything. */
export async function run({ benchmarks, effort, inGuest, listener, signal }: Run): Promise<Results> {
  const describe = watchMachine("host");
  const rows = new Map<string, Row>();
  for (const benchmark of benchmarks) {
    signal?.throwIfAborted();
    listener(benchmark.name, "host");
    rows.set(benchmark.name, await runOne(benchmark, effort, "host"));
    // Whoever wants to end this has no other moment: what is measured may leave no turn to the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const machines = [describe()];
  const lacking = benchmarks.filter(({ name }) => rows.get(name)?.missing !== undefined);
  if (inGuest !== undefined && lacking.length > 0) {
    const names = lacking.map(({ name }) => name);
    const { machine, rows: theirs, error = "the guest left it out" } = await inGuest(names, effort, listener);
    for (const benchmark of lacking) rows.set(benchmark.name, failedRow(benchmark, "guest", error));
    for (const row of theirs) rows.set(row.name, row);
    if (machine !== undefined) machines.push(machine);
  }
  return { effort, machines, benchmarks: [...rows.values()] };
}
