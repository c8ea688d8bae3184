import { describe, expect, test } from "vitest";
import { failedRow } from "../../../bench/results.js";
import { drawSvg } from "../../../bench/svg.js";
import { benchmark, machine, results, row } from "./made-up.js";

const run = results(
  row("map/type1/4k/api", 1.2, { target: { ratio: 1.25 } }),
  row("map/type1/2m/api", 1.5, { target: { ratio: 1.25 } }),
  row("map/type1/1g/api", 1),
  row("user/read", 40, { where: "guest", spread: 1 }),
  failedRow(benchmark("user/broken"), "host", "no luck"),
);
const picture = drawSvg(run);

/** The words of a picture, in order. */
const words = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
const count = (svg: string, pattern: RegExp) => [...svg.matchAll(pattern)].length;

/** Every tag is closed in its turn, and every attribute has quotes. */
function expectWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [tag, end, name = "", attributes, own] of svg.matchAll(
    /<(\/?)([\w]+)((?: [\w-]+="[^"<&]*(?:&#\d+;[^"<&]*)*")*)(\/?)>|</g,
  )) {
    expect(name, `at ${tag}`).not.toBe("");
    if (end === "/") expect(open.pop()).toBe(name);
    else if (own !== "/") open.push(name);
    expect(attributes).not.toMatch(/NaN|Infinity|undefined/);
  }
  expect(open).toEqual([]);
}

test("it is well-formed, 800 wide, and as high as what is in it", () => {
  expectWellFormed(picture);
  const [, height] = /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" viewBox="0 0 800 (\d+)"/.exec(picture) ?? [];
  for (const [, y] of picture.matchAll(/ y="([\d.]+)"/g)) expect(Number(y)).toBeLessThan(Number(height));
});

test("it has no script and loads nothing", () => {
  expect(picture).not.toMatch(/<script|href|url\(|@import| on\w+=/);
});

test("it is light and dark as the reader's system is", () => {
  expect(picture).toContain("@media(prefers-color-scheme:dark){.paper{fill:#0d1117}");
});

test("the same run makes the same picture", () => {
  expect(drawSvg(structuredClone(run))).toBe(picture);
});

test("what other people wrote is no markup", () => {
  expect(picture).toContain(`Some &#60;CPU&#62; &#38; more`);
});

describe("bars", () => {
  test("each area has its own, with the names below it and where they were measured", () => {
    const text = words(picture);
    expect(text).toEqual(expect.arrayContaining(["map", "type1/4k/api", "user (in the rig's guest)", "read"]));
    expect(text).not.toContain("broken");
  });

  test("a bar is green or not by its target, and says so without colour, too", () => {
    expect(words(picture).filter((each) => each === "✓" || each === "✗")).toEqual(["✓", "✗"]);
    // What C takes of it, and what is beyond.
    expect(count(picture, /class="met base"/g)).toBe(1);
    expect(count(picture, /class="missed base"/g)).toBe(1);
    expect(count(picture, /class="free base"/g)).toBe(2);
  });

  test("C is a line through each area", () => {
    expect(count(picture, /<line [^>]*class="c"\/>/g)).toBe(3);
  });

  test("a bar that would be too long is cut, and its number is not", () => {
    expect(count(picture, /class="cut"/g)).toBe(1);
    expect(words(picture)).toContain("40.0");
  });

  test("a bar has its range as whiskers", () => {
    const one = drawSvg(results(row("a", 2, { spread: 0.2 })));
    const x = [...one.matchAll(/<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="whisker"\/>/g)].slice(
      -3,
    );
    const [range, left, right] = x.map(([, from, to]) => [Number(from), Number(to)]);
    expect(range).toEqual([left?.[0], right?.[0]]);
    expect(range?.[0]).toBeLessThan(range?.[1] ?? 0);
  });

  test("a line that is noisy is marked", () => {
    expect(words(picture)).toContain("~ 40.0 µs");
  });
});

describe("lines", () => {
  test("three benchmarks whose names differ in a number are one, over its dashed floor", () => {
    expect(words(picture)).toContain("How the cost grows");
    expect(count(picture, /<polyline [^>]*class="ours line0"/g)).toBe(1);
    expect(count(picture, /<polyline [^>]*class="floor line0"/g)).toBe(1);
    expect(words(picture)).toEqual(expect.arrayContaining(["map/type1/*", "4k", "2m", "1g", "api"]));
  });

  test("the points go from the smallest number to the largest", () => {
    const sizes = results(...["1g", "4k", "64m"].map((size) => row(`map/${size}`, 1)));
    const [, points = ""] = /<polyline points="([^"]*)" class="ours/.exec(drawSvg(sizes)) ?? [];
    const x = points.split(" ").map((point) => Number(point.split(",")[0]));
    expect(x).toHaveLength(3);
    expect(x).toEqual(x.toSorted((a, b) => a - b));
  });

  test.each([
    ["map/*", (n: string, mode: string) => `map/${n}/${mode}`],
    ["map/*", (n: string, mode: string) => `map/${mode}/${n}`],
  ])("what a word distinguishes is in one chart: %s", (title, name) => {
    const rows = ["0", "100", "10000"].flatMap((n) => [row(name(n, "type1"), 1), row(name(n, "iommufd"), 2)]);
    const svg = drawSvg(results(...rows));
    expectWellFormed(svg);
    expect(count(svg, /<polyline [^>]*class="ours /g)).toBe(2);
    expect(words(svg).filter((each) => each?.includes("*"))).toEqual([title]);
    expect(words(svg)).toEqual(expect.arrayContaining(["type1", "iommufd"]));
  });

  test("two are none", () => {
    expect(drawSvg(results(row("map/4k", 1), row("map/2m", 1)))).not.toContain("<polyline");
  });
});

test("a run in which nothing ran is a picture, too", () => {
  const svg = drawSvg({ effort: { rounds: 5, slice: 5 }, machines: [machine], benchmarks: [] });
  expectWellFormed(svg);
});
