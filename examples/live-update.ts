/**
 * Live update on real input: a network card and a disk go on transferring while the process that drives them is replaced, over
 * and over again: by socket (the successor is a child process) and by exec (the successor has the same pid) in turn, with legacy
 * containers and with iommufd, with few mappings and with many.
 *
 * A line is printed for every hand-over by the process that took over, when the blocks of data have arrived that were on their
 * way meanwhile; and it goes on, until it hands over itself. The last one prints the table.
 *
 * `npm start` runs it in the rig. On a host of one's own: `node dist/examples/live-update.js`, as root, with devices like those.
 * `--mappings 1,100,10000` makes every combination: one of them with both carriers in both modes takes four hand-overs.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { release } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deserialize, serialize } from "node:v8";
import pc from "picocolors";
import { type Container, type ContainerMode, DmaBuffer, openContainer, VfioError } from "vfio";
import {
  execInPlace,
  type IncomingCarrier,
  incomingExec,
  LiveUpdate,
  type LiveUpdateReport,
  receiveLiveUpdate,
  socketFromOldProcess,
  socketToSuccessor,
} from "vfio/live-update";
import { bindDriver, listPciDevices } from "vfio/pci";
import { Igb, type IgbState } from "./igb.js";
import { BLOCK, Traffic, type TrafficState } from "./live-update-traffic.js";
import { Nvme, type NvmeState } from "./nvme.js";

const PAGE = 4096;
const MOST_MAPPINGS = 10_000;
/** What the blocks travel in: in the most mappings, each of them is a page. */
const LENGTH = MOST_MAPPINGS * PAGE;
/** How many blocks have set off and arrived in one process before it hands over, and before it says that it works. */
const ENOUGH = 4;
/** An emulated machine takes its time. */
const DRIVER_TIMEOUT = { timeout: 30_000 };

interface Case {
  readonly mode: ContainerMode;
  readonly mappings: number;
  readonly carrier: "socket" | "exec";
}

/** What came of one. */
interface Row extends Case {
  readonly report: LiveUpdateReport;
}

/** What is still to be done, and what came of the rest. */
interface Agenda {
  readonly igb: string;
  readonly nvme: string;
  /** The first is the next one. */
  readonly cases: readonly Case[];
  readonly rows: readonly Row[];
}

/** The program's own state, as it passes from one process to the next. */
interface Saved {
  readonly agenda: Agenda;
  readonly iova: bigint;
  readonly igb: IgbState;
  readonly nvme: NvmeState;
  readonly traffic: TrafficState;
  /** How many blocks the old process has seen arrive. */
  readonly arrived: number;
}

/** What is open. */
interface Session {
  readonly mode: ContainerMode;
  readonly mappings: number;
  readonly container: Container;
  /** What the blocks travel in. */
  readonly memory: DmaBuffer;
  /** Where the devices see it. */
  readonly iova: bigint;
  readonly igb: Igb;
  readonly nvme: Nvme;
  readonly traffic: Traffic;
}

// ---- the devices -----------------------------------------------------------------------------------------------------

async function open(mode: ContainerMode, { igb, nvme }: Agenda, mappings: number): Promise<Session> {
  const container = openContainer({ mode });
  const drivers = {
    igb: await Igb.open(container, container.attach(igb), { completion: "interrupt", ...DRIVER_TIMEOUT }),
    nvme: await Nvme.open(container, nvme, DRIVER_TIMEOUT),
  };
  const memory = DmaBuffer.allocate(LENGTH, { name: "blocks" });
  // The container finds a place for all of it in one piece.
  const whole = container.map(memory);
  whole.unmap();
  return map({ mode, container, memory, iova: whole.iova, ...drivers }, mappings);
}

/** Maps the memory in so many pieces, one after the other: the devices see no difference. */
function map(parts: Omit<Session, "mappings" | "traffic">, mappings: number): Session {
  const { container, memory, iova } = parts;
  const length = LENGTH / mappings;
  container.mapMany(
    Array.from({ length: mappings }, (_, index) => ({
      memory,
      iova: iova + BigInt(index * length),
      offset: index * length,
      length,
    })),
  );
  return { ...parts, mappings, traffic: new Traffic(parts) };
}

async function close({ traffic, igb, nvme, container, memory }: Session): Promise<void> {
  await traffic.drain();
  igb[Symbol.dispose]();
  nvme[Symbol.dispose]();
  container.close();
  memory.close();
}

/** What a case takes: what is open, or some of it, if it fits. */
async function prepare(session: Session | undefined, agenda: Agenda, { mode, mappings }: Case): Promise<Session> {
  if (session?.mode === mode && session.mappings === mappings) return session;
  if (session?.mode === mode) {
    await session.traffic.drain();
    session.container.unmap(session.iova, LENGTH);
    return map(session, mappings);
  }
  if (session !== undefined) await close(session);
  return await open(mode, agenda, mappings);
}

// ---- the old process -------------------------------------------------------------------------------------------------

