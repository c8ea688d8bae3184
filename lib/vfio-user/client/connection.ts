/**
 * A client's connection with a server: requests that wait for their replies, and the server's own requests in between.
 *
 * ```text
 *   call ---- request ---->  socket  ----> server      the thread blocks in poll() until the reply is there,
 *        <--- reply -------          <---              and answers what the server asks meanwhile
 *
 *   event loop: while no call is under way, the same is done whenever the socket is readable
 * ```
 *
 * A request is found again by its id, so several can be under way. One that was given up keeps its id until its reply has come
 * late: the reply is read to its end and thrown away, and the stream stays in step.
 *
 * @module
 */
import { constants } from "node:os";
import { asError, check, invalidStateError, VfioError } from "../../base/errors.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { native } from "../../kernel/native.js";
import { READABLE, WRITABLE } from "../../kernel/readiness.js";
import { MAX_DESCRIPTORS, UnixSocket } from "../../kernel/unix-socket.js";
import {
  commandName,
  errorReply,
  HEADER_COMMAND,
  HEADER_ERROR,
  HEADER_NO_REPLY,
  HEADER_REPLY,
  HEADER_SIZE,
  isReply,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  ProtocolError,
  replyErrno,
  stampHeader,
  stampHeaderAt,
  wantsReply,
} from "../protocol/constants.js";
import { type Frame, type FrameLimits, FrameReader, FrameWriter, release, Scratch } from "../protocol/framing.js";
import { type Command, version } from "../protocol/messages.js";
import { type Capabilities, defaultCapabilities } from "../protocol/version.js";
import type { Agreement, ConnectionState } from "./state.js";

const { EAGAIN, EBUSY, ECONNRESET, EINTR, EINVAL, EIO, ENOTCONN, EPIPE, EPROTO, ETIMEDOUT } = constants.errno;

/** What this side takes: QEMU's own numbers. */
const offered = {
  max_msg_fds: 16,
  max_data_xfer_size: 1 << 20,
  max_dma_maps: 65535,
  pgsizes: 4096,
  write_multiple: true,
  twin_socket: { supported: true },
} as const satisfies Capabilities;

/** The largest message that a server may send: the data of an access and what stands before it, or a feature's data. */
const LIMITS: FrameLimits = {
  messageSize: HEADER_SIZE + offered.max_data_xfer_size + 64 * 1024,
  fds: offered.max_msg_fds,
};

// Requests under way at a time: enough to keep the server busy, few enough for the descriptors that travel with them.
const WINDOW = 128;
// Bytes that the server does not read. Beyond it nothing more is answered, and nothing more is posted.
const MOST_QUEUED = 4 << 20;
// A server that sends without a pause leaves the thread to others after this many receptions.
const RECEPTIONS = 16;
// The longest request that is written in place, in bytes: a program's.
const LONGEST_IN_PLACE = 8192;
const noBytes = new Uint8Array(0);
const CLOSED = "the server closed the connection";
// A worker that is told to terminate does so between two calls into the addon, never during one.
const SLICE_MS = 100;

/** What came of a request: the reply, the server's refusal, or what kept it from being answered. */
export type Outcome<Reply> =
  | { readonly ok: true; readonly value: Reply; readonly fds: readonly OwnedFd[] }
  | { readonly ok: false; readonly errno: number; readonly thrown: Error | undefined };

/** How a request is made. */
export interface CallOptions {
  /** Descriptors that travel with it, borrowed until they were sent. */
  readonly fds?: readonly number[];
  /** How many descriptors may come back. They belong to the caller. Default 0. */
  readonly room?: number;
  /** Called if the server has done it after all, when it was given up already. */
  readonly late?: () => void;
}

/** A request that waits for its reply, whatever that is. */
interface AnyCall {
  readonly id: number;
  readonly command: { readonly number: number; readonly name: string };
  readonly message: Uint8Array;
  /** Whether the caller has given it up. */
  abandoned: boolean;
  reply(frame: Frame): void;
  fail(error: Error): void;
}

/** What a call needs of its command. */
type Asked<Reply> = Pick<Command<never, Reply>, "number" | "name" | "reply">;

