/**
 * All benchmarks there are, in the order in which they run.
 *
 * @module
 */
import { interruptBenchmarks } from "./interrupts.js";
import { ioctlBenchmarks } from "./ioctl.js";
import { loadBenchmarks } from "./load.js";
import type { Benchmark } from "./measure.js";
import { memoryBenchmarks } from "./memory.js";
import { registerBenchmarks } from "./registers.js";
import { vfioUserBenchmarks } from "./vfio-user.js";

/** All of them. */
export const benchmarks: readonly Benchmark[] = [
  ...ioctlBenchmarks,
  ...registerBenchmarks,
  ...memoryBenchmarks,
  ...interruptBenchmarks,
  ...vfioUserBenchmarks,
  ...loadBenchmarks,
];
