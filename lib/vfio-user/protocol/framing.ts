/**
 * Messages on a byte stream, with descriptors beside them. Neither half knows the socket: bytes and descriptors are given
 * and taken, so that both sides, blocking or not, use the same code.
 *
 * @module
 */
import { constants } from "node:os";
import type { OwnedFd } from "../../kernel/fd.js";
import {
  HEADER_COMMAND,
  HEADER_REPLY,
  HEADER_SIZE,
  HEADER_TYPE_MASK,
  type Header,
  headerAt,
  ProtocolError,
} from "./constants.js";

const { EPROTO } = constants.errno;

/** A message that has come in whole. */
export interface Frame {
  readonly header: Header;
  /** Without the header. Its memory is the frame's own. */
  readonly payload: Uint8Array;
  /** The descriptors that came with it. They belong to whoever takes the frame. */
  readonly fds: readonly OwnedFd[];
  /**
   * Why it cannot be meant: it was longer than the limit (and its payload is gone), it came with more descriptors than the
   * limit, or descriptors came with a later part of it. Those descriptors are closed.
   */
  readonly fault: "length" | "descriptors" | undefined;
}

/** What a peer may send at most. */
export interface FrameLimits {
  /** Of one message with its header, in bytes. */
  readonly messageSize: number;
  /** Descriptors with one message. */
  readonly fds: number;
}

// A typical message has 32 to 60 bytes: one reception takes in many.
const CHUNK = 64 * 1024;
// From here on a payload is received where it will stay.
const DIRECT = 4096;

// Payloads whose memory is kept: as many as travel at a time.
const MOST_SPARES = 2;

/** A message that is not complete yet. */
interface Incomplete {
  /** Where it begins in the stream. */
  readonly start: number;
  header: Header | undefined;
  fds: readonly OwnedFd[];
  fault: Frame["fault"];
  /** For a long payload: its memory, and how much of it is filled. */
  body: Uint8Array | undefined;
  filled: number;
  /** Of a message beyond the limit: what is still to be thrown away. */
  skip: number;
}

const noFds: readonly OwnedFd[] = [];
const noNumbers: readonly number[] = [];
const noBytes = new Uint8Array(0);

/**
 * Cuts a stream into messages.
 *
 * It holds one chunk of 64 KiB and at most one message of the limit's length, whatever the peer sends, and the memory of two that
 * were given back. A message beyond the
 * limit is read to its end and thrown away, with its descriptors, so that the next one is found.
 *
 * Descriptors arrive with the first part of what was sent in one call; the kernel ends a reception behind that part. So they
 * belong to the last message that begins in the piece that they came with. (A sender that puts more messages behind one with
 * descriptors into one call breaks this; none does.)
 */
