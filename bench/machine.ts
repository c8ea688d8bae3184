/**
 * What a run is measured on, and what else had its CPUs meanwhile.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import os from "node:os";
import type { Machine, Place } from "./results.js";

// Beyond these somebody else had a good part of the CPUs.
const MOST_LOAD = 0.5;
const MOST_STEAL = 0.02;

/** All CPU time since the boot and what of it was stolen, from the first line of /proc/stat (proc_stat(5)). */
function cpuTimes(): { readonly all: number; readonly stolen: number } {
  const [, ...numbers] = (readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "").split(/ +/).map(Number);
  // What guests had is part of what users had: the last two numbers are in the first two.
  return { all: numbers.slice(0, 8).reduce((sum, each) => sum + each, 0), stolen: numbers[7] ?? 0 };
}

/** Begins to watch the machine. What it returns describes it. */
export function watchMachine(where: Place): () => Machine {
  const before = cpuTimes();
  const [load = 0] = os.loadavg();
  return () => {
    const after = cpuTimes();
    return {
      where,
      node: process.version,
      kernel: os.release(),
      cpu: os.cpus()[0]?.model ?? "unknown",
      cpus: os.cpus().length,
      load,
      steal: (after.stolen - before.stolen) / Math.max(1, after.all - before.all),
    };
  };
}

/** What else had the machine's CPUs, if that was much. */
export function businessOf({ load, cpus, steal }: Machine): string | undefined {
  const reasons = [
    ...(load > MOST_LOAD * cpus ? [`load ${load.toFixed(1)} before the run on ${cpus} CPUs`] : []),
    ...(steal > MOST_STEAL ? [`a hypervisor gave ${(100 * steal).toFixed(0)} % of the CPU time to others`] : []),
  ];
  return reasons.length === 0 ? undefined : reasons.join(", ");
}
