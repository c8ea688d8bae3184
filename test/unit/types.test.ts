/** The declarations in types/ are those of the sources. The compiler writes them, and leaves the one of a file that has gone. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const filesIn = (directory: string) =>
  readdirSync(fileURLToPath(new URL(`../../${directory}`, import.meta.url)), { recursive: true, encoding: "utf8" });

test("every file of declarations has its source", () => {
  const sources = new Set(filesIn("lib"));
  const declared = filesIn("types").filter((path) => path.endsWith(".d.ts"));
  expect(declared.filter((path) => !sources.has(path.replace(/\.d\.ts$/, ".ts")))).toEqual([]);
});
