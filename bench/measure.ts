/**
 * Measuring: our side and the floor in turns, round by round, so that what else happens on the machine hits both.
 *
 * @module
 */

/** How long something took, in nanoseconds. */
export interface Took {
  readonly wall: number;
  /** CPU time of the process that did it, all its threads together. */
  readonly cpu: number;
}

/** What ours is to cost at most: a multiple of the floor, nanoseconds more than the floor, or nanoseconds by itself. */
export type Target = { readonly ratio: number } | { readonly over: number } | { readonly at: number };

/** What is measured, and what it is measured against. */
export interface Benchmark {
  /** What it is selected by: words with slashes between, the widest first (`map/type1v2/4k/api`). */
  readonly name: string;
  /** One line for people: what one operation is. */
  readonly what: string;
  /** How many bytes one operation moves, where bandwidth is what matters. */
  readonly bytes?: number;
  /** What counts: the wall's clock, unless it is CPU and nothing else. */
  readonly clock?: keyof Took;
  readonly target?: Target;
  /** One of so many that it runs only if it is named. */
  readonly onDemand?: boolean;
  /** What this machine lacks for it, as one line; undefined if nothing. Left out where any Linux will do. */
  missing?(): string | undefined;
  /** Gets everything ready that is not to be measured. */
  open(): Promise<Sides>;
}

/** A benchmark that is ready to run. */
export interface Sides extends AsyncDisposable {
  /** Does so many operations. Returns how long they took if not everything that it did is to be timed. */
  ours(operations: number): undefined | Took | Promise<undefined | Took>;
  /** Has the floor do as many. */
  floor(operations: number): Promise<Took>;
}

/** How long it is measured. */
export interface Effort {
  readonly rounds: number;
  /** How long each side runs in each round, about, in milliseconds. */
  readonly slice: number;
}

/** Nanoseconds for each operation, over all rounds. */
export interface Times {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** A tenth of the rounds is faster than this. */
  readonly p10: number;
  /** A tenth of the rounds is slower than this. */
  readonly p90: number;
  /** How many operations each round had. */
  readonly operations: number;
  readonly rounds: readonly number[];
}

/** What came of a benchmark. */
export interface Result {
  readonly ours: Times;
  readonly floor: Times;
  /** Our median, as a multiple of the floor's. */
  readonly ratio: number;
  /** The ratio within one round: a tenth of the rounds is below this. */
  readonly ratioP10: number;
  /** A tenth of the rounds is above this. */
  readonly ratioP90: number;
  /** Whether the rounds differ too much to say anything from a single run. */
  readonly noisy: boolean;
}

/** Begins to time. What it returns says how long ago that was. */
export function startStopwatch(): () => Took {
  const { user, system } = process.cpuUsage();
  const began = process.hrtime.bigint();
  return () => {
    const wall = Number(process.hrtime.bigint() - began);
    const used = process.cpuUsage();
    return { wall, cpu: (used.user - user + used.system - system) * 1e3 };
  };
}

// The middle half of the rounds lies within this part of the median, or the run was noisy.
const CALM = 0.2;
// Where a side is so fast that a slice cannot be filled.
const MOST_OPERATIONS = 10_000_000;

/** Returns how long so many operations took, in nanoseconds. */
type Timed = (operations: number) => Promise<number>;

/** Finds out how many operations fill a slice. Warms up on the way. */
async function calibrate(side: Timed, slice: number): Promise<number> {
  const wanted = slice * 1e6;
  for (let operations = 1; ; ) {
    // What comes for the first time is slow: memory that is new, code that is not compiled yet.
    const took = Math.min(await side(operations), await side(operations));
    if (took >= 0.7 * wanted || operations >= MOST_OPERATIONS) return operations;
    // A few say little of many.
    const factor = Math.min(10, Math.max(1.5, wanted / took));
    operations = Math.min(MOST_OPERATIONS, Math.ceil(operations * factor));
  }
}

/** What a part of the numbers is below. Between two of them it is interpolated. */
export function quantile(numbers: readonly number[], part: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = part * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** What the rounds of one side come to. */
export function summarize(rounds: readonly number[], operations: number): Times {
  const at = (part: number) => quantile(rounds, part);
  return { median: at(0.5), min: at(0), max: at(1), p10: at(0.1), p90: at(0.9), operations, rounds };
}

function isNoisy({ median, rounds }: Times): boolean {
  return quantile(rounds, 0.75) - quantile(rounds, 0.25) > CALM * median;
}

/** What both sides come to. They ran in turns: a round of one belongs to a round of the other. */
export function compareSides(ours: Times, floor: Times): Result {
  const ratios = ours.rounds.map((each, round) => each / (floor.rounds[round] ?? Number.NaN));
  return {
    ours,
    floor,
    ratio: ours.median / floor.median,
    ratioP10: quantile(ratios, 0.1),
    ratioP90: quantile(ratios, 0.9),
    noisy: isNoisy(ours) || isNoisy(floor),
  };
}

/** What a target comes to as a multiple of a floor. */
export function targetRatio(target: Target, floor: Times): number {
  if ("ratio" in target) return target.ratio;
  return ("over" in target ? floor.median + target.over : target.at) / floor.median;
}

/** Runs a benchmark. */
export async function measure(benchmark: Benchmark, { rounds, slice }: Effort): Promise<Result> {
  const { clock = "wall" } = benchmark;
  await using sides = await benchmark.open();
  const ours: Timed = async (operations) => {
    const stopwatch = startStopwatch();
    const own = await sides.ours(operations);
    return (own ?? stopwatch())[clock];
  };
  const floor: Timed = async (operations) => (await sides.floor(operations))[clock];
  const [ourCount, floorCount] = [await calibrate(ours, slice), await calibrate(floor, slice)];
  const ourTimes: number[] = [];
  const floorTimes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ourTimes.push((await ours(ourCount)) / ourCount);
    floorTimes.push((await floor(floorCount)) / floorCount);
  }
  return compareSides(summarize(ourTimes, ourCount), summarize(floorTimes, floorCount));
}
