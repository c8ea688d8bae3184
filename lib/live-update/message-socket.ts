/**
 * Messages with any number of descriptors between two processes that do not trust each other's bytes.
 *
 * A message goes over a `SOCK_SEQPACKET` socket in packets of a fixed form, so that the receiver knows what may come next and
 * how much of it, before it makes room for anything:
 *
 * ```text
 *  message      type, length, number of descriptors; the bytes, too, if they fit
 *  descriptors  at most 253 of them (SCM_MAX_FD) ...       each answered by
 *                                                          acknowledgement
 *  data         at most 64 KiB with its header ...
 *  end          a reason; at any time, in either direction
 * ```
 *
 * Descriptors wait for the acknowledgement of those before them, because the kernel counts what is under way in sockets against
 * the user (RLIMIT_NOFILE, else ETOOMANYREFS).
 *
 * Nothing here takes time into account: a peer that stalls is ended by the caller's signal.
 *
 * @module
 */

import { constants } from "node:os";
import { integer, knownOptions } from "../base/arguments.js";
import { invalidStateError, VfioError } from "../base/errors.js";
import { struct, u16, u32 } from "../base/struct.js";
import type { OwnedFd } from "../kernel/fd.js";
import { MAX_DESCRIPTORS, type Received, type SocketWait, type UnixSocket } from "../kernel/unix-socket.js";

const { EAGAIN, ECANCELED, ECONNRESET, EMSGSIZE, EPROTO } = constants.errno;

/** The messages of a hand-over, by their numbers on the wire. */
const MESSAGES = ["hello", "process", "parcel", "ready", "frozen", "taken", "commit", "released", "done"] as const;
/** The type of a message. */
export type MessageType = (typeof MESSAGES)[number];

/** The most that a receiver takes in one message. */
export interface MessageLimits {
  /** In bytes. */
  readonly bytes: number;
  readonly descriptors: number;
}

/** The options of {@link MessageLimits}. */
export const messageLimits = knownOptions<MessageLimits>({ bytes: integer(), descriptors: integer() });

/** A message that came whole. */
export interface Message {
  readonly bytes: Uint8Array;
  /** Close-on-exec; they belong to the receiver. */
  readonly descriptors: readonly OwnedFd[];
}

// "VFLU": bytes that do not come from a hand-over are recognized by its absence.
const MAGIC = 0x554c4656;
const KIND = { message: 1, descriptors: 2, data: 3, acknowledgement: 4, end: 5 } as const;
type Kind = keyof typeof KIND;
/** What each packet begins with. `type` is a message's, else 0; what the other two mean depends on the kind. */
const header = struct({ magic: u32, kind: u16, type: u16, first: u32, second: u32 });
const HEADER = header.size;
const PACKET = 65536;
const CHUNK = PACKET - HEADER;
const REASON = 4096;
// As a rule, and for the reason at the end: the kernel doubles both, and cuts them at net.core.wmem_max (212,992 as it comes).
const SEND_BUFFER = 106_496;
const LAST_MESSAGE_BUFFER = 212_992;

const NONE = new Uint8Array(0);

interface Packet {
  readonly kind: Kind;
  readonly type: number;
  readonly first: number;
  readonly second: number;
  /** Valid until the next packet. */
  readonly payload: Uint8Array;
  readonly descriptors: readonly OwnedFd[];
}

function encode(kind: Kind, type: number, first: number, second: number, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(HEADER + payload.byteLength);
  header.write(new DataView(packet.buffer), 0, { magic: MAGIC, kind: KIND[kind], type, first, second });
  packet.set(payload, HEADER);
  return packet;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof VfioError ? error.code : undefined;
}

/**
 * Whether the other side went away without a reason (as a dead process does).
 */
export function wentAwaySilently(error: unknown): boolean {
  return codeOf(error) === "ECONNRESET";
}

/** One side of the conversation. It owns its socket. */
export class MessageSocket {
  readonly #socket: UnixSocket;
  readonly #peer: string;
  readonly #incoming = new Uint8Array(PACKET);
  #ended = false;

  /**
   * @param socket of type `seqpacket`; it belongs to this object from here on
   * @param peer who is at the other end, for messages: `the successor`
   */
  constructor(socket: UnixSocket, peer: string) {
    if (socket.type !== "seqpacket") throw invalidStateError(`a hand-over needs a socket of type seqpacket`);
    socket.setBuffers({ send: SEND_BUFFER });
    this.#socket = socket;
    this.#peer = peer;
  }

