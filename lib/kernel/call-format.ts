/**
 * Traced calls as lines, in the way of strace(1).
 *
 * @module
 */

import { isMainThread, threadId } from "node:worker_threads";
import { checkArray, checkObject } from "../base/arguments.js";
import type { TracedCall } from "./traced-call.js";

/** Arguments that speak for themselves where they are the first one. */
const plain = new Set(["fd", "path", "address", "mapping"]);

/**
 * One line for a call:
 *
 * ```text
 * ioctl(22</dev/iommu>, IOMMU_IOAS_UNMAP, {ioas_id=2, iova=0x1000, length=0x1000}) = 0x1000 <0.000024>
 * ```
 *
 * The last number is how long it took, in seconds.
 */
export function formatCall(call: TracedCall): string {
  checkObject("call", call);
  checkArray("call.args", call.args);
  const { syscall, request, args, structure, answer, duration, batch } = call;
  const words = args.map(({ name, text }, index) =>
    index === 0 && plain.has(name) ? text : text === "" ? name : `${name}=${text}`,
  );
  const [first, ...rest] = words;
  const behind = structure && rest.length > 0 ? [`{${rest.join(", ")}}`] : rest;
  const all = [first, request, ...behind].filter((word) => word !== undefined);
  const took = `${(duration / 1000).toFixed(6)}${batch === 1 ? "" : ` in a batch of ${batch}`}`;
  const text = `${syscall}(${all.join(", ")})${answer === "" ? "" : ` = ${answer}`}`;
  // Of a call that does not come back, nobody knows how long it takes.
  return answer === "?" ? text : `${text} <${took}>`;
}

/** Which process and thread this is. */
export function here(): string {
  return isMainThread ? `[pid ${process.pid}]` : `[pid ${process.pid}, thread ${threadId}]`;
}
