/**
 * Hand-overs from this process to itself: every object is made twice, and the kernel's rules are the same as between two
 * processes, except for whose memory counts.
 *
 * @module
 */
import {
  type IncomingUpdate,
  LiveUpdate,
  type LiveUpdateOptions,
  type LiveUpdateReport,
  receiveLiveUpdate,
  socketFromOldProcess,
  socketToSuccessor,
  type TakeOverOptions,
} from "vfio/live-update";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";

/** The modes in which a container can be handed over. */
export const ownModes = ["type1", "type1v2", "iommufd"] as const;

/** The two ends of a socket between an old process and its successor. */
export async function carriers() {
  const [old, young] = UnixSocket.pair("seqpacket");
  return await Promise.all([socketToSuccessor({ socket: old }), socketFromOldProcess({ socket: young })]);
}

/** What the successor does on the way, and with what. */
export interface Successor extends TakeOverOptions {
  /** When everything is put together, and nothing is the successor's yet. */
  readonly ready?: (incoming: IncomingUpdate) => void | Promise<void>;
}

/** Hands over, to this process. Fails as the old side does; the successor has then heard of it. */
export async function handOver(
  options: LiveUpdateOptions,
  { ready, ...takeOver }: Successor = {},
): Promise<{ incoming: IncomingUpdate; report: LiveUpdateReport }> {
  const [out, back] = await carriers();
  const [sent, received] = await Promise.allSettled([
    new LiveUpdate(options).handOver(out),
    receiveLiveUpdate(back).then(async (incoming) => {
      try {
        await ready?.(incoming);
        await incoming.takeOver(takeOver);
        return incoming;
      } catch (error) {
        incoming.abandon(error instanceof Error ? error.message : String(error));
        throw error;
      }
    }),
  ]);
  if (sent.status === "rejected") throw sent.reason;
  if (received.status === "rejected") throw received.reason;
  return { incoming: received.value, report: sent.value };
}

/** What must be there. */
export function present<T>(value: T | undefined, what = "it"): T {
  if (value === undefined) throw new Error(`${what} is not there`);
  return value;
}
