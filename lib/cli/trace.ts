/**
 * `vfio trace`: a program's calls into the kernel through this package, as strace(1) shows those of any program.
 *
 * @module
 */
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { nativeCalls } from "../kernel/calls.js";
import type { TraceRecord } from "../trace/record.js";
import { nameFilter, SETTINGS_VARIABLE, type TraceSettings } from "../trace/settings.js";
import { runInPlace } from "./child.js";
import { act, type CommonOptions, examples, remark, type Session, subcommand } from "./command.js";
import { cannotWrite } from "./failure.js";
import { drawTable } from "./table.js";
import { type Output, schemaVersion } from "./terminal.js";

interface Options extends CommonOptions {
  readonly summary?: true;
  readonly filter?: readonly string[];
  readonly failed?: true;
  readonly registers?: true;
  readonly output?: string;
}

/** Every call that there is, by its ioctl's name and by its system call's. */
const known = Object.values(nativeCalls).flatMap((spec) =>
  spec.of === "process" || spec.of === "batch"
    ? []
    : [{ syscall: spec.syscall, request: typeof spec.request === "string" ? spec.request : undefined }],
);

function parseFilter(text: string, before: readonly string[] = []): readonly string[] {
  const words = text.split(",").filter((word) => word !== "");
  const stranger = words.find((word) => !known.some(nameFilter([word])));
  if (words.length === 0 || stranger !== undefined) {
    throw new InvalidArgumentError(
      `${words.length === 0 ? "It is empty" : `There is no call ${stranger}`}: name some like ioctl, VFIO_IOMMU_MAP_DMA or IOMMU_*.`,
    );
  }
  return [...before, ...words];
}

/** The subcommand. */
export function traceCommand(session: Session): Command {
  const command = subcommand(session, "trace", "Run a program, and show its calls into the kernel as strace does.")
    .addArgument(new Argument("<command...>", "the program and its arguments"))
    .option("-c, --summary", "when it has ended, a table of the calls, their errors and their times instead")
    .addOption(
      new Option(
        "-e, --filter <calls>",
        "only these: ioctls or system calls, with commas between; * is anything",
      ).argParser(parseFilter),
    )
    .option("--failed", "only calls that were refused")
    .option("--registers", "accesses to mapped registers, too; the kernel does not see them")
    .option("-o, --output <file>", "write to a file instead of standard error")
    .passThroughOptions();
  examples(command, [
    ["vfio trace -- node program.js", "every call, with its arguments, result and time"],
    ["vfio trace -c -- node program.js", "how many of each there were, and how long they took"],
    ["vfio trace -e 'IOMMU_*,mmap' -o calls.txt -- npm test", "some, of all processes that it starts"],
  ]);
  remark(
    command,
    "Processes of Node that the program starts are traced, too, and their workers. Lines go to the standard error of the process that made the call. The exit code is the program's; 127 where there is no such program, 126 where it cannot be run.",
  );
  return command.action(act(session, trace));
}

const preload = new URL("../trace/preload.js", import.meta.url).href;

/** The program's environment: what imports the tracer in it, and what the tracer is to do. */
function tracedEnvironment(settings: TraceSettings): Record<string, string | undefined> {
  const options = [process.env.NODE_OPTIONS, `--import=${preload}`].filter((each) => each !== undefined && each !== "");
  return { ...process.env, NODE_OPTIONS: options.join(" "), [SETTINGS_VARIABLE]: JSON.stringify(settings) };
}

/** The file is the user's: whoever may not write it hears so before the program begins. */
function emptyFile(file: string): string {
  try {
    writeFileSync(file, "");
  } catch (error) {
    throw cannotWrite(file, error);
  }
  return resolve(file);
}

async function trace(output: Output, program: readonly string[], options: Options): Promise<number> {
  const { filter = [], failed = false, registers = false } = options;
  const file = options.output === undefined ? undefined : emptyFile(options.output);
  const settings: TraceSettings = { filter, failed, registers };
  if (options.summary === undefined) {
    const where = file === undefined ? {} : { file };
    const format = output.json ? { json: schemaVersion } : {};
    return await runInPlace(program, tracedEnvironment({ ...settings, ...where, ...format }));
  }
  const directory = mkdtempSync(join(tmpdir(), "vfio-trace-"));
  try {
    const records = emptyFile(join(directory, "calls"));
    const exitCode = await runInPlace(program, tracedEnvironment({ ...settings, file: records, json: schemaVersion }));
    const text = showSummary(output, await summarize(records));
    if (file === undefined) output.terminal.stderr.write(text);
    else writeFileSync(file, text);
    return exitCode;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What came of all calls of one name. */
interface Row {
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  readonly seconds: number;
}

/** Reads what the processes wrote; a line that one was killed over is left out. */
async function summarize(file: string): Promise<readonly Row[]> {
  const rows = new Map<string, Row>();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    let record: TraceRecord;
    try {
      record = JSON.parse(line);
    } catch {
      continue;
    }
    const name = record.request ?? record.syscall;
    const { calls, errors, seconds } = rows.get(name) ?? { calls: 0, errors: 0, seconds: 0 };
    rows.set(name, {
      name,
      calls: calls + 1,
      errors: errors + (record.error === null ? 0 : 1),
      seconds: seconds + record.seconds,
    });
  }
  return [...rows.values()].sort((a, b) => b.seconds - a.seconds);
}

function showSummary(output: Output, rows: readonly Row[]): string {
  const total = rows.reduce(
    (sum, { calls, errors, seconds }) => ({
      calls: sum.calls + calls,
      errors: sum.errors + errors,
      seconds: sum.seconds + seconds,
    }),
    { calls: 0, errors: 0, seconds: 0 },
  );
  if (output.json) return `${JSON.stringify({ schema: schemaVersion, calls: rows, total })}\n`;
  if (rows.length === 0) return "no calls: the program made none through this package\n";
  const cells = ({ name, calls, errors, seconds }: Row) => [
    total.seconds === 0 ? "" : ((100 * seconds) / total.seconds).toFixed(1),
    seconds.toFixed(6),
    ((seconds / calls) * 1e6).toFixed(1),
    String(calls),
    errors === 0 ? "" : String(errors),
    name,
  ];
  const columns = ["% time", "seconds", "µs/call", "calls", "errors"].map(
    (title) => ({ title, align: "right" }) as const,
  );
  const table = drawTable([...columns, { title: "call" }], [...rows.map(cells), cells({ name: "total", ...total })], {
    width: output.width,
    head: (text) => text,
  });
  return `${table}\n`;
}
