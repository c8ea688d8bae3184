/**
 * What benchmarks that need no VFIO have in common: CPU time of one thread, against `floor/host.c`.
 *
 * @module
 */
import { Cleanup } from "./cleanup.js";
import { Floor } from "./floor.js";
import type { Benchmark, Sides } from "./measure.js";

/** A benchmark of which only our side is to be prepared. */
export interface HostBenchmark extends Pick<Benchmark, "name" | "what" | "target" | "missing"> {
  /** The floor's order for so many operations. */
  order(operations: number): string;
  /** Gets our side ready. What it defers is undone when the benchmark ends, and also if it fails. */
  prepare(stack: Cleanup): Promise<Sides["ours"]> | Sides["ours"];
}

/** Adds the floor, and the order in which everything ends. */
export function onHost({ order, prepare, ...about }: HostBenchmark): Benchmark {
  return {
    ...about,
    clock: "cpu",
    async open() {
      await using stack = new Cleanup();
      const floor = Floor.start("host");
      stack.defer(() => floor[Symbol.asyncDispose]());
      const ours = await prepare(stack);
      const all = stack.move();
      return {
        ours,
        floor: (operations) => floor.order(order(operations)),
        [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
      };
    },
  };
}
