/** The tables of docs/command.md. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { withTables } from "../../../docs/command-tables.mjs";

test("the tables of commands and exit codes are those of the command: npm run docs:command", () => {
  const text = readFileSync(new URL("../../../docs/command.md", import.meta.url), "utf8");
  expect(withTables(text)).toBe(text);
});
