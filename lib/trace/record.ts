/**
 * Traced calls as objects of JSON, which `vfio trace --json` writes and its summary reads.
 *
 * @module
 */
import { threadId } from "node:worker_threads";
import type { TracedCall } from "../kernel/traced-call.js";

/** A call, as docs/command.md describes it. */
export interface TraceRecord {
  readonly pid: number;
  /** 0 for the main thread. */
  readonly thread: number;
  /** When it began, in seconds since 1970. */
  readonly time: number;
  readonly syscall: string;
  readonly request: string | null;
  readonly args: Readonly<Record<string, string>>;
  readonly result: string | null;
  readonly error: string | null;
  readonly seconds: number;
  readonly batch: number;
}

/** Without the digits that arithmetic adds. */
function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** A call of this thread as a record. */
export function recordOf({ syscall, request, args, answer, error, start, duration, batch }: TracedCall): TraceRecord {
  return {
    pid: process.pid,
    thread: threadId,
    time: rounded((performance.timeOrigin + start) / 1000, 6),
    syscall,
    request: request ?? null,
    args: Object.fromEntries(args.map(({ name, text }) => [name, text])),
    result: error === undefined ? answer : null,
    error: error ?? null,
    seconds: rounded(duration / 1000, 9),
    batch,
  };
}
