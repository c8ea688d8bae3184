import { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { expect, test, vi } from "vitest";
import { ProgressPrinter } from "../../../lib/rig/index.js";

/** What is written to a stream, piece by piece. */
function recorder(isTTY: boolean) {
  const written: string[] = [];
  const write = (chunk: unknown, _encoding: BufferEncoding, done: () => void) => {
    written.push(String(chunk));
    done();
  };
  return { stream: Object.assign(new Writable({ write }), { isTTY }), written };
}

function show(isTTY: boolean, use: (printer: ProgressPrinter) => void): string {
  const { stream, written } = recorder(isTTY);
  {
    using printer = new ProgressPrinter(stream, "rig");
    use(printer);
  }
  return stripVTControlCharacters(written.join(""));
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

test("a pipe gets a line every half minute of a counted step", () => {
  vi.useFakeTimers();
  try {
    const text = show(false, ({ listener }) => {
      for (let done = 0; done <= 90; done++) {
        listener({ step: "compiling", done, total: 100 });
        vi.advanceTimersByTime(1000);
      }
    });
    expect(text).toBe(
      "rig: compiling\nrig: compiling: 30 % after 30 s\nrig: compiling: 60 % after 60 s\nrig: compiling: 90 % after 90 s\n" +
        "rig: compiling: 91.0 s\n",
    );
  } finally {
    vi.useRealTimers();
  }
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

test("the line of the last step is ended when all is ready", () => {
  const { stream, written } = recorder(true);
  const printer = new ProgressPrinter(stream, "rig");
  printer.listener({ step: "linking" });
  printer.listener(undefined);
  expect(written.at(-1)).toMatch(/\n$/);
  printer[Symbol.dispose]();
  expect(written.join("").split("\n")).toHaveLength(2);
});

test("nothing is written where nothing was to do", () => {
  const { stream, written } = recorder(false);
  new ProgressPrinter(stream, "rig")[Symbol.dispose]();
  expect(written).toEqual([]);
});
