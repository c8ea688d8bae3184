/**
 * The guest's kernel: found in the cache, or built from Debian's source package with the rig's configuration.
 *
 * Debian's ready-made kernels have no iommufd, so there is nothing to download instead.
 *
 * @module
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, cachedKernel, kernelKey, withLock } from "./cache.js";
import { buildPackages, Debian, kernelVersion, missingPackages, readRelease } from "./debian.js";
import { RigError, tail } from "./errors.js";
import { runProgram } from "./process.js";
import { installMissing, type Missing, type ProvideOptions } from "./provide.js";

/** The oldest kernel that has all that the tests need: `IOMMU_IOAS_MAP_FILE` and `IOMMU_IOAS_CHANGE_PROCESS`. */
const leastVersion = "6.14";

/** Compiler, assembler and archiver calls of a build, counted once (7.3.4). A newer source has a few more. */
const buildSteps = 2500;

/** Bytes that the unpacked source and its objects take; measured: 2.1 GB. */
const buildSpace = 2.5e9;

/** Bytes of Debian's package of a kernel's source (7.3.4). */
const sourceSize = 167e6;

/** The rig's kernel configuration: what differs from `tinyconfig`. */
export async function kernelConfig(): Promise<string> {
  return await readFile(configPath, "utf8");
}

// The same path from lib/rig and from dist/rig; the published package has the file where the sources have it.
const configPath = fileURLToPath(new URL("../../lib/rig/kernel.config", import.meta.url));

/**
 * The path of the guest's kernel. It is built if the cache has none, which takes minutes and, the first time, installs
 * Debian packages if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` if something is not there and cannot be installed; `ERR_RIG_KERNEL` if the build fails
 */
export async function ensureKernel(options: ProvideOptions = {}): Promise<string> {
  const directory = options.directory ?? cacheDirectory();
  const config = await kernelConfig();
  const found = await cachedKernel(directory, config);
  if (found !== undefined) return found;
  const wait = () => options.onProgress?.({ step: "waiting for another process that builds the kernel" });
  const build = async () => (await cachedKernel(directory, config)) ?? (await buildKernel(directory, config, options));
  return await withLock(kernelKey("build", config), wait, build, options.signal);
}

/**
 * Check that a file is a kernel that QEMU can boot.
 *
 * @throws RigError `ERR_RIG_KERNEL` if it is not
 */
