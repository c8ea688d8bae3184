/**
 * Live update: a process hands its running devices to its successor.
 *
 * @module
 */
export type { CarrierWait, IncomingCarrier, OutgoingCarrier, Parcel, ReceivedParcel } from "./carrier.js";
export type { ChannelLimits } from "./channel.js";
export { type ExecCarrierOptions, execInPlace, type IncomingExecOptions, incomingExec } from "./exec-carrier.js";
export {
  type SocketCarrierOptions,
  type SocketPlace,
  socketFromOldProcess,
  socketToSuccessor,
} from "./socket-carrier.js";
