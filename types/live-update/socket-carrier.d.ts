import { type PeerCredentials, type SocketWait, UnixSocket } from "../unix-socket.js";
import type { IncomingCarrier, OutgoingCarrier } from "./carrier.js";
import { type ChannelLimits } from "./channel.js";
/** Where the socket between the two processes comes from. */
export type SocketPlace = 
/** The other side listens at this path; a name in the abstract namespace begins with NUL. */
{
    readonly connect: string;
}
/** The other side connects to this path. It is listened at until that has happened. */
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
     * Whether to talk to this process. By default to those of the same user and of root. Of the two ends of a pair, it is the process
     * that made the pair.
     */
    readonly allow?: (peer: PeerCredentials) => boolean;
    /**
     * The most that is taken in one message: by default 256 MiB and 16,384 descriptors. Whatever is larger is refused before there is
     * room made for it.
     */
    readonly limits?: Partial<ChannelLimits>;
}
/**
 * Opens the old process's side of a hand-over by socket. Resolves when the successor is there.
 *
 * @throws VfioError EACCES if the other side is another user's, EPROTO if it is no successor or speaks another protocol
 */
export declare function socketToSuccessor(place: SocketPlace, options?: SocketCarrierOptions): Promise<OutgoingCarrier>;
/**
 * Opens the successor's side of a hand-over by socket. Resolves when the old process is there.
 *
 * @throws VfioError EACCES if the other side is another user's, EPROTO if it is no old process or speaks another protocol
 */
export declare function socketFromOldProcess(place: SocketPlace, options?: SocketCarrierOptions): Promise<IncomingCarrier>;
