/**
 * Lines that are written before the call returns, from any thread: what a process did last is what one wants to see of one
 * that hangs or dies.
 *
 * @module
 */
import { writeSync } from "node:fs";

function wouldBlock(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}

/** Writes a line. A reader that has gone is no failure of the program's. */
export function writeLine(fd: number, line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (!wouldBlock(error)) return;
      // A pipe that is full, and that somebody made non-blocking: its reader needs the moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
