/**
 * Benchmarks in the rig's guest: it is told their names, and tells row by row what came of them.
 *
 * @module
 */
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type ProgressListener, runInGuest } from "vfio/rig";
import { buildAll } from "./floor.js";
import type { Effort } from "./measure.js";
import { type Machine, messageOf, type Row, readMachine, readRow } from "./results.js";
import type { GuestRun, RunListener } from "./run.js";

/** What the guest is told. */
export interface GuestOrder {
  readonly names: readonly string[];
  readonly effort: Effort;
}

/** A line of what the guest tells. */
export type GuestNews = { readonly begins: string } | { readonly row: Row } | { readonly machine: Machine };

// A benchmark of seconds takes minutes where the machine is emulated and its host is busy; one that hangs must not take the night.
const MOST_SILENCE = 300_000;

function variables(): Record<string, string> {
  // The programs of the floor are found by what they were built with.
  const names = ["CC", "CFLAGS", "XDG_CACHE_HOME"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

class Lines extends Writable {
  readonly #onLine: (line: string) => void;
  #pending = "";

  constructor(onLine: (line: string) => void) {
    super({ decodeStrings: false, defaultEncoding: "utf8" });
    this.#onLine = onLine;
  }

  override _write(chunk: Buffer | string, _encoding: BufferEncoding, callback: () => void): void {
    const lines = (this.#pending + chunk.toString()).split("\n");
    this.#pending = lines.pop() ?? "";
    for (const line of lines) this.#onLine(line);
    callback();
  }
}

/** Runs benchmarks in a guest. */
export async function runInRig(
  names: readonly string[],
  effort: Effort,
  listener: RunListener,
  options: { readonly onProgress: ProgressListener; readonly signal?: AbortSignal },
): Promise<GuestRun> {
  buildAll();
  const rows: Row[] = [];
  let machine: Machine | undefined;
  let running = "the guest's process";
  const silence = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const hearing = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), MOST_SILENCE);
  };
  const hear = (line: string) => {
    hearing();
    const news: unknown = JSON.parse(line);
    if (typeof news !== "object" || news === null) return;
    if ("begins" in news && typeof news.begins === "string") {
      running = news.begins;
      listener(running, "guest");
    }
    if ("row" in news) rows.push(readRow(news.row));
    if ("machine" in news) machine = readMachine(news.machine);
  };
  const order: GuestOrder = { names, effort };
  let error: string | undefined;
  try {
    const { exitCode, stderr } = await runInGuest({
      command: [process.execPath, fileURLToPath(new URL("guest.js", import.meta.url))],
      env: variables(),
      stdin: Readable.from([JSON.stringify(order)]),
      stdout: new Lines(hear),
      signal: AbortSignal.any([silence.signal, ...(options.signal === undefined ? [] : [options.signal])]),
      onProgress: options.onProgress,
      onReady: hearing,
    });
    if (exitCode !== 0) error = `the guest's process ended with ${exitCode}: ${stderr.toString().trim()}`;
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (silence.signal.aborted) error = `${running} did not end within ${MOST_SILENCE / 60_000} minutes`;
    else error = messageOf(cause);
  } finally {
    clearTimeout(timer);
  }
  return { rows, ...(machine === undefined ? {} : { machine }), ...(error === undefined ? {} : { error }) };
}
