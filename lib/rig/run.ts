/**
 * The rig's front door: a command in a guest, with everything that it needs provided on the way.
 *
 * @module
 */

import { Writable } from "node:stream";
import {
  checkFunction,
  checkMilliseconds,
  checkObject,
  checkOptions,
  checkRequired,
  checkSignal,
  checkString,
  checkStrings,
  integer,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { outOfRangeError } from "../base/errors.js";
import { RigError } from "./errors.js";
import { type GuestResult, runGuest } from "./guest.js";
import { guestEnvironment } from "./job.js";
import { checkKernel, ensureKernel, kernelPreparation, missingKernel } from "./kernel.js";
import { defaultCpus, defaultMemory, type IommuKind, iommuKinds, leastMemory, mostCpus } from "./machine.js";
import type { ProgressListener } from "./progress.js";
import { installMissing } from "./provide.js";
import { checkHost, ensureQemu, missingQemu, type QemuOptions } from "./qemu.js";

/** What to run in the guest, and in which machine. */
export interface RunInGuestOptions {
  /** Program and arguments, found through `PATH`. May be empty only if `shell` is `only`. */
  readonly command: readonly string[];
  /** Working directory; this process's if left out. */
  readonly cwd?: string | undefined;
  /** Variables beside those that {@link guestEnvironment} takes from this process, or in their place. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** A terminal with a shell, after the command or instead of it; then `stdin` and `stdout` are that terminal. */
  readonly shell?: "only" | "after" | undefined;
  /** What the command reads; nothing if left out. */
  readonly stdin?: NodeJS.ReadableStream | undefined;
  /** Where output goes, which is not ended; it is collected into the result if left out. */
  readonly stdout?: Writable | undefined;
  /** Where error output goes, which is not ended; it is collected into the result if left out. */
  readonly stderr?: Writable | undefined;
  /** Path of a kernel (a bzImage); the rig's own if left out. */
  readonly kernel?: string | undefined;
  /** Path or name of QEMU; the first that is found if left out. */
  readonly qemu?: string | undefined;
  /** Guest memory in MiB; 4096 if left out. */
  readonly memory?: number | undefined;
  /** Virtual CPUs; 2 if left out. */
  readonly cpus?: number | undefined;
  /** The emulated IOMMU, or `none`; `intel` if left out. */
  readonly iommu?: IommuKind | undefined;
  /** Devices beside the default ones, each as QEMU's `-device` takes it. */
  readonly devices?: readonly string[] | undefined;
  /** Milliseconds until the guest is killed; 0 or left out: never. */
  readonly timeout?: number | undefined;
  /** Kills the guest, or stops what is being prepared for it. */
  readonly signal?: AbortSignal | undefined;
  /** Told how the preparation gets on, if there is any. */
  readonly onProgress?: ProgressListener | undefined;
  /** Called when the command starts, or the shell. */
  readonly onReady?: (() => void) | undefined;
}

/** How a command ended. */
export interface RunInGuestResult extends GuestResult {
  /** What it wrote; empty if a stream was given for it. */
  readonly stdout: Buffer;
  /** What it wrote as errors; empty if a stream was given for it. */
  readonly stderr: Buffer;
}

class Collector extends Writable {
  readonly #chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#chunks.push(chunk);
    callback();
  }

  get content(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

const provideOptions = {
  directory: checkString,
  onProgress: checkFunction,
  signal: checkSignal,
  qemu: checkString,
  iommu: oneOf(iommuKinds),
  kernel: checkString,
} as const;
const ensureOptions = knownOptions<EnsureRigOptions>(provideOptions);
const runOptions = knownOptions<RunInGuestOptions>({
  ...provideOptions,
  command: checkStrings,
  cwd: checkString,
  env: checkObject,
  shell: oneOf(["only", "after"]),
  stdin: checkObject,
  stdout: checkObject,
  stderr: checkObject,
  memory: integer(leastMemory),
  cpus: integer(1, mostCpus),
  devices: checkStrings,
  timeout: checkMilliseconds,
  onReady: checkFunction,
});

function checkRun(options: RunInGuestOptions): void {
  checkRequired("options", options, runOptions, "command");
  const { command, shell } = options;
  if (command.length === 0 && shell !== "only") throw outOfRangeError("command", "at least a program's name", command);
}

/** What {@link ensureRig} provides, or takes from the user. */
export interface EnsureRigOptions extends QemuOptions {
  /** Path of a kernel of the user's. */
  readonly kernel?: string | undefined;
}

/**
 * Everything that a guest takes: a kernel and a QEMU, found, installed or built.
 *
 * @returns their paths
 * @throws RigError `ERR_RIG_MISSING` with one list of all that is missing; `ERR_RIG_KERNEL` if the kernel cannot be built or
 *   read
 */
export async function ensureRig(options: EnsureRigOptions = {}): Promise<{ kernel: string; qemu: string }> {
  checkOptions("options", options, ensureOptions);
  if (options.kernel !== undefined) await checkKernel(options.kernel);
  // What both lack is told, or installed, in one go; what one lacks, it asks for itself.
  const kernel = options.kernel === undefined ? await missingKernel(options) : undefined;
  const qemu = kernel === undefined ? undefined : await missingQemu(options);
  if (kernel !== undefined && qemu !== undefined) await installMissing([kernel, qemu], options);
  const result = { qemu: await ensureQemu(options), kernel: options.kernel ?? (await ensureKernel(options)) };
  options.onProgress?.(undefined);
  return result;
}

/**
 * What {@link ensureRig} would do first, a clause for each step: `installs ...`, `builds ...`. Empty where a guest can start at once.
 *
 * It installs nothing, and asks no server.
 *
 * @throws RigError `ERR_RIG_MISSING` where there can be no rig
 */
export async function rigPreparation(options: EnsureRigOptions = {}): Promise<readonly string[]> {
  checkHost();
  const qemu = await missingQemu(options);
  return [
    ...(qemu === undefined ? [] : [`installs QEMU (${qemu.packages.join(" ")}) with apt, if it may`]),
    ...(options.kernel === undefined ? await kernelPreparation(options) : []),
  ];
}

/**
 * Run a command in a guest of its own: a real kernel, an emulated IOMMU, emulated devices, and the host's file system
 * under an overlay that is thrown away. The first time, this builds the guest's kernel.
 *
 * @throws RigError if the command could not be run to its end; by then the guest is gone. A command that fails is no error:
 *   see the result's `exitCode`
 */
export async function runInGuest(options: RunInGuestOptions): Promise<RunInGuestResult> {
  checkRun(options);
  try {
    return await provideAndRun(options);
  } catch (cause) {
    // What was being prepared stops with the signal's own reason.
    if (!options.signal?.aborted || cause instanceof RigError) throw cause;
    throw new RigError("ERR_RIG_ABORTED", "The preparation of the guest was stopped", { cause });
  }
}

async function provideAndRun(options: RunInGuestOptions): Promise<RunInGuestResult> {
  const { command, shell, stdin, timeout = 0, signal, iommu, onProgress } = options;
  const { kernel, qemu } = await ensureRig({ kernel: options.kernel, qemu: options.qemu, iommu, onProgress, signal });
  const stdout = new Collector();
  const stderr = new Collector();
  const result = await runGuest({
    kernel,
    qemu,
    machine: {
      memory: options.memory ?? defaultMemory,
      cpus: options.cpus ?? defaultCpus,
      iommu: options.iommu ?? "intel",
      devices: options.devices ?? [],
    },
    job: {
      command,
      cwd: options.cwd ?? process.cwd(),
      env: { ...guestEnvironment(process.env), ...options.env },
      shell,
    },
    stdin,
    stdout: options.stdout ?? stdout,
    stderr: options.stderr ?? stderr,
    timeout,
    signal,
    onReady: options.onReady,
  });
  return { ...result, stdout: stdout.content, stderr: stderr.content };
}
