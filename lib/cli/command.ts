/**
 * What all subcommands have in common: their options, their help, and how they end.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import pc from "picocolors";
import { type HostPaths, pciAddress } from "../pci/index.js";
import { exitCodes } from "./exit-codes.js";
import { reportFailure } from "./failure.js";
import { Output, sentence, type Terminal, wantsColor, widthOf, wrap } from "./terminal.js";

/** One run of the program. */
export class Session {
  readonly terminal: Terminal;
  exitCode: number = exitCodes.done;

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  /** Ends quietly when the reader of the output has gone, as in `vfio list | head`. */
  endWithReader(): void {
    const { stdout } = this.terminal;
    if (stdout.listenerCount("error") === 0) stdout.once("error", () => process.exit(exitCodes.readerGone));
  }
}

/** The options that every command has. */
export interface CommonOptions {
  readonly json?: true;
  readonly verbose?: true;
}

/** Those of the commands that only look into the host's files. */
export interface HostOptions extends CommonOptions {
  readonly host?: string;
}

/** A root that was given by `--host`, as the library takes it. */
export function hostPaths({ host }: HostOptions): HostPaths & { readonly run?: string } {
  if (host === undefined) return {};
  return { sysfs: join(host, "sys"), dev: join(host, "dev"), proc: join(host, "proc"), run: join(host, "run/vfio") };
}

function nameOf(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${nameOf(parent)} ${command.name()}`;
}

/** Words for commander: where it writes, how wide, and errors in one line; and its exits are ours. */
export function configure(session: Session, command: Command): Command {
  return configureWords(session, command).exitOverride();
}

/** {@link configure} for a command that has exit codes of its own. */
export function configureWords(session: Session, command: Command): Command {
  const { terminal } = session;
  const { stdout, stderr } = terminal;
  const helpWidth = (width: number) => (width === Number.POSITIVE_INFINITY ? 100 : Math.min(width, 120));
  return command
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      getOutHelpWidth: () => helpWidth(widthOf(stdout, terminal)),
      getErrHelpWidth: () => helpWidth(widthOf(stderr, terminal)),
      getOutHasColors: () => wantsColor(stdout, terminal),
      getErrHasColors: () => wantsColor(stderr, terminal),
      outputError: (text, write) => {
        const colors = pc.createColors(wantsColor(stderr, terminal));
        const message = text
          .replace(/^error: (command-argument value )?/, "")
          .trim()
          .replace(/\s*\n\s*/g, " ")
          .replace(/\.$/, "");
        const name = nameOf(command);
        const line = `${colors.red(`${name}:`)} ${message}. ${colors.bold("Fix:")} see ${name} --help`;
        write(`${sentence(stderr, line)}\n`);
      },
    })
    .configureHelp({ styleTitle: (title) => pc.createColors(true).bold(title), subcommandTerm: (each) => each.name() });
}

/** A subcommand, with the options that every one has. */
export function subcommand(session: Session, name: string, description: string): Command {
  return configure(session, new Command(name).description(description))
    .addOption(new Option("--json", "print one JSON object, as docs/command.md in the package describes it"))
    .addOption(new Option("-v, --verbose", "say all there is to an error"));
}

/** `--host`, for commands that only look into files. */
export function hostOption(): Option {
  return new Option(
    "--host <root>",
    "look at the system whose /sys, /dev and /proc are mounted below this directory",
  ).argParser((root) => {
    if (existsSync(join(root, "sys"))) return root;
    throw new InvalidArgumentError(`There is no ${join(root, "sys")}.`);
  });
}

/** How wide texts are that are not wrapped by commander: as wide as the narrowest terminal that anybody has. */
const TEXT_WIDTH = 78;

/** What there is to know, below a command's help and its examples. */
export function remark(command: Command, text: string): Command {
  remarkOf.set(command, text);
  return command.addHelpText("after", `\n${wrap(text, TEXT_WIDTH)}`);
}

/** Examples below a command's help, and in the manual page. */
export function examples(command: Command, lines: readonly (readonly [example: string, what: string])[]): Command {
  examplesOf.set(command, lines);
  const text = lines.map(([example, what]) => `  ${example}\n      ${what}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${text}`);
}

/** For the manual page. */
export const remarkOf = new WeakMap<Command, string>();

/** For the manual page. */
export const examplesOf = new WeakMap<Command, readonly (readonly [example: string, what: string])[]>();

type Outcome = number | undefined;

/**
 * Runs a command's action: what it returns is the exit code, what it throws is said in one line.
 *
 * @param action gets the output, then what commander gives
 */
export function act<Args extends readonly unknown[]>(
  session: Session,
  action: (output: Output, ...args: Args) => Outcome | Promise<Outcome>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const self: unknown = args.at(-1);
    const command = self instanceof Command ? self : undefined;
    const output = new Output(session.terminal, command?.opts<CommonOptions>());
    try {
      session.exitCode = (await action(output, ...args)) ?? exitCodes.done;
    } catch (error) {
      if (error instanceof CommanderError) throw error;
      session.exitCode = reportFailure(command === undefined ? "vfio" : nameOf(command), error, output);
    }
  };
}

// ---- arguments -------------------------------------------------------------------------------------------------------

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A PCI address in full. */
export function parseAddress(text: string): string {
  try {
    return pciAddress(text);
  } catch {
    throw new InvalidArgumentError("It must be a PCI address like 0000:01:00.0 or 01:00.0.");
  }
}

/** A PCI address in full, or a mediated device's UUID. */
export function parseDevice(text: string): string {
  return uuid.test(text) ? text.toLowerCase() : parseAddress(text);
}

/** `<address>`: a PCI device. */
export function addressArgument(form = "<address>"): Argument {
  return new Argument(form, "PCI address: 0000:01:00.0, or 01:00.0");
}

/** `<address>` of a device that is opened. */
export function deviceArgument(): Argument {
  return new Argument("<address>", "PCI address (0000:01:00.0, 01:00.0), or a mediated device's UUID").argParser(
    parseDevice,
  );
}

/** Makes a parser of numbers in decimal or hexadecimal. */
export function parseNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw new InvalidArgumentError(`It must be a number from ${least} to ${most}, in decimal or hexadecimal (0x10).`);
    }
    return value;
  };
}

/** An offset in a region. */
export const parseOffset = parseNumber(0, Number.MAX_SAFE_INTEGER);
