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

async function inRig(progress: ProgressPrinter): Promise<number> {
  // The last two in one process: to start a Node takes seconds there.
  const script = 'set -e; "$0" "$1" --kernel; echo; exec "$0" --import "$2" "$3"';
  const programs = [example("anywhere"), example("demo"), example("live-update")];
  const { exitCode } = await runInGuest({
    command: ["sh", "-c", script, process.execPath, ...programs],
    // The guest's standard output is no terminal; what it prints ends up on this one.
    env: pc.isColorSupported ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" },
    timeout: 300_000,
    stdout: process.stdout,
    stderr: process.stderr,
    onProgress: progress.listener,
  });
  return exitCode;
}

const { values } = parseArgs({ options: { kernel: { type: "boolean" } } });
using progress = new ProgressPrinter(process.stderr, "vfio");
try {
  await ensureAddon(progress.listener);
  process.exitCode = await anywhere();
  if (process.exitCode === 0) {
    console.log();
    if (values.kernel === true || process.geteuid?.() === 0) process.exitCode = await inRig(progress);
    else console.log(pc.dim("The same on a real kernel, and more: npm start -- --kernel"));
  }
} catch (error) {
  if (!(error instanceof RigError)) throw error;
  reportRigError(error);
  process.exitCode = 1;
}
