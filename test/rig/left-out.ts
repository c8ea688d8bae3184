/**
 * At the end of a run on a host: what of the suite was left out, and why, a line for each.
 *
 * @module
 */
import { basename } from "node:path";
import type { Reporter, TestModule, Vitest } from "vitest/node";
import { modesLeftOut } from "./modes.js";
import { selectFiles } from "./selection.js";

export default class LeftOutReporter implements Reporter {
  #log: (line: string) => void = console.log;

  onInit({ logger }: Vitest): void {
    this.#log = (line) => logger.log(line);
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines: string[] = [];
    for (const [mode, reason] of modesLeftOut) lines.push(`mode ${mode}: ${reason}`);
    for (const [file, reason] of selectFiles().leftOut) lines.push(`${file}: ${reason}`);
    for (const module of [...modules].sort((a, b) => a.moduleId.localeCompare(b.moduleId))) {
      const counts = new Map<string, number>();
      for (const test of module.children.allTests("skipped")) {
        const result = test.result();
        const reason =
          test.meta().leftOut ?? (result.state === "skipped" ? result.note : undefined) ?? "does not apply here";
        counts.set(reason, (counts.get(reason) ?? 0) + 1);
      }
      for (const [reason, count] of counts) {
        lines.push(`${basename(module.moduleId)}, ${count} test${count === 1 ? "" : "s"}: ${reason}`);
      }
    }
    if (lines.length === 0) return;
    this.#log("Left out on this host:");
    for (const line of lines) this.#log(`  ${line}`);
    this.#log("");
  }
}
