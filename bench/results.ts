/**
 * What a run comes to, as `--json` prints it and as it is read again: docs/command.md describes the fields.
 *
 * @module
 */
import { type Benchmark, type Effort, type Result, type Target, type Times, targetRatio } from "./measure.js";

/** The version of what is printed. It grows when a field goes away or changes its meaning. */
export const SCHEMA = 1;

/** Where a benchmark was measured: right here, or in the rig's guest. */
export type Place = "host" | "guest";

/** What it was measured on. */
export interface Machine {
  readonly where: Place;
  readonly node: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  /** What ran besides, before the first benchmark: the average of a minute. */
  readonly load: number;
  /** The part of all CPU time, meanwhile, that a hypervisor gave to others. */
  readonly steal: number;
}

/** A benchmark and what came of it: one of `result`, `error` and `missing`. */
export interface Row {
  readonly name: string;
  readonly what: string;
  readonly where: Place;
  /** How many bytes one operation moves. */
  readonly bytes?: number;
  readonly target?: Target;
  readonly result?: Result;
  /** Whether the target is met, if there is one. */
  readonly met?: boolean;
  /** Why it did not run. */
  readonly error?: string;
  /** What it takes and this machine lacks: it was left out. */
  readonly missing?: string;
}

/** A whole run. */
export interface Results {
  readonly effort: Effort;
  readonly machines: readonly Machine[];
  readonly benchmarks: readonly Row[];
}

/** What a benchmark's row says before it has run. */
function about({ name, what, bytes, target }: Benchmark, where: Place): Row {
  return {
    name,
    what,
    where,
    ...(bytes === undefined ? {} : { bytes }),
    ...(target === undefined ? {} : { target }),
  };
}

/** The row of a benchmark that has run. */
export function measuredRow(benchmark: Benchmark, where: Place, result: Result): Row {
  const { target } = benchmark;
  const met = target === undefined ? {} : { met: result.ratio <= targetRatio(target, result.floor) };
  return { ...about(benchmark, where), result, ...met };
}

/** The message of what was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The row of one that did not run. */
export function failedRow(benchmark: Benchmark, where: Place, error: string): Row {
  return { ...about(benchmark, where), error };
}

/** The row of one that was left out. */
export function missingRow(benchmark: Benchmark, where: Place, missing: string): Row {
  return { ...about(benchmark, where), missing };
}

/** The results as `--json` prints them. */
export function resultsJson(results: Results): Readonly<Record<string, unknown>> {
  return { schema: SCHEMA, unit: "ns", ...results };
}

// ---- reading -----------------------------------------------------------------------------------------------------------

/** Something that was expected to be results, and is not. */
export class ResultsError extends Error {}

class Reader {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new ResultsError(`${path === "" ? "it" : path} is no object`);
    }
    this.#value = { ...value };
    this.#path = path;
  }

  #fail(key: string, expected: string): never {
    throw new ResultsError(`${this.#path}${this.#path === "" ? "" : "."}${key} is no ${expected}`);
  }

  has(key: string): boolean {
    return this.#value[key] !== undefined;
  }

  string(key: string): string {
    const value = this.#value[key];
    return typeof value === "string" ? value : this.#fail(key, "string");
  }

  number(key: string): number {
    const value = this.#value[key];
    return typeof value === "number" ? value : this.#fail(key, "number");
  }

  boolean(key: string): boolean {
    const value = this.#value[key];
    return typeof value === "boolean" ? value : this.#fail(key, "boolean");
  }

  object(key: string): Reader {
    return new Reader(this.#value[key], this.#path === "" ? key : `${this.#path}.${key}`);
  }

  list<T>(key: string, read: (value: unknown, path: string) => T): T[] {
    const value = this.#value[key];
    if (!Array.isArray(value)) this.#fail(key, "list");
    return value.map((each: unknown, index) => read(each, `${this.#path}${key}[${index}]`));
  }

  where(): Place {
    const where = this.string("where");
    return where === "host" || where === "guest" ? where : this.#fail("where", "place");
  }
}

function readTimes(reader: Reader): Times {
  return {
    median: reader.number("median"),
    min: reader.number("min"),
    max: reader.number("max"),
    p10: reader.number("p10"),
    p90: reader.number("p90"),
    operations: reader.number("operations"),
    rounds: reader.list("rounds", (value, path) => {
      if (typeof value === "number") return value;
      throw new ResultsError(`${path} is no number`);
    }),
  };
}

function readResult(reader: Reader): Result {
  return {
    ours: readTimes(reader.object("ours")),
    floor: readTimes(reader.object("floor")),
    ratio: reader.number("ratio"),
    ratioP10: reader.number("ratioP10"),
    ratioP90: reader.number("ratioP90"),
    noisy: reader.boolean("noisy"),
  };
}

function readTarget(reader: Reader): Target {
  if (reader.has("ratio")) return { ratio: reader.number("ratio") };
  return reader.has("over") ? { over: reader.number("over") } : { at: reader.number("at") };
}

/** One row, of a run or of a guest. */
export function readRow(value: unknown, path = ""): Row {
  const reader = new Reader(value, path);
  return {
    name: reader.string("name"),
    what: reader.string("what"),
    where: reader.where(),
    ...(reader.has("bytes") ? { bytes: reader.number("bytes") } : {}),
    ...(reader.has("target") ? { target: readTarget(reader.object("target")) } : {}),
    ...(reader.has("result") ? { result: readResult(reader.object("result")) } : {}),
    ...(reader.has("met") ? { met: reader.boolean("met") } : {}),
    ...(reader.has("error") ? { error: reader.string("error") } : {}),
    ...(reader.has("missing") ? { missing: reader.string("missing") } : {}),
  };
}

/** A machine, of a run or of a guest. */
export function readMachine(value: unknown, path = ""): Machine {
  const reader = new Reader(value, path);
  return {
    where: reader.where(),
    node: reader.string("node"),
    kernel: reader.string("kernel"),
    cpu: reader.string("cpu"),
    cpus: reader.number("cpus"),
    load: reader.number("load"),
    steal: reader.number("steal"),
  };
}

/**
 * Reads what {@link resultsJson} made.
 *
 * @throws ResultsError that says what is wrong with it
 */
export function parseResults(text: string): Results {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ResultsError("it is no JSON");
  }
  const reader = new Reader(value, "");
  const schema = reader.number("schema");
  if (schema !== SCHEMA) throw new ResultsError(`its schema is ${schema}, and not ${SCHEMA}`);
  const effort = reader.object("effort");
  return {
    effort: { rounds: effort.number("rounds"), slice: effort.number("slice") },
    machines: reader.list("machines", readMachine),
    benchmarks: reader.list("benchmarks", readRow),
  };
}
