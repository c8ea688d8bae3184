import type { Writable } from "node:stream";
import { type Job } from "./job.js";
import { type Machine } from "./machine.js";
/** How long a guest may take from QEMU's start to the command's, in milliseconds. It takes 3 s when the host is idle. */
export declare const bootTimeout = 90000;
/** A run of a command in the guest. */
export interface GuestRun {
    /** Path of the guest's kernel (a bzImage). */
    readonly kernel: string;
    /** Path of QEMU. */
    readonly qemu: string;
    /** The machine. */
    readonly machine: Machine;
    /** What runs in it. */
    readonly job: Job;
    /** What the command reads; nothing if it is left out. In a run with a shell: the terminal's keyboard. */
    readonly stdin?: NodeJS.ReadableStream | undefined;
    /** Where the command's output goes. It is not ended. In a run with a shell: the terminal's screen. */
    readonly stdout: Writable;
    /** Where the command's error output goes. It is not ended. */
    readonly stderr: Writable;
    /** Milliseconds from QEMU's start until the guest is killed; 0 for ever. */
    readonly timeout: number;
    /** Kills the guest. */
    readonly signal?: AbortSignal | undefined;
    /** Called when the command starts. */
    readonly onReady?: (() => void) | undefined;
}
/** How a run ended. */
export interface GuestResult {
    /** The command's exit code; 128 and the signal's number for one that a signal ended. */
    readonly exitCode: number;
    /** What the guest's kernel wrote to its console: warnings and worse. */
    readonly console: string;
    /** Milliseconds from QEMU's start to the command's. */
    readonly bootTime: number;
    /** Milliseconds from QEMU's start to its end. */
    readonly time: number;
}
/**
 * Run a command in a guest of its own.
 *
 * The guest sees the host's file system through an overlay: it may write anywhere, and nothing reaches the host.
 *
 * @throws RigError if the command could not be run to its end; the guest is gone by then
 */
export declare function runGuest(run: GuestRun): Promise<GuestResult>;
/** The text of a kernel's panic on a console, from the oops or the panic's first line on. */
export declare function panicText(log: string): string | undefined;
