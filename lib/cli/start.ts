/**
 * `npm start` and `vfio demo`: a driver of a device that another process emulates, on any Linux and without privileges. Then the same on
 * a real kernel, in the rig: three devices in all five modes, and their process replaced while they work.
 *
 * The rig's part follows where a guest can start at once. Elsewhere `--kernel` asks for what has to be installed and built first.
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
import { rigPreparation, runInGuest } from "../rig/run.js";
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
    stdout: process.stdout,
    stderr: process.stderr,
    onProgress: progress.listener,
  });
  return exitCode;
}

const { values } = parseArgs({
  options: {
    kernel: { type: "boolean", default: false },
    "live-update": { type: "boolean", default: false },
    mappings: { type: "string" },
    "called-by": { type: "string", default: "npm start --" },
  },
});

/**
 * How the demo continues where the rig is not ready: one command, and what it does before the guest starts; or why this machine
 * cannot have the rig. Undefined where a guest can start at once.
 */
async function nextStep(): Promise<string | undefined> {
  try {
    const preparation = await rigPreparation();
    if (preparation.length === 0) return undefined;
    return [
      `The same on a real kernel, in an emulated machine: ${pc.bold(`${values["called-by"]} --kernel`)}`,
      ...preparation.map((step, index) => pc.dim(`  ${index === 0 ? "First it" : "Then it"} ${step}.`)),
    ].join("\n");
  } catch (error) {
    if (!(error instanceof RigError)) throw error;
    return pc.dim(error.message);
  }
}

async function run(progress: ProgressPrinter): Promise<number> {
  if (values["live-update"]) {
    const options = values.mappings === undefined ? [] : ["--mappings", values.mappings];
    return await inRig(progress, [process.execPath, example("live-update"), ...options]);
  }
  const exitCode = await anywhere();
  if (exitCode !== 0) return exitCode;
  console.log();
  const next = values.kernel ? undefined : await nextStep();
  if (next === undefined) return await inRig(progress, everything);
  console.log(next);
  return 0;
}

using progress = new ProgressPrinter(process.stderr, "vfio");
try {
  await ensureAddon({ install: values.kernel, onProgress: progress.listener });
  process.exitCode = await run(progress);
} catch (error) {
  if (!(error instanceof RigError)) throw error;
  reportRigError("vfio", error);
  process.exitCode = 1;
}
