import { VfioError } from "../../base/errors.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { UnixSocket } from "../../kernel/unix-socket.js";
import { type Frame } from "../protocol/framing.js";
import { type Command } from "../protocol/messages.js";
import type { Agreement, ConnectionState } from "./state.js";
/** What came of a request: the reply, the server's refusal, or what kept it from being answered. */
export type Outcome<Reply> = {
    readonly ok: true;
    readonly value: Reply;
    readonly fds: readonly OwnedFd[];
} | {
    readonly ok: false;
    readonly errno: number;
    readonly thrown: Error | undefined;
};
/** How a request is made. */
export interface CallOptions {
    /** Descriptors that travel with it, borrowed until they were sent. */
    readonly fds?: readonly number[];
    /** How many descriptors may come back. They belong to the caller. Default 0. */
    readonly room?: number;
    /** Called if the server has done it after all, when it was given up already. */
    readonly late?: () => void;
}
/** What a call needs of its command. */
type Asked<Reply> = Pick<Command<never, Reply>, "number" | "name" | "reply">;
/** How a connection is made. */
export interface ConnectionOptions {
    /** For messages: the socket's path. */
    readonly label: string;
    /** How long the server may take for a reply, in milliseconds. */
    readonly timeout: number;
    /**
     * Answers a request of the server's with a message whose header is blank, or throws a VfioError. `room` is memory for it, which
     * is used again for the next answer.
     */
    readonly answer: (frame: Frame, room: (length: number) => Uint8Array) => Uint8Array;
    /** The connection is over, and not by {@link ClientConnection.close}. Called after whatever is under way. */
    readonly lost: (error: VfioError) => void;
}
/** A connection. */
export declare class ClientConnection {
    #private;
    readonly label: string;
    /**
     * Introduces itself.
     *
     * @param socket belongs to the connection from here on; if this throws, it is closed
     * @throws VfioError
     */
    static open(socket: UnixSocket, options: ConnectionOptions): ClientConnection;
    /**
     * Goes on with a connection that another process has made, once it is {@link resume}d: until then nothing is read, and nothing is
     * sent.
     *
     * @param sockets belong to the connection from here on
     */
    static inherit({ socket, twin, agreement }: ConnectionState<UnixSocket>, options: ConnectionOptions): ClientConnection;
    private constructor();
    /** The socket's descriptor, borrowed. */
    get fd(): number;
    /** Whether it is over, by whichever side. */
    get over(): boolean;
    /** Whether the server can be asked: the connection is neither over nor between two processes. */
    get askable(): boolean;
    get agreement(): Agreement;
    /** What a successor must know. The descriptors are borrowed. */
    get state(): ConnectionState<number>;
    /** How many requests have no answer yet. */
    get unanswered(): number;
    /**
     * Stops between two messages: nothing more is read or sent, and what the server sends stays in the socket, for this process or for
     * another.
     *
     * @throws VfioError `EBUSY` if an answer is awaited, `ETIMEDOUT` if the server stopped within a message; it goes on then
     */
    suspend(): void;
    /** Ends {@link suspend}. */
    resume(): void;
    /**
     * Makes a request and blocks until its reply is there.
     *
     * @returns the reply, or the server's refusal
     * @throws VfioError ENOTCONN if the connection is over, ETIMEDOUT; ProtocolError for a reply that makes no sense
     */
    call<Request, Reply>(command: Command<Request, Reply>, value: Request, options?: CallOptions): Exclude<Outcome<Reply>, {
        thrown: Error;
    }>;
    /** Many requests, kept under way together, in order. What kept one of them from being answered is in its outcome. */
    callEach<Request, Reply>(command: Command<Request, Reply>, requests: readonly (CallOptions & {
        readonly value: Request;
    })[]): Outcome<Reply>[];
    /**
     * Makes a request; the event loop goes on.
     *
     * @param options.timeout in milliseconds; left out, the server may take as long as it likes
     * @throws as {@link call}
     */
    callAsync<Request, Reply>(command: Command<Request, Reply>, value: Request, { timeout, ...options }?: CallOptions & {
        readonly timeout?: number;
    }): Promise<Outcome<Reply>>;
    /**
     * Sends a request that is not answered.
     *
     * @throws VfioError ENOTCONN if the connection is over; ETIMEDOUT if the server does not read what was sent before
     */
    post<Request>(command: Command<Request, unknown>, value: Request): void;
    /**
     * Memory for a small request to be written in place, behind its header's 16 bytes. An access to a register is a message of 32
     * bytes: memory, a view and objects made for each take longer than the exchange itself.
     */
    get request(): DataView;
    /** Where the reply of {@link exchange} stands, from 0 on with its header, until the next call. */
    get reply(): DataView;
    /**
     * Sends what was written into {@link request}, and blocks until the reply is there.
     *
     * @param size of the request with its header, in bytes
     * @returns the size of the reply, if it came alone and stands in {@link reply}; else what {@link call} returns
     * @throws as {@link call}
     */
    exchange<Reply>(command: Asked<Reply>, size: number): number | Exclude<Outcome<Reply>, {
        thrown: Error;
    }>;
    /** As {@link post}, for what was written into {@link request}. */
    postInPlace(command: Asked<unknown>, size: number): void;
    /** Closes the sockets. A second call does nothing. */
    close(): void;
}
export {};
