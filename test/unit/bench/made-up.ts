/** Runs that nobody has measured. */
import { type Benchmark, compareSides, type Sides, summarize, type Target } from "../../../bench/measure.js";
import { type Machine, measuredRow, type Place, type Results, type Row } from "../../../bench/results.js";

export const machine: Machine = {
  where: "host",
  node: "v20.19.0",
  kernel: "7.3.4",
  cpu: "Some <CPU> & more",
  cpus: 4,
  load: 0.1,
  steal: 0,
};

/** A benchmark that takes so long, without measuring anything. */
export function benchmark(name: string, more: Partial<Benchmark> = {}): Benchmark {
  const sides: Sides = {
    ours: (operations) => ({ wall: operations * 2e6, cpu: operations * 1e6 }),
    floor: async (operations) => ({ wall: operations * 1e6, cpu: operations * 1e6 }),
    [Symbol.asyncDispose]: async () => {},
  };
  return { name, what: `what ${name} is`, open: async () => sides, ...more };
}

export interface Shape {
  readonly target?: Target;
  readonly where?: Place;
  /** The time of one operation of C. */
  readonly floor?: number;
  /** Between the fastest round and the slowest, as a part of the median. */
  readonly spread?: number;
}

/** A row whose ratio is given. */
export function row(
  name: string,
  ratio: number,
  { target, where = "host", floor = 1000, spread = 0.04 }: Shape = {},
): Row {
  const rounds = (median: number) => [-2, -1, 0, 1, 2].map((step) => median * (1 + (step * spread) / 4));
  const result = compareSides(summarize(rounds(ratio * floor), 10), summarize(Array(5).fill(floor), 10));
  return measuredRow(benchmark(name, target === undefined ? {} : { target }), where, result);
}

export function results(...benchmarks: readonly Row[]): Results {
  const machines = [
    machine,
    ...(benchmarks.some(({ where }) => where === "guest") ? [{ ...machine, where: "guest" as const }] : []),
  ];
  return { effort: { rounds: 5, slice: 150 }, machines, benchmarks };
}
