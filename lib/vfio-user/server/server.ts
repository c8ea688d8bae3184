/**
 * A device on a Unix socket: one client after the other.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import { constants } from "node:os";
import {
  checkBoolean,
  checkDescriptor,
  checkListener,
  checkOptions,
  checkString,
  instanceOf,
  integer,
  knownOptions,
} from "../../base/arguments.js";
import { VfioError } from "../../base/errors.js";
import { showAs } from "../../base/inspect.js";
import { show, UnixListener, UnixSocket } from "../../kernel/unix-socket.js";
import { type DeviceServer, PciDevice } from "../device/pci-device.js";
import { Session, type SessionOptions } from "./session.js";

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

const serverOptions = knownOptions<ServerOptions>({
  maxTransfer: integer(8, 1 << 26),
  maxFds: integer(1, 253),
  maxRanges: integer(1, 0xffff_ffff),
  trustClients: checkBoolean,
  timeout: integer(1, 2 ** 31 - 1),
  drainTimeout: integer(1, 2 ** 31 - 1),
});
const checkDevice = instanceOf(PciDevice, "a PciDevice");
const checkSocket = instanceOf(UnixSocket, "a UnixSocket, or the number of a descriptor");
const events = Object.keys({
  connect: true,
  disconnect: true,
  overdue: true,
  fault: true,
} satisfies Record<keyof ServerEvents, true>);

/** The settings of a session, with the defaults. */
function settingsOf(options: ServerOptions): SessionOptions {
  return {
    maxTransfer: options.maxTransfer ?? 1 << 20,
    maxFds: options.maxFds ?? 16,
    maxRanges: options.maxRanges ?? 65535,
    trusted: options.trustClients ?? false,
    timeout: options.timeout ?? 5000,
    drainTimeout: options.drainTimeout ?? 3000,
  };
}

/**
 * Serves a device. A second client waits until the first one is gone, and the device has finished what it did for it; the device
 * stays.
 *
 * It keeps the event loop alive until it is closed.
 */
export class VfioUserServer implements Disposable, AsyncDisposable {
  readonly device: PciDevice;
  /** As the device knows this server. */
  readonly #claimant: DeviceServer;
  readonly #options: SessionOptions;
  readonly #events = new EventEmitter<ServerEvents>();
  readonly #closing = new AbortController();
  #listener: UnixListener | undefined;
  #session: Session | undefined;
  /** Resolves when the client at hand is gone and released, or when that takes too long. */
  #turnOver: Promise<void> = Promise.resolve();

  private constructor(device: PciDevice, name: string, options: ServerOptions) {
    checkDevice("device", device);
    checkOptions("options", options, serverOptions);
    this.device = device;
    this.#claimant = { name, fault: (error, what) => this.#events.emit("fault", error, what) };
    this.#options = settingsOf(options);
  }

  /**
   * Listens at a path. Who may connect is decided by the directory's permissions and the umask.
   *
   * @param device stays the caller's. One server at a time has it
   * @param path of the socket; one that a dead process left there is replaced. A name in the abstract namespace begins with NUL
   * @throws VfioError EADDRINUSE if somebody listens there; an error with `code` `ERR_INVALID_STATE` if another server has the
   *   device: one that is not closed, or that still has a client ({@link idle}). Whatever is thrown has changed nothing
   */
  static listen(device: PciDevice, path: string, options: ServerOptions = {}): VfioUserServer {
    checkString("path", path);
    const server = new VfioUserServer(device, `the server at ${show(path)}`, options);
    const listener = server.#claim(() => UnixListener.listen(path, "stream"));
    server.#listener = listener;
    void server.#accept(listener);
    return server;
  }

  /**
   * Serves one client, at the other end of a socket that is there already: of a socket pair, or from a parent process.
   *
   * @param socket a `UnixSocket` of type `stream`, or a descriptor of one; it belongs to the server from here on, and stays the
   *   caller's if this throws
   * @throws as {@link listen}
   */
  static serve(device: PciDevice, socket: UnixSocket | number, options: ServerOptions = {}): VfioUserServer {
    if (typeof socket === "number") checkDescriptor("socket", socket);
    else checkSocket("socket", socket);
    const server = new VfioUserServer(device, "the server of one socket", options);
    server.#claim(() => server.#open(typeof socket === "number" ? UnixSocket.adopt(socket) : socket));
    return server;
  }