/** Does what is on the agenda next. Returns the exit code, when all is done, or when the successors have done it. */
async function go(agenda: Agenda, former?: Session): Promise<number> {
  const [wanted] = agenda.cases;
  // The first process has to stay, to give the devices back in the end.
  const next: Case | undefined =
    agenda.rows.length === 0 && wanted !== undefined ? { ...wanted, carrier: "socket" } : wanted;
  if (next === undefined) {
    if (former !== undefined) await close(former);
    printTable(agenda.rows);
    return agenda.rows.length > 0 ? 0 : 1;
  }
  if (next.mode !== former?.mode) console.log(pc.bold(pc.cyan(next.mode)));
  const session = await prepare(former, agenda, next);
  const { traffic } = session;
  traffic.start();
  const update = liveUpdate(session, { ...agenda, cases: [next, ...agenda.cases.slice(1)] });
  const blockers = update.blockers();
  if (blockers.length > 0) {
    for (const { object, why, fix } of blockers) console.log(`  ${pc.yellow("-")} ${object}: ${why}; ${fix}`);
    await close(session);
    return await go({ ...agenda, cases: agenda.cases.filter(({ mode }) => mode !== next.mode) });
  }
  try {
    if (next.carrier === "socket") return await handOverToChild(update, traffic);
    await traffic.reach(ENOUGH);
    // This process goes on in the first line of this file, as another program.
    await update.handOver(execInPlace({ args: [fileURLToPath(import.meta.url)] }));
    return 1;
  } catch (error) {
    // It works on here; but this is a demo. Before it is closed, the devices cannot be given back.
    session.container.close();
    throw error;
  }
}

function liveUpdate({ container, memory, iova, igb, nvme, traffic }: Session, agenda: Agenda): LiveUpdate {
  return new LiveUpdate({
    containers: { main: container },
    memory: { blocks: memory, igb: igb.memory, nvme: nvme.memory },
    stop: async () => {
      traffic.stop();
      traffic.burst();
      // What is over by now has been told, and its block's next leg is on. From here on nothing happens in this process, and
      // much in the devices.
      await nextTurn();
      igb.hold();
      nvme.hold();
    },
    save: () => {
      const saved: Saved = {
        agenda,
        iova,
        igb: igb.state(),
        nvme: nvme.state(),
        traffic: traffic.state(),
        arrived: traffic.arrived,
      };
      return serialize(saved);
    },
    resume: () => {
      igb.release();
      nvme.release();
      traffic.start();
    },
  });
}

/** Returns the successor's exit code. This process has nothing of the devices by then; it waits because somebody waits for it. */
async function handOverToChild(update: LiveUpdate, traffic: Traffic): Promise<number> {
  const socket = `vfio-live-update-${process.pid}`;
  const early = new AbortController();
  const connected = socketToSuccessor({ listen: `\0${socket}` }, { signal: early.signal });
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), "--successor", socket], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = once(child, "exit").then(([code, signal]) => {
    early.abort(new Error(`the successor ended early (${code ?? signal})`));
    if (signal !== null) console.error(`The successor was ended by ${signal}.`);
    return Number(code ?? 1);
  });
  const carrier = await connected;
  await traffic.reach(ENOUGH);
  await update.handOver(carrier, { signal: early.signal });
  return await ended;
}

// ---- the successor ---------------------------------------------------------------------------------------------------

/** Takes over, sees to it that everything works, and goes on with the agenda. */
async function succeed(carrier: IncomingCarrier): Promise<number> {
  const incoming = await receiveLiveUpdate(carrier);
  const report = await incoming.takeOver();
  const saved: Saved = deserialize(incoming.state);
  const { agenda, iova } = saved;
  const [made, ...cases] = agenda.cases;
  if (made === undefined) throw new Error("the former process had nothing to do");
  const container = incoming.container("main");
  const device = (address: string) => there(container.devices.get(address), address);
  const memory = (name: string) => there(incoming.memory.get(name), name);
  const blocks = memory("blocks");
  const igb = Igb.resume(container, device(agenda.igb), memory("igb"), saved.igb, DRIVER_TIMEOUT);
  const nvme = Nvme.resume(container, device(agenda.nvme), memory("nvme"), saved.nvme, DRIVER_TIMEOUT);
  const traffic = new Traffic({ igb, nvme, memory: blocks, iova }, saved.traffic);
  const { mode, mappings } = made;
  const session: Session = { mode, mappings, container, memory: blocks, iova, igb, nvme, traffic };

  traffic.start();
  const crossed = await traffic.crossed;
  await traffic.reach(ENOUGH);
  printLine(made, report, incoming.writer.pid, saved, crossed, traffic.arrived);
  return await go({ ...agenda, cases, rows: [...agenda.rows, { ...made, report }] }, session);
}

