/**
 * QEMU 11.1, whose vfio-user client our server is tested against, and BusyBox for its guest: Debian's packages from
 * trixie's backports, unpacked into the cache and not installed.
 *
 * They bring all their libraries, the C library among them, so any release can run them. The first time costs a
 * download of 40 MB and a few seconds; no right is needed but to write to the cache.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeAptState, readSources, rigSources } from "../../lib/rig/apt.js";
import { cacheDirectory, withLock } from "../../lib/rig/cache.js";
import { readRelease } from "../../lib/rig/debian.js";
import { RigError, tail } from "../../lib/rig/errors.js";
import { runProgram } from "../../lib/rig/process.js";
import type { ProvideOptions } from "../../lib/rig/provide.js";

/** What is in the cache. */
export interface Emulator {
  /** Path of QEMU, for x86-64 guests: a script that any shell can start. */
  readonly qemu: string;
  /** Path of a BusyBox that needs no library. */
  readonly busybox: string;
}

/** How it is provided. */
export interface EmulatorOptions extends ProvideOptions {
  /** apt's configuration directory, for the mirror; the machine's own if left out. */
  readonly apt?: string | undefined;
}

const backports = "trixie-backports";
const suites = ["trixie", backports];
const packages = ["qemu-system-x86", "busybox-static"];

/** Where things lie in Debian's packages, and what of them is kept, under which name. */
const kept = [
  ["usr/bin/qemu-system-x86_64", "bin/qemu-system-x86_64"],
  ["usr/bin/busybox", "bin/busybox"],
  ["usr/lib/x86_64-linux-gnu", "lib"],
  ["usr/share/qemu", "share/qemu"],
  ["usr/share/seabios", "share/seabios"],
] as const;

/** Runs QEMU with the C library that it was linked for, wherever this directory lies. */
const launcher = `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
export QEMU_MODULE_DIR="$here/lib/qemu"
exec "$here/lib/ld-linux-x86-64.so.2" --library-path "$here/lib" --argv0 qemu-system-x86_64 \\
  "$here/bin/qemu-system-x86_64" -L "$here/share/qemu" -L "$here/share/seabios" "$@"
`;

/** A cached emulator is used for as long as what it is made of is chosen in the same way, whatever the mirror has. */
const key = createHash("sha256")
  .update(JSON.stringify([suites, packages, kept, launcher]))
  .digest("hex")
  .slice(0, 16);

/**
 * QEMU and BusyBox, from the cache or from Debian's mirror.
 *
 * @throws RigError `ERR_RIG_MISSING` if they are not in the cache and the machine's mirror does not have them
 */
export async function ensureEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const directory = options.directory ?? join(dirname(cacheDirectory()), "qemu11");
  const target = join(directory, key);
  const ready = () =>
    access(target).then(
      () => true,
      () => false,
    );
  if (!(await ready())) {
    const wait = () => options.onProgress?.({ step: "waiting for another process that fetches QEMU 11.1" });
    const build = async () => {
      if (!(await ready())) await provide(directory, target, options);
    };
    await withLock(`qemu11-${key}`, wait, build, options.signal);
  }
  return { qemu: join(target, "qemu"), busybox: join(target, "bin/busybox") };
}

async function provide(directory: string, target: string, options: EmulatorOptions): Promise<void> {
  await mkdir(directory, { recursive: true });
  const work = await mkdtemp(join(directory, "build-"));
  try {
    const done = await unpack(work, await download(work, options), options);
    await check(done);
    // Whoever reads the cache sees a whole directory or none.
    await rename(done, target).catch(async (error) => {
      // Somebody out of the lock's reach was quicker: theirs is as good.
      await access(target).catch(() => {
        throw error;
      });
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function run(program: string, args: readonly string[], failure: string, signal?: AbortSignal): Promise<string> {
  const { status, output } = await runProgram(program, args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    signal,
  });
  if (status === 0) return output;
  const log = tail(output, 20);
  throw new RigError("ERR_RIG_MISSING", `${failure} (${program}: ${status}):\n${log}`, { log });
}

/** Fetch the packages and everything that they depend on, whatever is installed on this machine. */
async function download(work: string, { apt, onProgress, signal }: EmulatorOptions): Promise<string> {
  const release = await readRelease();
  const own = rigSources(await readSources(apt), release.codename, suites);
  if (release.id !== "debian" || own === undefined) {
    throw new RigError(
      "ERR_RIG_MISSING",
      `QEMU 11.1 comes from a Debian mirror, and ${release.name} has none in /etc/apt`,
    );
  }
  const sources = own.filter(({ suite }) => suites.includes(suite));
  const state = join(work, "apt");
  const nothing = join(state, "status");
  const settings = {
    // With a list of installed packages that is empty, apt fetches libc6 too, and takes no lock of the machine's.
    "Dir::State::status": nothing,
    // A pin of the machine's is none of ours.
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "Acquire::Languages": "none",
  };
  const options = [
    ...(await makeAptState(state, sources)),
    ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
  ];
  await writeFile(nothing, "");
  onProgress?.({ step: "fetching package lists" });
  const where = sources.find(({ suite }) => suite === backports)?.uri ?? "";
  await run("apt-get", [...options, "update"], `QEMU 11.1 is in ${backports}, which ${where} did not give`, signal);
  onProgress?.({ step: "downloading QEMU 11.1" });
  const install = ["install", "-y", "--download-only", "--no-install-recommends", "-t", backports, ...packages];
  await run("apt-get", [...options, ...install], `${packages.join(", ")} could not be downloaded`, signal);
  return join(state, "cache/archives");
}

async function unpack(work: string, archives: string, { onProgress, signal }: EmulatorOptions): Promise<string> {
  onProgress?.({ step: "unpacking QEMU 11.1" });
  const root = join(work, "root");
  for (const name of await readdir(archives)) {
    if (name.endsWith(".deb")) await run("dpkg-deb", ["-x", join(archives, name), root], `${name} is damaged`, signal);
  }
  const done = join(work, "done");
  for (const [from, to] of kept) {
    await mkdir(dirname(join(done, to)), { recursive: true });
    await rename(join(root, from), join(done, to));
  }
  await writeFile(join(done, "qemu"), launcher, { mode: 0o755 });
  return done;
}

async function check(directory: string): Promise<void> {
  const devices = await run(join(directory, "qemu"), ["-device", "help"], "QEMU 11.1 does not run");
  if (devices.includes('name "vfio-user-pci"')) return;
  const version = (await run(join(directory, "qemu"), ["--version"], "QEMU does not run")).split("\n")[0];
  throw new RigError("ERR_RIG_MISSING", `${backports} has ${version}, which has no vfio-user-pci`);
}
