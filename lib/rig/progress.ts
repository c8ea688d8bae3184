/**
 * Telling a person how a long preparation gets on: a bar that is redrawn on a terminal, one plain line a step elsewhere.
 *
 * @module
 */

import type { Writable } from "node:stream";
import pc from "picocolors";
import { checkFunction, checkObject, checkString } from "../base/arguments.js";

/** A step of a preparation has begun, or has got further. */
export interface Progress {
  /** What is being done: `compiling the kernel`. */
  readonly step: string;
  /** How much is done, where it can be counted. */
  readonly done?: number;
  /** How much there is to do. It may be an estimate; `done` may reach it early. */
  readonly total?: number;
}

/** Receives the progress of a preparation; `undefined` when all is ready and something else may use the screen. */
export type ProgressListener = (progress: Progress | undefined) => void;

/** Where progress is shown. */
export interface ProgressStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
}

const barWidth = 24;

/** Milliseconds between the lines of a long step where there is no terminal: a log shows that the step is alive. */
const lineInterval = 30_000;

/** The part of a counted step that is done. An estimate may be too low: the whole is reached when the step is over, not before. */
function partOf(done: number | undefined, total: number | undefined): number | undefined {
  return done === undefined || total === undefined || total <= 0 ? undefined : Math.min(done / total, 0.99);
}

/**
 * Shows progress on a stream.
 *
 * On a terminal the current step is one line, redrawn in place; it stays, with the time it took, when the next begins.
 * Elsewhere a step is one line when it begins and one when it has ended; a step that is counted also has one every half minute.
 */
export class ProgressPrinter implements Disposable {
  readonly #stream: ProgressStream;
  readonly #prefix: string;
  #step: string | undefined;
  #started = 0;
  #line = "";
  #lastLine = 0;

  /**
   * @param stream stays the caller's
   * @param prefix stands before every line: `rig`
   */
  constructor(stream: ProgressStream, prefix: string) {
    checkObject("stream", stream);
    checkFunction("stream.write", stream.write);
    checkString("prefix", prefix);
    this.#stream = stream;
    this.#prefix = pc.dim(`${prefix}:`);
  }

  /** Show one more progress; give this to a function that takes a {@link ProgressListener}. */
  readonly listener: ProgressListener = (progress) => {
    if (progress === undefined) {
      this.#finish();
      return;
    }
    const now = performance.now();
    if (progress.step !== this.#step) {
      this.#finish();
      this.#step = progress.step;
      this.#started = now;
      if (this.#stream.isTTY !== true) this.#print(progress.step, now);
    }
    if (this.#stream.isTTY === true) this.#draw(progress, now);
    else if (now - this.#lastLine >= lineInterval) this.#print(this.#describe(progress, now), now);
  };

  #print(text: string, now: number): void {
    this.#lastLine = now;
    this.#stream.write(`${this.#prefix} ${text}\n`);
  }

  #describe({ step, done, total }: Progress, now: number): string {
    const seconds = Math.round((now - this.#started) / 1000);
    const part = partOf(done, total);
    return part === undefined ? `${step}: ${seconds} s` : `${step}: ${Math.floor(part * 100)} % after ${seconds} s`;
  }

  #draw({ step, done, total }: Progress, now: number): void {
    let line = `${this.#prefix} ${step}`;
    const part = partOf(done, total);
    if (part !== undefined) {
      const full = Math.round(part * barWidth);
      const seconds = Math.round((now - this.#started) / 1000);
      line += ` ${pc.cyan("█".repeat(full))}${pc.dim("░".repeat(barWidth - full))} ${Math.floor(part * 100)} %`;
      line += pc.dim(` ${seconds} s`);
    }
    if (line === this.#line) return;
    this.#line = line;
    this.#stream.write(`\r\x1b[K${line}`);
  }

  #finish(): void {
    if (this.#step === undefined) return;
    const time = `${((performance.now() - this.#started) / 1000).toFixed(1)} s`;
    if (this.#stream.isTTY === true) this.#stream.write(`\r\x1b[K${this.#prefix} ${this.#step} ${pc.dim(time)}\n`);
    else this.#stream.write(`${this.#prefix} ${this.#step}: ${time}\n`);
    this.#step = undefined;
    this.#line = "";
  }

  /** End the current step's line. */
  [Symbol.dispose](): void {
    this.#finish();
  }
}
