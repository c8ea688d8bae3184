/** The command in this process, with streams that remember what was written. */
import { Writable } from "node:stream";
import { run } from "../../../lib/cli/program.js";

export interface Screen {
  /** A terminal of so many columns; left out, the streams are no terminal. */
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
}

class Memory extends Writable {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number | undefined;

  constructor({ columns }: Screen) {
    super();
    this.isTTY = columns !== undefined;
    this.columns = columns;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function vfio(args: readonly string[], screen: Screen = {}): Promise<Result> {
  const stdout = new Memory(screen);
  const stderr = new Memory(screen);
  const code = await run(args, { stdout, stderr, env: screen.env ?? {} });
  return { code, out: stdout.text, err: stderr.text };
}

/** Every key of an object and of what is in it. */
export function keysOf(value: unknown): Set<string> {
  if (Array.isArray(value)) return new Set(value.flatMap((each) => [...keysOf(each)]));
  if (typeof value !== "object" || value === null) return new Set();
  return new Set(Object.entries(value).flatMap(([key, each]) => [key, ...keysOf(each)]));
}