function there<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the former process has handed over no ${what}`);
  return value;
}

// ---- words -----------------------------------------------------------------------------------------------------------

const plural = (count: number, what: string) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

function printLine(
  { carrier, mappings }: Case,
  { blackout }: LiveUpdateReport,
  oldPid: number,
  { arrived }: Saved,
  crossed: readonly string[],
  after: number,
): void {
  const KiB = ((arrived + crossed.length + after) * BLOCK) / 1024;
  const pids = carrier === "exec" ? `pid ${process.pid} again` : `pid ${oldPid} → ${process.pid}`;
  const blocks = `${KiB} KiB (${arrived}+${crossed.length}+${after} blocks)`;
  const what = `${carrier.padEnd(6)} ${plural(mappings, "mapping").padEnd(15)} ${pids.padEnd(15)}`;
  console.log(`  ${pc.green("✔")} ${what}${pc.dim(`${blackout.toFixed(1).padStart(7)} ms`)}  ${blocks}`);
}

function printTable(rows: readonly Row[]): void {
  const [first] = rows;
  if (first === undefined) return;
  const names = [...first.report.phases.map(({ name }) => name), "blackout"];
  const widths = names.map((name) => Math.max(8, name.length + 2));
  const line = (cells: readonly string[]) => cells.map((cell, index) => cell.padStart(widths[index] ?? 8)).join("");
  console.log(`\n${pc.bold(`${"milliseconds".padEnd(22)}${line(names)}`)}`);
  for (const { mode, carrier, mappings, report } of rows) {
    const times = [...report.phases.map(({ milliseconds }) => milliseconds), report.blackout];
    const what = `${mode.padEnd(8)}${carrier.padEnd(7)}${String(mappings).padStart(5)}`.padEnd(22);
    console.log(`${what}${line(times.map((time) => time.toFixed(1)))}`);
  }
  console.log(
    pc.dim(
      "blackout: from the first freeze until the last interrupt is back; prepare and\n" +
        "stop come before it. By exec, the new program is started and made ready within\n" +
        "it (transfer). The drivers' rings take two mappings more.",
    ),
  );
}

// ---- the beginning ---------------------------------------------------------------------------------------------------

async function begin(mappings: readonly number[] | undefined): Promise<number> {
  console.log(pc.bold("\nvfio: a network card and a disk go on while their driver's process is replaced"));
  console.log(
    pc.dim(`Linux ${release()}, Node ${process.versions.node}, blocks of ${BLOCK / 1024} KiB by way of both devices`),
  );
  console.log(pc.dim("Checked: every block that arrived before + was on its way + set off afterwards.\n"));
  const find = (vendorId: number, deviceId: number) =>
    listPciDevices().find((each) => each.vendorId === vendorId && each.deviceId === deviceId)?.address;
  const [igb, nvme] = [find(0x8086, 0x10c9), find(0x1b36, 0x0010)];
  if (igb === undefined || nvme === undefined) {
    console.error(`There is no ${igb === undefined ? "igb" : "QEMU nvme"} here: run this in the rig (npm start).`);
    return 1;
  }
  // They stay this process's to give back, whoever drives them.
  using _igb = bindDriver(igb);
  using _nvme = bindDriver(nvme);
  return await go({ igb, nvme, cases: cases(mappings), rows: [] });
}

/** Both carriers in turn with 1, 100 and 10,000 mappings, so that each has met each mode and each number; or all combinations. */
function cases(mappings: readonly number[] | undefined): readonly Case[] {
  const carriers = ["socket", "exec"] as const;
  const modes = (["type1v2", "iommufd"] as const).filter(isThere);
  if (mappings !== undefined) {
    return modes.flatMap((mode) =>
      mappings.flatMap((count) => carriers.map((carrier) => ({ mode, mappings: count, carrier }))),
    );
  }
  return modes
    .flatMap((mode) => [1, 100, MOST_MAPPINGS].map((count) => ({ mode, mappings: count })))
    .map((each, index) => ({ ...each, carrier: index % 2 === 0 ? "socket" : "exec" }));
}

/** Whether this kernel has a mode. */
function isThere(mode: ContainerMode): boolean {
  try {
    openContainer({ mode }).close();
    return true;
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
    console.log(`${pc.yellow("-")} ${mode}: ${error.message}`);
    return false;
  }
}

/** `1,100` */
function parseMappings(text: string): number[] {
  const numbers = text.split(",").map(Number);
  for (const each of numbers) {
    if (Number.isInteger(each) && each > 0 && MOST_MAPPINGS % each === 0) continue;
    throw new RangeError(`--mappings takes divisors of ${MOST_MAPPINGS}, not ${text}`);
  }
  return numbers;
}

const { values } = parseArgs({ options: { mappings: { type: "string" }, successor: { type: "string" } } });
const execed = incomingExec();
if (execed !== undefined) process.exitCode = await succeed(execed);
else if (values.successor !== undefined)
  process.exitCode = await succeed(await socketFromOldProcess({ connect: `\0${values.successor}` }));
else process.exitCode = await begin(values.mappings === undefined ? undefined : parseMappings(values.mappings));
