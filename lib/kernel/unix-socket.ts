/**
 * Unix sockets that carry descriptors (`SCM_RIGHTS`), which Node's own do not.
 *
 * @module
 */

import { lstatSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import {
  checkArray,
  checkBoolean,
  checkBytes,
  checkDescriptor,
  checkFunction,
  checkInteger,
  checkOptions,
  checkSignal,
  checkString,
  integer,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { check, VfioError, type VfioErrorInit } from "../base/errors.js";
import { openOrClosed, showAs } from "../base/inspect.js";
import { OwnedFd } from "./fd.js";
import { native } from "./native.js";
import { READABLE, Readiness, WRITABLE } from "./readiness.js";

const { EADDRINUSE, EAGAIN, ECONNABORTED, ECONNREFUSED, EINTR, EMFILE, EMSGSIZE, ENOTSOCK, EPROTO } = constants.errno;
// Node has no name for it.
const ETOOMANYREFS = 109;

/** `stream` is a stream of bytes; `seqpacket` keeps the bounds of what was sent. */
export type UnixSocketType = "stream" | "seqpacket";

// linux/socket.h, asm-generic/socket.h
const TYPES = { stream: 1, seqpacket: 5 } as const;
const SOCK_DGRAM = 2;
const AF_UNIX = 1;
const SO_TYPE = 3;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_DOMAIN = 39;
const MSG_CTRUNC = 0x08;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const SHUT = { read: 0, write: 1, both: 2 } as const;

/** The most descriptors that the kernel takes in one message (`SCM_MAX_FD`). */
export const MAX_DESCRIPTORS = 253;

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

/** A path for messages: a name in the abstract namespace begins with NUL, which is shown as `@`. @internal */
export function show(path: string): string {
  return path.startsWith("\0") ? `@${path.slice(1)}` : path;
}

const checkType = oneOf(["stream", "seqpacket"]);
const checkHow = oneOf(["read", "write", "both"]);
const waitOptions = knownOptions<SocketWait>({ signal: checkSignal });
const receiveOptions = knownOptions<SocketWait & { room: number }>({ signal: checkSignal, room: integer() });
const bufferSizes = knownOptions<Parameters<UnixSocket["setBuffers"]>[0]>({
  send: integer(0, 2 ** 31 - 1),
  receive: integer(0, 2 ** 31 - 1),
});

function openSocket(type: UnixSocketType, label: string): OwnedFd {
  return new OwnedFd(
    check(native.socket(TYPES[type], true), () => ({ syscall: "socket", object: label })),
    label,
  );
}

/** One end of a connection. It owns its descriptor, which is close-on-exec and non-blocking. */
export class UnixSocket implements Disposable {
  readonly type: UnixSocketType;
  /** For messages. */
  readonly label: string;
  readonly #fd: OwnedFd;
  readonly #readiness: Readiness;
  #out = new Int32Array(2);
  #sending: Promise<void> = Promise.resolve();

  private constructor(fd: OwnedFd, type: UnixSocketType) {
    this.#fd = fd;
    this.type = type;
    this.label = fd.label;
    this.#readiness = new Readiness(fd.number, fd.label);
  }

  /**
   * Connects to a path, or to a name in the abstract namespace (which begins with NUL).
   *
   * @throws VfioError ENOENT or ECONNREFUSED if nobody listens there
   */
  static async connect(path: string, type: UnixSocketType, options: SocketWait = {}): Promise<UnixSocket> {
    checkOptions("options", options, waitOptions);
    const { signal } = options;
    for (;;) {
      signal?.throwIfAborted();
      const socket = UnixSocket.tryConnect(path, type);
      if (socket !== undefined) return socket;
      // Nothing tells when the listener's queue has room again.
      await delay(10, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    }
  }

  /**
   * As {@link connect}, at once.
   *
   * @returns undefined if the listener's queue is full now
   */
  static tryConnect(path: string, type: UnixSocketType): UnixSocket | undefined {
    checkString("path", path);
    checkType("type", type);
    const fd = openSocket(type, `socket '${show(path)}'`);
    let status: number;
    do status = native.socketConnect(fd.number, path);
    while (status === -EINTR);
    if (status === 0) return new UnixSocket(fd, type);
    fd.close();
    if (status === -EAGAIN) return undefined;
    throw new VfioError({ errno: status, syscall: "connect", path: show(path) });
  }

  /** Two ends that are connected to each other; one of them is usually given to a child process. */
  static pair(type: UnixSocketType): [UnixSocket, UnixSocket] {
    checkType("type", type);
    const fds = new Int32Array(2);
    check(native.socketpair(TYPES[type], true, fds), () => ({ syscall: "socketpair" }));
    const [a = -1, b = -1] = fds;
    return [new UnixSocket(new OwnedFd(a, "socket pair"), type), new UnixSocket(new OwnedFd(b, "socket pair"), type)];
  }

  /**
   * Takes over a connected Unix socket from elsewhere (`stdio` of the parent process, another library). It belongs to the
   * object from here on, and is left alone if this throws.
   *
   * @throws VfioError ENOTSOCK if it is something else
   */
  static adopt(fd: number, label = `socket ${fd}`): UnixSocket {
    checkDescriptor("fd", fd);
    checkString("label", label);
    const wrong = (why: string) => new VfioError({ errno: ENOTSOCK, syscall: "getsockopt", object: label, why });
    if (native.socketGetOption(fd, SO_DOMAIN) !== AF_UNIX) throw wrong("it is not a Unix socket");
    const number = native.socketGetOption(fd, SO_TYPE);
    const type = number === TYPES.stream ? "stream" : number === TYPES.seqpacket ? "seqpacket" : undefined;
    if (type === undefined) throw wrong("it is a Unix socket of another type (SOCK_DGRAM)");
    return new UnixSocket(OwnedFd.adopt(fd, label), type);
  }

  /** @internal The end that {@link UnixListener.accept} made. */
  static accepted(fd: OwnedFd, type: UnixSocketType): UnixSocket {
    return new UnixSocket(fd, type);
  }

  /**
   * The same for a descriptor that has an owner, which the socket takes the place of.
   *
   * @throws VfioError ENOTSOCK if it is no Unix socket of a stream; then it still belongs to the caller
   * @internal
   */
  static ofStream(fd: OwnedFd): UnixSocket {
    const { number, label } = fd;
    const isStream = native.socketGetOption(number, SO_TYPE) === TYPES.stream;
    if (isStream && native.socketGetOption(number, SO_DOMAIN) === AF_UNIX) return new UnixSocket(fd, "stream");
    const why = "it is no Unix socket of a stream";
    throw new VfioError({ errno: ENOTSOCK, syscall: "getsockopt", object: label, why });
  }

  /** The number, to borrow: for a child's `stdio`, for instance. */
  get fd(): number {
    return this.#fd.number;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#fd.closed;
  }

  /** Who is at the other end. */
  peer(): PeerCredentials {
    const out = new Uint32Array(3);
    this.#check(native.socketPeerCredentials(this.fd, out), "getsockopt");
    const [pid = 0, uid = 0, gid = 0] = out;
    return { pid, uid, gid };
  }

  /**
   * How much may wait in the socket, in bytes: the kernel doubles the number for its own overhead, and cuts it at
   * `net.core.wmem_max` and `rmem_max`. What waits in a Unix socket counts against the sender alone.
   */
  setBuffers(sizes: { readonly send?: number; readonly receive?: number }): void {
    checkOptions("sizes", sizes, bufferSizes);
    const { send, receive } = sizes;
    if (send !== undefined) this.#check(native.socketSetOption(this.fd, SO_SNDBUF, send), "setsockopt");
    if (receive !== undefined) this.#check(native.socketSetOption(this.fd, SO_RCVBUF, receive), "setsockopt");
  }

  /**
   * Sends what there is room for now, with every descriptor.
   *
   * @param descriptors borrowed; at most 253, as the kernel has it (`SCM_MAX_FD`). They go with the first byte, or not at all
   * @returns how many bytes went; 0 if there is no room
   * @throws VfioError EPIPE or ECONNRESET if the other side is gone; ETOOMANYREFS if this user has more descriptors under way,
   *   in all its sockets, than one process may have open
   */
  trySend(bytes: Uint8Array, descriptors: readonly number[] = []): number {
    checkBytes("bytes", bytes);
    checkArray("descriptors", descriptors);
    const fds = descriptors.length === 0 ? undefined : Int32Array.from(descriptors);
    for (;;) {
      const sent = native.sendmsg(this.fd, bytes, 0, bytes.byteLength, fds, MSG_DONTWAIT);
      if (sent === -EAGAIN) return 0;
      if (sent === -ETOOMANYREFS) {
        throw this.#error({
          errno: sent,
          syscall: "sendmsg",
          args: { descriptors: descriptors.length },
          why: "more descriptors of this user are under way in sockets than this process may have open (RLIMIT_NOFILE)",
          fix: "see that they are received, or raise the limit of open files (ulimit -n, LimitNOFILE= of a systemd unit)",
        });
      }
      if (sent >= 0) return sent;
      if (sent !== -EINTR) return this.#check(sent, "sendmsg", { descriptors: descriptors.length });
    }
  }

  /**
   * Sends all of it; several sends go out one after the other, whole.
   *
   * A send to a stream that is ended by its signal may have sent a part: such a socket can only be closed.
   *
   * @param descriptors borrowed until this resolves
   */
  async send(bytes: Uint8Array, descriptors: readonly number[] = [], wait: SocketWait = {}): Promise<void> {
    checkOptions("wait", wait, waitOptions);
    const turn = this.#sending.then(() => this.#send(bytes, descriptors, wait));
    this.#sending = turn.catch(() => {});
    await turn;
  }

  async #send(bytes: Uint8Array, descriptors: readonly number[], { signal }: SocketWait): Promise<void> {
    signal?.throwIfAborted();
    let rest = bytes;
    let fds = descriptors;
    for (;;) {
      const sent = this.trySend(rest, fds);
      if (sent > 0) {
        rest = rest.subarray(sent);
        // They have gone with the first byte: once more, and the other side has them twice.
        fds = [];
      }
      if (rest.byteLength === 0) return;
      await this.#readiness.wait(WRITABLE, signal);
    }
  }

  /**
   * Takes what is there: some bytes of a stream, or one packet.
   *
   * @param room how many descriptors may come with it
   * @returns undefined if there is nothing yet
   * @throws VfioError EPROTO if more descriptors came than there is room for, EMFILE if this process may not open as many,
   *   EMSGSIZE if the packet was longer than `into`: those that came are closed. ECONNRESET if the other side has closed
   *   without reading everything: what it sent before can still be received, by the next call
   */
  tryReceive(into: Uint8Array, room = 0): Received | undefined {
    checkBytes("into", into);
    checkInteger("room", room);
    if (this.#out.length < 2 + room) this.#out = new Int32Array(2 + room);
    const out = this.#out.length === 2 + room ? this.#out : this.#out.subarray(0, 2 + room);
    let length: number;
    do length = native.recvmsg(this.fd, into, 0, into.byteLength, out, MSG_DONTWAIT);
    while (length === -EINTR);
    if (length === -EAGAIN) return undefined;
    if (length < 0) throw this.#error({ errno: length, syscall: "recvmsg" });
    const count = out[0] ?? 0;
    const flags = out[1] ?? 0;
    if (count === 0 && flags === 0) return { length, descriptors: [] };
    const descriptors = Array.from(
      out.subarray(2, 2 + count),
      (fd) => new OwnedFd(fd, `descriptor from ${this.label}`),
    );
    if ((flags & (MSG_TRUNC | MSG_CTRUNC)) === 0) return { length, descriptors };
    for (const each of descriptors) each.close();
    if ((flags & MSG_CTRUNC) === 0) {
      throw this.#error({
        errno: EMSGSIZE,
        syscall: "recvmsg",
        why: `a packet of more than ${into.byteLength} bytes came`,
      });
    }
    if (count === room) {
      throw this.#error({ errno: EPROTO, syscall: "recvmsg", why: `more than ${room} descriptors came at once` });
    }
    // The kernel has given as many of them as this process may have.
    throw this.#error({ errno: EMFILE, syscall: "recvmsg", args: { received: count } });
  }

  /** Waits for the next bytes or packet; otherwise as {@link tryReceive}. */
  async receive(into: Uint8Array, options: SocketWait & { readonly room?: number } = {}): Promise<Received> {
    checkOptions("options", options, receiveOptions);
    const { room = 0, signal } = options;
    signal?.throwIfAborted();
    for (;;) {
      const received = this.tryReceive(into, room);
      if (received !== undefined) return received;
      await this.#readiness.wait(READABLE, signal);
    }
  }

  /**
   * Calls back as long as there is something to receive (the end is something, too): the listener takes it all with
   * {@link tryReceive}. One listener at a time; `undefined` ends it. The event loop stays alive meanwhile.
   */
  onReadable(listener: (() => void) | undefined): void {
    if (listener !== undefined) checkFunction("listener", listener);
    this.#readiness.listen(listener);
  }

  /** Whether the event loop stays alive while somebody waits or listens here. The default is that it does. */
  setReferenced(referenced: boolean): void {
    checkBoolean("referenced", referenced);
    this.#readiness.setReferenced(referenced);
  }

  /** Resolves when there is room to send, or the other side is gone. */
  async writable(options: SocketWait = {}): Promise<void> {
    checkOptions("options", options, waitOptions);
    await this.#readiness.wait(WRITABLE, options.signal);
  }

  /**
   * Ends one direction or both, for every process that has this socket. After `read` the other side can send no more (EPIPE),
   * and what it had sent can still be received.
   */
  shutdown(how: "read" | "write" | "both"): void {
    checkHow("how", how);
    this.#check(native.socketShutdown(this.fd, SHUT[how]), "shutdown");
  }

  /** Closes the descriptor; every wait ends. A second call does nothing. */
  close(): void {
    this.#readiness.close();
    this.#fd.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #error(init: Omit<VfioErrorInit, "object">): VfioError {
    return new VfioError({ ...init, object: this.label });
  }

  #check(status: number, syscall: string, args: Record<string, number> = {}): number {
    if (status < 0) throw this.#error({ errno: status, syscall, args });
    return status;
  }
}

