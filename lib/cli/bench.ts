/**
 * `vfio bench`: what the package costs over plain C, measured right here.
 *
 * The benchmarks are compiled on their own, to `dist/bench`, against the package as its users see it. This command loads them when
 * it is run; {@link Bench} is what the two agree on.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { codeOf, messageOf } from "../base/errors.js";
import { type ProgressListener, ProgressPrinter } from "../rig/progress.js";
import { act, type CommonOptions, examples, remark, type Session, subcommand } from "./command.js";
import { exitCodes } from "./exit-codes.js";
import { CommandError } from "./failure.js";
import { type Column, drawTable } from "./table.js";
import type { Colors, Output } from "./terminal.js";

/** Which benchmarks are shown, and how. */
export interface BenchView {
  /** Parts of names, or their beginnings with stars; none for all. */
  readonly names: readonly string[];
  readonly colors: Colors;
  /** What an earlier run printed, for a table of both. */
  readonly compare: string | undefined;
}

/** A benchmark begins. */
export interface BenchBegin {
  readonly name: string;
  readonly where: "host" | "guest";
  /** How many have begun, this one among them. */
  readonly begun: number;
  readonly of: number;
}

/** What is to be measured. */
export interface BenchRequest extends BenchView {
  readonly short: boolean;
  /** What this machine lacks something for runs in the rig's guest. */
  readonly rig: boolean;
  /** Ends the run before the next benchmark. */
  readonly signal: AbortSignal;
  readonly onBegin: (begin: BenchBegin) => void;
  readonly onRig: ProgressListener;
}

/** What came of it. */
export interface BenchOutcome {
  readonly json: Readonly<Record<string, unknown>>;
  readonly table: { readonly columns: readonly Column[]; readonly rows: readonly (readonly string[])[] };
  /** Lines for people, below the table. */
  readonly notes: readonly string[];
  /** Whether a benchmark did not run. */
  readonly failed: boolean;
  /** Draws it. */
  svg(): string;
}

/** What `dist/bench/command.js` exports as `bench`. */
export interface Bench {
  /** Whether the floor cannot be built here. */
  lacksCompiler(): boolean;
  /** The benchmarks that names select, the names that select none, and those that run only if they are named, which they are not. */
  list(names: readonly string[]): {
    readonly unknown: readonly string[];
    readonly onDemand: readonly string[];
    readonly benchmarks: readonly {
      readonly name: string;
      readonly what: string;
      readonly missing: string | undefined;
    }[];
  };
  /** Why a text is not what `--json` prints; undefined if it is. */
  check(text: string): string | undefined;
  run(request: BenchRequest): Promise<BenchOutcome>;
  /** Shows an earlier run again. */
  show(text: string, view: BenchView): BenchOutcome;
}

interface Options extends CommonOptions {
  readonly list?: true;
  readonly short?: true;
  readonly rig?: true;
  readonly svg?: string;
  readonly compare?: string;
  readonly from?: string;
}

/** The subcommand. */
export function benchCommand(session: Session): Command {
  const command = subcommand(session, "bench", "Measure what the package costs over plain C, on this machine.")
    .argument(
      "[names...]",
      "parts of names, or beginnings with stars: map, 'map/*/4k'; all but the largest sets if left out",
    )
    .option("--list", "print what there is, and what this machine lacks for it")
    .option("--short", "a few seconds: shows that everything runs, and not how fast")
    .option("--rig", "run in the rig's guest what needs a kernel with VFIO that is not here")
    .option("--svg <file>", "draw it, too")
    .addOption(new Option("--compare <file>", "compare with what --json printed earlier"))
    .addOption(
      new Option("--from <file>", "show what --json printed earlier, instead of measuring").conflicts([
        "rig",
        "short",
        "list",
      ]),
    );
  examples(command, [
    ["vfio bench", "everything that runs here"],
    ["vfio bench --rig map --json > old.json", "mappings, on a real kernel in a guest"],
    ["vfio bench --rig map --compare old.json", "whether a change made them faster"],
    ["vfio bench --from old.json --svg old.svg", "a picture of an earlier run"],
  ]);
  remark(
    command,
    "It needs a C compiler ($CC, or cc): each benchmark runs in turns with a C program that does the same. It fails if one does not run, and for nothing else.",
  );
  return command.action(act(session, bench));
}

function isBench(value: unknown): value is Bench {
  const functions: readonly (keyof Bench)[] = ["lacksCompiler", "list", "check", "run", "show"];
  return (
    typeof value === "object" &&
    value !== null &&
    functions.every((name) => typeof Object.getOwnPropertyDescriptor(value, name)?.value === "function")
  );
}

async function load(): Promise<Bench> {
  const unbuilt = new CommandError("the benchmarks are not compiled here", "npm run build:ts, in the checkout");
  const module: unknown = await import(new URL("../bench/command.js", import.meta.url).href).catch((cause: unknown) => {
    throw codeOf(cause) === "ERR_MODULE_NOT_FOUND" ? unbuilt : cause;
  });
  if (typeof module !== "object" || module === null || !("bench" in module) || !isBench(module.bench)) throw unbuilt;
  return module.bench;
}

