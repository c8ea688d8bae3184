/**
 * What the command `vfio bench` works with: it knows the words, and this the measuring.
 *
 * @module
 */
import type { Bench, BenchOutcome, BenchRequest, BenchView } from "../types/cli/bench.js";
import { differences, pair, tabulatePairs } from "./compare.js";
import { lacksCompiler } from "./floor.js";
import { benchmarks } from "./registry.js";
import { remarks, tabulate } from "./report.js";
import { parseResults, type Results, ResultsError, resultsJson } from "./results.js";
import { longEffort, run, shortEffort } from "./run.js";
import { select } from "./select.js";
import { drawSvg } from "./svg.js";

async function measureAll(request: BenchRequest): Promise<Results> {
  const { names, short, rig, signal, onBegin, onRig } = request;
  const { selected } = select(benchmarks, names);
  let begun = 0;
  const listener = (name: string, where: "host" | "guest") =>
    onBegin({ name, where, begun: ++begun, of: selected.length });
  return await run({
    benchmarks: selected,
    effort: short ? shortEffort : longEffort,
    listener,
    signal,
    ...(rig
      ? {
          inGuest: async (lacking, effort) => {
            // The rig is a good deal of code, of which most runs need nothing.
            const { runInRig } = await import("./rig.js");
            begun = selected.length - lacking.length;
            return await runInRig(lacking, effort, listener, { onProgress: onRig, signal });
          },
        }
      : {}),
  });
}

function read(text: string, names: readonly string[]): Results {
  const results = parseResults(text);
  return { ...results, benchmarks: select(results.benchmarks, names).selected };
}

function outcome(results: Results, { colors, names, compare }: BenchView): BenchOutcome {
  const notes = remarks(results, colors);
  const failed = results.benchmarks.some(({ error }) => error !== undefined);
  const common = { json: resultsJson(results), svg: () => drawSvg(results), failed };
  if (compare === undefined) return { ...common, table: tabulate(results, colors), notes };
  const before = read(compare, names);
  return {
    ...common,
    table: tabulatePairs(pair(before, results), colors),
    notes: [...differences(before, results), ...notes],
  };
}

/** The command's other half. */
export const bench: Bench = {
  lacksCompiler,
  list: (names) => {
    const { selected, unknown } = select(benchmarks, names);
    return {
      unknown,
      onDemand: benchmarks.flatMap((each) => (names.length === 0 && each.onDemand === true ? [each.name] : [])),
      benchmarks: selected.map((each) => ({ name: each.name, what: each.what, missing: each.missing?.() })),
    };
  },
  check: (text) => {
    try {
      parseResults(text);
      return undefined;
    } catch (error) {
      if (!(error instanceof ResultsError)) throw error;
      return error.message;
    }
  },
  run: async (request) => outcome(await measureAll(request), request),
  show: (text, view) => outcome(read(text, view.names), view),
};
