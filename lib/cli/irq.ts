/**
 * `vfio irq`: what interrupts a device has, and watching them come.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Device } from "../device/device.js";
import type { Interrupt } from "../device/interrupt.js";
import { type AttachOptions, modeOption, withDevice } from "./attach.js";
import {
  act,
  type CommonOptions,
  deviceArgument,
  examples,
  parseNumber,
  remark,
  type Session,
  subcommand,
} from "./command.js";
import { exitCodes } from "./exit-codes.js";
import { CommandError } from "./failure.js";
import { type Assignment, parseAssignment, writeAll } from "./registers.js";
import { drawTable } from "./table.js";
import type { Output } from "./terminal.js";

type Kind = "msix" | "msi" | "intx";

interface RegionWrite {
  readonly region: string;
  readonly assignment: Assignment;
}

interface Options extends CommonOptions, AttachOptions {
  readonly watch?: true;
  readonly kind?: Kind;
  readonly vectors?: number;
  readonly count?: number;
  readonly timeout?: number;
  readonly trigger?: true;
  readonly write?: readonly RegionWrite[];
}

function parseWrite(text: string, before: readonly RegionWrite[] | undefined): RegionWrite[] {
  const [, region, assignment] = /^(\w+):(.+)$/.exec(text) ?? [];
  if (region === undefined || assignment === undefined) throw new InvalidArgumentError("It must be like bar0:0x60=1.");
  return [...(before ?? []), { region, assignment: parseAssignment(assignment) }];
}

/** The subcommand. */
export function irqCommand(session: Session): Command {
  const command = subcommand(session, "irq", "Show what interrupts a device has, or watch them come.")
    .addArgument(deviceArgument())
    .option("--watch", "switch them on, and print each as it comes, until Ctrl-C")
    .addOption(
      new Option("--kind <kind>", "which kind; by default the best that the device has").choices([
        "msix",
        "msi",
        "intx",
      ]),
    )
    .addOption(new Option("--vectors <number>", "so many vectors; by default all").argParser(parseNumber(1, 2048)))
    .addOption(new Option("-c, --count <number>", "end after so many").argParser(parseNumber(1, 1e9)))
    .addOption(
      new Option("--timeout <seconds>", "end after this time, with exit code 1 if --count was not reached").argParser(
        parseNumber(1, 1e6),
      ),
    )
    .option("--trigger", "have the kernel raise each vector once, as if the device had done it")
    .addOption(
      new Option(
        "--write <region:offset=value>",
        "write a register of 32 bits once they are on (may be repeated)",
      ).argParser(parseWrite),
    )
    .addOption(modeOption());
  examples(command, [
    ["vfio irq 01:00.0", "what it has"],
    ["vfio irq 01:00.0 --watch", "watch until Ctrl-C"],
    ["vfio irq 01:00.0 --watch --trigger --count 1", "see that they arrive at all"],
    ["vfio irq 00:02.0 --watch --write bar0:0x60=1 --count 1", "have QEMU's edu device raise one"],
  ]);
  remark(command, "Watching switches bus mastering on, without which a device sends no MSI.");
  return command.action(act(session, irq));
}

async function irq(output: Output, address: string, options: Options): Promise<number | undefined> {
  if (options.watch === undefined && (options.trigger !== undefined || options.write !== undefined)) {
    throw new CommandError("--trigger and --write need --watch", "add --watch", exitCodes.usage);
  }
  return await withDevice(address, options, async (device) => {
    if (options.watch === true) return await watch(output, device, options);
    show(output, device);
    return undefined;
  });
}

function show(output: Output, device: Device): void {
  const irqs = device.irqs.map(({ name, count, info }) => ({
    name,
    count,
    eventfd: info.eventfd,
    maskable: info.maskable,
    automasked: info.automasked,
    noresize: info.noresize,
  }));
  output.printJson({ address: device.address, interrupts: irqs });
  const columns = [
    { title: "KIND" },
    { title: "COUNT", align: "right" as const },
    { title: "MASKABLE" },
    { title: "AUTOMASKED" },
    { title: "NORESIZE" },
  ];
  const yes = (value: boolean) => (value ? "yes" : "no");
  const rows = irqs.map((each) => [
    each.name,
    String(each.count),
    yes(each.maskable),
    yes(each.automasked),
    yes(each.noresize),
  ]);
  output.print(drawTable(columns, rows, { width: output.width, head: output.colors.dim }));
}

