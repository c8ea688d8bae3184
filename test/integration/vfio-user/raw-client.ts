/** A client that says exactly what it is told to: also what no client should say. */
import { setTimeout as delay } from "node:timers/promises";
import type { OwnedFd } from "../../../lib/kernel/fd.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import {
  HEADER_COMMAND,
  HEADER_ERROR,
  HEADER_NO_REPLY,
  HEADER_REPLY,
  HEADER_SIZE,
  isReply,
  replyErrno,
  stampHeader,
} from "../../../lib/vfio-user/protocol/constants.js";
import { type Frame, FrameReader } from "../../../lib/vfio-user/protocol/framing.js";
import { type Command, version } from "../../../lib/vfio-user/protocol/messages.js";
import type { Capabilities } from "../../../lib/vfio-user/protocol/version.js";

/** An errno, or the payload. */
export type Reply =
  | { errno: number; payload?: undefined; fds?: undefined }
  | { errno: 0; payload: Uint8Array; fds: readonly OwnedFd[] };

export class RawClient implements Disposable {
  readonly socket: UnixSocket;
  readonly #reader = new FrameReader({ messageSize: 1 << 26, fds: 253 });
  readonly #frames: Frame[] = [];
  /** Answers the server's requests, if it is set; else they are left alone. */
  onRequest: ((frame: Frame) => Uint8Array | undefined) | undefined;
  #id = 0;

  private constructor(socket: UnixSocket) {
    this.socket = socket;
  }

  static async connect(path: string): Promise<RawClient> {
    return new RawClient(await UnixSocket.connect(path, "stream"));
  }

  static over(socket: UnixSocket): RawClient {
    return new RawClient(socket);
  }

  /** Connects and introduces itself. */
  static async open(path: string, capabilities: Capabilities = { max_msg_fds: 16 }): Promise<RawClient> {
    const client = await RawClient.connect(path);
    const reply = await client.call(version, { major: 0, minor: 2, capabilities });
    if (reply.errno !== 0) throw new Error(`refused: ${reply.errno}`);
    return client;
  }

  /** Sends bytes as they are. */
  async bytes(bytes: Uint8Array, fds: readonly number[] = []): Promise<void> {
    await this.socket.send(bytes, fds);
  }

  /** Sends a message with any payload. */
  async send(
    command: number,
    payload: Uint8Array,
    fds: readonly number[] = [],
    flags = HEADER_COMMAND,
  ): Promise<number> {
    const message = new Uint8Array(HEADER_SIZE + payload.length);
    message.set(payload, HEADER_SIZE);
    this.#id = (this.#id + 1) & 0xffff;
    await this.bytes(stampHeader(message, this.#id, command, flags), fds);
    return this.#id;
  }

  /** Sends a message with any payload, and waits for its reply. */
  async raw(command: number, payload: Uint8Array, fds: readonly number[] = []): Promise<Reply> {
    return this.reply(await this.send(command, payload, fds));
  }

  async call<Request>(
    command: Command<Request, unknown>,
    request: Request,
    fds: readonly number[] = [],
  ): Promise<Reply> {
    return this.raw(command.number, command.request.encode(request).subarray(HEADER_SIZE), fds);
  }

  /** Sends a request and decodes the reply, without its descriptors; an error is thrown. */
  async ask<Request, Answer>(
    command: Command<Request, Answer>,
    request: Request,
    fds: readonly number[] = [],
  ): Promise<Answer> {
    const reply = await this.call(command, request, fds);
    if (reply.payload === undefined) throw new Error(`${command.name} was refused: ${reply.errno}`);
    for (const fd of reply.fds) fd.close();
    return command.reply.decode(reply.payload);
  }

  async post<Request>(command: Command<Request, unknown>, request: Request): Promise<void> {
    await this.send(command.number, command.request.encode(request).subarray(HEADER_SIZE), [], HEADER_NO_REPLY);
  }

  async reply(id: number): Promise<Reply> {
    const frame = await this.next();
    if (frame === undefined) throw new Error("the server closed the connection");
    if (frame.header.id !== id) throw new Error(`a reply to ${frame.header.id}, and ${id} was asked`);
    if ((frame.header.flags & HEADER_ERROR) !== 0) return { errno: replyErrno(frame.header) };
    return { errno: 0, payload: frame.payload, fds: frame.fds };
  }

  /** The next reply; undefined at the end. Requests of the server are answered in between. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame === undefined) {
        const into = this.#reader.room();
        const received = await this.socket.receive(into, { room: 253 }).catch(() => undefined);
        if (received === undefined || received.length === 0) return undefined;
        this.#frames.push(...this.#reader.advance(received.length, received.descriptors));
        continue;
      }
      if (isReply(frame.header)) return frame;
      const message = this.onRequest?.(frame);
      if (message !== undefined) {
        await this.bytes(stampHeader(message, frame.header.id, frame.header.command, HEADER_REPLY));
      }
    }
  }

  /** Answers requests of the server for as long as this promise is awaited beside. */
  async serve(until: Promise<unknown>): Promise<void> {
    let over = false;
    void until.finally(() => {
      over = true;
    });
    while (!over) {
      const received = this.socket.tryReceive(this.#reader.room(), 253);
      if (received === undefined) {
        await delay(0);
        continue;
      }
      if (received.length === 0) return;
      for (const frame of this.#reader.advance(received.length, received.descriptors)) {
        if (isReply(frame.header)) {
          this.#frames.push(frame);
          continue;
        }
        const message = this.onRequest?.(frame);
        if (message === undefined) continue;
        await this.bytes(stampHeader(message, frame.header.id, frame.header.command, HEADER_REPLY));
      }
    }
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    while ((await this.next()) !== undefined);
  }

  close(): void {
    this.socket.close();
    this.#reader.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
