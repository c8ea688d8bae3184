/**
 * A device on a Unix socket: one client after the other.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import { outOfRangeError } from "../errors.js";
import { UnixListener, UnixSocket } from "../unix-socket.js";
import type { PciDevice } from "./pci-device.js";
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
}

/** What a server tells of. */
export interface ServerEvents {
  /** A client has connected. */
  connect: [];
  /** A client is gone, and all that was its is released. With the reason, unless it simply closed the connection. */
  disconnect: [error: Error | undefined];
  /**
   * The device's program threw something that is no `VfioError`, and the client was told EIO; or no client could be accepted.
   * Without a listener it is a warning of the process.
   */
  fault: [error: unknown, what: string];
}

/** @throws RangeError */
function check(name: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw outOfRangeError(name, `an integer from ${low} to ${high}`, value);
}

/**
 * Serves a device. A second client waits until the first one is gone; the device stays.
 *
 * It keeps the event loop alive until it is closed.
 */
export class VfioUserServer implements Disposable, AsyncDisposable {
  readonly device: PciDevice;
  readonly #options: SessionOptions;
  readonly #events = new EventEmitter<ServerEvents>();
  readonly #closing = new AbortController();
  #listener: UnixListener | undefined;
  #session: Session | undefined;
  #sessionOver: Promise<void> = Promise.resolve();

  private constructor(device: PciDevice, options: ServerOptions) {
    this.device = device;
    device.onFault = (error, what) => this.#events.emit("fault", error, what);
    this.#options = {
      maxTransfer: check("maxTransfer", options.maxTransfer ?? 1 << 20, 8, 1 << 26),
      maxFds: check("maxFds", options.maxFds ?? 16, 1, 253),
      maxRanges: check("maxRanges", options.maxRanges ?? 65535, 1, 0xffff_ffff),
      trusted: options.trustClients ?? false,
      timeout: check("timeout", options.timeout ?? 5000, 1, 2 ** 31 - 1),
    };
  }

  /**
   * Listens at a path. Who may connect is decided by the directory's permissions and the umask.
   *
   * @param device stays the caller's. One server at a time has it
   * @param path of the socket; one that a dead process left there is replaced. A name in the abstract namespace begins with NUL
   * @throws VfioError EADDRINUSE if somebody listens there
   */
  static listen(device: PciDevice, path: string, options: ServerOptions = {}): VfioUserServer {
    const server = new VfioUserServer(device, options);
    const listener = UnixListener.listen(path, "stream");
    server.#listener = listener;
    void server.#accept(listener);
    return server;
  }

  /**
   * Serves one client, at the other end of a socket that is there already: of a socket pair, or from a parent process.
   *
   * @param socket a `UnixSocket` of type `stream`, or a descriptor of one; it belongs to the server from here on
   */
  static serve(device: PciDevice, socket: UnixSocket | number, options: ServerOptions = {}): VfioUserServer {
    const server = new VfioUserServer(device, options);
    server.#open(typeof socket === "number" ? UnixSocket.adopt(socket) : socket);
    return server;
  }

  /** Whether a client is connected. */
  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** Listens to an event: see {@link ServerEvents}. */
  on<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this {
    this.#events.on<keyof ServerEvents>(event, listener);
    return this;
  }

  /** Listens to an event once. */
  once<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this {
    this.#events.once<keyof ServerEvents>(event, listener);
    return this;
  }

  /** Listens no more. */
  off<Event extends keyof ServerEvents>(event: Event, listener: (...args: ServerEvents[Event]) => void): this {
    this.#events.off<keyof ServerEvents>(event, listener);
    return this;
  }

  async #accept(listener: UnixListener): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        this.#open(await listener.accept({ signal }));
      } catch (error) {
        if (signal.aborted) return;
        // No descriptors left, perhaps: whoever waits in the queue is served once there are some again.
        this.device.fault(error, "accepting a client");
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      await this.#sessionOver;
    }
  }

  #open(socket: UnixSocket): void {
    let over = () => {};
    this.#sessionOver = new Promise((resolve) => {
      over = resolve;
    });
    const session = new Session(this.device, socket, this.#options, {
      fault: (error, what) => this.device.fault(error, what),
      ended: (error) => {
        this.#session = undefined;
        over();
        this.#events.emit("disconnect", error);
      },
    });
    this.#session = session;
    session.start();
    this.#events.emit("connect");
  }

  /** Ends the connection and the listening, and removes the socket. The device stays. A second call does nothing. */
  close(): void {
    this.#closing.abort();
    this.#listener?.close();
    this.#listener = undefined;
    this.#session?.close();
  }

  /** Waits until the client at hand, if there is one, is gone and released. */
  async idle(): Promise<void> {
    await this.#sessionOver;
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