/** A path that others connect to. */
export class UnixListener implements Disposable {
  readonly path: string;
  readonly type: UnixSocketType;
  readonly #fd: OwnedFd;
  readonly #readiness: Readiness;
  // Which file is ours: somebody else may have put theirs in its place by the time this is closed.
  readonly #inode: bigint | undefined;
  /** Those of this thread: each thread has its own copy of this module. */
  static readonly #open = new Set<UnixListener>();

  private constructor(fd: OwnedFd, path: string, type: UnixSocketType) {
    this.#fd = fd;
    this.path = path;
    this.type = type;
    this.#readiness = new Readiness(fd.number, fd.label);
    this.#inode = path.startsWith("\0") ? undefined : lstatSync(path, { bigint: true }).ino;
    UnixListener.#open.add(this);
  }

  /** Whether this very thread listens at a path: it cannot answer there while it waits for the answer. */
  static listensHere(path: string): boolean {
    if (path.startsWith("\0")) return [...UnixListener.#open].some((listener) => listener.path === path);
    const inode = inodeOf(path);
    return inode !== undefined && [...UnixListener.#open].some((listener) => listener.#inode === inode);
  }

  /**
   * Listens on a path, or on a name in the abstract namespace (which begins with NUL). A socket that a dead process left at the
   * path is replaced. Who may connect is decided by the directory's permissions, the umask, and the name in the abstract
   * namespace by nobody: see {@link UnixSocket.peer}.
   *
   * @throws VfioError EADDRINUSE if somebody listens there, or if there is a file of another kind
   */
  static listen(path: string, type: UnixSocketType): UnixListener {
    const fd = openSocket(type, `listening socket '${show(path)}'`);
    try {
      let status = native.socketBind(fd.number, path);
      if (status === -EADDRINUSE && isAbandoned(path)) {
        unlinkSync(path);
        status = native.socketBind(fd.number, path);
      }
      check(status, () => ({ syscall: "bind", path: show(path) }));
      // A few: whoever comes to a full queue comes again.
      check(native.socketListen(fd.number, 16), () => ({ syscall: "listen", path: show(path) }));
      return new UnixListener(fd, path, type);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Waits for the next connection. */
  async accept({ signal }: SocketWait = {}): Promise<UnixSocket> {
    signal?.throwIfAborted();
    for (;;) {
      const accepted = native.socketAccept(this.#fd.number, true);
      if (accepted >= 0) return UnixSocket.accepted(new OwnedFd(accepted, `socket '${show(this.path)}'`), this.type);
      if (accepted === -EAGAIN) await this.#readiness.wait(READABLE, signal);
      else if (accepted !== -EINTR && accepted !== -ECONNABORTED) {
        throw new VfioError({ errno: accepted, syscall: "accept4", path: show(this.path) });
      }
    }
  }

  /** Ends the listening, and removes the socket from its path. A second call does nothing. */
  close(): void {
    if (this.#fd.closed) return;
    UnixListener.#open.delete(this);
    this.#readiness.close();
    if (this.#inode !== undefined && inodeOf(this.path) === this.#inode) unlinkSync(this.path);
    this.#fd.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function inodeOf(path: string): bigint | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

/**
 * Whether there is a socket that nobody has any more.
 *
 * A socket of the listener's own type would be accepted by it: a client that says nothing. One of another type is refused with
 * EPROTOTYPE if somebody has the socket, and with ECONNREFUSED if nobody has.
 */
function isAbandoned(path: string): boolean {
  // The kernel refuses a connection to a file of another kind with the same errno.
  if (path.startsWith("\0") || lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  const object = `socket '${path}'`;
  const probe = new OwnedFd(
    check(native.socket(SOCK_DGRAM, true), () => ({ syscall: "socket", object })),
    object,
  );
  const status = native.socketConnect(probe.number, path);
  probe.close();
  return status === -ECONNREFUSED;
}

showAs(UnixSocket, (socket) => `${socket.label}, ${socket.type}, ${openOrClosed(socket)}`);

showAs(UnixListener, (listener) => `${listener.path}, ${listener.type}`);
