/**
 * What Debian has of what the rig needs: which suites to look at, which packages are missing, and how they are
 * installed, by the rig itself where it may, or by the user.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isInitialUserNamespace } from "../kernel/user-namespace.js";
import { type AptSource, makeAptState, readSources, rigSources } from "./apt.js";
import { RigError, tail } from "./errors.js";
import { type RunOptions, runProgram } from "./process.js";
import type { ProgressListener } from "./progress.js";

/** What an `os-release` file says. */
export interface Release {
  /** `debian`, `ubuntu`, ... */
  readonly id: string;
  /** `bookworm`; empty if there is none. */
  readonly codename: string;
  /** `Debian GNU/Linux 12 (bookworm)` */
  readonly name: string;
}

/** Read an `os-release` file's text (os-release(5)). */
export function parseRelease(text: string): Release {
  const fields: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line.trim());
    if (match !== null) fields[match[1] ?? ""] = match[2] ?? match[3] ?? match[4] ?? "";
  }
  const id = fields["ID"] ?? "linux";
  return { id, codename: fields["VERSION_CODENAME"] ?? "", name: fields["PRETTY_NAME"] ?? id };
}

/** This machine's release. */
export async function readRelease(): Promise<Release> {
  return parseRelease(await readFile("/etc/os-release", "utf8").catch(() => ""));
}

/**
 * The suites beside a release's own that have what the rig needs and the release has not.
 *
 * The kernel's source must be 6.14 or newer (`IOMMU_IOAS_MAP_FILE`, `IOMMU_IOAS_CHANGE_PROCESS`), and a source package
 * depends on nothing, so any release can take it from trixie's backports. QEMU must be 8.0 or newer (`igb`) and must fit
 * the release's libraries. Releases after trixie have both.
 */
export function suitesFor(codename: string): { kernel: string[]; qemu: string[] } {
  switch (codename) {
    case "buster":
    case "bullseye":
    case "trixie":
      return { kernel: ["trixie-backports"], qemu: [] };
    case "bookworm":
      return { kernel: ["trixie-backports"], qemu: ["bookworm-backports"] };
    default:
      return { kernel: [], qemu: [] };
  }
}

/** The packages that QEMU comes in. */
export const qemuPackages = ["qemu-system-x86"];

/** The packages that building the guest's kernel takes: `make bzImage` without modules, from an xz archive. */
export const buildPackages = ["gcc", "make", "libc6-dev", "flex", "bison", "bc", "libelf-dev", "xz-utils"];

/** Those of some packages that are not installed. */
export async function missingPackages(names: readonly string[]): Promise<string[]> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const format = "${db:Status-Status} ${Package}\\n";
  const { output } = await runProgram("dpkg-query", ["-W", "-f", format, ...names]);
  const installed = new Set(
    output.split("\n").flatMap((line) => (line.startsWith("installed ") ? [line.slice(10)] : [])),
  );
  return names.filter((name) => !installed.has(name));
}

/** How to become root: nothing for the host's root, `sudo` where it asks nothing, undefined where there is no way. */
async function rootPrefix(): Promise<string[] | undefined> {
  if (process.getuid?.() === 0) return isInitialUserNamespace() ? [] : undefined;
  const sudo = await runProgram("sudo", ["-n", "true"]).catch(() => undefined);
  return sudo?.status === 0 ? ["sudo", "-n"] : undefined;
}

/** Debian's packages for the rig, through a private apt state. */
export class Debian {
  readonly release: Release;
  readonly #directory: string;
  readonly #onProgress: ProgressListener | undefined;
  readonly #signal: AbortSignal | undefined;
  #state: Promise<string[]> | undefined;

  /**
   * @param release this machine's
   * @param directory where the private state may live; it is made on first use
   */
  constructor(
    release: Release,
    directory: string,
    options: { onProgress?: ProgressListener | undefined; signal?: AbortSignal | undefined } = {},
  ) {
    this.release = release;
    this.#directory = directory;
    this.#onProgress = options.onProgress;
    this.#signal = options.signal;
  }

