/** A server that says exactly what it is told to, on a thread of its own. */
import { readdirSync, readlinkSync } from "node:fs";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { UserContainer, type UserContainerOptions } from "vfio/user";
import { native } from "../../../lib/kernel/native.js";
import { UnixSocket } from "../../../lib/kernel/unix-socket.js";
import {
  HEADER_COMMAND,
  HEADER_ERROR,
  HEADER_REPLY,
  HEADER_SIZE,
  HEADER_TYPE_MASK,
  stampHeader,
} from "../../../lib/vfio-user/protocol/constants.js";
import { type Command, deviceGetInfo, deviceGetRegionInfo, version } from "../../../lib/vfio-user/protocol/messages.js";
import type { Capabilities } from "../../../lib/vfio-user/protocol/version.js";

/** What travels with a message. */
export type SentDescriptor =
  | {
      /** In bytes. */
      readonly memfd: number;
      readonly seals?: number;
      /** Offsets, and the bytes there. */
      readonly content?: readonly (readonly [number, number])[];
    }
  | { readonly twin: "stream" | "seqpacket" };

export interface SendOptions {
  readonly fds?: readonly SentDescriptor[];
  readonly flags?: number;
  readonly error?: number;
  /** Default: that of the request. */
  readonly id?: number;
  readonly twin?: boolean;
}

/** Where the line is cut. */
export interface Relay {
  /** At which of the client's messages, from 1 on. */
  readonly dieAt: number;
  /** Before the device has answered it, when it has, or in the middle of the answer. */
  readonly when: "before" | "after" | "within";
}

/** What the client has sent. */
export interface SeenFrame {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly error: number;
  readonly payload: Uint8Array;
  /** How many descriptors came with it. */
  readonly fds: number;
  readonly twin: boolean;
}

/** How many descriptors this process has, of the kinds that come and go here. */
export function descriptorCount(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return /^socket:|memfd:|eventfd/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false; // the descriptor that readdir itself used
    }
  }).length;
}

/** The thread, for one server after the other: it has descriptors of its own, and takes its time to start. */
class Thread {
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  readonly #channel = new MessageChannel();
  readonly #worker: Worker;
  #expected = 0;

