/**
 * Finds the native addon and loads it, or says why this process cannot have it.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { codeOf, messageOf } from "../base/errors.js";
import { packageRoot } from "../base/package-root.js";
import type { Native } from "./contract.js";

/** Why the package does not work here. */
export interface Unsupported {
  readonly supported: false;
  /** Why not: the system, the engine, or what became of the addon. */
  readonly why: string;
  /** What to do about it. */
  readonly fix: string;
}

/** What became of the addon. */
export type LoadedAddon =
  | { readonly addon: Native }
  | {
      readonly unsupported: Unsupported;
      /** Whether building the addon in this package would help. */
      readonly buildHelps: boolean;
    };

const prebuilt = "for Linux on x64 and arm64 there are prebuilt addons, with glibc and with musl";

const no = (why: string, fix: string, buildHelps = false): LoadedAddon => ({
  unsupported: { supported: false, why, fix },
  buildHelps,
});

/**
 * The engines that are known to end the process where the addon watches a descriptor. They export libuv's functions, so that
 * no symbol tells.
 */
const engines: readonly (readonly [name: string, version: string | undefined, flaw: string])[] = [
  ["Bun", process.versions.bun, "whose uv_poll_init ends the process"],
  [
    "Deno",
    process.versions.deno,
    "whose uv_poll_start reports one event only, and which crashes when a poll is stopped",
  ],
];

function wrongEngine(): LoadedAddon | undefined {
  const found = engines.find(([, version]) => version !== undefined);
  if (found === undefined) return undefined;
  const [name, version, flaw] = found;
  return no(
    `this is ${name} ${version}, ${flaw}: interrupts and sockets cannot be watched`,
    "run the program with Node",
  );
}

const isDenied = (error: unknown) => codeOf(error) === "ERR_ACCESS_DENIED";

/** The C library of this process, which a prebuilt binary must match. */
function libc(): "glibc" | "musl" {
  try {
    // The loader that is mapped into this process is the truth; process.report is slow.
    return readFileSync("/proc/self/maps", "latin1").includes("/ld-musl-") ? "musl" : "glibc";
  } catch (error) {
    if (!isDenied(error)) throw error;
    return reportedLibc();
  }
}

/** {@link libc} where Node's permission model does not let this process read /proc. */
function reportedLibc(): "glibc" | "musl" {
  const report = process.report.getReport();
  const header: unknown = "header" in report ? report.header : undefined;
  return typeof header === "object" && header !== null && "glibcVersionRuntime" in header ? "glibc" : "musl";
}

/** What `VFIO_ADDON` names. */
function namedAddon(): string | undefined {
  const named = process.env.VFIO_ADDON ?? "";
  return named === "" ? undefined : resolve(named);
}

/** Where an addon is looked for, the best first. */
function candidates(): readonly string[] {
  const named = namedAddon();
  if (named !== undefined) return [named];
  if (packageRoot === undefined) return [];
  const root = packageRoot;
  return [
    "build/Release/vfio.node",
    "build/Debug/vfio.node",
    `prebuilds/linux-${process.arch}/vfio.${libc()}.node`,
  ].map((path) => fileURLToPath(new URL(path, root)));
}

/** The program that builds the addon; undefined where this module is not in its package. */
function builder(): string | undefined {
  if (packageRoot === undefined) return undefined;
  const path = fileURLToPath(new URL("native/build-addon.mjs", packageRoot));
  return existsSync(path) ? path : undefined;
}

const outOfPackage =
  "leave vfio out of the bundle (as an external module), or set VFIO_ADDON to the path of the addon, " +
  "such as node_modules/vfio/prebuilds/linux-x64/vfio.glibc.node";

function howToGetOne(): string {
  const program = builder();
  return program === undefined
    ? outOfPackage
    : `build it, which takes a C++20 compiler, make, Python 3 and Node's headers: node ${program}`;
}

function notFound(paths: readonly string[]): LoadedAddon {
  const named = namedAddon();
  if (named !== undefined) {
    return no(`VFIO_ADDON names ${named}, which is not there`, "set it to the path of an addon, or unset it");
  }
  if (builder() === undefined) {
    const looked = paths.length === 0 ? "" : `: looked for ${paths.join(", ")}`;
    return no(`this module is not in its package, so it does not find the native addon${looked}`, outOfPackage);
  }
  return no(
    `no native addon for linux-${process.arch} with ${libc()}: looked for ${paths.join(", ")} (${prebuilt})`,
    howToGetOne(),
    true,
  );
}

/** The flags that Node's permission model needs beside `--permission`. */
function permissions(): string {
  const root = packageRoot === undefined ? "<this program>" : fileURLToPath(packageRoot);
  const reads = [root, "/sys", "/proc", "/dev"].map((path) => `--allow-fs-read=${path}`);
  return `start Node with --allow-addons ${reads.join(" ")}`;
}

function notLoaded(error: unknown): LoadedAddon {
  const why = `the native addon does not load: ${messageOf(error)}`;
  if (codeOf(error) !== "ERR_DLOPEN_DISABLED") {
    return namedAddon() === undefined
      ? no(why, howToGetOne(), builder() !== undefined)
      : no(why, "set VFIO_ADDON to the path of an addon for this system, or unset it");
  }
  return no(why, process.permission === undefined ? "start Node without --no-addons" : permissions());
}

function findAndLoad(): LoadedAddon {
  const paths = candidates();
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) return notFound(paths);
  try {
    const addon: Native = createRequire(found)(found);
    return { addon };
  } catch (error) {
    if (isDenied(error)) throw error;
    return notLoaded(error);
  }
}

/** Loads the addon. It does not throw. */
export function loadAddon(): LoadedAddon {
  const { platform } = process;
  if (platform !== "linux") {
    return no(
      `VFIO and iommufd are interfaces of Linux, and this is ${platform}`,
      "run the program on Linux, on the machine that has the device; everywhere else it can be imported, and no more",
    );
  }
  const refused = wrongEngine();
  if (refused !== undefined) return refused;
  try {
    return findAndLoad();
  } catch (error) {
    if (!isDenied(error)) throw error;
    const resource = error instanceof Error && "resource" in error ? ` ${String(error.resource)}` : "";
    return no(`Node's permission model does not let this process read${resource}`, permissions());
  }
}
