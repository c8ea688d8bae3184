import { describe, expect, test } from "vitest";
import { drawFindings } from "../../../lib/cli/findings.js";
import { type Column, drawTable, fitColumns } from "../../../lib/cli/table.js";
import { Output, wrapAdvice } from "../../../lib/cli/terminal.js";
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

describe("advice that holds a command", () => {
  const echo = "echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";

  test.each([
    [`switch it on; where devices are trusted: ${echo}`, echo],
    [`${echo}; or ask for another device`, echo],
    ["bind it, or to no driver: vfio bind 0000:01:00.0 --driver none", "vfio bind 0000:01:00.0 --driver none"],
    ["build it: node /home/a user's/node_modules/vfio/native/build-addon.mjs", "node /home/a user's/node_modules"],
    ["Linux 6.2 has it (modprobe iommufd); or use type1v2", "modprobe iommufd"],
    ["\u001b[1mFix:\u001b[22m vfio bind 0000:01:00.0", "vfio bind 0000:01:00.0"],
  ])("is wrapped around it: %j", (text, command) => {
    for (let width = 10; width < 90; width++) {
      const lines = wrapAdvice(text, width).split("\n");
      expect(lines.filter((line) => line.includes(command))).toHaveLength(1);
      expect(lines.join(" ")).toBe(text);
    }
  });

  test("in 80 columns a long one begins further to the left, and is whole", async () => {
    const output = new Output({
      stdout: process.stdout,
      stderr: process.stderr,
      env: { COLUMNS: "80", NO_COLOR: "1" },
    });
    const found = "no sign of it; without it the kernel refuses devices (EPERM)";
    const parts = [{ found, fix: `where devices are trusted: ${echo}` }];
    expect(drawFindings(output, [{ mark: "!", title: "interrupt remapping", parts }]).split("\n")).toEqual([
      "!  interrupt remapping  no sign of it; without it the kernel refuses devices",
      "                        (EPERM)",
      "                        → where devices are trusted:",
      `        ${echo}`,
    ]);
  });
});
