import { type UnixSocket } from "../../kernel/unix-socket.js";
import { type Frame, type FrameLimits } from "../protocol/framing.js";
import type { Command } from "../protocol/messages.js";
/** What a request is answered with: a message whose header is still blank, and descriptors beside it. */
export interface Answer {
    readonly message: Uint8Array;
    /** Borrowed until they were sent. */
    readonly fds?: readonly number[];
    /** Called when they were. */
    readonly sent?: () => void;
}
/** The side that answers a connection's requests. */
export interface ConnectionOwner {
    /**
     * Answers a small request where it lies, without descriptors, or leaves it to {@link answer}: then it has not touched anything.
     *
     * @param request a view of what was received: the message begins at `at`, with its header
     * @param reply the reply's memory, {@link SMALL} bytes. Its header is written by the connection
     * @returns the reply's length with its header; 0 to leave it; a promise if it takes its time, for which the request is gone
     */
    answerAtOnce?(request: DataView, at: number, size: number, reply: DataView): number | Promise<Answer>;
    /** Answers a request. What it throws becomes the error reply. The frame's descriptors are closed afterwards. */
    answer(frame: Frame): Answer | Promise<Answer>;
    /** Something threw what is no refusal: a fault of the device's program. The peer was told EIO. */
    failed(error: unknown, frame: Frame): void;
    /** The connection is over. `error` is undefined if the peer closed it between two messages. */
    ended(error: Error | undefined): void;
}
/** A socket with requests in both directions. */
export declare class PeerConnection {
    #private;
    /** @param socket belongs to the connection from here on */
    constructor(socket: UnixSocket, limits: FrameLimits, owner: ConnectionOwner);
    /** Begins to read. */
    start(): void;
    set limits(limits: FrameLimits);
    /**
     * Takes in the replies that are in the socket already, without waiting for more: before a message from another socket of the same
     * peer takes effect, which the peer has sent behind these replies.
     */
    takeReplies(): void;
    /**
     * Does work that no message asks for, in turn with the requests: at once, unless one is under way. After the end of the
     * connection it is left out.
     *
     * @param job throws nothing, and neither does its promise
     */
    inTurn(job: () => void | Promise<void>): void;
    /**
     * Sends a request and waits for its reply.
     *
     * @param timeout in milliseconds
     * @param use is given the reply before any message behind it takes effect. Its memory is used again as soon as this returns
     * @throws VfioError the peer's errno; ETIMEDOUT; ECONNRESET when the connection ends; ProtocolError for a bad reply
     */
    request<Request, Reply, Result>(command: Command<Request, Reply>, value: Request, timeout: number, use: (reply: Reply) => Result): Promise<Result>;
    /** Ends the connection without a word to the owner. A second call does nothing. */
    close(): void;
    /** Sends what waits, as far as there is room, and then ends the connection. */
    closeAfterReply(error: Error | undefined): void;
}
/** @throws ProtocolError for a request that was longer, or came with more descriptors, than it may */
export declare function checkFrame({ header, fault }: Frame): void;
