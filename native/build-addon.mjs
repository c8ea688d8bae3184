/**
 * Builds the addon from the sources in the published package, for a system that no prebuilt one is for:
 * `node node_modules/vfio/native/build-addon.mjs`. It takes a C++20 compiler, make, Python 3 and Node's headers, and no
 * network where Node has its headers beside it.
 *
 * It is no install script: npm 12 does not run those unless told to, and from 11 on warns everybody of them, also all those for
 * whom there is a prebuilt addon. In a checkout it is `npm run build`.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const prefix = dirname(dirname(process.execPath));

// npm's own: it names it to what it runs; otherwise it is where Node came with it.
const bundled = join(prefix, "lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js");
const program = process.env.npm_config_node_gyp ?? (existsSync(bundled) ? bundled : undefined);
const [command, ...args] = program === undefined ? ["node-gyp"] : [process.execPath, program];
const nodedir = existsSync(join(prefix, "include/node/node_api.h")) ? [`--nodedir=${prefix}`] : [];

const packed = join(root, "native/binding.gyp");
if (existsSync(packed)) copyFileSync(packed, join(root, "binding.gyp"));
const { status, error } = spawnSync(command, [...args, "rebuild", ...nodedir], { cwd: root, stdio: "inherit" });
if (error !== undefined) console.error(`node-gyp, which comes with npm, could not be run: ${error.message}`);
process.exitCode = status ?? 1;