export async function checkKernel(path: string): Promise<void> {
  const fix = "name a bzImage, or none: the rig has a kernel of its own";
  const magic = Buffer.alloc(4);
  try {
    const file = await open(path, "r");
    try {
      // Documentation/arch/x86/boot.rst: the setup header's magic number.
      await file.read(magic, 0, 4, 0x202);
    } finally {
      await file.close();
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RigError("ERR_RIG_KERNEL", `The kernel ${path} cannot be read: ${why}`, { cause, fix });
  }
  if (magic.toString("latin1") !== "HdrS")
    throw new RigError("ERR_RIG_KERNEL", `${path} is not an x86 bzImage`, { fix });
}

/** What is missing to build the kernel; undefined if nothing, or if the cache has it. */
export async function missingKernel(options: ProvideOptions = {}): Promise<Missing | undefined> {
  const found = await cachedKernel(options.directory ?? cacheDirectory(), await kernelConfig());
  return found === undefined ? await missingTools() : undefined;
}

/** What {@link ensureKernel} would do, a clause for each step; empty if the cache has the kernel. */
export async function kernelPreparation(options: ProvideOptions = {}): Promise<readonly string[]> {
  if ((await cachedKernel(options.directory ?? cacheDirectory(), await kernelConfig())) !== undefined) return [];
  const missing = await missingTools();
  return [
    ...(missing === undefined
      ? []
      : [`installs what a kernel is built with (${missing.packages.join(" ")}) with apt, if it may`]),
    `fetches a kernel's source (${sourceSize / 1e6} MB) and builds it, once: about ten minutes on two cores, and ${buildSpace / 1e9} GB of disk meanwhile`,
  ];
}

async function missingTools(): Promise<Missing | undefined> {
  const debian = (await readRelease()).id === "debian";
  const packages = debian ? await missingPackages(buildPackages) : buildPackages;
  if (packages.length === 0) return undefined;
  return {
    what: debian
      ? `to build the guest's kernel, once: ${packages.join(" ")}`
      : "the guest's kernel, which the rig can build on Debian only",
    packages,
    elsewhere:
      `build a kernel of version ${leastVersion} or newer (make tinyconfig, merge ${configPath}, ` +
      "make olddefconfig bzImage) and name it with --kernel <bzImage>",
  };
}

async function buildKernel(directory: string, config: string, options: ProvideOptions): Promise<string> {
  const { onProgress, signal } = options;
  await mkdir(directory, { recursive: true });
  await removeLeftovers(directory);
  await checkSpace(directory);
  const missing = await missingTools();
  if (missing !== undefined) await installMissing([missing], options);
  const release = await readRelease();
  const work = await mkdtemp(join(directory, "build-"));
  try {
    const debian = new Debian(release, work, { onProgress, signal });
    const source = await debian.newestKernelSource();
    if (source === undefined || kernelVersion(source.version) < kernelVersion(leastVersion)) {
      throw new RigError(
        "ERR_RIG_MISSING",
        `The newest kernel source for ${release.name} is ${source?.version ?? "none"}; the rig needs ${leastVersion} or newer`,
      );
    }
    const key = kernelKey(source.version, config);
    await debian.unpack(source.name, source.version, work);
    await compile(work, source.name, join(directory, `${key}.log`), options);
    // Whoever reads the cache sees a whole directory or none.
    const done = join(work, "done");
    await mkdir(done);
    for (const [from, to] of [
      ["arch/x86/boot/bzImage", "bzImage"],
      [".config", "config"],
    ] as const) {
      await copyFile(join(work, source.name, from), join(done, to));
    }
    const target = join(directory, key);
    try {
      await rename(done, target);
    } catch (error) {
      // Somebody out of the lock's reach was quicker: theirs is as good.
      if ((await cachedKernel(directory, config)) === undefined) throw error;
    }
    return join(target, "bzImage");
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function checkSpace(directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free < buildSpace) {
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
    throw new RigError(
      "ERR_RIG_KERNEL",
      `Building the guest's kernel takes ${gigabytes(buildSpace)} in ${directory}, which has ${gigabytes(free)}. ` +
        "XDG_CACHE_HOME chooses another place.",
    );
  }
}

async function compile(work: string, name: string, logPath: string, options: ProvideOptions): Promise<void> {
  const { onProgress, signal } = options;
  const log = createWriteStream(logPath);
  const tree = join(work, name);
  const steps: { step: string; command: string; cwd: string; count?: true }[] = [
    { step: `unpacking ${name}`, command: `tar -xf usr/src/${name}.tar.xz`, cwd: work },
    {
      step: "configuring the kernel",
      command: `make tinyconfig && scripts/kconfig/merge_config.sh -m .config "$RIG_CONFIG" && make olddefconfig`,
      cwd: tree,
    },
    { step: "compiling the kernel", command: `make -j${availableParallelism()} bzImage`, cwd: tree, count: true },
  ];
  try {
    for (const { step, command, cwd, count } of steps) {
      let done = 0;
      onProgress?.(count ? { step, done, total: buildSteps } : { step });
      const { status, output } = await runProgram("sh", ["-c", command], {
        cwd,
        env: { ...process.env, LC_ALL: "C", RIG_CONFIG: configPath },
        signal,
        log,
        onLine: (line) => {
          if (count && /^ {2}[A-Z]+ +\S/.test(line)) onProgress?.({ step, done: ++done, total: buildSteps });
        },
      });
      if (status !== 0) {
        throw new RigError("ERR_RIG_KERNEL", `${step} failed (${status}); the whole log is ${logPath}`, {
          log: tail(output, 40),
        });
      }
    }
  } finally {
    log.end();
    await once(log, "close");
  }
}

/** Processes that were killed leave their trees behind; one that is a day old is nobody's any more. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    const path = join(directory, entry);
    if (!/^(build|apt)-/.test(entry) || (await stat(path)).mtimeMs > Date.now() - 24 * 3600_000) continue;
    await rm(path, { recursive: true, force: true });
  }
}
