/**
 * `vfio dump`: a region's contents in a file.
 *
 * @module
 */
import { once } from "node:events";
import { open, rm } from "node:fs/promises";
import { Argument, type Command, Option } from "commander";
import type { Region } from "../device/region.js";
import { type AttachOptions, findRegion, modeOption, withDevice } from "./attach.js";
import {
  act,
  type CommonOptions,
  deviceArgument,
  examples,
  parseNumber,
  parseOffset,
  remark,
  type Session,
  subcommand,
} from "./command.js";
import { exitCodes } from "./exit-codes.js";
import { CommandError, cannotWrite } from "./failure.js";
import type { Output } from "./terminal.js";

interface Options extends CommonOptions, AttachOptions {
  readonly offset: number;
  readonly length?: number;
  readonly force?: true;
}

/** One read of the kernel. It is this long that Ctrl-C may have to wait. */
const CHUNK = 64 * 1024;

/** The subcommand. */
export function dumpCommand(session: Session): Command {
  const command = subcommand(session, "dump", "Copy a region of a device (a BAR, the ROM, config space) to a file.")
    .addArgument(deviceArgument())
    .addArgument(new Argument("<region>", "bar0 to bar5, rom, config, vga, or the region's index"))
    .addArgument(new Argument("<file>", "where to; - for standard output"))
    .addOption(new Option("--offset <bytes>", "where to begin").argParser(parseOffset).default(0))
    .addOption(
      new Option("--length <bytes>", "how much; by default up to the end").argParser(
        parseNumber(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .option("--force", "replace the file if it exists")
    .addOption(modeOption());
  examples(command, [
    ["vfio dump 00:07.0 bar2 memory.bin", "with a progress bar"],
    ["vfio dump 01:00.0 config - | xxd", "to another program"],
  ]);
  remark(command, "Reading registers can have effects: a counter that is cleared by reading is cleared.");
  return command.action(act(session, dump));
}

interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  end(complete: boolean): Promise<void>;
}

async function openSink(output: Output, file: string, force: boolean): Promise<Sink> {
  if (file === "-") {
    const { stdout } = output.terminal;
    return {
      write: async (bytes) => {
        if (!stdout.write(bytes)) await once(stdout, "drain");
      },
      end: async () => {},
    };
  }
  const handle = await open(file, force ? "w" : "wx").catch((error: unknown) => {
    throw cannotWrite(file, error);
  });
  return {
    write: async (bytes) => {
      await handle.writeFile(bytes);
    },
    end: async (complete) => {
      await handle.close();
      // Half a dump looks like a whole one.
      if (!complete) await rm(file, { force: true });
    },
  };
}

interface Bar {
  update(done: number): void;
  stop(): void;
}

/** A bar on a terminal; elsewhere nobody wants to read one. */
async function progressBar(output: Output, what: string, total: number): Promise<Bar> {
  const { stderr } = output.terminal;
  if (stderr.isTTY !== true) return { update: () => {}, stop: () => {} };
  const { SingleBar } = await import("cli-progress");
  const bar = new SingleBar({
    stream: stderr,
    format: `${what} {bar} {percentage} % | {mib} of ${(total / 2 ** 20).toFixed(1)} MiB | {eta_formatted} left`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    hideCursor: true,
    clearOnComplete: true,
    // A narrow terminal has room for the numbers first.
    barsize: Math.max(8, Math.min(40, (stderr.columns ?? 80) - what.length - 50)),
  });
  bar.start(total, 0, { mib: "0.0" });
  return { update: (done) => bar.update(done, { mib: (done / 2 ** 20).toFixed(1) }), stop: () => bar.stop() };
}

async function copy(
  region: Region,
  from: number,
  length: number,
  sink: Sink,
  bar: Bar,
  signal: AbortSignal,
): Promise<void> {
  for (let done = 0; done < length; ) {
    signal.throwIfAborted();
    const step = Math.min(CHUNK, length - done);
    await sink.write(region.read(from + done, step));
    done += step;
    bar.update(done);
    // Lets a signal in: reads do not go through the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function dump(
  output: Output,
  address: string,
  name: string,
  file: string,
  options: Options,
): Promise<number | undefined> {
  if (file === "-" && output.json) {
    throw new CommandError("--json and the bytes cannot both go to standard output", "name a file", exitCodes.usage);
  }
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  process.once("SIGINT", interrupt);
  try {
    await withDevice(address, options, async (device) => {
      const region = findRegion(device, name);
      const length = options.length ?? region.size - options.offset;
      if (options.offset + length > region.size || length <= 0) {
        throw new CommandError(
          `${region.label} has ${region.size} bytes`,
          "choose --offset and --length within them",
          exitCodes.usage,
        );
      }
      const sink = await openSink(output, file, options.force === true);
      const bar = await progressBar(output, `${region.name}`, length);
      const started = performance.now();
      let complete = false;
      try {
        await copy(region, options.offset, length, sink, bar, abort.signal);
        complete = true;
      } finally {
        bar.stop();
        await sink.end(complete);
      }
      const seconds = Number(((performance.now() - started) / 1000).toFixed(3));
      output.printJson({ address: device.address, region: region.name, offset: options.offset, length, file, seconds });
      if (file !== "-") output.print(`${file}: ${length} bytes of ${region.label} in ${seconds} s`);
    });
  } catch (error) {
    if (abort.signal.aborted) {
      output.note(file === "-" ? "interrupted" : `interrupted; ${file} was removed`);
      return exitCodes.interrupted;
    }
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
  }
  return undefined;
}
