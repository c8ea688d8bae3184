/**
 * One socket with requests in both directions: those that come in are answered in their order, and this side sends its own.
 *
 * @module
 */
import { constants } from "node:os";
import { asError, invalidStateError, VfioError } from "../../base/errors.js";
import { MAX_DESCRIPTORS, type UnixSocket } from "../../kernel/unix-socket.js";
import {
  commandName,
  errorReply,
  HEADER_COMMAND,
  HEADER_ERROR,
  HEADER_NO_REPLY,
  HEADER_REPLY,
  headerAt,
  isReply,
  ProtocolError,
  replyErrno,
  stampHeader,
  stampHeaderAt,
  wantsReply,
} from "../protocol/constants.js";
import { type Frame, type FrameLimits, FrameReader, FrameWriter, release, Scratch } from "../protocol/framing.js";
import type { Command } from "../protocol/messages.js";

const { ECONNRESET, EINVAL, EIO, ETIMEDOUT } = constants.errno;

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

/** The longest reply that is made at once, in bytes. */
const SMALL = 64;
const noFds: Frame["fds"] = [];
const noBytes = new Uint8Array(0);

// Requests that wait for their turn. Beyond it nothing is read, and the peer's own socket buffer fills up.
const MOST_REQUESTS = 4096;
const MOST_REQUEST_BYTES = 8 << 20;
const MOST_REQUEST_FDS = 64;
// Replies that the peer does not read. Beyond it no further request is answered.
const MOST_REPLY_BYTES = 4 << 20;
// A peer that sends without a pause leaves the event loop to others after this many receptions.
const RECEPTIONS = 4;
// More than a socket's buffer holds (208 KiB, unless the peer has asked for more): 4 MiB, with 64 KiB in a reception.
const DRAIN_RECEPTIONS = 64;

interface Pending {
  readonly command: number;
  /** Takes the reply, which belongs to the receiver. */
  settle(reply: Frame): void;
  reject(error: Error): void;
}

/** A socket with requests in both directions. */
export class PeerConnection {
  readonly #socket: UnixSocket;
  readonly #owner: ConnectionOwner;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #reply = new Scratch(SMALL);
  // Made once: a closure for each turn is garbage for each turn.
  readonly #readable = () => this.#receive();
  readonly #takeAtOnce = (view: DataView, at: number, size: number) => this.#answerAtOnce(view, at, size);
  readonly #requests: Frame[] = [];
  /** Work that waits for the request under way. */
  readonly #jobs: (() => void | Promise<void>)[] = [];
  #requestBytes = 0;
  #requestFds = 0;
  #answering = false;
  #flushing = false;
  #reading = false;
  #ended = false;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  /** @param socket belongs to the connection from here on */
  constructor(socket: UnixSocket, limits: FrameLimits, owner: ConnectionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#reader = new FrameReader(limits);
    this.#writer = new FrameWriter((bytes, fds) => socket.trySend(bytes, fds));
  }

  /** Begins to read. */
  start(): void {
    this.#listen();
  }

  set limits(limits: FrameLimits) {
    this.#reader.limits = limits;
  }

  // ---- receiving ---------------------------------------------------------------------------------------------------

  /** Reads exactly while there is room for what may come. */
  #listen(): void {
    const room =
      this.#requests.length < MOST_REQUESTS &&
      this.#requestBytes < MOST_REQUEST_BYTES &&
      this.#requestFds < MOST_REQUEST_FDS &&
      this.#writer.queued < MOST_REPLY_BYTES;
    if (this.#ended || room === this.#reading) return;
    this.#reading = room;
    this.#socket.onReadable(room ? this.#readable : undefined);
  }

