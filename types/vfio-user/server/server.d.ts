/**
 * A device on a Unix socket: one client after the other.
 *
 * @module
 */
import { UnixSocket } from "../../kernel/unix-socket.js";
import { PciDevice } from "../device/pci-device.js";
/** How a server treats its clients. */
export interface ServerOptions {
    /** The most bytes that a client may read or write in one message. Default 1 MiB. */
    readonly maxTransfer?: number;
    /** The most descriptors that a client may send with one message. Default 16, which is what QEMU puts up with at most. */
    readonly maxFds?: number;
    /** The most ranges of memory that a client may have mapped. Default 65535. */
    readonly maxRanges?: number;
    /**
     * Whether the files of the client's memory are mapped whatever they are. Default false.
     *
     * Without it, a file is mapped only if no client can take pages of it away under the device, which would end this process with
     * SIGBUS: a sealed memfd (`F_SEAL_SHRINK`) without huge pages. Another file of tmpfs or hugetlbfs is read and written by system
     * calls. A file of another file system could make this process wait for ever, and is not touched: such memory is reached by
     * messages.
     */
    readonly trustClients?: boolean;
    /** How long a client may take to introduce itself and to answer a request, in milliseconds. Default 5000. */
    readonly timeout?: number;
    /**
     * How long the device may take to let go, in milliseconds: to finish what it does for a client that is gone, and to
     * {@link PciDeviceOptions.quiesce | quiesce} memory that a client takes back. Then the event `overdue` says what is not finished.
     * New clients are refused with EBUSY until it is. Default 3000, which is less than the 5 s that QEMU and this package's client
     * wait for an answer.
     */
    readonly drainTimeout?: number;
}
/** What a server tells of. */
export interface ServerEvents {
    /** A client has connected. */
    connect: [];
    /** A client is gone, and all that was its is released. With the reason, unless it simply closed the connection. */
    disconnect: [error: Error | undefined];
    /**
     * The device's program threw something that is no `VfioError`, and the client was told EIO; or no client could be accepted; or a
     * client has not answered a message about memory that it has sent a file of (once for each client: `trustClients` may be the
     * answer). Without a listener it is a warning of the process.
     */
    fault: [error: unknown, what: string];
    /**
     * The device has not let go within {@link ServerOptions.drainTimeout}. `work` names what it has not finished: requests
     * (`VFIO_USER_REGION_READ`), `quiesce`, `disconnected`. If the client is gone, the next one is refused until all of it is
     * finished; a client that takes memory back is refused that. Without a listener it is a warning of the process.
     */
    overdue: [work: readonly string[]];
}
/**
 * Serves a device. A second client waits until the first one is gone, and the device has finished what it did for it; the device
 * stays.
 *
 * It keeps the event loop alive until it is closed.
 */
export declare class VfioUserServer implements Disposable, AsyncDisposable {
    #private;
    readonly device: PciDevice;
    private constructor();
    /**
     * Listens at a path. Who may connect is decided by the directory's permissions and the umask.
     *
     * @param device stays the caller's. One server at a time has it
     * @param path of the socket; one that a dead process left there is replaced. A name in the abstract namespace begins with NUL
     * @throws VfioError EADDRINUSE if somebody listens there; an error with `code` `ERR_INVALID_STATE` if another server has the
     *   device: one that is not closed, or that still has a client ({@link idle}). Whatever is thrown has changed nothing
     */
    static listen(device: PciDevice, path: string, options?: ServerOptions): VfioUserServer;
    /**
     * Serves one client, at the other end of a socket that is there already: of a socket pair, or from a parent process.
     *
     * @param socket a `UnixSocket` of type `stream`, or a descriptor of one; it belongs to the server from here on, and stays the
     *   caller's if this throws
     * @throws as {@link listen}
     */
    static serve(device: PciDevice, socket: UnixSocket | number, options?: ServerOptions): VfioUserServer;
    /** Whether a client is connected. */
    get connected(): boolean;
    /** Listens to an event: see {@link ServerEvents}. */
    on<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this;
    /** Listens to an event once. */
    once<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this;
    /** Listens no more. */
    off<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this;
    /** Ends the connection and the listening, and removes the socket. The device stays. A second call does nothing. */
    close(): void;
    /**
     * Waits until the client at hand, if there is one, is gone and released.
     *
     * @throws VfioError ETIMEDOUT if the device still works for a client that is gone, after {@link ServerOptions.drainTimeout}
     */
    idle(): Promise<void>;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    /** Closes it, and waits until the device has let go of the client's things: then the device itself can be closed. */
    [Symbol.asyncDispose](): Promise<void>;
}
