import { describe, expect, test, vi } from "vitest";
import { compareSides, measure, quantile, summarize, targetRatio } from "../../../bench/measure.js";
import { failedRow, measuredRow, missingRow } from "../../../bench/results.js";
import { run, shortEffort } from "../../../bench/run.js";
import { select } from "../../../bench/select.js";
import { benchmark } from "./made-up.js";

describe("selection", () => {
  const all = ["map/type1/4k/api", "map/type1/4k/native", "map/iommufd/4k/api", "vfio-user/map-4k"].map((name) => ({
    name,
  }));
  const names = (...words: string[]) => select(all, words).selected.map(({ name }) => name);

  test("no words select everything", () => {
    expect(names()).toHaveLength(4);
  });

  test("a word is a part of a name", () => {
    expect(names("4k")).toHaveLength(4);
    expect(names("api")).toEqual(["map/type1/4k/api", "map/iommufd/4k/api"]);
    expect(names("native", "user")).toEqual(["map/type1/4k/native", "vfio-user/map-4k"]);
  });

  test("a word with a star is the beginning of a name", () => {
    expect(names("map*")).toEqual(["map/type1/4k/api", "map/type1/4k/native", "map/iommufd/4k/api"]);
    expect(names("map/*/4k/api")).toEqual(["map/type1/4k/api", "map/iommufd/4k/api"]);
    expect(names("*user")).toEqual(["vfio-user/map-4k"]);
  });

  test("other signs stand for themselves", () => {
    expect(select(all, ["map.*"])).toEqual({ selected: [], unknown: ["map.*"] });
  });

  test("what is on demand is selected by words that mean nothing else", () => {
    const map = { name: "map/4k" };
    const matrix = { name: "matrix/4k", onDemand: true };
    expect(select([map, matrix], []).selected).toEqual([map]);
    expect(select([map, matrix], ["4k"]).selected).toEqual([map]);
    expect(select([map, matrix], ["matrix"]).selected).toEqual([matrix]);
    expect(select([map, matrix], ["x/4k", "map"]).selected).toEqual([map, matrix]);
  });

  test("words that select nothing are told", () => {
    expect(select(all, ["api", "nonsense", "type3*"]).unknown).toEqual(["nonsense", "type3*"]);
  });
});

describe("numbers", () => {
  test("quantiles lie between the numbers, whatever their order", () => {
    expect(quantile([5, 1, 3, 2, 4], 0.5)).toBe(3);
    expect(quantile([4, 1, 2, 3], 0.5)).toBe(2.5);
    expect(quantile([0, 10], 0.1)).toBe(1);
    expect(quantile([7], 0.9)).toBe(7);
  });

  test("the rounds come to a median and what is around it", () => {
    const rounds = [11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6];
    expect(summarize(rounds, 100)).toEqual({ median: 6, min: 1, max: 11, p10: 2, p90: 10, operations: 100, rounds });
  });

  test("the ratio is that of the medians, its range that of rounds that belong together", () => {
    // The machine was half as fast in the last rounds, for both.
    const { ratio, ratioP10, ratioP90 } = compareSides(summarize([20, 20, 40, 40], 1), summarize([10, 10, 20, 20], 1));
    expect({ ratio, ratioP10, ratioP90 }).toEqual({ ratio: 2, ratioP10: 2, ratioP90: 2 });
  });

  test("a side whose middle half is wide is noisy", () => {
    const calm = summarize([100, 101, 102, 103, 500], 1);
    const wild = summarize([100, 130, 160, 190, 220], 1);
    expect(compareSides(calm, calm).noisy).toBe(false);
    expect(compareSides(wild, calm).noisy).toBe(true);
    expect(compareSides(calm, wild).noisy).toBe(true);
  });

  test("a target is a multiple of the floor, more than the floor, or a time", () => {
    const floor = summarize([100], 1);
    expect(targetRatio({ ratio: 1.25 }, floor)).toBe(1.25);
    expect(targetRatio({ over: 50 }, floor)).toBe(1.5);
    expect(targetRatio({ at: 300 }, floor)).toBe(3);
  });

  test("what is beyond the target misses it", () => {
    const result = compareSides(summarize([130], 1), summarize([100], 1));
    const met = (target: Parameters<typeof targetRatio>[0]) =>
      measuredRow(benchmark("a", { target }), "host", result).met;
    expect(met({ ratio: 1.3 })).toBe(true);
    expect(met({ ratio: 1.25 })).toBe(false);
    expect(met({ over: 30 })).toBe(true);
    expect(met({ over: 29 })).toBe(false);
    expect(met({ at: 129 })).toBe(false);
    expect(measuredRow(benchmark("a"), "host", result)).not.toHaveProperty("met");
  });
});

