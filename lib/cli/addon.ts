/**
 * Building the native addon in a checkout, with the tools that it takes.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildHelps, support } from "../kernel/native.js";
import { cacheDirectory } from "../rig/cache.js";
import { Debian, missingPackages, readRelease } from "../rig/debian.js";
import { RigError, tail } from "../rig/errors.js";
import { runProgram } from "../rig/process.js";
import type { ProgressListener } from "../rig/progress.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const packages = ["g++", "make", "python3"];

async function has(program: string): Promise<boolean> {
  return (await runProgram("sh", ["-c", `command -v ${program}`])).status === 0;
}

/** What of a compiler, make and Python is not there. */
async function missingTools(): Promise<string[]> {
  const there = await Promise.all(packages.map(has));
  return packages.filter((_, index) => there[index] !== true);
}

/** How the addon is provided. */
interface EnsureAddonOptions {
  /** Install a compiler, make and Python where they are missing and this process may. */
  readonly install: boolean;
  readonly onProgress: ProgressListener;
}

/** Whether this is a checkout. The installed package is built by another program, and only when its user asks for it. */
const isCheckout = !existsSync(join(root, "native/binding.gyp"));

/**
 * Builds a checkout's addon if it is not built yet.
 *
 * @throws RigError `ERR_RIG_MISSING` that says what to do or to install, or shows why the build failed
 */
export async function ensureAddon({ install, onProgress }: EnsureAddonOptions): Promise<void> {
  if (support.supported) return;
  if (!isCheckout || !buildHelps) {
    const { why, fix } = support;
    throw new RigError("ERR_RIG_MISSING", `This package does not work here: ${why}`, { fix });
  }
  const missing = await missingTools();
  if (missing.length > 0) await provideTools(missing, install, onProgress);
  onProgress({ step: "building the native addon" });
  const { status, output } = await runProgram("npm", ["run", "--silent", "build:native"], { cwd: root });
  if (status !== 0) {
    throw new RigError("ERR_RIG_MISSING", "The native addon could not be built (npm run build:native)", {
      log: tail(output, 40),
    });
  }
}

async function provideTools(missing: readonly string[], install: boolean, onProgress: ProgressListener): Promise<void> {
  const release = await readRelease();
  const debian = new Debian(release, cacheDirectory(), { onProgress });
  const ours = release.codename === "" ? missing : await missingPackages(missing).catch(() => missing);
  if (install && (await debian.install(ours).catch(() => false))) return;
  throw new RigError(
    "ERR_RIG_MISSING",
    `The native addon needs ${missing.join(", ")} to be built. As root:\n${await debian.installCommands(ours)}`,
  );
}
