/**
 * `vfio rig`: a command of the user's in the rig's guest.
 *
 * @module
 */
import { inspect } from "node:util";
import { Command, InvalidArgumentError, Option } from "commander";
import pc from "picocolors";
import { RigError, tail } from "../rig/errors.js";
import { defaultCpus, defaultMemory, iommuKinds, mostCpus, parseMemory } from "../rig/machine.js";
import { ProgressPrinter } from "../rig/progress.js";
import { runInGuest } from "../rig/run.js";
import { exitCodes } from "./exit-codes.js";

interface Options {
  kernel?: string;
  qemu?: string;
  memory: number;
  cpus: number;
  iommu: "intel" | "amd" | "virtio";
  device: string[];
  shell?: true;
  keep?: true;
  timeout: number;
  verbose?: true;
}

function number(what: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be ${what}.`);
    return value;
  };
}

function memory(text: string): number {
  try {
    return parseMemory(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : String(error));
  }
}

/** The subcommand. */
export function rigCommand(): Command {
  return new Command("rig")
    .description("Run a command in a guest with a real kernel, an emulated IOMMU and emulated devices.")
    .argument("[command...]", "the command and its arguments")
    .option("--kernel <bzImage>", "a kernel of your own, instead of the rig's")
    .option("--qemu <binary>", "a QEMU of your own")
    .addOption(new Option("--memory <size>", "guest memory, like 4G").argParser(memory).default(defaultMemory, "4G"))
    .addOption(
      new Option("--cpus <count>", "virtual CPUs")
        .argParser(number(`1 to ${mostCpus}`, 1, mostCpus))
        .default(defaultCpus),
    )
    .addOption(new Option("--iommu <kind>", "the emulated IOMMU").choices(iommuKinds).default("intel"))
    .option(
      "--device <device>",
      "one more device, as QEMU's -device takes it (may be repeated)",
      (d, all: string[]) => [...all, d],
      [],
    )
    .option("--shell", "a shell in the guest, instead of a command")
    .option("--keep", "after the command, keep the guest up with a shell, until it is powered off")
    .addOption(
      new Option("--timeout <seconds>", "kill the guest after this long; 0 for never")
        .argParser(number("a number of seconds", 0, 1e6))
        .default(600),
    )
    .option("-v, --verbose", "say all there is to an error of the rig's own")
    .passThroughOptions()
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : exitCodes.rigFailed))
    .addHelpText(
      "after",
      `
The guest's file system is the host's, under an overlay that is thrown away: a
command may write anywhere. The exit code is the command's; ${exitCodes.rigFailed} means that the
rig itself failed. The guest's kernel is built once, which takes minutes.
docs/rig.md in the package describes the machine.`,
    )
    .action(run);
}

async function run(command: string[], options: Options, self: Command): Promise<void> {
  if (command.length === 0 && options.shell === undefined) self.error("error: a command is missing, or --shell");
  if (command.length > 0 && options.shell !== undefined) self.error("error: --shell takes no command (--keep does)");
  const interactive = options.shell !== undefined || options.keep !== undefined;
  const abort = new AbortController();
  const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
  let signalled: number | undefined;
  for (const [signal, code] of Object.entries(signals)) {
    process.once(signal, () => {
      signalled = code;
      abort.abort();
    });
  }
  // Whoever read the output has gone, as in `rig ... | head`.
  process.stdout.once("error", () => {
    signalled = 141;
    abort.abort();
  });
  using progress = new ProgressPrinter(process.stderr, "rig");
  using terminal = new RawTerminal();
  try {
    const { exitCode } = await runInGuest({
      command,
      shell: options.shell !== undefined ? "only" : options.keep !== undefined ? "after" : undefined,
      kernel: options.kernel,
      qemu: options.qemu,
      memory: options.memory,
      cpus: options.cpus,
      iommu: options.iommu,
      devices: options.device,
      // Nobody wants to be thrown out of a shell.
      timeout: interactive ? 0 : options.timeout * 1000,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      signal: abort.signal,
      onProgress: progress.listener,
      // Until then, Ctrl-C is for the rig.
      onReady: interactive ? () => terminal.enter() : undefined,
    });
    process.exitCode = exitCode;
  } catch (error) {
    if (signalled !== undefined) {
      process.exitCode = signalled;
      return;
    }
    if (!(error instanceof RigError)) throw error;
    process.exitCode = exitCodes.rigFailed;
    reportRigError("vfio rig", error, options.verbose === true);
  } finally {
    // An open standard input would keep this process alive.
    process.stdin.destroy();
  }
}

/**
 * Says what went wrong, in one line where the message is no list of commands; then, where a guest or a build has ended, what it
 * said last: it cannot be asked again.
 */
export function reportRigError(name: string, error: RigError, verbose = false): void {
  const parts = error.message.split("\n");
  const message = parts.length > 2 ? error.message : `${parts.join(" ").replace(/\.$/, "")}.`;
  const lines = [
    `${pc.red(`${name}:`)} ${message}${error.fix === undefined ? "" : ` ${pc.bold("Fix:")} ${error.fix}`}`,
  ];
  // A panic's message has its text already.
  if (error.log !== "" && error.code !== "ERR_RIG_PANIC") {
    const what =
      error.code === "ERR_RIG_KERNEL" || error.code === "ERR_RIG_MISSING" ? "its last lines" : "the guest's console";
    lines.push(pc.dim(`--- ${what}:`), tail(error.log, 40), pc.dim("---"));
  }
  if (verbose) lines.push(pc.dim(inspect(error)));
  process.stderr.write(`${lines.join("\n")}\n`);
}

/** A terminal whose every key goes to the guest, Ctrl-C too, from `enter` until this is disposed. */
class RawTerminal implements Disposable {
  enter(): void {
    if (process.stdin.isTTY) process.stdin.setRawMode(true);
  }

  [Symbol.dispose](): void {
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
  }
}
