/**
 * All benchmarks there are, in the order in which they run.
 *
 * @module
 */
import type { Benchmark } from "./measure.js";
import { vfioUserBenchmarks } from "./vfio-user.js";

/** All of them. */
export const benchmarks: readonly Benchmark[] = [...vfioUserBenchmarks];