class Call<Reply> implements AnyCall {
  readonly id: number;
  readonly command: Asked<Reply>;
  readonly message: Uint8Array;
  abandoned = false;
  #outcome: Outcome<Reply> | undefined;
  readonly #options: CallOptions;
  readonly #settled: ((outcome: Outcome<Reply>) => void) | undefined;

  constructor(
    id: number,
    command: Asked<Reply>,
    message: Uint8Array,
    options: CallOptions,
    settled: ((outcome: Outcome<Reply>) => void) | undefined,
  ) {
    this.id = id;
    this.command = command;
    this.message = message;
    this.#options = options;
    this.#settled = settled;
  }

  get outcome(): Outcome<Reply> | undefined {
    return this.#outcome;
  }

  /** The reply is there, with descriptors that are the call's. */
  reply(frame: Frame): void {
    const outcome = this.#read(frame);
    if (!outcome.ok || this.abandoned) release(frame);
    if (!this.abandoned) this.#settle(outcome);
    else if (outcome.ok) this.#options.late?.();
  }

  #read({ header, payload, fds, fault }: Frame): Outcome<Reply> {
    const broken = (why: string) => failure(new ProtocolError(EPROTO, this.command.name, why));
    if (fault === "length") return broken(`the reply has ${header.size} bytes, which nobody asked for`);
    if (fault === "descriptors" || fds.length > (this.#options.room ?? 0)) {
      return broken("the reply came with descriptors that nobody asked for");
    }
    if ((header.flags & HEADER_ERROR) !== 0) return { ok: false, errno: replyErrno(header), thrown: undefined };
    try {
      return { ok: true, value: this.command.reply.decode(payload), fds };
    } catch (error) {
      return failure(asError(error));
    }
  }

  fail(error: Error): void {
    this.#settle(failure(error));
  }

  #settle(outcome: Outcome<Reply>): void {
    this.#outcome = outcome;
    this.#settled?.(outcome);
  }
}

function failure(thrown: Error): { readonly ok: false; readonly errno: number; readonly thrown: Error } {
  return { ok: false, errno: thrown instanceof VfioError ? -thrown.errno : EIO, thrown };
}

/** One of the two sockets: every request of ours goes over the first, every one of the server's over the second, if it has one. */
class Link {
  readonly socket: UnixSocket;
  readonly reader: FrameReader;
  readonly writer: FrameWriter;
  /** Requests of the server's that wait until there is room for their answers: at most those that came in one reception. */
  readonly requests: Frame[] = [];
  flushing = false;
  /** Made once: the event loop is told whom to call after each message. */
  readonly readable: () => void;

  constructor(socket: UnixSocket, readable: () => void) {
    this.readable = readable;
    this.socket = socket;
    this.reader = new FrameReader(LIMITS);
    this.writer = new FrameWriter((bytes, fds) => socket.trySend(bytes, fds));
    // Who waits for an interrupt keeps the event loop alive. A connection that only lies there does not.
    socket.setReferenced(false);
  }

  /** Whether there is room for an answer. */
  get room(): boolean {
    return this.writer.queued < MOST_QUEUED;
  }

  /** Whether more may be read: what is read is answered, and the answers must go somewhere. */
  get open(): boolean {
    return this.room && this.requests.length === 0;
  }

  close(): void {
    this.socket.close();
    this.reader.close();
    this.writer.close();
    for (const frame of this.requests.splice(0)) release(frame);
  }
}

/** Whether the other side has closed its end. */
function isGone(error: unknown): boolean {
  return error instanceof VfioError && (error.errno === -EPIPE || error.errno === -ECONNRESET);
}

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
export class ClientConnection {
  readonly label: string;
  readonly #timeout: number;
  readonly #answer: ConnectionOptions["answer"];
  readonly #onLost: ConnectionOptions["lost"];
  readonly #main: Link;
  readonly #links: Link[];
  #table = new Int32Array(0);
  readonly #request = new Scratch(LONGEST_IN_PLACE);
  /** The request that waits for a reply in place, and how long that was. */
  #awaited = { id: -1, command: 0, size: 0 };
  readonly #takeReply = (view: DataView, at: number, size: number) => this.#isAwaited(view, at, size);
  readonly #readable = () => this.#ready();
  /** For an answer. Those of one transfer are of one length. */
  #answerMemory: Uint8Array = noBytes;
  readonly #room = (length: number) => {
    if (this.#answerMemory.length !== length) this.#answerMemory = new Uint8Array(length);
    return this.#answerMemory;
  };
  readonly #calls = new Map<number, AnyCall>();
  #nextId = 0;
  #asynchronous = 0;
  #over: { readonly why: string; readonly cause: Error | undefined } | undefined;
  #agreement: Agreement | undefined;
  /** Whether another process has it, or may have it soon. */
  #suspended = false;

