/**
 * One run of a command in the guest: start QEMU, carry the command's three streams, bring back its exit code, and end in
 * every case with QEMU gone and nothing left on the host.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { copyFile, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { WriteStream } from "node:tty";
import { fileURLToPath } from "node:url";
import { RigError, tail } from "./errors.js";
import { fstab, type Job, jobScript } from "./job.js";
import { type Boot, channels, type Machine, qemuArguments } from "./machine.js";
import { withParent } from "./process.js";

/** How long a guest may take from QEMU's start to the command's, in milliseconds. It takes 3 s when the host is idle. */
export const bootTimeout = 90_000;

/** How long a guest whose command has ended may take to power off, in milliseconds, before it is killed. */
const powerOffTimeout = 5_000;

/** Milliseconds between the Ctrl-D characters that end a shell whose input has ended. */
const endInterval = 500;

/** How much of the console is kept, in characters: a boot with its warnings and any panic fit many times over. */
const consoleLimit = 1024 * 1024;

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
export async function runGuest(run: GuestRun): Promise<GuestResult> {
  const directory = await mkdtemp(join(tmpdir(), "vfio-rig-"));
  try {
    const boot = await prepare(directory, run);
    return await new Guest(run, boot).done;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function prepare(directory: string, run: GuestRun): Promise<Boot> {
  if (directory.includes('"')) throw new RigError("ERR_RIG_BOOT", `TMPDIR must not contain a quote: ${directory}`);
  const disk = join(directory, "disk.img");
  const image = await open(disk, "w");
  try {
    await image.truncate(diskSize);
  } finally {
    await image.close();
  }
  await copyFile(fileURLToPath(new URL("../../lib/rig/init.sh", import.meta.url)), join(directory, "init.sh"));
  await writeFile(join(directory, "fstab"), fstab);
  await writeFile(join(directory, "job.sh"), jobScript(run.job));
  return { kernel: run.kernel, directory, disk, interactive: run.job.shell !== undefined };
}

/** The NVMe disk: sparse, so it costs the host only what QEMU's snapshot receives. */
const diskSize = 256 * 1024 * 1024;

class Guest {
  readonly done: Promise<GuestResult>;
  readonly #run: GuestRun;
  readonly #qemu: ChildProcess;
  readonly #started = performance.now();
  #console = "";
  #qemuErrors = "";
  #ready: number | undefined;
  #exitCode: number | undefined;
  /** The first thing that went wrong. */
  #failure: RigError | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(run: GuestRun, boot: Boot) {
    this.#run = run;
    const [program, args] = withParent(run.qemu, qemuArguments(run.machine, boot));
    // A session of its own: the terminal's Ctrl-C is this process's to handle.
    this.#qemu = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe", ...Object.keys(channels).map(() => "pipe" as const)],
      detached: true,
    });
    this.done = this.#watch(boot);
  }

  async #watch(boot: Boot): Promise<GuestResult> {
    const run = this.#run;
    const ended = new Promise<void>((resolve) => {
      this.#qemu.once("error", (cause) => {
        this.#fail(new RigError("ERR_RIG_QEMU", `Cannot start ${run.qemu}: ${cause.message}`, { cause }));
        resolve();
      });
      this.#qemu.once("close", () => resolve());
    });
    this.#qemu.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#qemuErrors += text;
    });
    this.#channel("console")
      .setEncoding("latin1")
      .on("data", (text: string) => {
        this.#console = (this.#console + text.replaceAll("\r", "")).slice(-consoleLimit);
      });
    this.#control(this.#channel("control"));
    this.#streams(boot);
    this.#limit(bootTimeout, () => this.#ready === undefined);
    if (run.timeout > 0) this.#limit(run.timeout, () => this.#exitCode === undefined);
    const abort = () => this.#fail(new RigError("ERR_RIG_ABORTED", "The guest was stopped"));
    if (run.signal?.aborted) abort();
    run.signal?.addEventListener("abort", abort, { once: true });

    await ended;
    run.signal?.removeEventListener("abort", abort);
    for (const timer of this.#timers) clearTimeout(timer);
    return this.#result();
  }

  #channel(name: keyof typeof channels): Socket {
    // A pipe of spawn's beyond the first three is a connected socket, in both directions.
    const stdio: ArrayLike<unknown> = this.#qemu.stdio;
    const channel = stdio[channels[name]];
    if (!(channel instanceof Socket)) throw new TypeError(`QEMU was started without its ${name} channel`);
    return channel;
  }

  #control(control: Socket): void {
    let pending = "";
    control.setEncoding("latin1").on("data", (text: string) => {
      pending += text;
      const lines = pending.split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) {
        const [word, rest = ""] = line.split(/ (.*)/s);
        if (word === "ready") {
          this.#ready = performance.now();
          this.#followSize(control);
          this.#run.onReady?.();
        }
        if (word === "exit") {
          this.#exitCode = Number(rest);
          this.#after(powerOffTimeout, () => this.#kill());
        }
      }
    });
    control.on("error", () => {});
  }

  /** Keep the size of a shell's terminal the same as that of the terminal in front of the user. */
  #followSize(control: Socket): void {
    const { job, stdout } = this.#run;
    if (job.shell === undefined || !(stdout instanceof WriteStream)) return;
    const send = () => control.write(`size ${stdout.rows} ${stdout.columns}\n`);
    send();
    stdout.on("resize", send);
    this.#qemu.once("close", () => stdout.off("resize", send));
  }

  #streams(boot: Boot): void {
    const { stdin, stdout, stderr } = this.#run;
    const input = this.#channel("stdin");
    // A shell's terminal has no end of file; a person types Ctrl-D, and again if the shell did not listen yet.
    const typeEnd = () => this.#timers.push(setInterval(() => input.write("\x04"), endInterval));
    this.#qemu.once("close", () => stdin?.unpipe(input).off("end", typeEnd));
    const output = this.#channel(boot.interactive ? "stdin" : "stdout");
    // The guest may end before it has read all: that is no error of ours.
    input.on("error", () => {});
    if (stdin === undefined) input.end();
    else if (!boot.interactive) stdin.pipe(input);
    else {
      stdin.pipe(input, { end: false });
      stdin.once("end", typeEnd);
    }
    output.pipe(stdout, { end: false });
    if (!boot.interactive) this.#channel("stderr").pipe(stderr, { end: false });
  }

  #after(milliseconds: number, action: () => void): void {
    this.#timers.push(setTimeout(action, milliseconds));
  }

  #fail(failure: RigError): void {
    this.#failure ??= failure;
    this.#kill();
  }

  #kill(): void {
    this.#qemu.kill("SIGKILL");
  }

  /** Kill the guest after a time, if by then something still has not happened. */
  #limit(milliseconds: number, missing: () => boolean): void {
    this.#after(milliseconds, () => {
      if (!missing()) return;
      const booting = this.#ready === undefined;
      const text = `The guest did not ${booting ? "come up" : "end"} within ${milliseconds / 1000} s and was killed`;
      const fix = booting ? undefined : "give it longer with --timeout <seconds>; 0 is for ever";
      this.#fail(new RigError(booting ? "ERR_RIG_BOOT" : "ERR_RIG_TIMEOUT", text, { fix }));
    });
  }

  #ended(exitCode: number): GuestResult {
    const now = performance.now();
    const bootTime = (this.#ready ?? now) - this.#started;
    return { exitCode, console: this.#console, bootTime, time: now - this.#started };
  }

  #result(): GuestResult {
    const log = this.#console;
    const panic = panicText(log);
    if (panic !== undefined) throw new RigError("ERR_RIG_PANIC", `The guest's kernel panicked:\n${panic}`, { log });
    if (this.#failure !== undefined) {
      const { code, message, fix, cause } = this.#failure;
      throw new RigError(code, message, { log, fix, cause });
    }
    if (this.#exitCode !== undefined) return this.#ended(this.#exitCode);
    const { exitCode, signalCode } = this.#qemu;
    if (exitCode !== 0) {
      const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
      // It always warns that the network cards are connected to nobody.
      const errors = this.#qemuErrors.split("\n").filter((line) => !line.includes(": warning: hub "));
      const fix = "for what --device takes, see qemu-system-x86_64 -device help";
      throw new RigError("ERR_RIG_QEMU", `QEMU ended with ${how}:\n${tail(errors.join("\n"), 20)}`, { log, fix });
    }
    if (this.#ready === undefined) throw new RigError("ERR_RIG_BOOT", "The guest ended before it was up", { log });
    // Whoever has a shell may power off as they like.
    if (this.#run.job.shell !== undefined) return this.#ended(0);
    throw new RigError("ERR_RIG_ENDED", "The guest powered off, or rebooted, before the command had ended", { log });
  }
}

/** The text of a kernel's panic on a console, from the oops or the panic's first line on. */
export function panicText(log: string): string | undefined {
  if (!/Kernel panic - not syncing/.test(log)) return undefined;
  const lines = log.split("\n");
  const first = lines.findIndex((line) =>
    /\b(BUG:|Oops:|kernel BUG at|general protection fault|Kernel panic - not)/.test(line),
  );
  return lines.slice(first).join("\n").trimEnd();
}
