/**
 * Before the first test of the rig: have the kernel and QEMU, which may take minutes that vitest would not wait for.
 *
 * @module
 */
import { ensureRig, ProgressPrinter } from "../../lib/rig/index.js";

export default async function setup(): Promise<void> {
  using progress = new ProgressPrinter(process.stderr, "rig");
  await ensureRig({ onProgress: progress.listener });
}
