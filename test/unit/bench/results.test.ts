import pc from "picocolors";
import { describe, expect, test } from "vitest";
import { differences, pair, tabulatePairs } from "../../../bench/compare.js";
import { businessOf, watchMachine } from "../../../bench/machine.js";
import { remarks, tabulate } from "../../../bench/report.js";
import { failedRow, missingRow, parseResults, ResultsError, type Row, resultsJson } from "../../../bench/results.js";
import { duration, multiple, rate, targetText } from "../../../bench/units.js";
import { benchmark, machine, results, row } from "./made-up.js";

const plain = pc.createColors(false);

describe("what --json prints", () => {
  const run = results(
    row("map/4k", 1.2, { target: { ratio: 1.25 } }),
    row("map/64m", 1.5, { target: { over: 10 }, where: "guest" }),
    row("spin", 0.5, { target: { at: 2000 } }),
    failedRow(benchmark("broken", { bytes: 4096 }), "host", "no luck"),
    missingRow(benchmark("lacking"), "host", "no VFIO"),
  );

  test("says its version and its unit", () => {
    expect(resultsJson(run)).toMatchObject({ schema: 1, unit: "ns" });
  });

  test("is read as what it was", () => {
    expect(parseResults(JSON.stringify(resultsJson(run)))).toEqual(run);
  });

  test.each([
    ["nonsense", "it is no JSON"],
    ["[]", "it is no object"],
    ["{}", "schema is no number"],
    ['{"schema":7}', "its schema is 7, and not 1"],
    ['{"schema":1,"effort":{"rounds":5,"slice":5},"machines":3}', "machines is no list"],
    ['{"schema":1,"effort":{"rounds":5,"slice":5},"machines":[],"benchmarks":[{}]}', "benchmarks[0].name is no string"],
  ])("%s is refused: %s", (text, why) => {
    expect(() => parseResults(text)).toThrow(new ResultsError(why));
  });

  test("a row deep inside is told by its place", () => {
    const text = JSON.stringify(resultsJson(run)).replace('"noisy":false', '"noisy":0');
    expect(() => parseResults(text)).toThrow("benchmarks[0].result.noisy is no boolean");
  });
});

describe("numbers for people", () => {
  test("times have three digits that matter", () => {
    expect([0.5, 12.34, 123.4, 4567, 89e3, 1.5e6, 2e9].map(duration)).toEqual([
      ...["0.50 ns", "12.3 ns", "123 ns", "4.57 µs", "89.0 µs", "1.50 ms", "2.00 s"],
    ]);
  });

  test("rates are operations, or bytes", () => {
    expect(rate(1000, undefined)).toBe("1,000,000/s");
    expect(rate(2e9, undefined)).toBe("0.50/s");
    expect(rate(1000, 4096)).toBe("4.10 GB/s");
  });

  test("targets", () => {
    expect([{ ratio: 1.25 }, { over: 45 }, { at: 2000 }].map(targetText)).toEqual([
      "≤ 1.25 x C",
      "≤ C + 45.0 ns",
      "≤ 2.00 µs",
    ]);
    expect(multiple(1.004)).toBe("1.00");
  });
});

describe("the table", () => {
  test("has the ratio first, and whether the target is met", () => {
    const { columns, rows } = tabulate(
      results(row("a", 1.2, { target: { ratio: 1.25 } }), row("b", 1.5, { target: { ratio: 1.25 } }), row("c", 2)),
      plain,
    );
    const at = (title: string) => columns.findIndex((column) => column.title === title);
    expect(columns.slice(0, 3).map(({ title }) => title)).toEqual(["x C", "BENCHMARK", "TARGET"]);
    expect(rows.map((cells) => cells.slice(0, 4))).toEqual([
      ["1.20", "a", "≤ 1.25 x C", "met"],
      ["1.50", "b", "≤ 1.25 x C", "missed"],
      ["2.00", "c", "", ""],
    ]);
    expect(rows[0]?.[at("MEDIAN")]).toBe("1.20 µs");
    expect(rows[0]?.[at("C")]).toBe("1.00 µs");
  });

  test("says where only if there is more than one place, and leaves out what did not run", () => {
    const here = tabulate(results(row("a", 1), missingRow(benchmark("b"), "host", "no VFIO")), plain);
    expect(here.columns.some(({ title }) => title === "WHERE")).toBe(false);
    expect(here.rows).toHaveLength(1);
    const both = tabulate(results(row("a", 1), row("b", 1, { where: "guest" })), plain);
    const where = both.columns.findIndex(({ title }) => title === "WHERE");
    expect(both.rows.map((cells) => cells[where])).toEqual(["host", "guest"]);
  });

  test("marks the lines that are noisy", () => {
    const { rows } = tabulate(results(row("a", 1), row("b", 1, { spread: 1 })), plain);
    expect(rows.map((cells) => cells.includes("noisy"))).toEqual([false, true]);
  });
});

