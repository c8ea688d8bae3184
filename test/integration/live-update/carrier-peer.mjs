// One side of a hand-over by socket, in a process of its own: does the steps that it is told, one by one, and says how each ended.
//
// usage: carrier-peer.mjs old|successor <place as JSON>
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { native } from "../../../dist/kernel/native.js";
import { socketFromOldProcess, socketToSuccessor } from "../../../dist/live-update/index.js";

const [role, place = "{}"] = process.argv.slice(2);
const wait = { signal: new AbortController().signal };
const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);
const counter = native.eventfd();
native.eventfdWrite(counter, 42);

/** @type {Record<string, (argument: string) => unknown>} */
let steps;
if (role === "old") {
  /** @type {import("../../../types/live-update/index.js").OutgoingCarrier} */
  let carrier;
  steps = {
    open: async () => {
      carrier = await socketToSuccessor(JSON.parse(place));
    },
    prepare: async () =>
      await carrier.prepare({ manifest: bytes("manifest"), descriptors: Array(300).fill(counter) }, wait),
    transfer: async () => await carrier.transfer(bytes("late"), wait),
    commit: () => carrier.commit(),
    released: () => carrier.released(),
    acknowledged: async () => new TextDecoder().decode(await carrier.acknowledged(wait)),
    end: (reason) => carrier.abort(reason),
    close: () => carrier.close(),
  };
} else {
  /** @type {import("../../../types/live-update/index.js").IncomingCarrier} */
  let carrier;
  steps = {
    open: async () => {
      carrier = await socketFromOldProcess(JSON.parse(place));
    },
    receive: async () => (await carrier.receive(wait)).descriptors.length,
    ready: async () => new TextDecoder().decode(await carrier.ready(wait)),
    taken: async () => await carrier.taken(wait),
    released: async () => await carrier.released(wait),
    done: () => carrier.done(bytes("report")),
    end: (reason) => carrier.fail(reason),
    close: () => carrier.close(),
  };
}
steps.uid = (uid) => process.setuid?.(Number(uid));
steps.descriptors = () => readdirSync("/proc/self/fd").length;

/** @param {string} line */
async function run(line) {
  const [step = "", ...argument] = line.split(" ");
  try {
    const value = await steps[step]?.(argument.join(" "));
    console.log(JSON.stringify({ step, value }));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    console.log(JSON.stringify({ step, code, error: String(error) }));
  }
}

// One step after the other; what begins with ! does not wait for those before it.
let turn = Promise.resolve();
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line.startsWith("!")) void run(line.slice(1));
  else turn = turn.then(() => run(line));
});