export class FrameReader {
  #limits: FrameLimits;
  readonly #chunk = new Uint8Array(CHUNK);
  /** What small messages are received into: see {@link offer}. */
  readonly view = new DataView(this.#chunk.buffer);
  /** The part of the chunk that holds the beginning of the message under way. */
  #begin = 0;
  #end = 0;
  /** How many bytes of the stream were received. */
  #received = 0;
  #current: Incomplete | undefined;
  readonly #spares: Uint8Array[] = [];

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** What was negotiated. Counts from the next message on. */
  set limits(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Whether the stream stands within a message. */
  get inMessage(): boolean {
    return this.#current !== undefined;
  }

  /** Where to receive next: fill it from its beginning, as far as there is something. Never empty. */
  room(): Uint8Array {
    const current = this.#current;
    if (current?.body !== undefined) return current.body.subarray(current.filled);
    if (this.#begin === this.#end) {
      this.#begin = 0;
      this.#end = 0;
      // Nothing is left over, nearly always: a view of its own would cost more than the reception.
      return this.#chunk;
    }
    if (this.#begin > 0) {
      this.#chunk.copyWithin(0, this.#begin, this.#end);
      this.#end -= this.#begin;
      this.#begin = 0;
    }
    return this.#chunk.subarray(this.#end);
  }

  /**
   * Offers what was received into {@link room}, without descriptors, to somebody who reads messages where they lie: whole ones
   * within the limit, from the first on, until one is not taken.
   *
   * @param take is given a view, and where in it the message begins and how long it is. All of it is there until {@link room} is
   *   asked for again
   * @returns how many bytes were not taken: they are for {@link advance}
   */
  offer(count: number, take: (view: DataView, at: number, size: number) => boolean): number {
    if (this.#current !== undefined) return count;
    const end = this.#end + count;
    let at = this.#end;
    while (end - at >= HEADER_SIZE) {
      const size = this.view.getUint32(at + 4, true);
      if (size < HEADER_SIZE || size > end - at || size > this.#limits.messageSize) break;
      if (!take(this.view, at, size)) break;
      at += size;
    }
    this.#received += at - this.#end;
    this.#begin = at;
    this.#end = at;
    return end - at;
  }

  /**
   * Takes in what was received into {@link room}.
   *
   * @param count how many bytes, at least one
   * @param fds the descriptors that came with them: they belong to the reader, and then to the frames
   * @returns the messages that are complete now
   * @throws ProtocolError for a header that cannot be one: nothing behind it can be found. All descriptors are closed
   */
  advance(count: number, fds: readonly OwnedFd[] = noFds): readonly Frame[] {
    const from = this.#received;
    this.#received += count;
    const frames: Frame[] = [];
    /** The last message that begins in this piece, or else the one that the piece goes on with. */
    let owner: Incomplete | undefined = this.#current;
    const complete: Incomplete[] = [];
    try {
      if (owner?.body !== undefined) owner.filled += count;
      else this.#end += count;
      for (;;) {
        const message = this.#parse();
        if (this.#current !== undefined) owner = this.#current;
        else if (message !== undefined) owner = message;
        if (message === undefined) break;
        this.#current = undefined;
        complete.push(message);
      }
    } catch (error) {
      for (const fd of fds) fd.close();
      for (const message of complete) for (const fd of message.fds) fd.close();
      this.close();
      throw error;
    }
    if (owner !== undefined && fds.length > 0) this.#give(owner, fds, owner.start >= from);
    for (const { header, body, fds, fault } of complete) {
      if (header !== undefined) frames.push({ header, payload: body ?? noBytes, fds, fault });
    }
    return frames;
  }

  #give(owner: Incomplete, fds: readonly OwnedFd[], begins: boolean): void {
    if (begins && fds.length <= this.#limits.fds && owner.fault === undefined) {
      owner.fds = fds;
      return;
    }
    for (const fd of [...fds, ...owner.fds]) fd.close();
    owner.fds = noFds;
    owner.fault ??= "descriptors";
  }

  /** The next message if it is complete; else as much of it as there is becomes the current one. */
  #parse(): Incomplete | undefined {
    const available = this.#end - this.#begin;
    let current = this.#current;
    if (current === undefined) {
      if (available === 0) return undefined;
      current = {
        start: this.#received - available,
        header: undefined,
        fds: noFds,
        fault: undefined,
        body: undefined,
        filled: 0,
        skip: 0,
      };
      this.#current = current;
    }
    if (current.header === undefined) {
      if (available < HEADER_SIZE) return undefined;
      current.header = this.#header(current);
    }
    if (current.skip > 0) {
      const skipped = Math.min(current.skip, this.#end - this.#begin);
      this.#begin += skipped;
      current.skip -= skipped;
    }
    if (current.skip > 0) return undefined;
    if (current.fault === "length") return current;
    if (current.body === undefined) {
      const length = current.header.size - HEADER_SIZE;
      const here = Math.min(length, this.#end - this.#begin);
      if (here < length && length < DIRECT) return undefined;
      current.body = this.#body(length);
      current.body.set(this.#chunk.subarray(this.#begin, this.#begin + here));
      current.filled = here;
      this.#begin += here;
    }
    return current.filled === current.body.length ? current : undefined;
  }

  #header(current: Incomplete): Header {
    const header = headerAt(this.view, this.#begin);
    this.#begin += HEADER_SIZE;
    const type = header.flags & HEADER_TYPE_MASK;
    if (header.size < HEADER_SIZE) {
      throw new ProtocolError(
        EPROTO,
        "header",
        `a message of ${header.size} bytes cannot have a header of ${HEADER_SIZE}`,
      );
    }
    if (type !== HEADER_COMMAND && type !== HEADER_REPLY) {
      throw new ProtocolError(EPROTO, "header", `type ${type} is neither a command nor a reply`);
    }
    if (header.size > this.#limits.messageSize) {
      current.fault = "length";
      current.skip = header.size - HEADER_SIZE;
    }
    return header;
  }

  /** Memory for a payload. What is as long as the one before, as the parts of a transfer are, takes no new memory. */
  #body(length: number): Uint8Array {
    const spare = length >= DIRECT ? this.#spares.findIndex((each) => each.length === length) : -1;
    const [body] = spare < 0 ? [] : this.#spares.splice(spare, 1);
    return body ?? new Uint8Array(length);
  }

  /** Takes the memory of a long payload back: nobody looks at it any more. */
  recycle({ payload }: Frame): void {
    if (payload.length < DIRECT) return;
    if (this.#spares.length === MOST_SPARES) this.#spares.shift();
    this.#spares.push(payload);
  }

  /** Closes the descriptors of a message that will not be completed. */
  close(): void {
    for (const fd of this.#current?.fds ?? []) fd.close();
    this.#current = undefined;
  }
}

/** Closes the descriptors of a message that nobody wants. */
export function release({ fds }: Frame): void {
  for (const fd of fds) fd.close();
}

/** Memory for one small message after the other. */
export class Scratch {
  readonly view: DataView;
  readonly #bytes: Uint8Array;
  /** By their lengths: a view that is made anew costs as much as the rest of the message. */
  readonly #messages = new Map<number, Uint8Array>();

  /** @param length of the longest message, in bytes */
  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
    this.view = new DataView(this.#bytes.buffer);
  }

  /** Its first bytes. */
  message(length: number): Uint8Array {
    let message = this.#messages.get(length);
    if (message === undefined) {
      message = this.#bytes.subarray(0, length);
      this.#messages.set(length, message);
    }
    return message;
  }
}

// How many messages are gone before the queue forgets them.
const DONE_AT_ONCE = 1024;

/** A message on its way out. */
interface Outgoing {
  readonly message: Uint8Array;
  readonly fds: readonly number[];
  readonly sent: (() => void) | undefined;
  offset: number;
}

/**
 * Sends part of a message; the descriptors go with its first byte.
 *
 * @returns how many bytes went, 0 if there is no room
 */
export type Send = (bytes: Uint8Array, fds: readonly number[]) => number;

/** Messages that wait for room in the socket. It sets no limit of its own: who writes looks at {@link queued}. */
export class FrameWriter {
  readonly #send: Send;
  /** What waits, from {@link #next} on. Shifting an array of many thousands moves them all. */
  readonly #waiting: Outgoing[] = [];
  #next = 0;
  #queued = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  /** How many bytes wait. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Sends a message after those before it, as much as there is room for now.
   *
   * @param fds borrowed until they were sent
   * @param sent called when message and descriptors are not needed any more
   * @throws what the socket throws: then what waits will not go
   */
  write(message: Uint8Array, fds: readonly number[] = noNumbers, sent?: () => void): void {
    this.#waiting.push({ message, fds, sent, offset: 0 });
    this.#queued += message.length;
    if (this.#waiting.length - this.#next === 1) this.flush();
  }

  /**
   * The same for a message without descriptors whose memory is used again: what there is no room for is copied. If this throws,
   * nothing of it has gone or waits.
   *
   * @returns the copy, if there is one
   */
  writeCopy(message: Uint8Array): Uint8Array | undefined {
    const sent = this.#queued > 0 ? 0 : this.#send(message, noNumbers);
    if (sent === message.length) return undefined;
    const copy = message.slice();
    this.#waiting.push({ message: copy, fds: noNumbers, sent: undefined, offset: sent });
    this.#queued += copy.length - sent;
    return copy;
  }

  /** Sends what waits, as much as there is room for. Throws as {@link write}. */
  flush(): void {
    for (;;) {
      const next = this.#waiting[this.#next];
      if (next === undefined) {
        this.#waiting.length = 0;
        this.#next = 0;
        return;
      }
      const first = next.offset === 0;
      // The descriptors with the first part only: a peer would get them twice.
      const sent = this.#send(first ? next.message : next.message.subarray(next.offset), first ? next.fds : noNumbers);
      if (sent === 0) return;
      next.offset += sent;
      this.#queued -= sent;
      if (next.offset < next.message.length) continue;
      this.#next++;
      if (this.#next === DONE_AT_ONCE) {
        this.#waiting.splice(0, this.#next);
        this.#next = 0;
      }
      next.sent?.();
    }
  }

  /** Takes a message back, with its descriptors. False if some of it has gone already. */
  withdraw(message: Uint8Array): boolean {
    const index = this.#waiting.findIndex((each) => each.message === message);
    if (index < this.#next || this.#waiting[index]?.offset !== 0) return false;
    const [gone] = this.#waiting.splice(index, 1);
    this.#queued -= message.length;
    gone?.sent?.();
    return true;
  }

  /** Forgets what waits. */
  close(): void {
    for (const { sent } of this.#waiting.splice(0).slice(this.#next)) sent?.();
    this.#next = 0;
    this.#queued = 0;
  }
}
