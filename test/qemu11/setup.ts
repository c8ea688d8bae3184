/**
 * Before the first test: have QEMU 11.1, BusyBox and the rig's kernel.
 *
 * @module
 */
import type { TestProject } from "vitest/node";
import { RigError } from "../../lib/rig/errors.js";
import { ensureKernel } from "../../lib/rig/kernel.js";
import { ProgressPrinter } from "../../lib/rig/progress.js";
import type { GuestTools } from "./guest.js";
import { ensureEmulator } from "./provide.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** Undefined on a machine that cannot have it. */
    qemu11: GuestTools | undefined;
  }
}

/** What a guest takes. A machine that cannot have it leaves tests out, and says why, unless it is CI. */
export async function findTools(): Promise<GuestTools | undefined> {
  using progress = new ProgressPrinter(process.stderr, "qemu11");
  const options = { onProgress: progress.listener };
  try {
    return { ...(await ensureEmulator(options)), kernel: await ensureKernel(options) };
  } catch (error) {
    const required = process.env.CI === "true" || process.env.CI === "1";
    if (required || !(error instanceof RigError)) throw error;
    progress.listener(undefined);
    process.stderr.write(`qemu11: the tests are left out: ${error.message}\n`);
    return undefined;
  }
}

export default async function setup(project: TestProject): Promise<void> {
  project.provide("qemu11", await findTools());
}
