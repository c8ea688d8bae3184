/** docs/troubleshooting.md explains every code that the comments of the sources tell a caller to expect. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./blocks.js";

const comments = /\/\*\*.*?\*\//gs;
const codes = /`(E[A-Z]{3,}|ERR_[A-Z_]+|VFIO_[A-Z]*LEAK)`/g;

test("no code is left out", () => {
  const text = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
  const missing = new Set<string>();
  for (const name of readdirSync(join(root, "lib"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    for (const [comment] of readFileSync(join(root, "lib", name), "utf8").matchAll(comments)) {
      if (comment.includes("@internal")) continue;
      for (const [, code = ""] of comment.matchAll(codes)) {
        if (!new RegExp(`\\b${code}\\b`).test(text)) missing.add(`${code} of lib/${name}`);
      }
    }
  }
  expect([...missing]).toEqual([]);
});