/** Reads an earlier run. */
function readRun(measures: Bench, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new CommandError(`${file} cannot be read: ${messageOf(error)}`, "name a file that vfio bench --json wrote");
  }
  const wrong = measures.check(text);
  if (wrong === undefined) return text;
  throw new CommandError(`${file} has no results: ${wrong}`, "name a file that this version's vfio bench --json wrote");
}

function list(output: Output, { benchmarks, onDemand }: ReturnType<Bench["list"]>): void {
  output.printJson({
    benchmarks: benchmarks.map((each) => ({ name: each.name, what: each.what, missing: each.missing ?? null })),
    onDemand,
  });
  const rows = benchmarks.map(({ name, what, missing }) => [name, what, missing ?? ""]);
  const columns = [
    { title: "BENCHMARK" },
    { title: "ONE OPERATION", least: 20 },
    { title: "LACKS", least: 10, drop: 1 },
  ];
  const used = rows.some(([, , missing]) => missing !== "") ? columns : columns.slice(0, 2);
  output.print(drawTable(used, rows, { width: output.width, head: (text) => output.colors.dim(text) }));
  if (onDemand.length > 0) {
    const areas = [...new Set(onDemand.map((name) => name.replace(/\/.*/, "")))];
    output.print(`\n${onDemand.length} more run only if they are named; see: vfio bench --list ${areas.join(" ")}`);
  }
}

/** A bar on a terminal; elsewhere nobody wants to read one. */
async function progressBar(output: Output): Promise<{ update(begin: BenchBegin): void; stop(): void }> {
  const { stderr } = output.terminal;
  if (stderr.isTTY !== true) return { update: () => {}, stop: () => {} };
  const { SingleBar } = await import("cli-progress");
  const bar = new SingleBar({
    stream: stderr,
    format: "{bar} {value}/{total} | {name}",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    // What is measured leaves no turn to timers: it is drawn when a benchmark begins.
    noTTYOutput: false,
    synchronousUpdate: true,
    fps: 1000,
  });
  let started = false;
  return {
    update: ({ name, where, begun, of }) => {
      const shown = { name: where === "guest" ? `${name} (guest)` : name };
      if (started) bar.update(begun - 1, shown);
      else bar.start(of, begun - 1, shown);
      started = true;
    },
    stop: () => {
      if (started) bar.stop();
    },
  };
}

async function measure(
  measures: Bench,
  output: Output,
  view: BenchView,
  options: Options,
): Promise<BenchOutcome | undefined> {
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  // A guest leaves files behind if nobody ends it.
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.once(signal, interrupt);
  const bar = await progressBar(output);
  using rig = new ProgressPrinter(output.terminal.stderr, "rig");
  try {
    return await measures.run({
      ...view,
      short: options.short === true,
      rig: options.rig === true,
      signal: abort.signal,
      onBegin: bar.update,
      onRig: rig.listener,
    });
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    return undefined;
  } finally {
    bar.stop();
    for (const signal of signals) process.off(signal, interrupt);
  }
}

function writePicture(file: string, picture: string): void {
  try {
    writeFileSync(file, picture);
  } catch (error) {
    throw new CommandError(`${file} cannot be written: ${messageOf(error)}`, "name a file in a directory of yours");
  }
}

async function bench(output: Output, names: readonly string[], options: Options): Promise<number | undefined> {
  const measures = await load();
  const earlier = options.compare === undefined ? undefined : readRun(measures, options.compare);
  const view: BenchView = { names, colors: output.colors, compare: earlier };
  let outcome: BenchOutcome | undefined;
  if (options.from === undefined) {
    const there = measures.list(names);
    if (there.unknown.length > 0) {
      throw new CommandError(
        `no benchmark is called ${there.unknown.join(", ")}`,
        "see vfio bench --list",
        exitCodes.usage,
      );
    }
    if (options.list === true) {
      list(output, there);
      return undefined;
    }
    if (measures.lacksCompiler()) {
      throw new CommandError("there is no C compiler, to measure against", "install gcc or clang, or name one in CC");
    }
    outcome = await measure(measures, output, view, options);
  } else {
    outcome = measures.show(readRun(measures, options.from), view);
  }
  if (outcome === undefined) {
    output.note("interrupted");
    return exitCodes.interrupted;
  }
  const { json, table, notes, failed } = outcome;
  if (options.svg !== undefined) writePicture(options.svg, outcome.svg());
  output.printJson(json);
  if (table.rows.length > 0) {
    output.print(
      drawTable(table.columns, table.rows, { width: output.width, head: (text) => output.colors.dim(text) }),
    );
    output.print("");
  }
  for (const note of notes) output.print(note);
  return failed ? exitCodes.failed : undefined;
}
