/**
 * From a signalled eventfd to JavaScript, and back by another one: in an event loop, in a thread that blocks, in one that spins.
 * The floor is a thread in C that does the same.
 *
 * @module
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { native } from "../kernel/native.js";
import { Cleanup } from "./cleanup.js";
import { DeviceProcess } from "./device-process.js";
import { Floor } from "./floor.js";
import type { Hearing, InterruptOrder, InterruptWork } from "./interrupt-worker.js";
import type { Benchmark, Target, Took } from "./measure.js";

// Each round waits for the other end to fall asleep, which is not timed: the median of so many says as much as that of more.
const MOST_ROUNDS = 1000;

/** Has so many operations measured by fewer rounds. */
async function sample(operations: number, rounds: (count: number) => Promise<Took>): Promise<Took> {
  const count = Math.min(operations, MOST_ROUNDS);
  const { wall, cpu } = await rounds(count);
  return { wall: (wall * operations) / count, cpu: (cpu * operations) / count };
}

function define(hearing: Hearing, what: string, target?: Target): Benchmark {
  return {
    name: `interrupt/${hearing}`,
    what,
    ...(target === undefined ? {} : { target }),
    async open() {
      await using stack = new Cleanup();
      const server = await DeviceProcess.start("page-device.js");
      stack.defer(() => server[Symbol.asyncDispose]());
      const answer = native.eventfd();
      stack.defer(() => {
        native.close(answer);
      });
      const workerData: InterruptWork = { socket: server.socket, hearing, answer };
      const worker = new Worker(new URL("interrupt-worker.js", import.meta.url), { workerData });
      const tell = (order: InterruptOrder) => worker.postMessage(order);
      stack.defer(async () => {
        const over = once(worker, "exit");
        tell("end");
        await over;
      });
      const [eventfd]: unknown[] = await once(worker, "message");
      if (typeof eventfd !== "number") throw new Error("the thread has no interrupt");
      const signaller = Floor.start("interrupt", [eventfd, answer]);
      stack.defer(() => signaller[Symbol.asyncDispose]());
      const floor = Floor.start("interrupt");
      stack.defer(() => floor[Symbol.asyncDispose]());
      const all = stack.move();
      return {
        ours: (operations) =>
          sample(operations, async (count) => {
            const done = once(worker, "message");
            tell({ operations: count });
            const took = await signaller.order(`ring ${count}`);
            await done;
            return took;
          }),
        floor: (operations) => sample(operations, (count) => floor.order(`${hearing} ${count}`)),
        [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
      };
    },
  };
}

/** All of them. */
export const interruptBenchmarks: readonly Benchmark[] = [
  define("loop", "an interrupt to a listener in an event loop, and its answer", { ratio: 1.2 }),
  define("wait", "an interrupt to a thread in waitSync(), and its answer"),
  define("spin", "an interrupt to a thread that calls take() again and again, and its answer", { at: 2000 }),
];