describe("a benchmark", () => {
  test("is timed by the clock that it says, and by its own stopwatch if it has one", async () => {
    const { ratio } = await measure(benchmark("a"), shortEffort);
    expect(ratio).toBe(2);
    expect((await measure(benchmark("a", { clock: "cpu" }), shortEffort)).ratio).toBe(1);
  });

  test("has its sides in turns, as many rounds of each as were asked for", async () => {
    const turns: string[] = [];
    const time = (side: string) => {
      turns.push(side);
      return { wall: 1e9, cpu: 0 };
    };
    const close = vi.fn(async () => {});
    const open = async () => ({
      ours: () => time("ours"),
      floor: async () => time("floor"),
      [Symbol.asyncDispose]: close,
    });
    const { ours, floor } = await measure(benchmark("a", { open }), { rounds: 3, slice: 1 });
    // The first two of each find out how many operations it takes.
    expect(turns.slice(0, 4)).toEqual(["ours", "ours", "floor", "floor"]);
    expect(turns.slice(4)).toEqual(["ours", "floor", "ours", "floor", "ours", "floor"]);
    expect([ours.rounds.length, floor.rounds.length]).toEqual([3, 3]);
    expect(close).toHaveBeenCalledOnce();
  });
});

describe("a run", () => {
  const broken = benchmark("broken", { open: () => Promise.reject(new Error("no luck")) });
  const lacking = benchmark("lacking", { missing: () => "no VFIO" });
  const effort = { rounds: 2, slice: 1 };

  test("has a row for each: measured, failed, or left out", async () => {
    const listener = vi.fn();
    const { benchmarks, machines } = await run({ benchmarks: [benchmark("fine"), broken, lacking], effort, listener });
    expect(benchmarks.map(({ name, result, error, missing }) => [name, result?.ratio, error, missing])).toEqual([
      ["fine", 2, undefined, undefined],
      ["broken", undefined, "no luck", undefined],
      ["lacking", undefined, undefined, "no VFIO"],
    ]);
    expect(machines).toEqual([expect.objectContaining({ where: "host", node: process.version })]);
    expect(listener.mock.calls).toEqual([
      ["fine", "host"],
      ["broken", "host"],
      ["lacking", "host"],
    ]);
  });

  test("gives a guest what this machine lacks, and keeps the order", async () => {
    const inGuest = vi.fn(async () => ({ rows: [missingRow(lacking, "guest", "no VFIO there, too")] }));
    const { benchmarks } = await run({
      benchmarks: [lacking, benchmark("fine")],
      effort,
      inGuest,
      listener: () => {},
    });
    expect(inGuest).toHaveBeenCalledExactlyOnceWith(["lacking"], effort, expect.any(Function));
    expect(benchmarks[0]).toEqual(missingRow(lacking, "guest", "no VFIO there, too"));
    expect(benchmarks[1]?.where).toBe("host");
  });

  test("says of what a guest did not come to why", async () => {
    const inGuest = async () => ({ rows: [], error: "the kernel panicked" });
    const { benchmarks } = await run({ benchmarks: [lacking], effort, inGuest, listener: () => {} });
    expect(benchmarks).toEqual([failedRow(lacking, "guest", "the kernel panicked")]);
  });

  test("starts no guest for nothing", async () => {
    const inGuest = vi.fn();
    await run({ benchmarks: [benchmark("fine")], effort, inGuest, listener: () => {} });
    expect(inGuest).not.toHaveBeenCalled();
  });

  test("ends before the next benchmark when it is told to", async () => {
    const abort = new AbortController();
    const begun: string[] = [];
    const listener = (name: string) => {
      begun.push(name);
      abort.abort();
    };
    const signal = abort.signal;
    await expect(run({ benchmarks: [benchmark("one"), benchmark("two")], effort, listener, signal })).rejects.toThrow();
    expect(begun).toEqual(["one"]);
  });
});
