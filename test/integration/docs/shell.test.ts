/** The command lines in README.md and the documents: the command accepts them, and what they name is there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { Session } from "../../../lib/cli/command.js";
import { createProgram } from "../../../lib/cli/program.js";
import { blocks, root } from "./blocks.js";

/** The words of a line, as a shell would see them. Everything is plain in the documents: quotes, comments, pipes. */
function commandsOf(line: string): readonly (readonly string[])[] {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(#.*)|(&&|\|\|?|;|\d?>+|&)|([^\s'"|;&>]+)/g)];
  const commands: string[][] = [[]];
  for (const [word, single, double, comment, operator] of words) {
    if (comment !== undefined) break;
    if (operator !== undefined) commands.push([]);
    else commands.at(-1)?.push(single ?? double ?? word);
  }
  return commands.filter((command) => command.length > 0);
}

const lines = blocks
  .filter(({ language }) => language === "sh")
  .flatMap(({ place, text }) =>
    text
      .replaceAll("\\\n", " ")
      .split("\n")
      .flatMap(commandsOf)
      .map((words) => ({ place, words: words.filter((word) => word !== "sudo" && word !== "npx") })),
  );
const of = (name: string) =>
  lines.filter(({ words }) => words[0] === name).map(({ place, words }) => [words.join(" "), words, place] as const);

/** The whole command, with nothing behind it. */
function parser(): Command {
  const sink = new PassThrough().resume();
  const program = createProgram(new Session({ stdout: sink, stderr: sink, env: {} }));
  const disarm = (command: Command): void => {
    if (command.commands.length === 0) command.action(() => {});
    for (const each of command.commands) disarm(each);
  };
  disarm(program);
  return program;
}

test("there are some", () => {
  expect(of("vfio").length).toBeGreaterThan(10);
});

describe("the command takes", () => {
  test.each(of("vfio"))("%s", async (_, [, ...args]) => {
    // "<address>..." stands for something that the text explains.
    const concrete = args.filter((word) => word !== "...").map((word) => (/^<.*>$/.test(word) ? "01:00.0" : word));
    await parser().parseAsync(concrete, { from: "user" });
  });
});

describe("npm knows", () => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const own = new Set(["ci", "init", "install", "pack", "pkg", "publish"]);
  test.each(of("npm"))("%s", (_, words) => {
    const [name = "", script = ""] = words.slice(1).filter((word) => !word.startsWith("--"));
    const wanted = name === "run" ? script : name;
    if (!own.has(wanted)) expect(Object.keys(scripts)).toContain(wanted);
  });
});

describe("there is what is run by", () => {
  // These pages are about a project of the reader's.
  const elsewhere = /^docs\/(new-project|first-device)\.md:/;
  const here = [...of("vitest"), ...of("node"), ...of("bash")].filter(([, , place]) => !elsewhere.test(place));
  test.each(here)("%s", (_, words) => {
    const files = words.filter((word) => /^(test|dist|docs|examples|\.ci)\//.test(word));
    for (const file of files) expect(existsSync(join(root, file)), file).toBe(true);
  });
});
