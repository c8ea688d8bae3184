/**
 * `npm start`: everything that the main job takes, then the main job, and its replacement while it runs, in the rig.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import { RigError } from "../rig/errors.js";
import { ProgressPrinter } from "../rig/progress.js";
import { runInGuest } from "../rig/run.js";
import { ensureAddon } from "./addon.js";
import { reportRigError } from "./rig.js";

const example = (name: string) => fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url));

using progress = new ProgressPrinter(process.stderr, "vfio");
try {
  await ensureAddon(progress.listener);
  const { exitCode } = await runInGuest({
    // In one process: to start a Node takes seconds there.
    command: [process.execPath, "--import", example("demo"), example("live-update")],
    // The guest's standard output is no terminal; what it prints ends up on this one.
    env: pc.isColorSupported ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" },
    timeout: 300_000,
    stdout: process.stdout,
    stderr: process.stderr,
    onProgress: progress.listener,
  });
  process.exitCode = exitCode;
} catch (error) {
  if (!(error instanceof RigError)) throw error;
  reportRigError(error);
  process.exitCode = 1;
}
