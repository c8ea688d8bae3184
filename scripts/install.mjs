/**
 * What `npm install` runs: nothing where a prebuilt addon loads, and otherwise a build of the addon from the sources in
 * this package. It needs a C++20 compiler, make, Python 3 and Node's headers, and no network where Node has its headers beside it.
 *
 * Where npm is told to run no scripts, or cannot build, the package still imports: `support` says what is missing, and to
 * run this file later is enough.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** npm's own node-gyp: npm names it to the scripts that it runs; without npm it is where Node came with it. */
function nodeGyp(prefix) {
  const bundled = join(prefix, "lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js");
  return process.env.npm_config_node_gyp ?? (existsSync(bundled) ? bundled : undefined);
}

function build() {
  const prefix = dirname(dirname(process.execPath));
  const nodedir = existsSync(join(prefix, "include/node/node_api.h")) ? [`--nodedir=${prefix}`] : [];
  const program = nodeGyp(prefix);
  const [command, ...args] = program === undefined ? ["node-gyp"] : [process.execPath, program];
  const { status, error } = spawnSync(command, [...args, "rebuild", ...nodedir], { cwd: root, stdio: "inherit" });
  if (error !== undefined) console.error(`vfio: node-gyp, which comes with npm, could not be run: ${error.message}`);
  return status === 0;
}

// In a checkout nothing is compiled yet: `npm run build` does all of it.
if (existsSync(new URL("../dist/native.js", import.meta.url))) {
  const { support } = await import("../dist/native.js");
  if (!support.supported && process.platform !== "linux") console.error(`vfio: ${support.reason}`);
  else if (!support.supported && !build()) {
    console.error(`vfio: ${support.reason}, and it could not be built`);
    process.exitCode = 1;
  }
}