  /**
   * Introduces itself.
   *
   * @param socket belongs to the connection from here on; if this throws, it is closed
   * @throws VfioError
   */
  static open(socket: UnixSocket, options: ConnectionOptions): ClientConnection {
    const connection = new ClientConnection(socket, options);
    try {
      connection.#introduce();
      for (const link of connection.#links) connection.#watch(link);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /**
   * Goes on with a connection that another process has made, once it is {@link resume}d: until then nothing is read, and nothing is
   * sent.
   *
   * @param sockets belong to the connection from here on
   */
  static inherit(
    { socket, twin, agreement }: ConnectionState<UnixSocket>,
    options: ConnectionOptions,
  ): ClientConnection {
    const connection = new ClientConnection(socket, options);
    if (twin !== undefined) connection.#links.push(new Link(twin, connection.#readable));
    connection.#agreement = agreement;
    connection.#suspended = true;
    return connection;
  }

  private constructor(socket: UnixSocket, { label, timeout, answer, lost }: ConnectionOptions) {
    this.label = label;
    this.#timeout = timeout;
    this.#answer = answer;
    this.#onLost = lost;
    this.#main = new Link(socket, this.#readable);
    this.#links = [this.#main];
  }

  /** The socket's descriptor, borrowed. */
  get fd(): number {
    return this.#main.socket.fd;
  }

  /** Whether it is over, by whichever side. */
  get over(): boolean {
    return this.#over !== undefined;
  }

  /** Whether the server can be asked: the connection is neither over nor between two processes. */
  get askable(): boolean {
    return this.#over === undefined && !this.#suspended;
  }

  get agreement(): Agreement {
    if (this.#agreement === undefined) throw invalidStateError(`${this.label} has not introduced itself`);
    return this.#agreement;
  }

  // ---- between two processes ---------------------------------------------------------------------------------------

  /** What a successor must know. The descriptors are borrowed. */
  get state(): ConnectionState<number> {
    const [main, twin] = this.#links.map(({ socket }) => socket.fd);
    return { socket: main ?? -1, twin, agreement: this.agreement };
  }

  /** How many requests have no answer yet. */
  get unanswered(): number {
    return this.#calls.size;
  }

  /**
   * Stops between two messages: nothing more is read or sent, and what the server sends stays in the socket, for this process or for
   * another.
   *
   * @throws VfioError `EBUSY` if an answer is awaited, `ETIMEDOUT` if the server stopped within a message; it goes on then
   */
  suspend(): void {
    const name = "hand-over";
    const atRest = ({ reader, writer, requests }: Link) =>
      !reader.inMessage && writer.queued === 0 && requests.length === 0;
    if (!this.#links.every(atRest)) this.#waitUntil(name, () => this.#links.every(atRest));
    if (this.#calls.size > 0) throw this.#error(EBUSY, name, `${this.#calls.size} requests have no answer yet`);
    this.#suspended = true;
    for (const { socket } of this.#links) socket.onReadable(undefined);
  }

  /** Ends {@link suspend}. */
  resume(): void {
    this.#suspended = false;
    for (const link of this.#links) this.#watch(link);
  }

  // ---- the introduction --------------------------------------------------------------------------------------------

  #introduce(): void {
    const proposed = { major: PROTOCOL_MAJOR, minor: PROTOCOL_MINOR, capabilities: offered };
    const outcome = this.#wait(this.#send(version, proposed, { room: offered.max_msg_fds }));
    if (!outcome.ok) {
      throw (
        outcome.thrown ??
        this.#error(outcome.errno, version.name, `it does not speak version ${PROTOCOL_MAJOR}.${PROTOCOL_MINOR}`)
      );
    }
    const { value, fds } = outcome;
    try {
      if (value.major !== PROTOCOL_MAJOR || value.minor > PROTOCOL_MINOR) {
        throw this.#error(EPROTO, version.name, `the server answers with version ${value.major}.${value.minor}`);
      }
      const told = { ...defaultCapabilities, ...value.capabilities };
      this.#agreement = {
        minor: value.minor,
        maxFds: Math.min(told.max_msg_fds, MAX_DESCRIPTORS),
        maxTransfer: Math.min(told.max_data_xfer_size, offered.max_data_xfer_size),
        maxMaps: told.max_dma_maps,
        pageSizes: BigInt(told.pgsizes),
        writeMultiple: told.write_multiple === true,
      };
      if (told.twin_socket?.supported === true) this.#links.push(this.#adoptTwin(told.twin_socket.fd_index, fds));
    } finally {
      for (const fd of fds) fd.close();
    }
  }

  #adoptTwin(index: number | undefined, fds: readonly OwnedFd[]): Link {
    const fd = index === undefined ? undefined : fds[index];
    if (fd === undefined) {
      throw this.#error(EPROTO, version.name, `descriptor ${index} should be a twin socket, and ${fds.length} came`);
    }
    const copy = check(native.dup(fd.number), () => ({ syscall: "dup", object: this.label }));
    let socket: UnixSocket | undefined;
    try {
      socket = UnixSocket.adopt(copy, `twin of ${this.label}`);
    } catch (error) {
      native.close(copy);
      throw this.#error(EPROTO, version.name, "the twin socket is something else", asError(error));
    }
    if (socket.type === "stream") return new Link(socket, this.#readable);
    socket.close();
    throw this.#error(EPROTO, version.name, "the twin socket is not one of a stream");
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  /**
   * Makes a request and blocks until its reply is there.
   *
   * @returns the reply, or the server's refusal
   * @throws VfioError ENOTCONN if the connection is over, ETIMEDOUT; ProtocolError for a reply that makes no sense
   */
  call<Request, Reply>(
    command: Command<Request, Reply>,
    value: Request,
    options: CallOptions = {},
  ): Exclude<Outcome<Reply>, { thrown: Error }> {
    const outcome = this.#wait(this.#send(command, value, options));
    if (outcome.ok || outcome.thrown === undefined) return outcome;
    throw outcome.thrown;
  }

  /** Many requests, kept under way together, in order. What kept one of them from being answered is in its outcome. */
  callEach<Request, Reply>(
    command: Command<Request, Reply>,
    requests: readonly (CallOptions & { readonly value: Request })[],
  ): Outcome<Reply>[] {
    const outcomes: Outcome<Reply>[] = [];
    const calls: Call<Reply>[] = [];
    // A server answers in order: who has waited for one in vain does not wait for those behind it.
    let late: Outcome<Reply> | undefined;
    const settle = (left: number) => {
      while (calls.length > left) {
        const call = calls.shift();
        if (call === undefined) return;
        if (late !== undefined && call.outcome === undefined) this.#abandon(call);
        const outcome = call.outcome ?? late ?? this.#wait(call);
        if (!outcome.ok && outcome.errno === ETIMEDOUT && outcome.thrown !== undefined) late ??= outcome;
        outcomes.push(outcome);
      }
    };
    for (const { value, ...options } of requests) {
      settle(late === undefined ? WINDOW - 1 : 0);
      if (late !== undefined) {
        outcomes.push(late);
        continue;
      }
      try {
        calls.push(this.#send(command, value, options));
      } catch (error) {
        settle(0);
        outcomes.push(failure(asError(error)));
      }
    }
    settle(0);
    return outcomes;
  }

  /**
   * Makes a request; the event loop goes on.
   *
   * @param options.timeout in milliseconds; left out, the server may take as long as it likes
   * @throws as {@link call}
   */
  async callAsync<Request, Reply>(
    command: Command<Request, Reply>,
    value: Request,
    { timeout, ...options }: CallOptions & { readonly timeout?: number } = {},
  ): Promise<Outcome<Reply>> {
    let timer: NodeJS.Timeout | undefined;
    this.#reference(1);
    try {
      const outcome = await new Promise<Outcome<Reply>>((resolve) => {
        const call = this.#start(command, value, options, resolve);
        this.#watch(this.#main);
        if (timeout !== undefined) timer = setTimeout(() => this.#giveUp(call, timeout), timeout);
      });
      if (!outcome.ok && outcome.thrown !== undefined) throw outcome.thrown;
      return outcome;
    } finally {
      clearTimeout(timer);
      this.#reference(-1);
    }
  }

  /**
   * Sends a request that is not answered.
   *
   * @throws VfioError ENOTCONN if the connection is over; ETIMEDOUT if the server does not read what was sent before
   */
  post<Request>(command: Command<Request, unknown>, value: Request): void {
    this.#refuseOver(command.name);
    const { writer } = this.#main;
    if (writer.queued >= MOST_QUEUED) this.#waitUntil(command.name, () => writer.queued < MOST_QUEUED);
    this.#post(command.request.encode(value), command);
  }

  #post(blank: Uint8Array, { number, name }: Asked<unknown>): void {
    this.#write(stampHeader(blank, this.#id(), number, HEADER_COMMAND | HEADER_NO_REPLY), [], name);
    this.#watch(this.#main);
  }

  // ---- in place ----------------------------------------------------------------------------------------------------

  /**
   * Memory for a small request to be written in place, behind its header's 16 bytes. An access to a register is a message of 32
   * bytes: memory, a view and objects made for each take longer than the exchange itself.
   */
  get request(): DataView {
    return this.#request.view;
  }

  /** Where the reply of {@link exchange} stands, from 0 on with its header, until the next call. */
  get reply(): DataView {
    return this.#main.reader.view;
  }

  /**
   * Sends what was written into {@link request}, and blocks until the reply is there.
   *
   * @param size of the request with its header, in bytes
   * @returns the size of the reply, if it came alone and stands in {@link reply}; else what {@link call} returns
   * @throws as {@link call}
   */
  exchange<Reply>(command: Asked<Reply>, size: number): number | Exclude<Outcome<Reply>, { thrown: Error }> {
    this.#refuseOver(command.name);
    const since = performance.now();
    const outcome = this.#atRest
      ? this.#exchangeAtRest(command, size, since)
      : this.#wait(this.#beginInTurn(command, size));
    if (typeof outcome === "number" || outcome.ok || outcome.thrown === undefined) return outcome;
    throw outcome.thrown;
  }

  /** As {@link post}, for what was written into {@link request}. */
  postInPlace(command: Asked<unknown>, size: number): void {
    this.#refuseOver(command.name);
    const { writer } = this.#main;
    if (writer.queued > 0) {
      // What is answered meanwhile may be a request of somebody else's in the same memory.
      const message = this.#request.message(size).slice();
      if (writer.queued >= MOST_QUEUED) this.#waitUntil(command.name, () => writer.queued < MOST_QUEUED);
      this.#post(message, command);
      return;
    }
    stampHeaderAt(this.#request.view, size, this.#id(), command.number, HEADER_COMMAND | HEADER_NO_REPLY);
    if (this.#writeInPlace(command.name, size) !== undefined) this.#watch(this.#main);
  }

  /** Whether nothing is under way that a reply could be mixed up with. */
  get #atRest(): boolean {
    const { writer, reader, requests } = this.#main;
    return this.#calls.size === 0 && writer.queued === 0 && requests.length === 0 && !reader.inMessage;
  }

  /** The request as any other, behind those before it. */
  #beginInTurn<Reply>(command: Asked<Reply>, size: number): Call<Reply> {
    // What is answered meanwhile may write a request of its own.
    const message = this.#request.message(size).slice();
    const { writer } = this.#main;
    if (writer.queued > 0) this.#waitUntil(command.name, () => writer.queued === 0);
    this.#refuseOver(command.name);
    return this.#begin(command, message, {});
  }

  #exchangeAtRest<Reply>(command: Asked<Reply>, size: number, since: number): number | Outcome<Reply> {
    const awaited = this.#awaited;
    awaited.id = this.#id();
    awaited.command = command.number;
    awaited.size = 0;
    stampHeaderAt(this.#request.view, size, awaited.id, command.number, HEADER_COMMAND);
    const waiting = this.#writeInPlace(command.name, size);
    const { socket, reader } = this.#main;
    let call: Call<Reply> | undefined;
    try {
      const received =
        waiting === undefined && this.#isMainReady() ? socket.tryReceive(reader.room(), MAX_DESCRIPTORS) : undefined;
      if (received !== undefined) {
        const { length, descriptors } = received;
        const rest = descriptors.length > 0 ? length : reader.offer(length, this.#takeReply);
        if (rest === 0 && length > 0) return awaited.size;
        // Something else behind it, or before it, a refusal, or the end.
        if (awaited.size === 0) call = this.#await(command, waiting);
        this.#takeIn(this.#main, rest, descriptors);
        if (call === undefined) return awaited.size;
      }
    } catch (error) {
      this.#lose(asError(error), command.name);
      return failure(this.#ended(command.name));
    }
    return this.#wait(call ?? this.#await(command, waiting), since);
  }

  /** From here on the request in place is one as any other. */
  #await<Reply>(command: Asked<Reply>, waiting: Uint8Array | undefined): Call<Reply> {
    const call = new Call(this.#awaited.id, command, waiting ?? noBytes, {}, undefined);
    this.#calls.set(call.id, call);
    return call;
  }

  #isAwaited(view: DataView, at: number, size: number): boolean {
    const awaited = this.#awaited;
    if (at !== 0 || view.getUint32(8, true) !== HEADER_REPLY) return false;
    if (view.getUint16(0, true) !== awaited.id || view.getUint16(2, true) !== awaited.command) return false;
    awaited.size = size;
    return true;
  }

  /** @returns what waits for room, if any of it does */
  #writeInPlace(name: string, size: number): Uint8Array | undefined {
    try {
      return this.#main.writer.writeCopy(this.#request.message(size));
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#lose(asError(error), name);
      throw this.#ended(name);
    }
  }

  /** Blocks until there is something to receive, and only on the first socket. */
  #isMainReady(): boolean {
    return this.#pollTable(Math.min(Math.ceil(this.#timeout), SLICE_MS)) === 1 && this.#table[2] === READABLE;
  }

  /** An id that no request under way has: there are only 65536. */
  #id(): number {
    if (this.#calls.size > 0xffff) throw invalidStateError(`65536 requests to ${this.label} are under way already`);
    do this.#nextId = (this.#nextId + 1) & 0xffff;
    while (this.#calls.has(this.#nextId));
    return this.#nextId;
  }

  /** Sends a request that the thread will wait for. What is queued goes first: descriptors are borrowed until they are sent. */
  #send<Request, Reply>(command: Command<Request, Reply>, value: Request, options: CallOptions): Call<Reply> {
    const { writer } = this.#main;
    if (writer.queued > 0) this.#waitUntil(command.name, () => writer.queued === 0);
    return this.#start(command, value, options);
  }

  #start<Request, Reply>(
    command: Command<Request, Reply>,
    value: Request,
    options: CallOptions,
    settled?: (outcome: Outcome<Reply>) => void,
  ): Call<Reply> {
    this.#refuseOver(command.name);
    return this.#begin(command, command.request.encode(value), options, settled);
  }

  #begin<Reply>(
    command: Asked<Reply>,
    blank: Uint8Array,
    options: CallOptions,
    settled?: (outcome: Outcome<Reply>) => void,
  ): Call<Reply> {
    const id = this.#id();
    const message = stampHeader(blank, id, command.number, HEADER_COMMAND);
    const call = new Call(id, command, message, options, settled);
    this.#calls.set(id, call);
    try {
      this.#write(message, options.fds ?? [], command.name);
    } catch (error) {
      this.#calls.delete(id);
      throw error;
    }
    return call;
  }

  #write(message: Uint8Array, fds: readonly number[], name: string): void {
    const { writer } = this.#main;
    try {
      writer.write(message, fds);
    } catch (error) {
      // A descriptor that is none, or too many that are under way: the others do not suffer from it.
      if (!isGone(error) && writer.withdraw(message)) throw error;
      this.#lose(asError(error), name);
      this.#refuseOver(name);
    }
  }

  // ---- waiting -----------------------------------------------------------------------------------------------------

  /** Blocks until a call is settled. */
  #wait<Reply>(call: Call<Reply>, since = performance.now()): Outcome<Reply> {
    try {
      this.#waitUntil(call.command.name, () => call.outcome !== undefined, since);
    } catch (error) {
      this.#abandon(call);
      return failure(asError(error));
    }
    return call.outcome ?? failure(this.#late(call.command.name, this.#timeout));
  }

  /** @throws VfioError ENOTCONN, ETIMEDOUT */
  #waitUntil(name: string, done: () => boolean, since = performance.now()): void {
    const deadline = since + this.#timeout;
    while (!done()) {
      this.#refuseOver(name);
      const left = deadline - performance.now();
      if (left <= 0) throw this.#late(name, this.#timeout);
      this.#pump(this.#poll(Math.min(Math.ceil(left), SLICE_MS)), name);
    }
  }

  /** Blocks until there is something to do. Returns for which links: the others would cost a system call each. */
  #poll(timeout: number): readonly Link[] {
    const ready = this.#pollTable(timeout);
    return ready > 0 ? this.#links.filter((_, i) => this.#table[3 * i + 2] !== 0) : [];
  }

  /** The same; what is ready stands in the table. Returns how many are. */
  #pollTable(timeout: number): number {
    const links = this.#links;
    if (this.#table.length !== 3 * links.length) this.#table = new Int32Array(3 * links.length);
    let at = 0;
    for (const { socket, writer, open } of links) {
      this.#table[at] = socket.fd;
      this.#table[at + 1] = (open ? READABLE : 0) | (writer.queued > 0 ? WRITABLE : 0);
      at += 3;
    }
    const status = native.pollFds(this.#table, timeout);
    if (status < 0 && status !== -EINTR && status !== -EAGAIN) {
      throw new VfioError({ errno: status, syscall: "poll", object: this.label });
    }
    return status;
  }

  #giveUp(call: AnyCall, timeout: number): void {
    this.#abandon(call);
    call.fail(this.#late(call.command.name, timeout));
  }

  /** Nobody waits for the reply any more. */
  #abandon(call: AnyCall): void {
    call.abandoned = true;
    // What has not begun to go will not go, and will not be answered.
    if (this.#over === undefined && this.#main.writer.withdraw(call.message)) this.#calls.delete(call.id);
  }

  #late(name: string, timeout: number): VfioError {
    const own = this.#over === undefined && this.#main.socket.peer().pid === process.pid;
    return new VfioError({
      errno: ETIMEDOUT,
      syscall: "vfio-user",
      request: name,
      object: this.label,
      why: own
        ? `no answer within ${timeout} ms, and the server is in this process: on this thread, it cannot answer one who waits`
        : name === version.name
          ? `no answer within ${timeout} ms: the server is busy, perhaps with another client`
          : `no answer within ${timeout} ms`,
      ...(own ? { fix: "run the server in a process or worker of its own" } : {}),
    });
  }

  // ---- receiving ---------------------------------------------------------------------------------------------------

  /** Sends and takes in what can be. What ends the connection is noted, and not thrown. */
  #pump(links: readonly Link[], during?: string): void {
    for (const link of links) {
      if (this.#over !== undefined) return;
      try {
        this.#pumpLink(link);
      } catch (error) {
        this.#lose(asError(error), during);
      }
    }
  }

  #pumpLink(link: Link): void {
    link.writer.flush();
    this.#serveAll(link);
    for (let i = 0; i < RECEPTIONS && link.open; i++) {
      const into = link.reader.room();
      const received = link.socket.tryReceive(into, MAX_DESCRIPTORS);
      if (received === undefined) return;
      const { length, descriptors } = received;
      this.#takeIn(link, length, descriptors);
      // Less than there was room for: that was all.
      if (length < into.length && descriptors.length === 0) return;
    }
  }

  #takeIn(link: Link, length: number, descriptors: readonly OwnedFd[]): void {
    if (length === 0) {
      for (const fd of descriptors) fd.close();
      const why = link.reader.inMessage ? `${CLOSED} within a message` : CLOSED;
      throw this.#error(ECONNRESET, "recvmsg", why);
    }
    for (const frame of link.reader.advance(length, descriptors)) {
      if (isReply(frame.header)) this.#settle(frame);
      else link.requests.push(frame);
    }
    this.#serveAll(link);
  }

