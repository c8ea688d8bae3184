// A second process: what the tests tell it, it does with its own memory and with the descriptors that it inherited.
// agent.ts starts it and speaks with it. Every answer is a number.

import { lockedMemory } from "../../dist/kernel/memlock.js";
import { native } from "../../dist/kernel/native.js";
import { DmaBuffer } from "../../dist/memory/dma-buffer.js";

/** @type {DmaBuffer[]} */
const buffers = [];

/** @param {number} index */
function buffer(index) {
  const found = buffers[index];
  if (found === undefined) throw new Error(`there is no memory ${index}`);
  return found;
}

/** @type {Record<string, (...args: any[]) => unknown>} */
const natives = { ...native };

/** @type {Record<string, (...args: any[]) => unknown>} */
const commands = {
  native: (name, args) => natives[name]?.(...args),
  allocate: (length, options) => buffers.push(DmaBuffer.allocate(length, options)) - 1,
  address: (index) => buffer(index).address,
  descriptor: (index) => buffer(index).backing()?.fd ?? -1,
  fill: (index, byte) => buffer(index).bytes.fill(byte).length,
  locked: () => lockedMemory().locked,
  pinned: () => lockedMemory().pinned,
};

/** @param {unknown} answer */
const answer = (answer) => process.send?.(answer);

process.on("message", (/** @type {{ command: string, args: unknown[] }} */ { command, args }) =>
  answer(commands[command]?.(...args)),
);
// The test closed the channel: nothing is left to do.
process.on("disconnect", () => process.exit());
answer(0);
