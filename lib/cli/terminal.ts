/**
 * What a command prints: words on a terminal as wide as it is, or JSON for programs.
 *
 * @module
 */
import type { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import pc from "picocolors";

/** A stream that may be a terminal. */
export interface TerminalStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
}

/** The streams and the environment of a command. */
export interface Terminal {
  readonly stdout: TerminalStream;
  readonly stderr: TerminalStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Colours as functions. */
export type Colors = ReturnType<typeof pc.createColors>;

/** The version of what `--json` prints. It grows when a field goes away or changes its meaning. */
export const schemaVersion = 1;

/** Colour only on a terminal, unless the environment says otherwise (no-color.org, force-color.org). */
export function wantsColor(stream: TerminalStream, { env }: Pick<Terminal, "env">): boolean {
  if ((env.NO_COLOR ?? "") !== "") return false;
  if ((env.FORCE_COLOR ?? "") !== "") return env.FORCE_COLOR !== "0";
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** How wide a stream's lines may be: a terminal's columns, what COLUMNS says, or any length into a file or a pipe. */
export function widthOf(stream: TerminalStream, { env }: Pick<Terminal, "env">): number {
  if (stream.isTTY === true && stream.columns !== undefined && stream.columns > 0) return stream.columns;
  const said = Number(env.COLUMNS);
  return Number.isInteger(said) && said > 0 ? said : Number.POSITIVE_INFINITY;
}

/** Breaks a text into lines between its words, as a terminal does not. Colours take no place. */
export function wrap(text: string, width: number): string {
  const length = (line: string) => stripVTControlCharacters(line).length;
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && length(line) + 1 + length(word) > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}

/**
 * A command in a piece of advice: it follows a mark, a word such as "or" or the end of bold text, and ends before the next mark. These are
 * the programs that the package's advice names.
 */
const command =
  /(?<=^|[:;,→(] ?|\bor |\bwith |\[22m )(?:sudo )?(?:vfio|modprobe|echo|umount|mount|swapoff|ip|ulimit|dmsetup|chmod|node|npm) [^;,()]*[^;,() ]/g;

const keptSpace = "\u0000";

/** {@link wrap} for advice. A command in it stays in one line, whatever its length: a reader would copy a line break, too. */
export function wrapAdvice(text: string, width: number): string {
  return wrap(
    text.replace(command, (whole) => whole.replaceAll(" ", keptSpace)),
    width,
  ).replaceAll(keptSpace, " ");
}

/** A sentence on a stream: wrapped on a terminal, one line for whoever reads it by lines. What has lines keeps them. */
export function sentence({ isTTY, columns = 0 }: TerminalStream, text: string): string {
  return isTTY === true && columns > 0 && !text.includes("\n") ? wrapAdvice(text, columns) : text;
}

/** What one command prints with. */
export class Output {
  readonly terminal: Terminal;
  /** Whether a program reads. */
  readonly json: boolean;
  readonly verbose: boolean;
  /** Colours of standard output. */
  readonly colors: Colors;
  readonly width: number;

  constructor(terminal: Terminal, options: { readonly json?: boolean; readonly verbose?: boolean } = {}) {
    this.terminal = terminal;
    this.json = options.json === true;
    this.verbose = options.verbose === true;
    this.colors = pc.createColors(wantsColor(terminal.stdout, terminal));
    this.width = widthOf(terminal.stdout, terminal);
  }

  /** Lines for people; nothing with `--json`. */
  print(text: string): void {
    if (!this.json) this.terminal.stdout.write(`${text}\n`);
  }

  /** One object for programs; nothing without `--json`. */
  printJson(value: Readonly<Record<string, unknown>>): void {
    if (this.json) this.terminal.stdout.write(`${JSON.stringify({ schema: schemaVersion, ...value })}\n`);
  }

  /** A line beside the result: what happens meanwhile, a warning. */
  note(text: string): void {
    this.terminal.stderr.write(`${sentence(this.terminal.stderr, text)}\n`);
  }
}
