import { expect, test } from "vitest";
import { type Column, drawTable, fitColumns } from "../../../lib/cli/table.js";
import { forSeeds } from "../prng.js";

const columns: readonly Column[] = [
  { title: "A" },
  { title: "B", least: 4 },
  { title: "C", least: 3, drop: 1 },
  { title: "D", drop: 2 },
];

test("there is room: every column has what it wants", () => {
  expect([...fitColumns(columns, [5, 10, 8, 6], 35)]).toEqual([
    [0, 5],
    [1, 10],
    [2, 8],
    [3, 6],
  ]);
});

test("long columns are cut before any is left out, the longest first", () => {
  expect([...fitColumns(columns, [5, 10, 8, 6], 31)]).toEqual([
    [0, 5],
    [1, 7],
    [2, 7],
    [3, 6],
  ]);
});

test("then the least important goes, and the others have their room again", () => {
  expect([...fitColumns(columns, [5, 10, 8, 6], 22)]).toEqual([
    [0, 5],
    [1, 6],
    [2, 7],
  ]);
  expect([...fitColumns(columns, [5, 10, 8, 6], 13)]).toEqual([
    [0, 5],
    [1, 6],
  ]);
});

test("what cannot be cut is not, even where it does not fit", () => {
  expect([...fitColumns(columns, [5, 10, 8, 6], 3)]).toEqual([
    [0, 5],
    [1, 4],
  ]);
});

test("colours take no place, and what is cut ends with dots", () => {
  const red = (text: string) => `\u001b[31m${text}\u001b[39m`;
  const table = drawTable([{ title: "A" }, { title: "B", least: 4 }], [[red("one"), "a long text"]], { width: 12 });
  expect(table).toBe(`${red("one")}  a long…`);
});

test("a column keeps its good width as long as others can go", () => {
  const kept: readonly Column[] = [
    { title: "A", least: 2, good: 8 },
    { title: "B", drop: 1 },
  ];
  expect([...fitColumns(kept, [10, 6], 16)]).toEqual([
    [0, 8],
    [1, 6],
  ]);
  expect([...fitColumns(kept, [10, 6], 15)]).toEqual([[0, 10]]);
  expect([...fitColumns(kept, [10, 6], 5)]).toEqual([[0, 5]]);
});

test("wrapped cells keep every word, and no line is too long", () => {
  forSeeds(200, (prng) => {
    const words = Array.from({ length: prng.between(1, 20) }, () => "x".repeat(prng.between(1, 8)));
    const width = prng.between(20, 80);
    const table = drawTable([{ title: "" }, { title: "", least: 10 }], [["ab", words.join(" ")]], {
      width,
      wrap: true,
    });
    for (const line of table.split("\n")) expect(line.length).toBeLessThanOrEqual(width);
    expect(
      table
        .replace("ab", "")
        .split(/\s+/)
        .filter((word) => word !== ""),
    ).toEqual(words);
  });
});
