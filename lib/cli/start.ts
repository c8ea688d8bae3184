/**
 * `npm start`: a device that another process emulates, on any Linux and without privileges. Then, as root or with `--kernel`, the
 * main job on the real thing, in the rig: the same program through the kernel, three devices in all five modes, and their
 * process replaced while they work.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pc from "picocolors";
import { RigError } from "../rig/errors.js";
import { ProgressPrinter } from "../rig/progress.js";
import { runInGuest } from "../rig/run.js";
import { ensureAddon } from "./addon.js";
import { reportRigError } from "./rig.js";

const example = (name: string) => fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url));

async function anywhere(): Promise<number> {
  const child = spawn(process.execPath, [example("anywhere")], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

// The last two in one process: to start a Node takes seconds there.
const everything = [
  "sh",
  "-c",
  'set -e; "$0" "$1" --kernel; echo; exec "$0" --import "$2" "$3"',
  process.execPath,
  ...["anywhere", "demo", "live-update"].map(example),
];

async function inRig(progress: ProgressPrinter, command: readonly string[]): Promise<number> {
  const { exitCode } = await runInGuest({
    command,
    // The guest's standard output is no terminal; what it prints ends up on this one.
    env: pc.isColorSupported ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" },
    timeout: 300_000,
    stdout: process.stdout,
    stderr: process.stderr,
    onProgress: progress.listener,
  });
  return exitCode;
}

const { values } = parseArgs({
  options: {
    kernel: { type: "boolean" },
    "live-update": { type: "boolean" },
    mappings: { type: "string" },
    "called-by": { type: "string", default: "npm start --" },
  },
});

async function run(progress: ProgressPrinter): Promise<number> {
  if (values["live-update"] === true) {
    const options = values.mappings === undefined ? [] : ["--mappings", values.mappings];
    return await inRig(progress, [process.execPath, example("live-update"), ...options]);
  }
  const exitCode = await anywhere();
  if (exitCode !== 0) return exitCode;
  console.log();
  if (values.kernel === true || process.geteuid?.() === 0) return await inRig(progress, everything);
  console.log(pc.dim(`The same on a real kernel, and more: ${values["called-by"]} --kernel`));
  return 0;
}

using progress = new ProgressPrinter(process.stderr, "vfio");
try {
  await ensureAddon(progress.listener);
  process.exitCode = await run(progress);
} catch (error) {
  if (!(error instanceof RigError)) throw error;
  reportRigError("vfio", error);
  process.exitCode = 1;
}
