/**
 * Puts the headers of node-addon-api, and its licence, beside the addon's sources while the package is packed: whoever builds it from
 * the package needs them, and nobody needs them at run time. `--remove` takes them away again.
 */
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const to = fileURLToPath(new URL("../native/node-addon-api", import.meta.url));
rmSync(to, { recursive: true, force: true });
if (!process.argv.includes("--remove")) {
  const from = dirname(createRequire(import.meta.url).resolve("node-addon-api/package.json"));
  mkdirSync(to);
  for (const file of ["napi.h", "napi-inl.h", "napi-inl.deprecated.h", "LICENSE.md"])
    cpSync(join(from, file), join(to, file));
}
