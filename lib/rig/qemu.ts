/**
 * The emulator: found, checked for the devices of the default machine, or installed.
 *
 * @module
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { qemuPackages, readRelease, suitesFor } from "./debian.js";
import { RigError, tail } from "./errors.js";
import type { IommuKind } from "./machine.js";
import { type Outcome, runProgram } from "./process.js";
import { installMissing, type Missing, type ProvideOptions } from "./provide.js";

const program = "qemu-system-x86_64";

/** The devices that decide: `igb` came last, with QEMU 8.0; a QEMU that is cut down may lack any of them. */
const neededDevices = [
  ...["edu", "igb", "nvme", "e1000e", "ivshmem-plain", "pci-serial"],
  ...["pcie-root-port", "pcie-pci-bridge", "virtio-9p-pci", "virtio-serial-pci"],
];

/** How QEMU is provided. */
export interface QemuOptions extends ProvideOptions {
  /** A QEMU of the user's: a path, or a name in `PATH`. */
  readonly qemu?: string | undefined;
  /** The IOMMU that it shall emulate. Every QEMU that has the devices has `intel` and `virtio`. */
  readonly iommu?: IommuKind | undefined;
}

async function find(name: string): Promise<string | undefined> {
  const directories = name.includes("/") ? [""] : [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin"];
  for (const directory of directories) {
    const path = resolve(join(directory, name));
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

async function ask(path: string, args: readonly string[]): Promise<Outcome> {
  return await runProgram(path, args).catch((cause: Error) => {
    throw new RigError("ERR_RIG_QEMU", `Cannot start ${path}: ${cause.message}`, { cause });
  });
}

const namedQemu = "name another QEMU, or none: the rig finds or installs one";

/** What a QEMU lacks of the default machine; undefined if nothing. */
async function shortcoming(path: string): Promise<string | undefined> {
  const { status, output } = await ask(path, ["-device", "help"]);
  if (status !== 0) return `${path} does not run (${status}): ${tail(output, 3)}`;
  const missing = neededDevices.filter((device) => !output.includes(`name "${device}"`));
  if (missing.length === 0) return undefined;
  const version = await versionOf(path);
  return `${path} (${version}) has no ${missing.join(", ")}; 8.0 or newer, not cut down, has all the rig's devices`;
}

async function versionOf(path: string): Promise<string> {
  return (await ask(path, ["--version"])).output.split("\n")[0] ?? "";
}

/** Refuse an IOMMU that does not translate: the kernel's own drivers would wait a minute for DMA that went astray. */
async function checkIommu(path: string, iommu: IommuKind | undefined): Promise<void> {
  if (iommu !== "amd" || (await ask(path, ["-device", "amd-iommu,help"])).output.includes("dma-remap=")) return;
  throw new RigError(
    "ERR_RIG_MISSING",
    `${path} (${await versionOf(path)}) has an AMD IOMMU that does not translate addresses; ` +
      "10.2 or newer has one that does. Name one with --qemu <binary>, or take another --iommu.",
  );
}

/**
 * Refuse a host whose programs cannot run in the guest.
 *
 * @throws RigError `ERR_RIG_MISSING` if it is one
 */
export function checkHost(): void {
  if (process.arch === "x64") return;
  throw new RigError(
    "ERR_RIG_MISSING",
    `The rig's guest shares the host's programs, so the host must be x64, not ${process.arch}`,
  );
}

/** What is missing for want of a QEMU that can be the rig's machine; undefined if one is there, or if the user names one. */
export async function missingQemu(options: QemuOptions = {}): Promise<Missing | undefined> {
  if (options.qemu !== undefined) return undefined;
  const found = await find(program);
  const problem = found === undefined ? `there is no ${program}` : await shortcoming(found);
  if (problem === undefined) return undefined;
  return {
    what: `QEMU: ${problem}`,
    packages: qemuPackages,
    suite: suitesFor((await readRelease()).codename).qemu[0],
    elsewhere: "install QEMU 8.0 or newer for x86 (often called qemu-system-x86), or name one with --qemu <binary>",
  };
}

/**
 * The path of a QEMU that can be the rig's machine. If there is none, Debian's is installed, if this process may.
 *
 * @throws RigError `ERR_RIG_MISSING` if there is none and none can be installed
 */
export async function ensureQemu(options: QemuOptions = {}): Promise<string> {
  checkHost();
  const missing = await missingQemu(options);
  if (missing !== undefined) await installMissing([missing], options);
  const path = await find(options.qemu ?? program);
  if (path === undefined)
    throw new RigError("ERR_RIG_MISSING", `There is no program ${options.qemu ?? program}`, { fix: namedQemu });
  // What was found good a moment ago is not asked again.
  const problem = options.qemu === undefined && missing === undefined ? undefined : await shortcoming(path);
  if (problem !== undefined) throw new RigError("ERR_RIG_MISSING", problem, { fix: namedQemu });
  await checkIommu(path, options.iommu);
  return path;
}