  #receive(receptions = RECEPTIONS): void {
    for (let i = 0; i < receptions && !this.#ended && this.#reading; i++) {
      try {
        const into = this.#reader.room();
        const received = this.#socket.tryReceive(into, MAX_DESCRIPTORS);
        if (received === undefined) return;
        if (received.length === 0) {
          for (const fd of received.descriptors) fd.close();
          this.#end(this.#reader.inMessage ? lost("the peer closed the connection within a message") : undefined);
          return;
        }
        const { length, descriptors } = received;
        const rest = descriptors.length > 0 ? length : this.#reader.offer(length, this.#takeAtOnce);
        if (rest > 0) this.#take(this.#reader.advance(rest, descriptors));
        else this.#listen();
        // Less than there was room for: that was all.
        if (received.length < into.length && received.descriptors.length === 0) return;
      } catch (error) {
        this.#end(asError(error));
        return;
      }
    }
  }

  /** Messages take effect in their order: a reply before the requests behind it, and behind those before it. */
  #take(frames: readonly Frame[]): void {
    for (const frame of frames) {
      if (this.#ended) release(frame);
      else if (isReply(frame.header)) this.#settle(frame);
      else this.#enqueue(frame);
    }
    this.#listen();
  }

  /**
   * Takes in the replies that are in the socket already, without waiting for more: before a message from another socket of the same
   * peer takes effect, which the peer has sent behind these replies.
   */
  takeReplies(): void {
    if (this.#reading && this.#pending.size > 0) this.#receive(DRAIN_RECEPTIONS);
  }

  #enqueue(request: Frame): void {
    this.#requests.push(request);
    this.#requestBytes += request.payload.length;
    this.#requestFds += request.fds.length;
    this.#answerAll();
  }

  // ---- answering ---------------------------------------------------------------------------------------------------

  /** Answers a request where it lies, if nothing is before it. */
  #answerAtOnce(view: DataView, at: number, size: number): boolean {
    const owner = this.#owner;
    if (this.#ended || this.#answering || this.#requests.length > 0 || this.#writer.queued > 0) return false;
    const flags = view.getUint32(at + 8, true);
    if (owner.answerAtOnce === undefined || (flags & ~HEADER_NO_REPLY) !== HEADER_COMMAND) return false;
    const id = view.getUint16(at, true);
    const command = view.getUint16(at + 2, true);
    let length: number | Promise<Answer>;
    try {
      length = owner.answerAtOnce(view, at, size, this.#reply.view);
    } catch (error) {
      this.#refuse({ header: headerAt(view, at), payload: noBytes, fds: noFds, fault: undefined }, error);
      return true;
    }
    if (length === 0) return false;
    if (typeof length !== "number") {
      this.#answerLate({ header: headerAt(view, at), payload: noBytes, fds: noFds, fault: undefined }, length);
      return true;
    }
    if (this.#ended || (flags & HEADER_NO_REPLY) !== 0) return true;
    stampHeaderAt(this.#reply.view, length, id, command, HEADER_REPLY);
    try {
      this.#writer.writeCopy(this.#reply.message(length));
      if (this.#writer.queued > 0) void this.#flush();
    } catch (error) {
      this.#end(asError(error));
    }
    return true;
  }

  /** Answers what waits, until one takes its time or the peer does not read its replies. */
  #answerAll(): void {
    while (!this.#answering && !this.#ended && this.#writer.queued < MOST_REPLY_BYTES) {
      const job = this.#jobs.shift();
      if (job !== undefined) {
        const work = job();
        if (work instanceof Promise) this.#hold(work);
        continue;
      }
      const frame = this.#requests.shift();
      if (frame === undefined) return;
      this.#requestBytes -= frame.payload.length;
      this.#requestFds -= frame.fds.length;
      let answer: Answer | Promise<Answer>;
      try {
        answer = this.#owner.answer(frame);
      } catch (error) {
        this.#refuse(frame, error);
        continue;
      }
      if (answer instanceof Promise) this.#answerLate(frame, answer);
      else this.#respond(frame, answer);
    }
  }

  /**
   * Does work that no message asks for, in turn with the requests: at once, unless one is under way. After the end of the
   * connection it is left out.
   *
   * @param job throws nothing, and neither does its promise
   */
  inTurn(job: () => void | Promise<void>): void {
    if (this.#ended) return;
    this.#jobs.push(job);
    this.#answerAll();
  }

  #answerLate(frame: Frame, answer: Promise<Answer>): void {
    this.#hold(
      answer.then(
        (late) => this.#respond(frame, late),
        (error: unknown) => this.#refuse(frame, error),
      ),
    );
  }

  /** What follows waits for it. */
  #hold(work: Promise<void>): void {
    this.#answering = true;
    void work.finally(() => {
      this.#answering = false;
      this.#answerAll();
      this.#listen();
    });
  }

  #respond(frame: Frame, { message, fds, sent }: Answer): void {
    release(frame);
    if (this.#ended || !wantsReply(frame.header)) {
      sent?.();
      return;
    }
    this.#write(stampHeader(message, frame.header.id, frame.header.command, HEADER_REPLY), fds, sent);
  }

  #refuse(frame: Frame, error: unknown): void {
    release(frame);
    const refusal = error instanceof VfioError;
    if (wantsReply(frame.header)) {
      this.#write(errorReply(frame.header.id, frame.header.command, refusal ? -error.errno : EIO));
    }
    if (!refusal && !this.#ended) this.#owner.failed(error, frame);
  }

  #write(message: Uint8Array, fds?: readonly number[], sent?: () => void): void {
    if (this.#ended) {
      sent?.();
      return;
    }
    try {
      this.#writer.write(message, fds, sent);
      if (this.#writer.queued > 0) void this.#flush();
    } catch (error) {
      this.#end(asError(error));
    }
  }

  /** Waits for room as long as something waits for it. */
  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      while (this.#writer.queued > 0 && !this.#ended) {
        await this.#socket.writable();
        this.#writer.flush();
        this.#answerAll();
        this.#listen();
      }
    } catch (error) {
      this.#end(asError(error));
    } finally {
      this.#flushing = false;
    }
  }

  // ---- requests of our own -----------------------------------------------------------------------------------------

  /**
   * Sends a request and waits for its reply.
   *
   * @param timeout in milliseconds
   * @param use is given the reply before any message behind it takes effect. Its memory is used again as soon as this returns
   * @throws VfioError the peer's errno; ETIMEDOUT; ECONNRESET when the connection ends; ProtocolError for a bad reply
   */
  async request<Request, Reply, Result>(
    command: Command<Request, Reply>,
    value: Request,
    timeout: number,
    use: (reply: Reply) => Result,
  ): Promise<Result> {
    if (this.#ended) throw lost("the connection is over");
    const id = this.#id();
    return new Promise<Result>((resolve, reject) => {
      // A late reply is found without its request, and thrown away.
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        const why = `the peer has not answered within ${timeout} ms`;
        reject(new VfioError({ errno: ETIMEDOUT, syscall: "vfio-user", request: command.name, why }));
      }, timeout);
      this.#pending.set(id, {
        command: command.number,
        settle: (reply) => {
          clearTimeout(timer);
          // Not when the promise is looked at: the message behind it, in the same reception, may take away what the reply is about.
          try {
            resolve(this.#use(command, reply, use));
          } catch (error) {
            reject(asError(error));
          }
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#write(stampHeader(command.request.encode(value), id, command.number, HEADER_COMMAND));
    });
  }

  #use<Reply, Result>(
    command: Pick<Command<never, Reply>, "name" | "reply">,
    frame: Frame,
    use: (reply: Reply) => Result,
  ): Result {
    release(frame);
    if ((frame.header.flags & HEADER_ERROR) !== 0) {
      throw new VfioError({
        errno: replyErrno(frame.header),
        syscall: "vfio-user",
        request: command.name,
        why: "the peer refused it",
      });
    }
    if (frame.fault !== undefined) throw new ProtocolError(EINVAL, command.name, "the reply is longer than it may be");
    const result = use(command.reply.decode(frame.payload));
    this.#reader.recycle(frame);
    return result;
  }

  /** An id that no request under way has: there are only 65536. */
  #id(): number {
    if (this.#pending.size > 0xffff) throw invalidStateError("65536 requests are under way already");
    do this.#nextId = (this.#nextId + 1) & 0xffff;
    while (this.#pending.has(this.#nextId));
    return this.#nextId;
  }

  #settle(frame: Frame): void {
    const { id, command } = frame.header;
    const pending = this.#pending.get(id);
    // Late, or never asked for. It was read to its end, so the stream is in step.
    if (pending === undefined || pending.command !== command) {
      release(frame);
      return;
    }
    this.#pending.delete(id);
    pending.settle(frame);
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  #end(error: Error | undefined): void {
    if (this.#ended) return;
    this.close();
    this.#owner.ended(error);
  }

  /** Ends the connection without a word to the owner. A second call does nothing. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.close();
    this.#reader.close();
    this.#writer.close();
    for (const frame of this.#requests.splice(0)) release(frame);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(lost("the connection ended before the reply"));
  }

  /** Sends what waits, as far as there is room, and then ends the connection. */
  closeAfterReply(error: Error | undefined): void {
    try {
      this.#writer.flush();
    } catch {
      // The peer is gone, and does not care for the reply.
    }
    this.#end(error);
  }
}

/** @throws ProtocolError for a request that was longer, or came with more descriptors, than it may */
export function checkFrame({ header, fault }: Frame): void {
  if (fault === undefined) return;
  const why = fault === "length" ? `a message of ${header.size} bytes` : "more descriptors than it may have";
  throw new ProtocolError(EINVAL, commandName(header.command), why);
}

function lost(why: string): VfioError {
  return new VfioError({ errno: ECONNRESET, syscall: "vfio-user", why });
}
