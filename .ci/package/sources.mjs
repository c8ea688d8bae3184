/**
 * Puts beside the addon's sources what it takes to build them from the published package, while that is packed; `--remove` takes it away
 * again. The headers of node-addon-api, which nobody needs at run time, and binding.gyp: where npm finds one at the top
 * of a package it builds, although there is a prebuilt addon.
 */
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const gyp = join(root, "native/binding.gyp");
const headers = join(root, "native/node-addon-api");
if (process.argv.includes("--remove")) {
  rmSync(gyp, { force: true });
  rmSync(headers, { recursive: true, force: true });
} else {
  const from = dirname(createRequire(import.meta.url).resolve("node-addon-api/package.json"));
  mkdirSync(headers, { recursive: true });
  for (const file of ["napi.h", "napi-inl.h", "napi-inl.deprecated.h", "LICENSE.md"]) {
    copyFileSync(join(from, file), join(headers, file));
  }
  copyFileSync(join(root, "binding.gyp"), gyp);
}