  /** Takes the device, and what the device is to be served at; neither if one of them fails. */
  #claim<Place>(take: () => Place): Place {
    this.device.claim(this.#claimant);
    try {
      const place = take();
      this.device.config.fixResetState();
      return place;
    } catch (error) {
      this.device.unclaim(this.#claimant);
      throw error;
    }
  }

  /** Leaves the device to the next server, once nothing of this one needs it. */
  #unclaim(): void {
    if (this.#listener !== undefined || this.#session !== undefined || this.device.unfinished !== undefined) return;
    this.device.unclaim(this.#claimant);
  }

  /** Whether a client is connected. */
  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** Listens to an event: see {@link ServerEvents}. */
  on<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this {
    checkListener(events, event, listener);
    this.#events.on<keyof ServerEvents>(event, listener);
    return this;
  }

  /** Listens to an event once. */
  once<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this {
    checkListener(events, event, listener);
    this.#events.once<keyof ServerEvents>(event, listener);
    return this;
  }

  /** Listens no more. */
  off<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this {
    checkListener(events, event, listener);
    this.#events.off<keyof ServerEvents>(event, listener);
    return this;
  }

  async #accept(listener: UnixListener): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const socket = await listener.accept({ signal });
        if (signal.aborted) socket.close();
        else this.#openAccepted(socket);
      } catch (error) {
        if (signal.aborted) return;
        // No descriptors left, perhaps: whoever waits in the queue is served once there are some again.
        this.device.fault(error, "accepting a client");
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await this.#turnOver;
    }
  }

  #openAccepted(socket: UnixSocket): void {
    try {
      this.#open(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#events.emit("connect");
  }

  /** @throws VfioError if it cannot be listened to; then nothing has changed, and the socket is still the caller's */
  #open(socket: UnixSocket): void {
    let over = () => {};
    const turnOver = new Promise<void>((resolve) => {
      over = resolve;
    });
    const leave = () => {
      if (this.#session === session) this.#session = undefined;
      over();
    };
    const session = new Session(this.device, socket, this.#options, {
      fault: (error, what) => this.device.fault(error, what),
      overdue: (work) => {
        // A client that is still there goes on.
        if (this.device.unfinished !== undefined) leave();
        this.#overdue(work);
      },
      ended: (error) => {
        leave();
        this.#unclaim();
        this.#events.emit("disconnect", error);
      },
    });
    session.start();
    this.#session = session;
    this.#turnOver = turnOver;
  }

  #overdue(work: readonly string[]): void {
    if (this.#events.emit("overdue", work)) return;
    const text = `${this.device} has not let go after ${this.#options.drainTimeout} ms: ${work.join(", ")}`;
    process.emitWarning(text, { type: "VfioUserWarning", code: "VFIO_USER_OVERDUE" });
  }

  /** Ends the connection and the listening, and removes the socket. The device stays. A second call does nothing. */
  close(): void {
    this.#closing.abort();
    this.#listener?.close();
    this.#listener = undefined;
    this.#session?.close();
    this.#unclaim();
  }

  /**
   * Waits until the client at hand, if there is one, is gone and released.
   *
   * @throws VfioError ETIMEDOUT if the device still works for a client that is gone, after {@link ServerOptions.drainTimeout}
   */
  async idle(): Promise<void> {
    await this.#turnOver;
    const { unfinished } = this.device;
    if (unfinished === undefined) return;
    throw new VfioError({
      errno: constants.errno.ETIMEDOUT,
      syscall: "vfio-user",
      object: this.device.name,
      why: `the device still works for a client that is gone: ${unfinished.join(", ")}`,
    });
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Closes it, and waits until the device has let go of the client's things: then the device itself can be closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.idle();
  }
}

showAs(
  VfioUserServer,
  (server) => `${server.device.name}, ${server.connected ? "a client is connected" : "no client"}`,
);
