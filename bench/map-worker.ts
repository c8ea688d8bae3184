/**
 * One thread of several that map and unmap in the same container, each a place of its own: does what it is told, so often.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { mapLoop, type Place, type Way } from "./map-calls.js";

/** What the worker is told at first. */
export interface MapWorkerData {
  readonly way: Way;
  readonly place: Place;
}

const { way, place }: MapWorkerData = workerData;
const run = await mapLoop(way, place);
parentPort?.on("message", (count: number) => {
  run(count);
  parentPort?.postMessage("done");
});
parentPort?.postMessage("ready");
