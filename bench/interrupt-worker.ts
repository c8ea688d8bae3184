/**
 * A thread of the interrupt benchmarks: it has the device's interrupt, and answers each by an eventfd.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { UserContainer } from "vfio/user";
import { native } from "../kernel/native.js";

/** How a thread hears of an interrupt. */
export type Hearing = "loop" | "wait" | "spin";

/** What the thread is given. */
export interface InterruptWork {
  /** Where the device is. */
  readonly socket: string;
  readonly hearing: Hearing;
  /** The eventfd that answers; borrowed. */
  readonly answer: number;
}

/** What it is told: to answer so many, or to end. */
export type InterruptOrder = { readonly operations: number } | "end";

function serve(port: NonNullable<typeof parentPort>, { socket, hearing, answer }: InterruptWork): void {
  const container = UserContainer.open({ socket });
  const vector = container.attach().msix.enableVector(0);
  let left = 0;
  const heard = () => {
    native.eventfdWrite(answer, 1);
    left--;
    if (left === 0) port.postMessage("done");
  };
  if (hearing === "loop") vector.on("interrupt", heard);
  port.on("message", (order: InterruptOrder) => {
    if (order === "end") {
      container.close();
      port.close();
      return;
    }
    left = order.operations;
    if (hearing === "loop") return;
    // Until all have come the thread does nothing else: that is what makes it fast.
    if (hearing === "wait") while (left > 0) if (vector.waitSync() > 0) heard();
    if (hearing === "spin") while (left > 0) if (vector.take() > 0) heard();
  });
  port.postMessage(vector.eventfd);
}

const given: InterruptWork = workerData;
if (parentPort !== null) serve(parentPort, given);
