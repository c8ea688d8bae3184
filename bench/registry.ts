/**
 * All benchmarks there are, in the order in which they run.
 *
 * @module
 */
import { interruptBenchmarks } from "./interrupts.js";
import { ioctlBenchmarks } from "./ioctl.js";
import { kernelBenchmarks } from "./kernel.js";
import { loadBenchmarks } from "./load.js";
import { mapBenchmarks, matrixBenchmarks } from "./map.js";
import type { Benchmark } from "./measure.js";
import { memoryBenchmarks } from "./memory.js";
import { registerBenchmarks } from "./registers.js";
import { vfioUserBenchmarks } from "./vfio-user.js";

/** All of them. */
export const benchmarks: readonly Benchmark[] = [
  ...mapBenchmarks,
  ...matrixBenchmarks,
  ...kernelBenchmarks,
  ...ioctlBenchmarks,
  ...registerBenchmarks,
  ...memoryBenchmarks,
  ...interruptBenchmarks,
  ...vfioUserBenchmarks,
  ...loadBenchmarks,
];