  #settle(frame: Frame): void {
    const { id, command } = frame.header;
    const call = this.#calls.get(id);
    // Never asked for. It was read to its end, so the stream is in step.
    if (call === undefined || call.command.number !== command) {
      release(frame);
      return;
    }
    this.#calls.delete(id);
    call.reply(frame);
  }

  #serveAll(link: Link): void {
    while (link.room) {
      const frame = link.requests.shift();
      if (frame === undefined) return;
      this.#serve(link, frame);
    }
  }

  #serve(link: Link, frame: Frame): void {
    const { header, fds, fault } = frame;
    release(frame);
    let reply: Uint8Array;
    try {
      if (fds.length > 0 || fault !== undefined) {
        throw new ProtocolError(EINVAL, commandName(header.command), "too long a message, or one with descriptors");
      }
      reply = stampHeader(this.#answer(frame, this.#room), header.id, header.command, HEADER_REPLY);
    } catch (error) {
      reply = errorReply(header.id, header.command, error instanceof VfioError ? error.errno : EIO);
    }
    if (wantsReply(header)) link.writer.writeCopy(reply);
    link.reader.recycle(frame);
  }

  // ---- the event loop ----------------------------------------------------------------------------------------------

  /** Has the event loop read while there is room for answers, and send what waits. */
  #watch(link: Link): void {
    if (this.#over !== undefined || this.#suspended) return;
    link.socket.onReadable(link.open ? link.readable : undefined);
    if (link.writer.queued > 0 && !link.flushing) void this.#flush(link);
  }

  #ready(): void {
    // What waited for room to send may hear of it late.
    if (this.#suspended) return;
    this.#pump(this.#links);
    for (const link of this.#links) this.#watch(link);
  }

  async #flush(link: Link): Promise<void> {
    link.flushing = true;
    try {
      while (link.writer.queued > 0) {
        await link.socket.writable();
        this.#ready();
      }
    } catch {
      // The socket was closed: the connection is over, and has said so.
    } finally {
      link.flushing = false;
    }
  }

  /** The event loop stays alive while somebody waits for a promise. */
  #reference(change: 1 | -1): void {
    this.#asynchronous += change;
    for (const { socket } of this.#links) socket.setReferenced(this.#asynchronous > 0);
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  #error(errno: number, request: string, why: string, cause?: Error): VfioError {
    const init = { errno, syscall: "vfio-user", request, object: this.label, why };
    return new VfioError(cause === undefined ? init : { ...init, cause });
  }

  /** @throws VfioError ENOTCONN if the connection is over */
  #refuseOver(name: string): void {
    if (this.#over !== undefined) throw this.#ended(name);
    if (this.#suspended) throw invalidStateError(`${this.label} is between two processes: nothing can be asked of it`);
  }

  #ended(name: string): VfioError {
    const { why = "it is open", cause } = this.#over ?? { cause: undefined };
    return this.#error(ENOTCONN, name, why, cause);
  }

  /** The server is gone, or cannot be understood any more. */
  #lose(cause: Error, during?: string): void {
    if (this.#over !== undefined) return;
    const [call] = [...this.#calls.values()].filter(({ abandoned }) => !abandoned);
    const what = during ?? call?.command.name;
    const when = `at ${new Date().toISOString()}, ${what === undefined ? "between two requests" : `during ${what}`}`;
    const why = (cause instanceof VfioError ? cause.why : undefined) ?? (isGone(cause) ? CLOSED : cause.message);
    this.#end(`the connection was lost ${when}: ${why}`, cause);
    const error = this.#ended("connection");
    queueMicrotask(() => this.#onLost(error));
  }

  #end(why: string, cause: Error | undefined): void {
    this.#over = { why, cause };
    for (const link of this.#links) link.close();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) if (!call.abandoned) call.fail(this.#ended(call.command.name));
  }

  /** Closes the sockets. A second call does nothing. */
  close(): void {
    if (this.#over === undefined) this.#end("the connection is closed", undefined);
  }
}