function chooseKind(device: Device, wanted: Kind | undefined): Kind {
  const has = (["msix", "msi", "intx"] as const).filter((kind) => device[kind].count > 0);
  const chosen = wanted === undefined ? has[0] : has.find((kind) => kind === wanted);
  if (chosen !== undefined) return chosen;
  throw new CommandError(
    `${device.address} has no ${wanted ?? "interrupts"}`,
    has.length === 0 ? "look at vfio info" : `choose ${has.join(" or ")} with --kind`,
  );
}

function enable(device: Device, kind: Kind, vectors: number | undefined): readonly Interrupt[] {
  if (kind === "intx") return [device.intx.enable()];
  const { count } = device[kind];
  if (vectors !== undefined && vectors > count) {
    throw new CommandError(
      `${device.address} has ${count} vectors of ${kind}`,
      `--vectors ${count} at most`,
      exitCodes.usage,
    );
  }
  return device[kind].enable(vectors ?? count);
}

/** Why watching ended. */
type End = "count" | "timeout" | "interrupted" | "wanted";

async function watch(output: Output, device: Device, options: Options): Promise<number> {
  const kind = chooseKind(device, options.kind);
  device.busMaster = true;
  const interrupts = enable(device, kind, options.vectors);
  const totals = new Map<number, number>();
  let seen = 0;
  const started = performance.now();
  const cleanups: (() => void)[] = [];
  const ended = new Promise<End>((resolve) => {
    const interrupted = () => resolve("interrupted");
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, interrupted);
      cleanups.push(() => process.off(signal, interrupted));
    }
    if (options.timeout !== undefined) {
      const timer = setTimeout(() => resolve("timeout"), options.timeout * 1000);
      cleanups.push(() => clearTimeout(timer));
    }
    for (const interrupt of interrupts) {
      interrupt.on("interrupt", (count) => {
        seen += count;
        const total = (totals.get(interrupt.index) ?? 0) + count;
        totals.set(interrupt.index, total);
        printOne(output, kind, interrupt.index, count, total, performance.now() - started);
        // The kernel masks a line when it delivers it.
        if (kind === "intx") device.intx.line?.unmask();
        if (options.count !== undefined && seen >= options.count) resolve("count");
      });
    }
    if (device.req.count > 0) device.req.enable().on("interrupt", () => resolve("wanted"));
    if (device.err.count > 0) {
      device.err
        .enable()
        .on("interrupt", () => output.note(`${device.address}: the device reports an uncorrectable error`));
    }
  });
  output.note(`${device.address}: ${kind} is on, ${interrupts.length} vector${interrupts.length === 1 ? "" : "s"}`);
  if (options.trigger === true) for (const interrupt of interrupts) interrupt.trigger();
  writeAll(device, options.write ?? []);
  const end = await ended;
  for (const cleanup of cleanups) cleanup();
  if (end === "wanted") output.note(`${device.address}: somebody else wants the device, and gets it`);
  if (end === "interrupted") return exitCodes.interrupted;
  return end === "timeout" && options.count !== undefined ? exitCodes.failed : exitCodes.done;
}

function printOne(
  output: Output,
  kind: Kind,
  vector: number,
  count: number,
  total: number,
  milliseconds: number,
): void {
  const seconds = milliseconds / 1000;
  output.printJson({ kind, vector, count, total, seconds: Number(seconds.toFixed(6)) });
  const { colors } = output;
  const name = kind === "intx" ? kind : `${kind} ${vector}`;
  output.print(
    `${colors.dim(`${seconds.toFixed(6).padStart(12)}`)}  ${colors.bold(name)}  +${count}  ${colors.dim(`total ${total}`)}`,
  );
}
