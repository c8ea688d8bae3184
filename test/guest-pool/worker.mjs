/**
 * vitest's worker in the guest: requests come on standard input, responses go out on descriptor 3.
 *
 * @module
 */
import { writeSync } from "node:fs";
import { init, runBaseTests, setupEnvironment } from "vitest/worker";
import { encodeMessage, MessageDecoder } from "./messages.mjs";

// Tests may replace it.
const exit = process.exit.bind(process);

/** @param {unknown} message */
function post(message) {
  const bytes = encodeMessage(message);
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(3, bytes, sent);
}

/** @type {Set<(message: unknown) => void>} */
const listeners = new Set();
const decoder = new MessageDecoder((message) => {
  for (const listener of listeners) listener(message);
});
process.stdin.on("data", (chunk) => decoder.push(chunk));
process.stdin.on("end", () => exit(0));

/**
 * @param {"run" | "collect"} method
 * @returns {(state: Parameters<typeof runBaseTests>[1], traces: Parameters<typeof runBaseTests>[2]) => Promise<void>}
 */
const execute = (method) => async (state, traces) => {
  try {
    await runBaseTests(method, state, traces);
  } finally {
    // vitest makes process.exit throw while tests run.
    process.exit = exit;
  }
};

init({
  post,
  on: (listener) => listeners.add(listener),
  off: (listener) => listeners.delete(listener),
  runTests: execute("run"),
  collectTests: execute("collect"),
  setup: setupEnvironment,
});
post("online");
