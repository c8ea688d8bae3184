/**
 * A small Linux guest in QEMU 11.1, emulated in software, whose devices may be ours: the rig's kernel, BusyBox, and a
 * script. It boots in about a second.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { type FileHandle, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { RigError, tail } from "../../lib/rig/errors.js";
import { panicText } from "../../lib/rig/guest.js";
import { withParent } from "../../lib/rig/process.js";
import { initramfs } from "./initramfs.js";
import type { Emulator } from "./provide.js";

/** What a guest takes; the project's setup provides it. */
export interface GuestTools extends Emulator {
  /** Path of the guest's kernel. */
  readonly kernel: string;
}

/** A device, as QEMU's `-device` takes it in JSON. */
export interface QemuDevice {
  readonly driver: string;
  readonly [property: string]: unknown;
}

/**
 * The device behind a vfio-user server.
 *
 * @param path of the server's socket; it must be listening when the guest starts
 * @param properties others of QEMU's `vfio-user-pci`: `x-msg-timeout`, `x-no-posted-writes`, `addr`, ...
 */
export function vfioUserDevice(path: string, properties: Readonly<Record<string, unknown>> = {}): QemuDevice {
  return { driver: "vfio-user-pci", socket: { type: "unix", path }, ...properties };
}

/** What the guest is, and what it does. */
export interface GuestOptions {
  /** What it runs: a script for BusyBox's shell, as root. The guest powers off when it ends. */
  readonly script: string;
  /** Its devices, beside two serial ports; at 00:10.0, 00:11.0, ... unless they have an `addr` of their own. */
  readonly devices?: readonly QemuDevice[];
  /** More of the kernel's command line. */
  readonly kernelParameters?: string;
  /** Whether it may reboot; a guest that panics then does, until its time is over. Left out, a reboot ends it. */
  readonly reboot?: boolean;
  /** Memory in MiB; 256 if left out. */
  readonly memory?: number;
  /** Whether QEMU gives its clients a descriptor of the memory; without one, a device's DMA goes by messages. */
  readonly sharedMemory?: boolean;
  /** Milliseconds until it is killed; 60,000 if left out. */
  readonly timeout?: number;
  /** Kills it. */
  readonly signal?: AbortSignal;
}

/** How a guest ended. */
export interface GuestEnd {
  /** The script's exit code. */
  readonly exitCode: number;
  /** All that the script wrote, both streams. */
  readonly output: string;
  /** What the kernel wrote to its console: warnings and worse. */
  readonly console: string;
  /** What QEMU complained of. */
  readonly qemuErrors: string;
}

/** The descriptors that QEMU inherits: the guest's serial ports, and its initramfs. */
const descriptors = { console: 3, script: 4, initrd: 5 } as const;

function qemuArguments(kernel: string, options: GuestOptions): string[] {
  const { memory = 256, sharedMemory = true, devices = [], kernelParameters = "", reboot = false } = options;
  const ram = sharedMemory
    ? `memory-backend-memfd,id=ram,size=${memory}M,share=on`
    : `memory-backend-ram,id=ram,size=${memory}M`;
  return [
    ["-nodefaults", "-no-user-config", "-display", "none", ...(reboot ? [] : ["-no-reboot"])],
    ["-M", "q35,memory-backend=ram", "-accel", "tcg", "-cpu", "max", "-m", `${memory}M`, "-object", ram],
    // As in the rig: an emulated timer ticks, and a panic ends the machine.
    ["-append", `console=ttyS0 quiet loglevel=4 no_timer_check panic=-1 oops=panic ${kernelParameters}`],
    ["-kernel", kernel, "-initrd", `/proc/self/fd/${descriptors.initrd}`],
    (["console", "script"] as const).flatMap((id) => [
      ...["-chardev", `socket,id=${id},fd=${descriptors[id]}`],
      ...["-serial", `chardev:${id}`],
    ]),
    devices.flatMap((device, slot) => ["-device", JSON.stringify({ addr: (16 + slot).toString(16), ...device })]),
  ].flat();
}

/** A guest that runs. Dispose it, or wait for `ended`: both end with QEMU gone. */
export class QemuGuest implements AsyncDisposable {
  /** Resolves when the guest has powered off; rejects with a RigError if it did not get there. */
  readonly ended: Promise<GuestEnd>;
  readonly #qemu: ChildProcess;
  readonly #script: Socket;
  #output = "";
  #console = "";
  #qemuErrors = "";
  /** How far {@link line} has read. */
  #position = 0;
  #closed = false;
  #wake = () => {};

