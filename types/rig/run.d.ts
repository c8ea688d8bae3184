/**
 * The rig's front door: a command in a guest, with everything that it needs provided on the way.
 *
 * @module
 */
import { Writable } from "node:stream";
import { type GuestResult } from "./guest.js";
import { type IommuKind } from "./machine.js";
import type { ProgressListener } from "./progress.js";
import { type QemuOptions } from "./qemu.js";
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
export declare function ensureRig(options?: EnsureRigOptions): Promise<{
    kernel: string;
    qemu: string;
}>;
/**
 * What {@link ensureRig} would do first, a clause for each step: `installs ...`, `builds ...`. Empty where a guest can start at once.
 *
 * It installs nothing, and asks no server.
 *
 * @throws RigError `ERR_RIG_MISSING` where there can be no rig
 */
export declare function rigPreparation(options?: EnsureRigOptions): Promise<readonly string[]>;
/**
 * Run a command in a guest of its own: a real kernel, an emulated IOMMU, emulated devices, and the host's file system
 * under an overlay that is thrown away. The first time, this builds the guest's kernel.
 *
 * @throws RigError if the command could not be run to its end; by then the guest is gone. A command that fails is no error:
 *   see the result's `exitCode`
 */
export declare function runInGuest(options: RunInGuestOptions): Promise<RunInGuestResult>;
