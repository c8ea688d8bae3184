/**
 * Unix sockets that carry descriptors (`SCM_RIGHTS`), which Node's own do not.
 *
 * @module
 */
import { OwnedFd } from "./fd.js";
/** `stream` is a stream of bytes; `seqpacket` keeps the bounds of what was sent. */
export type UnixSocketType = "stream" | "seqpacket";
/** The most descriptors that the kernel takes in one message (`SCM_MAX_FD`). */
export declare const MAX_DESCRIPTORS = 253;
/** How a wait can end before its time. */
export interface SocketWait {
    readonly signal?: AbortSignal | undefined;
}
/** Who is at the other end, as `SO_PEERCRED` knows it: who connected, who listened, or who made the pair. */
export interface PeerCredentials {
    /** In this process's pid namespace; 0 if it is in none of it. */
    readonly pid: number;
    readonly uid: number;
    readonly gid: number;
}
/** What came in one call. */
export interface Received {
    /** In bytes. 0 is the end: the other side has closed (or has sent an empty packet). */
    readonly length: number;
    /** Close-on-exec; they belong to whoever received them. */
    readonly descriptors: readonly OwnedFd[];
}
/** One end of a connection. It owns its descriptor, which is close-on-exec and non-blocking. */
export declare class UnixSocket implements Disposable {
    #private;
    readonly type: UnixSocketType;
    /** For messages. */
    readonly label: string;
    private constructor();
    /**
     * Connects to a path, or to a name in the abstract namespace (which begins with NUL).
     *
     * @throws VfioError ENOENT or ECONNREFUSED if nobody listens there
     */
    static connect(path: string, type: UnixSocketType, options?: SocketWait): Promise<UnixSocket>;
    /**
     * As {@link connect}, at once.
     *
     * @returns undefined if the listener's queue is full now
     */
    static tryConnect(path: string, type: UnixSocketType): UnixSocket | undefined;
    /** Two ends that are connected to each other; one of them is usually given to a child process. */
    static pair(type: UnixSocketType): [UnixSocket, UnixSocket];
    /**
     * Takes over a connected Unix socket from elsewhere (`stdio` of the parent process, another library). It belongs to the
     * object from here on, and is left alone if this throws.
     *
     * @throws VfioError ENOTSOCK if it is something else
     */
    static adopt(fd: number, label?: string): UnixSocket;
    /** The number, to borrow: for a child's `stdio`, for instance. */
    get fd(): number;
    /** Whether it has been closed. */
    get closed(): boolean;
    /** Who is at the other end. */
    peer(): PeerCredentials;
    /**
     * How much may wait in the socket, in bytes: the kernel doubles the number for its own overhead, and cuts it at
     * `net.core.wmem_max` and `rmem_max`. What waits in a Unix socket counts against the sender alone.
     */
    setBuffers(sizes: {
        readonly send?: number;
        readonly receive?: number;
    }): void;
    /**
     * Sends what there is room for now, with every descriptor.
     *
     * @param descriptors borrowed; at most 253, as the kernel has it (`SCM_MAX_FD`). They go with the first byte, or not at all
     * @returns how many bytes went; 0 if there is no room
     * @throws VfioError EPIPE or ECONNRESET if the other side is gone; ETOOMANYREFS if this user has more descriptors under way,
     *   in all its sockets, than one process may have open
     */
    trySend(bytes: Uint8Array, descriptors?: readonly number[]): number;
    /**
     * Sends all of it; several sends go out one after the other, whole.
     *
     * A send to a stream that is ended by its signal may have sent a part: such a socket can only be closed.
     *
     * @param descriptors borrowed until this resolves
     */
    send(bytes: Uint8Array, descriptors?: readonly number[], wait?: SocketWait): Promise<void>;
    /**
     * Takes what is there: some bytes of a stream, or one packet.
     *
     * @param room how many descriptors may come with it
     * @returns undefined if there is nothing yet
     * @throws VfioError EPROTO if more descriptors came than there is room for, EMFILE if this process may not open as many,
     *   EMSGSIZE if the packet was longer than `into`: those that came are closed. ECONNRESET if the other side has closed
     *   without reading everything: what it sent before can still be received, by the next call
     */
    tryReceive(into: Uint8Array, room?: number): Received | undefined;
    /** Waits for the next bytes or packet; otherwise as {@link tryReceive}. */
    receive(into: Uint8Array, options?: SocketWait & {
        readonly room?: number;
    }): Promise<Received>;
    /**
     * Calls back as long as there is something to receive (the end is something, too): the listener takes it all with
     * {@link tryReceive}. One listener at a time; `undefined` ends it. The event loop stays alive meanwhile.
     */
    onReadable(listener: (() => void) | undefined): void;
    /** Whether the event loop stays alive while somebody waits or listens here. The default is that it does. */
    setReferenced(referenced: boolean): void;
    /** Resolves when there is room to send, or the other side is gone. */
    writable(options?: SocketWait): Promise<void>;
    /**
     * Ends one direction or both, for every process that has this socket. After `read` the other side can send no more (EPIPE),
     * and what it had sent can still be received.
     */
    shutdown(how: "read" | "write" | "both"): void;
    /** Closes the descriptor; every wait ends. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
/** A path that others connect to. */
export declare class UnixListener implements Disposable {
    #private;
    readonly path: string;
    readonly type: UnixSocketType;
    private constructor();
    /** Whether this very thread listens at a path: it cannot answer there while it waits for the answer. */
    static listensHere(path: string): boolean;
    /**
     * Listens on a path, or on a name in the abstract namespace (which begins with NUL). A socket that a dead process left at the
     * path is replaced. Who may connect is decided by the directory's permissions, the umask, and the name in the abstract
     * namespace by nobody: see {@link UnixSocket.peer}.
     *
     * @throws VfioError EADDRINUSE if somebody listens there, or if there is a file of another kind
     */
    static listen(path: string, type: UnixSocketType): UnixListener;
    /** Waits for the next connection. */
    accept({ signal }?: SocketWait): Promise<UnixSocket>;
    /** Ends the listening, and removes the socket from its path. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