  /** @param initrd the caller's, who may close it afterwards */
  constructor(tools: GuestTools, initrd: FileHandle, options: GuestOptions) {
    this.#qemu = spawn(...withParent(tools.qemu, qemuArguments(tools.kernel, options)), {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe", initrd.fd],
      detached: true,
    });
    this.#channel("console")
      .setEncoding("latin1")
      .on("data", (text: string) => {
        this.#console += text.replaceAll("\r", "");
      });
    this.#script = this.#channel("script")
      .setEncoding("utf8")
      .on("data", (text: string) => {
        this.#output += text;
        this.#wake();
      })
      // QEMU may be gone before it has read all.
      .on("error", () => {});
    this.#qemu.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#qemuErrors += text;
    });
    this.ended = this.#watch(options);
    // Whoever only disposes the guest does not care how it ended.
    this.ended.catch(() => {});
  }

  #channel(name: "console" | "script"): Socket {
    // A pipe of spawn's beyond the first three is a connected socket, in both directions.
    const stdio: ArrayLike<unknown> = this.#qemu.stdio;
    const channel = stdio[descriptors[name]];
    if (!(channel instanceof Socket)) throw new TypeError(`QEMU was started without its channel ${name}`);
    return channel;
  }

  async #watch({ timeout = 60_000, signal }: GuestOptions): Promise<GuestEnd> {
    const limit = AbortSignal.timeout(timeout);
    const stop = AbortSignal.any(signal === undefined ? [limit] : [limit, signal]);
    const kill = () => this.#qemu.kill("SIGKILL");
    stop.addEventListener("abort", kill, { once: true });
    if (stop.aborted) kill();
    const cause = await new Promise<Error | undefined>((resolve) => {
      this.#qemu.once("error", resolve);
      this.#qemu.once("close", () => resolve(undefined));
    });
    stop.removeEventListener("abort", kill);
    this.#closed = true;
    this.#wake();
    if (signal?.aborted) throw this.#error("ERR_RIG_ABORTED", "The guest was stopped", signal.reason);
    if (stop.aborted) throw this.#error("ERR_RIG_TIMEOUT", `The guest did not end within ${timeout / 1000} s`);
    if (cause !== undefined) throw this.#error("ERR_RIG_QEMU", `QEMU cannot be started: ${cause.message}`, cause);
    return this.#end();
  }

  #end(): GuestEnd {
    const { exitCode, signalCode } = this.#qemu;
    const panic = panicText(this.#console);
    if (panic !== undefined) throw this.#error("ERR_RIG_PANIC", "The guest's kernel panicked");
    if (exitCode !== 0) throw this.#error("ERR_RIG_QEMU", `QEMU ended with ${signalCode ?? `exit code ${exitCode}`}`);
    const last = /\nexit (\d+)\n$/.exec(this.#output);
    if (last === null) throw this.#error("ERR_RIG_ENDED", "The guest ended before its script");
    return {
      exitCode: Number(last[1]),
      output: this.#output.slice(0, last.index),
      console: this.#console,
      qemuErrors: this.#qemuErrors,
    };
  }

  /** An error with all that was said, for whoever reads a test's report. */
  #error(code: RigError["code"], message: string, cause?: unknown): RigError {
    const said = [
      ["QEMU", this.#qemuErrors],
      ["console", this.#console],
      ["script", this.#output],
    ] as const;
    const log = said.map(([who, text]) => (text.trim() === "" ? "" : `\n--- ${who}\n${tail(text, 30)}`)).join("");
    return new RigError(code, message + log, { log: this.#console, cause });
  }

  /**
   * Wait until the script has written a line that matches; the next call goes on behind it.
   *
   * @throws RigError if the guest ends without it
   */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      for (;;) {
        const end = this.#output.indexOf("\n", this.#position);
        if (end < 0) break;
        const match = pattern.exec(this.#output.slice(this.#position, end));
        this.#position = end + 1;
        if (match !== null) return match;
      }
      if (this.#closed) {
        await this.ended;
        throw this.#error("ERR_RIG_ENDED", `The script ended without a line ${pattern}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Give the script a line to read. */
  send(line: string): void {
    this.#script.write(`${line}\n`);
  }

  /** Kill the guest if it still runs, and wait until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#qemu.kill("SIGKILL");
    await this.ended.catch(() => {});
  }
}

/** A file that is gone with the last descriptor of it, however this process ends. */
async function anonymousFile(content: Uint8Array): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), "vfio-qemu11-"));
  try {
    await writeFile(join(directory, "file"), content);
    return await open(join(directory, "file"));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Start a guest. It runs when this returns, but has not booted. */
export async function startGuest(options: GuestOptions): Promise<QemuGuest> {
  const tools = inject("qemu11");
  if (tools === undefined) throw new RigError("ERR_RIG_MISSING", "There is no QEMU 11.1 on this machine");
  await using initrd = await anonymousFile(initramfs(await readFile(tools.busybox), options.script));
  return new QemuGuest(tools, initrd, options);
}

/** Run a guest to its end. */
export async function runGuest(options: GuestOptions): Promise<GuestEnd> {
  await using guest = await startGuest(options);
  return await guest.ended;
}