  constructor() {
    const { port1, port2 } = this.#channel;
    this.#worker = new Worker(new URL("fake-server-worker.mjs", import.meta.url), {
      workerData: { port: port2, signal: this.#signal },
      transferList: [port2],
    });
    this.#worker.unref();
    port1.unref();
    this.acknowledged();
  }

  post(message: object): void {
    this.#channel.port1.postMessage(message);
  }

  acknowledged(): void {
    this.#expected++;
    for (let seen = 0; seen < this.#expected; seen = Atomics.load(this.#signal, 0)) {
      Atomics.wait(this.#signal, 0, seen, 1000);
    }
  }

  received(): readonly SeenFrame[] {
    const message: { readonly message: readonly SeenFrame[] } | undefined = receiveMessageOnPort(this.#channel.port1);
    return message?.message ?? [];
  }
}

const thread = new Thread();

export class FakeServer implements Disposable {
  /** The other end, for a container. */
  readonly client: number;

  /** @param relay puts a real edu device behind it, and cuts the line at one of the client's messages */
  constructor(relay?: Relay) {
    const [ours, theirs] = UnixSocket.pair("stream");
    thread.post({ type: "open", fd: native.dup(ours.fd), relay });
    this.client = native.dup(theirs.fd);
    ours.close();
    theirs.close();
  }

  /** Sends bytes now. */
  bytes(bytes: Uint8Array): void {
    thread.post({ type: "action", action: { bytes, fds: [], reply: false, twin: false, idAt: undefined } });
  }

  /** A message of any payload: the answer to the client's next request, or sent now. */
  message(command: number, payload: Uint8Array, when: "next" | "now", options: SendOptions = {}): void {
    const { fds = [], flags = HEADER_REPLY, error = 0, id, twin = false } = options;
    const bytes = new Uint8Array(HEADER_SIZE + payload.length);
    bytes.set(payload, HEADER_SIZE);
    stampHeader(bytes, id ?? 0, command, flags, error);
    thread.post({
      type: "action",
      action: { bytes, fds, reply: when === "next", twin, idAt: id === undefined ? 0 : undefined },
    });
    // The request must not be there before its answer.
    if (when === "next") thread.acknowledged();
  }

  /** Forgets the answers to requests that were not made. */
  forget(): void {
    thread.post({ type: "forget" });
  }

  /** Answers the client's next request with bytes; its id is written at an offset. */
  raw(bytes: Uint8Array, idAt: number, fds: readonly SentDescriptor[]): void {
    this.forget();
    thread.post({ type: "action", action: { bytes, fds, reply: true, twin: false, idAt } });
    thread.acknowledged();
  }

  /** Answers the client's next request. */
  reply<Request, Reply>(command: Command<Request, Reply>, value: Reply, options: SendOptions = {}): void {
    this.message(command.number, command.reply.encode(value).subarray(HEADER_SIZE), "next", options);
  }

  /** Answers the client's next request with an error. */
  refuse({ number }: { readonly number: number }, error: number): void {
    this.message(number, new Uint8Array(0), "next", { flags: HEADER_REPLY | HEADER_ERROR, error });
  }

  /** Asks the client something now. */
  request<Request, Reply>(command: Command<Request, Reply>, value: Request, options: SendOptions = {}): void {
    const payload = command.request.encode(value).subarray(HEADER_SIZE);
    this.message(command.number, payload, "now", { flags: HEADER_COMMAND, id: 7777, ...options });
  }

  hello(capabilities: Capabilities = { max_msg_fds: 16 }, options: SendOptions = {}): this {
    this.reply(version, { major: 0, minor: 2, capabilities }, options);
    return this;
  }

  info(numRegions = 9, numIrqs = 5): this {
    this.reply(deviceGetInfo, { argsz: 16, flags: 3, numRegions, numIrqs });
    return this;
  }

  /** Answers the next question about a region. */
  region(
    index: number,
    size: number,
    {
      flags = 3,
      argsz = 32,
      offset = 0,
      bytes = new Uint8Array(0),
      fds = [],
    }: {
      readonly flags?: number;
      readonly argsz?: number;
      readonly offset?: number;
      readonly bytes?: Uint8Array;
      readonly fds?: readonly SentDescriptor[];
    } = {},
  ): void {
    const payload = new Uint8Array(32 + bytes.length);
    const view = new DataView(payload.buffer);
    view.setUint32(0, argsz + bytes.length, true);
    view.setUint32(4, flags, true);
    view.setUint32(8, index, true);
    view.setUint32(12, bytes.length > 0 ? 32 : 0, true);
    view.setBigUint64(16, BigInt(size), true);
    view.setBigUint64(24, BigInt(offset), true);
    payload.set(bytes, 32);
    this.message(deviceGetRegionInfo.number, payload, "next", { fds });
  }

  /** Everything that the client has sent since the last time. */
  received(): readonly SeenFrame[] {
    thread.post({ type: "drain" });
    thread.acknowledged();
    return thread.received();
  }

  /** The client's requests of a kind since the last time. */
  requests<Request, Reply>({ number, request }: Command<Request, Reply>): readonly Request[] {
    return this.received()
      .filter(({ command, flags }) => (flags & HEADER_TYPE_MASK) === HEADER_COMMAND && command === number)
      .map(({ payload }) => request.decode(payload));
  }

  /** The client's answers since the last time. */
  answers(): readonly SeenFrame[] {
    return this.received().filter(({ flags }) => (flags & HEADER_TYPE_MASK) === HEADER_REPLY);
  }

  /** A container in front of it, with its device attached. */
  attach(options: Partial<UserContainerOptions> = {}, capabilities?: Capabilities) {
    this.hello(capabilities).info();
    const container = this.open(options);
    const device = container.attach("fake");
    this.received();
    return { container, device };
  }

  open(options: Partial<UserContainerOptions> = {}): UserContainer {
    return UserContainer.open({ timeout: 5000, ...options, socket: this.client });
  }

  /** Reads no more. */
  pause(): void {
    thread.post({ type: "pause" });
  }

  /** Closes its end, once everything is said. */
  shutdown(): void {
    thread.post({ type: "shutdown" });
  }

  closeTwin(): void {
    thread.post({ type: "close twin" });
    thread.acknowledged();
  }

  [Symbol.dispose](): void {
    thread.post({ type: "close" });
    thread.acknowledged();
  }
}