  /** The sources to use, from the machine's own; undefined if the machine has none for its release. */
  async #sources(): Promise<AptSource[] | undefined> {
    const { kernel, qemu } = suitesFor(this.release.codename);
    return rigSources(await readSources(), this.release.codename, [...new Set([...kernel, ...qemu])]);
  }

  /** apt's options for the private state, whose lists are fetched once. */
  #options(): Promise<string[]> {
    this.#state ??= this.#prepare();
    return this.#state;
  }

  async #prepare(): Promise<string[]> {
    const sources = await this.#sources();
    if (sources === undefined) {
      throw new RigError("ERR_RIG_MISSING", `No apt source in /etc/apt serves ${this.release.name}`);
    }
    const options = await makeAptState(join(this.#directory, "apt"), sources);
    this.#onProgress?.({ step: "fetching package lists" });
    await this.#run("apt-get", [...options, "update"], "The package lists could not be fetched");
    return options;
  }

  async #run(program: string, args: readonly string[], failure: string, options: RunOptions = {}): Promise<string> {
    const { status, output } = await runProgram(program, args, {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      signal: this.#signal,
      ...options,
    });
    if (status === 0) return output;
    throw new RigError("ERR_RIG_MISSING", `${failure} (${program}: ${status})`, { log: tail(output, 40) });
  }

  /**
   * Install packages, if there is a way to.
   *
   * @returns false if this process may not install anything
   * @throws RigError if apt could not
   */
  async install(packages: readonly string[], suite?: string): Promise<boolean> {
    const prefix = await rootPrefix();
    if (prefix === undefined) return false;
    const options = await this.#options();
    this.#onProgress?.({ step: `installing ${packages.join(" ")}` });
    // A library that came from backports fits only the development package from there.
    const targets = suite === undefined ? [undefined, ...suitesFor(this.release.codename).qemu] : [suite];
    let failure: unknown;
    for (const target of targets) {
      const [program = "", ...args] = [
        ...prefix,
        ...["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...options],
        ...["install", "-y", "--no-install-recommends", ...(target === undefined ? [] : ["-t", target]), ...packages],
      ];
      try {
        await this.#run(program, args, `${packages.join(", ")} could not be installed`);
        return true;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** The commands with which a user installs packages, as one text; with the sources that the machine lacks. */
  async installCommands(packages: readonly string[], suite?: string): Promise<string> {
    return await this.commandsFor([{ packages, suite }]);
  }

  /** The commands for packages of several suites. */
  async commandsFor(
    groups: readonly { readonly packages: readonly string[]; readonly suite?: string | undefined }[],
  ): Promise<string> {
    const sources = await readSources();
    const uri = rigSources(sources, this.release.codename, [])?.[0]?.uri;
    const absent = groups.flatMap(({ suite }) =>
      suite === undefined || sources.some((source) => source.suite === suite) ? [] : [suite],
    );
    return [
      ...(uri === undefined ? [] : absent).map(
        (suite) => `echo 'deb ${uri} ${suite} main' | sudo tee /etc/apt/sources.list.d/${suite}.list`,
      ),
      "sudo apt-get update",
      ...groups.map(({ packages, suite }) => {
        const target = suite === undefined ? "" : ` -t ${suite}`;
        return `sudo apt-get install --no-install-recommends${target} ${packages.join(" ")}`;
      }),
    ].join("\n");
  }

  /** The newest source of the kernel that the suites offer: its package and the package's version. */
  async newestKernelSource(): Promise<{ name: string; version: string } | undefined> {
    const options = await this.#options();
    const names = await this.#run(
      "apt-cache",
      [...options, "search", "--names-only", "^linux-source-[0-9.]+$"],
      "The kernel's source could not be looked up",
    );
    const newest = newestOf(names.split("\n").map((line) => line.split(" ")[0] ?? ""));
    if (newest === undefined) return undefined;
    const madison = await this.#run("apt-cache", [...options, "madison", newest], "The kernel's source has no version");
    const version = madison.split("\n")[0]?.split("|")[1]?.trim();
    return version === undefined ? undefined : { name: newest, version };
  }

  /** Download a package's archive into a directory and unpack its files there, without installing it. */
  async unpack(name: string, version: string, directory: string): Promise<void> {
    const options = await this.#options();
    this.#onProgress?.({ step: `downloading ${name} ${version}` });
    await this.#run("apt-get", [...options, "download", `${name}=${version}`], `${name} could not be downloaded`, {
      cwd: directory,
    });
    this.#onProgress?.({ step: `unpacking ${name}` });
    await this.#run("sh", ["-c", `dpkg -x ${name}_*.deb . && rm ${name}_*.deb`], `${name} could not be unpacked`, {
      cwd: directory,
    });
  }
}

/** The newest of some `linux-source-<version>` packages. */
export function newestOf(names: readonly string[]): string | undefined {
  const number = (name: string) => kernelVersion(name.replace("linux-source-", ""));
  return names.filter((name) => /^linux-source-\d+\.\d+$/.test(name)).sort((a, b) => number(b) - number(a))[0];
}

/** A kernel's version as a number that orders: 6.14 is 6014. */
export function kernelVersion(text: string): number {
  const [, major = "0", minor = "0"] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return Number(major) * 1000 + Number(minor);
}
