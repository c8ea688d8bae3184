/**
 * Live update: a process hands its running devices to its successor.
 *
 * @module
 */

export type { Blocker } from "../base/preserve.js";
export {
  type PeerCredentials,
  type Received,
  type SocketWait,
  UnixSocket,
  type UnixSocketType,
} from "../kernel/unix-socket.js";
export type { CarrierWait, IncomingCarrier, OutgoingCarrier, Parcel, ReceivedParcel } from "./carrier.js";
export { type ExecCarrierOptions, execInPlace, type IncomingExecOptions, incomingExec } from "./exec-carrier.js";
export { IncomingUpdate, type ReceiveOptions, receiveLiveUpdate, type TakeOverOptions } from "./incoming.js";
export type { MessageLimits } from "./message-socket.js";
export { type HandOverOptions, type HandOverTimeouts, LiveUpdate, LiveUpdateBlockedError } from "./outgoing.js";
export type { LiveUpdateOptions } from "./plan.js";
export {
  type SocketCarrierOptions,
  type SocketPlace,
  socketFromOldProcess,
  socketToSuccessor,
} from "./socket-carrier.js";
export type { LiveUpdateReport } from "./timeline.js";
