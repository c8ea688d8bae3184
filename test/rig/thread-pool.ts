/**
 * Work on Node's thread pool that stays under way for as long as a test says.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

/** Keeps every thread of Node's pool busy, until it is told to end: what is asked of the pool meanwhile waits. */
export function occupyPool(): { end(): Promise<void> } {
  const directory = mkdtempSync(path.join(tmpdir(), "vfio-pool-"));
  const fifo = path.join(directory, "fifo");
  execFileSync("mkfifo", [fifo]);
  // A reader's open waits for a writer.
  const readers = Array.from({ length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) }, () => open(fifo, "r"));
  return {
    async end() {
      const writer = openSync(fifo, "r+");
      for (const reader of readers) await (await reader).close();
      closeSync(writer);
      rmSync(directory, { recursive: true });
    },
  };
}
