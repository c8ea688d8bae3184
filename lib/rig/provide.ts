/**
 * All that the rig needs, found, installed or built; or one list of what is missing and how to get it.
 *
 * @module
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./cache.js";
import { Debian, readRelease } from "./debian.js";
import { RigError } from "./errors.js";
import type { ProgressListener } from "./progress.js";

/** How something is provided. */
export interface ProvideOptions {
  /** Where kernels and apt's private state are kept; {@link cacheDirectory} if left out. */
  readonly directory?: string | undefined;
  /** Told how it gets on. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/** Something that is not on this machine. */
export interface Missing {
  /** What, and what for. */
  readonly what: string;
  /** Debian's packages that have it. */
  readonly packages: readonly string[];
  /** The suite that they must come from, where the release's own will not do. */
  readonly suite?: string | undefined;
  /** What to do on another distribution. */
  readonly elsewhere: string;
}

/**
 * Install what is missing, if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING`, with the whole list and the commands, if it may not
 */
export async function installMissing(missing: readonly Missing[], options: ProvideOptions): Promise<void> {
  const { directory = cacheDirectory(), onProgress, signal } = options;
  const list = missing.map(({ what }) => `  - ${what}`).join("\n");
  const release = await readRelease();
  if (release.id !== "debian") {
    const advice = missing.map(({ elsewhere }) => `  - ${elsewhere}`).join("\n");
    throw new RigError(
      "ERR_RIG_MISSING",
      `The rig misses on this machine, ${release.name}:\n${list}\nWhat to do:\n${advice}`,
    );
  }
  await mkdir(directory, { recursive: true });
  const work = await mkdtemp(join(directory, "apt-"));
  try {
    const debian = new Debian(release, work, { onProgress, signal });
    for (const { packages, suite } of missing) {
      if (await debian.install(packages, suite)) continue;
      const commands = (await debian.commandsFor(missing)).replaceAll(/^/gm, "  ");
      throw new RigError(
        "ERR_RIG_MISSING",
        `The rig misses on this machine:\n${list}\nRun it once as root and it installs them, or do it yourself:\n${commands}`,
      );
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
