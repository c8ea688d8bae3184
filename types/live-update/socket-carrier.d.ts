import { type PeerCredentials, type SocketWait, UnixSocket } from "../kernel/unix-socket.js";
import type { IncomingCarrier, OutgoingCarrier } from "./carrier.js";
import { type MessageLimits } from "./message-socket.js";
/** Where the socket between the two processes comes from. */
export type SocketPlace = 
/** The other side listens at this path; a name in the abstract namespace begins with NUL. */
{
    readonly connect: string;
}
/**
 * The other side connects to this path, which is listened at until it has introduced itself. Several connections are served at a
 * time, and one that does not introduce itself within 5 seconds is dropped: the first that does is the other side.
 */
 | {
    readonly listen: string;
}
/** One end of a pair, as a number that the parent process passed (`stdio`). It belongs to the carrier from here on. */
 | {
    readonly fd: number;
}
/** One end of a pair, or a connection of type `seqpacket`. It belongs to the carrier from here on. */
 | {
    readonly socket: UnixSocket;
};
/** How a socket carrier is opened. */
export interface SocketCarrierOptions extends SocketWait {
    /**
     * How long until the other side is there, in milliseconds; `Infinity` for ever. Default 60,000, so that a successor does not wait
     * for an old process that failed before it connected. An old process that listens waits for ever by default: its successor may
     * come at any time.
     */
    readonly timeout?: number;
    /**
     * Whether to talk to this process. By default to those of the same user and of root. Of the two ends of a pair, it is the process
     * that made the pair.
     */
    readonly allow?: (peer: PeerCredentials) => boolean;
    /**
     * The most that is taken in one message: by default 256 MiB and 16,384 descriptors. Whatever is larger is refused before there is
     * room made for it.
     */
    readonly limits?: Partial<MessageLimits>;
}
/**
 * Opens the old process's side of a hand-over by socket. Resolves when the successor is there.
 *
 * @throws VfioError ETIMEDOUT if there is no successor in time, EACCES if it is another user's, EPROTO if it is no successor or speaks
 *   another protocol
 */
export declare function socketToSuccessor(place: SocketPlace, options?: SocketCarrierOptions): Promise<OutgoingCarrier>;
/**
 * Opens the successor's side of a hand-over by socket. Resolves when the old process is there.
 *
 * @throws VfioError ETIMEDOUT if there is no old process in time, EACCES if it is another user's, EPROTO if it is no old process or
 *   speaks another protocol
 */
export declare function socketFromOldProcess(place: SocketPlace, options?: SocketCarrierOptions): Promise<IncomingCarrier>;