describe("the remarks", () => {
  const say = (...rows: readonly Row[]) => remarks(results(...rows), plain).join("\n");

  test("what did not run, once for each reason", () => {
    const lacking = ["a", "b", "c", "d"].map((name) => missingRow(benchmark(name), "host", "no VFIO"));
    const text = say(failedRow(benchmark("broken"), "host", "no luck"), ...lacking);
    expect(text).toContain("did not run: broken: no luck");
    expect(text).toContain("left out: 4 benchmarks (a, ...): no VFIO");
  });

  test("how many targets are met, and how many lines are noisy", () => {
    const text = say(row("a", 1.2, { target: { ratio: 1.25 } }), row("b", 2, { target: { ratio: 1 }, spread: 1 }));
    expect(text).toContain("1 of 2 targets met.");
    expect(text).toContain("1 line noisy.");
  });

  test("that the machine did other work, if it did", () => {
    expect(say(row("a", 1))).not.toContain("other work");
    const busy = { ...results(row("a", 1)), machines: [{ ...machine, load: 3, steal: 0.25 }] };
    expect(remarks(busy, plain).join("\n")).toContain(
      "This machine did other work, too: load 3.0 before the run on 4 CPUs, a hypervisor gave 25 % of the CPU time to others.",
    );
  });

  test("that it was short, if it was", () => {
    expect(say(row("a", 1))).not.toContain("short");
    expect(remarks({ ...results(row("a", 1)), effort: { rounds: 5, slice: 5 } }, plain).join("\n")).toContain(
      "the short run",
    );
  });
});

test("a machine is described", () => {
  const described = watchMachine("guest")();
  expect(described).toMatchObject({ where: "guest", node: process.version, cpus: expect.any(Number) });
  expect(described.steal).toBeGreaterThanOrEqual(0);
  expect(businessOf({ ...described, load: 0, steal: 0 })).toBeUndefined();
});

describe("two runs", () => {
  const before = results(
    row("a", 2),
    row("b", 2),
    row("c", 2),
    row("gone", 1),
    failedRow(benchmark("never"), "host", "no"),
  );
  const after = results(
    row("a", 2.01),
    row("b", 1),
    row("c", 3),
    row("new", 1),
    failedRow(benchmark("never"), "host", "no"),
  );

  test("a difference within the spread is none", () => {
    expect(pair(before, after).map(({ name, change }) => [name, change])).toEqual([
      ["a", "same"],
      ["b", "better"],
      ["c", "worse"],
      ["new", "new"],
      ["gone", "gone"],
    ]);
  });

  test("their table has both ratios", () => {
    const { rows } = tabulatePairs(pair(before, after), plain);
    expect(rows).toEqual([
      ["a", "2.00", "2.01", "+0.5 %", "within the spread"],
      ["b", "2.00", "1.00", "-50.0 %", "better"],
      ["c", "2.00", "3.00", "+50.0 %", "worse"],
      ["new", "", "1.00", "", "new"],
      ["gone", "1.00", "", "", "gone, or did not run"],
    ]);
  });

  test("what a guest measured is not compared with the host", () => {
    const pairs = pair(results(row("a", 1)), results(row("a", 1, { where: "guest" })));
    expect(pairs.map(({ change }) => change)).toEqual(["new", "gone"]);
  });

  test("another machine is told", () => {
    expect(differences(before, after)).toEqual([]);
    const elsewhere = { ...after, machines: [{ ...machine, node: "v24.0.0", load: 9 }] };
    expect(differences(before, elsewhere)).toEqual(["This machine was another: Node v20.19.0, now v24.0.0."]);
  });

  test("a short run beside a long one is told", () => {
    expect(differences(before, { ...after, effort: { rounds: 5, slice: 5 } })).toEqual([
      "The runs were not as long as each other: 5 rounds of 150 ms, now 5 of 5 ms.",
    ]);
  });
});
