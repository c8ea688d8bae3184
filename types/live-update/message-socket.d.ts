/**
 * Messages with any number of descriptors between two processes that do not trust each other's bytes.
 *
 * A message goes over a `SOCK_SEQPACKET` socket in packets of a fixed form, so that the receiver knows what may come next and
 * how much of it, before it makes room for anything:
 *
 * ```text
 *  message      type, length, number of descriptors; the bytes, too, if they fit
 *  descriptors  at most 253 of them (SCM_MAX_FD) ...       each answered by
 *                                                          acknowledgement
 *  data         at most 64 KiB with its header ...
 *  end          a reason; at any time, in either direction
 * ```
 *
 * Descriptors wait for the acknowledgement of those before them, because the kernel counts what is under way in sockets against
 * the user (RLIMIT_NOFILE, else ETOOMANYREFS).
 *
 * Nothing here takes time into account: a peer that stalls is ended by the caller's signal.
 *
 * @module
 */
import type { OwnedFd } from "../kernel/fd.js";
import { type SocketWait, type UnixSocket } from "../kernel/unix-socket.js";
/** The messages of a hand-over, by their numbers on the wire. */
declare const MESSAGES: readonly ["hello", "process", "parcel", "ready", "frozen", "taken", "commit", "released", "done"];
/** The type of a message. */
export type MessageType = (typeof MESSAGES)[number];
/** The most that a receiver takes in one message. */
export interface MessageLimits {
    /** In bytes. */
    readonly bytes: number;
    readonly descriptors: number;
}
/** The options of {@link MessageLimits}. */
export declare const messageLimits: import("../base/arguments.js").KnownOptions;
/** A message that came whole. */
export interface Message {
    readonly bytes: Uint8Array;
    /** Close-on-exec; they belong to the receiver. */
    readonly descriptors: readonly OwnedFd[];
}
/**
 * Whether the other side went away without a reason (as a dead process does).
 */
export declare function wentAwaySilently(error: unknown): boolean;
/** One side of the conversation. It owns its socket. */
export declare class MessageSocket {
    #private;
    /**
     * @param socket of type `seqpacket`; it belongs to this object from here on
     * @param peer who is at the other end, for messages: `the successor`
     */
    constructor(socket: UnixSocket, peer: string);
    /**
     * Sends a message.
     *
     * @param descriptors borrowed until this resolves
     * @throws VfioError ECONNRESET if the other side went away without a reason, ECANCELED if it ended the conversation: its reason
     *   is in the message
     */
    send(type: MessageType, bytes: Uint8Array, descriptors: readonly number[], wait: SocketWait): Promise<void>;
    /**
     * Puts a message of one packet into the socket, or throws and has not.
     *
     * @param bytes at most 65,520
     */
    sendNow(type: MessageType, bytes?: Uint8Array): void;
    /**
     * Waits for a message of this type. Where it fails, it has closed every descriptor that came.
     *
     * @throws VfioError EPROTO if something else comes, EMSGSIZE if it is larger than the limits, EMFILE if this process may not
     *   open as many descriptors, ECONNRESET if the other side went away without a reason, ECANCELED if it ended the conversation:
     *   its reason is in the message
     */
    receive(type: MessageType, limits: MessageLimits, wait: SocketWait): Promise<Message>;
    /** Waits until the other side ends the conversation. Rejects with what {@link receive} would reject with. */
    ended(wait: SocketWait): Promise<never>;
    /** Throws if the other side has ended the conversation by now, as {@link receive} would. */
    throwIfEnded(): void;
    /**
     * Lets nothing more be put into the socket by the other side, unless a message of this type is there by now: whatever it tries
     * from here on fails there.
     *
     * @returns whether the message was there
     */
    shutOut(type: MessageType): boolean;
    /**
     * Ends the conversation, with a reason that the other side's next wait rejects with. Does not throw: a peer that is gone needs
     * no reason.
     */
    end(reason: string): void;
    /** Closes the socket. A second call does nothing. */
    close(): void;
}
export {};
