import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { ProgressPrinter } from "../../../lib/rig/index.js";

function show(isTTY: boolean, use: (printer: ProgressPrinter) => void): string {
  const stream = Object.assign(new PassThrough(), { isTTY });
  {
    using printer = new ProgressPrinter(stream, "rig");
    use(printer);
  }
  return stripVTControlCharacters(String(stream.read()));
}

test("a pipe gets a line when a step begins and one when it ends", () => {
  const text = show(false, ({ listener }) => {
    listener({ step: "compiling", done: 0, total: 10 });
    for (let done = 1; done <= 10; done++) listener({ step: "compiling", done, total: 10 });
    listener({ step: "linking" });
  });
  expect(text.replaceAll(/\d+\.\d s/g, "N s")).toBe(
    "rig: compiling\nrig: compiling: N s\nrig: linking\nrig: linking: N s\n",
  );
});

test("a terminal gets a bar that never says it is done before it is", () => {
  const text = show(true, ({ listener }) => {
    listener({ step: "compiling", done: 5, total: 10 });
    listener({ step: "compiling", done: 15, total: 10 });
  });
  expect(text).toContain("compiling ████████████░░░░░░░░░░░░ 50 %");
  expect(text).toContain("99 %");
  expect(text).not.toContain("100 %");
  expect(text.split("\n")).toHaveLength(2);
});

test("nothing is written where nothing was to do", () => {
  const stream = new PassThrough();
  new ProgressPrinter(stream, "rig")[Symbol.dispose]();
  expect(stream.read()).toBeNull();
});