  /**
   * Sends a message.
   *
   * @param descriptors borrowed until this resolves
   * @throws VfioError ECONNRESET if the other side went away without a reason, ECANCELED if it ended the conversation: its reason
   *   is in the message
   */
  async send(type: MessageType, bytes: Uint8Array, descriptors: readonly number[], wait: SocketWait): Promise<void> {
    const number = MESSAGES.indexOf(type);
    const inline = bytes.byteLength <= CHUNK;
    await this.#transmit(
      encode("message", number, bytes.byteLength, descriptors.length, inline ? bytes : NONE),
      [],
      wait,
    );
    for (let at = 0; at < descriptors.length; ) {
      const some = descriptors.slice(at, at + MAX_DESCRIPTORS);
      await this.#transmit(encode("descriptors", 0, at, some.length, NONE), some, wait);
      at += some.length;
      const packet = await this.#next(0, wait);
      if (packet.kind !== "acknowledgement" || packet.first !== at) {
        throw this.#violation(packet, `the acknowledgement of ${at} descriptors`);
      }
    }
    if (inline) return;
    for (let at = 0; at < bytes.byteLength; at += CHUNK) {
      const chunk = bytes.subarray(at, at + CHUNK);
      await this.#transmit(encode("data", 0, at, chunk.byteLength, chunk), [], wait);
    }
  }

  /**
   * Puts a message of one packet into the socket, or throws and has not.
   *
   * @param bytes at most 65,520
   */
  sendNow(type: MessageType, bytes: Uint8Array = NONE): void {
    if (bytes.byteLength > CHUNK) throw invalidStateError(`${type} does not fit into one packet`);
    let sent: number;
    try {
      sent = this.#socket.trySend(encode("message", MESSAGES.indexOf(type), bytes.byteLength, 0, bytes));
    } catch (error) {
      throw this.#explained(error);
    }
    if (sent > 0) return;
    throw this.#error(EAGAIN, "sendmsg", `${this.#peer} does not take what was sent before`);
  }

  /**
   * Waits for a message of this type. Where it fails, it has closed every descriptor that came.
   *
   * @throws VfioError EPROTO if something else comes, EMSGSIZE if it is larger than the limits, EMFILE if this process may not
   *   open as many descriptors, ECONNRESET if the other side went away without a reason, ECANCELED if it ended the conversation:
   *   its reason is in the message
   */
  async receive(type: MessageType, limits: MessageLimits, wait: SocketWait): Promise<Message> {
    const head = await this.#next(0, wait);
    const { first: length, second: count } = this.#expectMessage(head, type);
    if (length > limits.bytes) throw this.#tooLarge(type, `${length} bytes`, `${limits.bytes}`);
    if (count > limits.descriptors) throw this.#tooLarge(type, `${count} descriptors`, `${limits.descriptors}`);
    const inline = length <= CHUNK ? head.payload.slice() : undefined;
    const descriptors: OwnedFd[] = [];
    try {
      while (descriptors.length < count) {
        const some = Math.min(MAX_DESCRIPTORS, count - descriptors.length);
        const packet = await this.#next(some, wait);
        descriptors.push(...packet.descriptors);
        const at = descriptors.length - packet.descriptors.length;
        if (packet.kind !== "descriptors" || packet.first !== at || packet.descriptors.length !== some) {
          throw this.#violation(packet, `${some} descriptors from the ${at}th on`);
        }
        await this.#transmit(encode("acknowledgement", 0, descriptors.length, 0, NONE), [], wait);
      }
      return { bytes: inline ?? (await this.#data(length, wait)), descriptors };
    } catch (error) {
      for (const each of descriptors) each.close();
      throw error;
    }
  }

  /** Waits until the other side ends the conversation. Rejects with what {@link receive} would reject with. */
  async ended(wait: SocketWait): Promise<never> {
    throw this.#violation(await this.#next(0, wait), "nothing");
  }

  /** Throws if the other side has ended the conversation by now, as {@link receive} would. */
  throwIfEnded(): void {
    const packet = this.#poll();
    if (packet !== undefined) throw this.#violation(packet, "nothing");
  }

  /**
   * Lets nothing more be put into the socket by the other side, unless a message of this type is there by now: whatever it tries
   * from here on fails there.
   *
   * @returns whether the message was there
   */
  shutOut(type: MessageType): boolean {
    const isThere = (): boolean => {
      const packet = this.#poll();
      return packet?.kind === "message" && MESSAGES[packet.type] === type;
    };
    try {
      if (isThere()) return true;
      this.#socket.shutdown("read");
      // It may have come between the two; then it counts, and is the last message.
      return isThere();
    } catch {
      // The other side is gone, or said something else: either way it is not what was waited for.
      return false;
    }
  }

  /**
   * Ends the conversation, with a reason that the other side's next wait rejects with. Does not throw: a peer that is gone needs
   * no reason.
   */
  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    let bytes = new TextEncoder().encode(reason);
    if (bytes.byteLength > REASON) bytes = bytes.subarray(0, REASON);
    try {
      // Whatever waits in the socket, there is room for this.
      this.#socket.setBuffers({ send: LAST_MESSAGE_BUFFER });
      this.#socket.trySend(encode("end", 0, bytes.byteLength, 0, bytes));
      // Sent packets can still be received; senders that wait for room here do not wait any more.
      this.#socket.shutdown("both");
    } catch {}
  }

  /** Closes the socket. A second call does nothing. */
  close(): void {
    this.#socket.close();
  }

  async #data(length: number, wait: SocketWait): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += CHUNK) {
      const packet = await this.#next(0, wait);
      const chunk = Math.min(CHUNK, length - at);
      if (packet.kind !== "data" || packet.first !== at || packet.second !== chunk) {
        throw this.#violation(packet, `${chunk} bytes from ${at} on`);
      }
      bytes.set(packet.payload, at);
    }
    return bytes;
  }

  async #transmit(packet: Uint8Array, descriptors: readonly number[], wait: SocketWait): Promise<void> {
    try {
      await this.#socket.send(packet, descriptors, wait);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** The next packet, or what the conversation ended with. */
  async #next(room: number, { signal }: SocketWait): Promise<Packet> {
    for (;;) {
      try {
        return this.#decode(await this.#socket.receive(this.#incoming, { room, signal }));
      } catch (error) {
        // From the kernel it means that the other side left something unread: what it said before is still to come.
        if (!this.#isUnread(error)) throw error;
      }
    }
  }

  /** The next packet, if it is there. */
  #poll(): Packet | undefined {
    for (;;) {
      try {
        const received = this.#socket.tryReceive(this.#incoming);
        return received === undefined ? undefined : this.#decode(received);
      } catch (error) {
        if (!this.#isUnread(error)) throw error;
      }
    }
  }

  #isUnread(error: unknown): boolean {
    return codeOf(error) === "ECONNRESET" && error instanceof VfioError && error.why === undefined;
  }

  #decode({ length, descriptors }: Received): Packet {
    const refuse = (errno: number, why: string): VfioError => {
      for (const each of descriptors) each.close();
      return this.#error(errno, "recvmsg", why);
    };
    if (length === 0 && descriptors.length === 0) throw this.#silence();
    if (length < HEADER) throw refuse(EPROTO, `a packet of ${length} bytes came from ${this.#peer}`);
    const { magic, kind: number, type, first, second } = header.read(new DataView(this.#incoming.buffer, 0, length), 0);
    if (magic !== MAGIC) throw refuse(EPROTO, `what came from ${this.#peer} is not part of a hand-over`);
    const kind = (Object.keys(KIND) as Kind[]).find((each) => KIND[each] === number);
    if (kind === undefined) throw refuse(EPROTO, `a packet of an unknown kind (${number}) came from ${this.#peer}`);
    const packet: Packet = {
      kind,
      type,
      first,
      second,
      payload: this.#incoming.subarray(HEADER, length),
      descriptors,
    };
    const bytes = packet.payload.byteLength;
    const fits = {
      message: bytes === (packet.first <= CHUNK ? packet.first : 0) && descriptors.length === 0,
      descriptors: bytes === 0 && packet.second === descriptors.length,
      data: bytes === packet.second && descriptors.length === 0,
      acknowledgement: bytes === 0 && packet.second === 0 && descriptors.length === 0,
      end: bytes === packet.first && packet.second === 0 && bytes <= REASON && descriptors.length === 0,
    };
    if (!fits[kind] || (kind !== "message" && packet.type !== 0)) {
      throw refuse(
        EPROTO,
        `a packet (${kind}) of ${bytes} bytes and ${descriptors.length} descriptors came from ${this.#peer}, which says ${packet.first} and ${packet.second}`,
      );
    }
    if (kind !== "end") return packet;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a peer's text must not move the cursor of a terminal
    const reason = new TextDecoder().decode(packet.payload).replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
    throw this.#error(ECANCELED, "recvmsg", `${this.#peer} ended the hand-over: ${reason}`);
  }

  #expectMessage(packet: Packet, type: MessageType): Packet {
    if (packet.kind === "message" && MESSAGES[packet.type] === type) return packet;
    throw this.#violation(packet, `the message "${type}"`);
  }

  #violation(packet: Packet, expected: string): VfioError {
    const came =
      packet.kind === "message" ? `the message "${MESSAGES[packet.type] ?? packet.type}"` : `a packet (${packet.kind})`;
    for (const each of packet.descriptors) each.close();
    return this.#error(EPROTO, "recvmsg", `${came} came from ${this.#peer} where ${expected} was due`);
  }

  #tooLarge(type: MessageType, size: string, limit: string): VfioError {
    return this.#error(EMSGSIZE, "recvmsg", `the message "${type}" has ${size}, of which this side takes ${limit}`);
  }

  #silence(): VfioError {
    return this.#error(ECONNRESET, "recvmsg", `${this.#peer} went away without a reason`);
  }

  /** The other side of a send is gone: its reason may be waiting in the socket. */
  #explained(error: unknown): unknown {
    if (codeOf(error) !== "EPIPE" && codeOf(error) !== "ECONNRESET") return error;
    try {
      // Bounded: a peer that takes nothing and never stops sending is not read for ever.
      for (let packets = 0; packets < 16 && this.#poll() !== undefined; packets++);
    } catch (ended) {
      return ended;
    }
    return this.#silence();
  }

  #error(errno: number, syscall: string, why: string): VfioError {
    return new VfioError({ errno, syscall, object: this.#socket.label, why });
  }
}
