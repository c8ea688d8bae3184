/**
 * A hand-over between two processes, over a Unix socket.
 *
 * Either side may listen, or the process that starts both gives each an end of a pair. `message-socket.ts` has the messages; each
 * side begins with the protocols that it speaks.
 *
 * Both sides always agree on whose the devices are, whoever dies when:
 *
 * - The commit is one packet. Before it is in the socket, nothing is committed. A successor that stops waiting for it first shuts
 *   the socket, so that the packet is either in there, and counts, or cannot be put there any more.
 * - A successor that has everything it needs, and finds that the old process died before the commit, takes over: no other process
 *   can. That the old process died, and did not just close the socket, is seen by its pidfd.
 *
 * @module
 */
import { setMaxListeners } from "node:events";
import { constants } from "node:os";
import {
  checkDescriptor,
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkRequired,
  checkSignal,
  checkString,
  instanceOf,
  knownOptions,
  optionsOf,
} from "../base/arguments.js";
import { withDeadline } from "../base/deadline.js";
import { argTypeError, messageOf, VfioError } from "../base/errors.js";
import { struct, u32 } from "../base/struct.js";
import { native } from "../kernel/native.js";
import { type PeerCredentials, type SocketWait, UnixListener, UnixSocket } from "../kernel/unix-socket.js";
import type { CarrierWait, IncomingCarrier, OutgoingCarrier, Parcel, ReceivedParcel } from "./carrier.js";
import { type MessageLimits, MessageSocket, messageLimits, wentAwaySilently } from "./message-socket.js";
import { PeerProcess } from "./peer-process.js";

const { EACCES, EPROTO, ESRCH } = constants.errno;

/** Where the socket between the two processes comes from. */
export type SocketPlace =
  /** The other side listens at this path; a name in the abstract namespace begins with NUL. */
  | { readonly connect: string }
  /**
   * The other side connects to this path, which is listened at until it has introduced itself. Several connections are served at a
   * time, and one that does not introduce itself within 5 seconds is dropped: the first that does is the other side.
   */
  | { readonly listen: string }
  /** One end of a pair, as a number that the parent process passed (`stdio`). It belongs to the carrier from here on. */
  | { readonly fd: number }
  /** One end of a pair, or a connection of type `seqpacket`. It belongs to the carrier from here on. */
  | { readonly socket: UnixSocket };

/** How a socket carrier is opened. */
export interface SocketCarrierOptions extends SocketWait {
  /**
   * How long until the other side is there, in milliseconds; `Infinity` for ever. Default 60,000, so that a successor does not wait
   * for an old process that failed before it connected. An old process that listens waits for ever by default: its successor may
   * come at any time.
   */
  readonly timeout?: number;
  /**
   * Whether to talk to this process. By default to those of the same user and of root. Of the two ends of a pair, it is the process
   * that made the pair.
   */
  readonly allow?: (peer: PeerCredentials) => boolean;
  /**
   * The most that is taken in one message: by default 256 MiB and 16,384 descriptors. Whatever is larger is refused before there is
   * room made for it.
   */
  readonly limits?: Partial<MessageLimits>;
}

const placeOptions = knownOptions<Record<"connect" | "listen" | "fd" | "socket", unknown>>({
  connect: checkString,
  listen: checkString,
  fd: checkDescriptor,
  socket: instanceOf(UnixSocket, "a UnixSocket"),
});
const carrierOptions = knownOptions<SocketCarrierOptions>({
  signal: checkSignal,
  allow: checkFunction,
  timeout: checkMilliseconds,
  limits: optionsOf(messageLimits),
});

const OPEN_MS = 60_000;
/** A connection that has not introduced itself by then is dropped. */
const SILENCE_MS = 5_000;
/** The most connections that are served at a time. Others wait in the socket's queue. */
const MOST_AT_A_TIME = 16;
const TOO_LATE = "another process was first";

const NOTHING = new Uint8Array(0);
const NO_CONTENT: MessageLimits = { bytes: 0, descriptors: 0 };
const LIMITS: MessageLimits = { bytes: 256 * 1024 * 1024, descriptors: 16_384 };

// The newest protocol that is spoken here, and the oldest.
const NEWEST = 1;
const OLDEST = 1;
const ROLE = { old: 0, successor: 1 } as const;
type Role = keyof typeof ROLE;
const NAMES: Record<Role, string> = { old: "the old process", successor: "the successor" };

function sameUserOrRoot(peer: PeerCredentials): boolean {
  return peer.uid === 0 || peer.uid === process.geteuid?.();
}

interface Opened {
  readonly messages: MessageSocket;
  /** The old process, as its successor sees it. */
  readonly peer: PeerProcess | undefined;
}

/** The first message of each side: the protocols that it speaks, and its role. What a later version adds comes behind. */
const hello = struct({ newest: u32, oldest: u32, role: u32 });

function refusal(why: string, fix: string): VfioError {
  return new VfioError({ errno: EPROTO, syscall: "recvmsg", object: "the socket of a hand-over", why, fix });
}

/**
 * Both sides introduce themselves.
 *
 * @param onHello called when the other side has said that it speaks of a hand-over
 */
async function introduce(
  messages: MessageSocket,
  role: Role,
  wait: SocketWait,
  onHello: () => void,
): Promise<PeerProcess | undefined> {
  await messages.send("hello", hello.encode({ newest: NEWEST, oldest: OLDEST, role: ROLE[role] }), [], wait);
  const { bytes } = await messages.receive("hello", { bytes: 256, descriptors: 0 }, wait);
  onHello();
  const {
    newest,
    oldest,
    role: theirs,
  } = hello.decode(bytes, () => refusal("the other side did not say who it is", "open one carrier of each kind"));
  if (newest < OLDEST || oldest > NEWEST) {
    throw refusal(
      `the other side speaks protocols ${oldest} to ${newest}, and this one ${OLDEST} to ${NEWEST}`,
      "update in two steps, by way of a version of the package that speaks both",
    );
  }
  const other = role === "old" ? "successor" : "old";
  if (theirs !== ROLE[other]) throw refusal(`the other side is not ${NAMES[other]}`, "open one carrier of each kind");
  if (role === "successor") return await receivePeer(messages, wait);
  await sendSelf(messages, wait);
  return undefined;
}

/** The old process sends a pidfd of its own: whoever made the socket (SO_PEERPIDFD), this is the process with the devices. */
async function sendSelf(messages: MessageSocket, wait: SocketWait): Promise<void> {
  const self = native.pidfdOpen(process.pid);
  try {
    // A sandbox may not allow it. Then the successor does not take over from the dead.
    await messages.send("process", NOTHING, self < 0 ? [] : [self], wait);
  } finally {
    if (self >= 0) native.close(self);
  }
}

async function receivePeer(messages: MessageSocket, wait: SocketWait): Promise<PeerProcess | undefined> {
  const { descriptors } = await messages.receive("process", { bytes: 0, descriptors: 1 }, wait);
  const [pidfd] = descriptors;
  if (pidfd === undefined) return undefined;
  const peer = PeerProcess.of(pidfd);
  if (peer !== undefined) return peer;
  pidfd.close();
  throw refusal("the other side sent something that is no pidfd", "open one carrier of each kind");
}

/** Makes a conversation of a connection, which is closed if it comes to none. */
async function converse(
  socket: UnixSocket,
  role: Role,
  options: SocketCarrierOptions,
  onHello: () => void = () => {},
): Promise<Opened> {
  const other = NAMES[role === "old" ? "successor" : "old"];
  let messages: MessageSocket | undefined;
  try {
    messages = new MessageSocket(socket, other);
    const credentials = socket.peer();
    if (!(options.allow ?? sameUserOrRoot)(credentials)) {
      throw new VfioError({
        errno: EACCES,
        syscall: "getsockopt",
        request: "SO_PEERCRED",
        object: socket.label,
        why: `the process at the other end (pid ${credentials.pid}, uid ${credentials.uid}, gid ${credentials.gid}) is not allowed to be ${other}`,
        fix: "run both as the same user, or say who is allowed (allow)",
      });
    }
    return { messages, peer: await introduce(messages, role, { signal: options.signal }, onHello) };
  } catch (error) {
    messages?.end(error instanceof VfioError ? (error.why ?? error.message) : messageOf(error));
    socket.close();
    throw error;
  }
}

async function open(place: SocketPlace, role: Role, options: SocketCarrierOptions): Promise<Opened> {
  checkRequired("place", place, placeOptions);
  checkOptions("options", options, carrierOptions);
  const byDefault = role === "old" && "listen" in place ? Number.POSITIVE_INFINITY : OPEN_MS;
  const other = NAMES[role === "old" ? "successor" : "old"];
  return await withDeadline(
    `the wait for ${other}`,
    options.timeout ?? byDefault,
    options.signal,
    (wait) => connect(place, role, { ...options, ...wait }),
    `see whether ${other} failed before it connected, or give a longer timeout`,
  );
}

async function connect(place: SocketPlace, role: Role, options: SocketCarrierOptions): Promise<Opened> {
  if ("socket" in place) return await converse(place.socket, role, options);
  if ("fd" in place) return await converse(UnixSocket.adopt(place.fd), role, options);
  if ("connect" in place)
    return await converse(
      await UnixSocket.connect(place.connect, "seqpacket", { signal: options.signal }),
      role,
      options,
    );
  if (!("listen" in place)) throw argTypeError("place", "one of { connect }, { listen }, { fd } and { socket }", place);
  using listener = UnixListener.listen(place.listen, "seqpacket");
  return await new Reception(listener, role, options).first();
}

/**
 * Connections to a socket that anybody of the same user can connect to. The first that introduces itself as the other side is it;
 * until then, one that says nothing holds up nobody.
 */
class Reception {
  readonly #listener: UnixListener;
  readonly #role: Role;
  readonly #options: SocketCarrierOptions;
  /** Ends every conversation but the one that was found. */
  readonly #over = new AbortController();
  readonly #conversations = new Set<Promise<void>>();
  #found: Opened | undefined;

  constructor(listener: UnixListener, role: Role, options: SocketCarrierOptions) {
    this.#listener = listener;
    this.#role = role;
    this.#options = options;
    // One for each conversation, and one for the listener. Node takes more than ten for a leak.
    setMaxListeners(MOST_AT_A_TIME + 1, this.#over.signal);
  }

  /** @throws what ended the wait: the signal's reason, or why the other side cannot be talked with */
  async first(): Promise<Opened> {
    const { signal } = this.#options;
    const abort = () => this.#over.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      while (!this.#over.signal.aborted) await this.#accept();
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#over.abort();
      await Promise.all(this.#conversations);
    }
    if (this.#found !== undefined) return this.#found;
    throw this.#over.signal.reason;
  }

  async #accept(): Promise<void> {
    if (this.#conversations.size >= MOST_AT_A_TIME) {
      await Promise.race(this.#conversations);
      return;
    }
    let socket: UnixSocket;
    try {
      socket = await this.#listener.accept(this.#over);
    } catch (error) {
      // The wait is over, or it fails here.
      this.#over.abort(error);
      return;
    }
    const conversation = this.#converse(socket).finally(() => this.#conversations.delete(conversation));
    this.#conversations.add(conversation);
  }

  /** Ends the wait with the other side, or with the reason why it is none. Strangers are dropped. Does not throw. */
  async #converse(socket: UnixSocket): Promise<void> {
    let spoke = false;
    const onHello = () => {
      spoke = true;
    };
    try {
      const opened = await withDeadline("the introduction", SILENCE_MS, this.#over.signal, (wait) =>
        converse(socket, this.#role, { ...this.#options, ...wait }, onHello),
      );
      if (this.#over.signal.aborted) dismiss(opened);
      else this.#found = opened;
      this.#over.abort(new Error(TOO_LATE));
    } catch (error) {
      if (!isStranger(error, spoke)) this.#over.abort(error);
    }
  }
}

/** Whether a connection failed because it is not from the other side. */
function isStranger(error: unknown, spoke: boolean): boolean {
  if (wentAwaySilently(error)) return true;
  const code = error instanceof VfioError ? error.code : undefined;
  return code === "EACCES" || code === "ETIMEDOUT" || (!spoke && (code === "EPROTO" || code === "EMSGSIZE"));
}

/** One that introduced itself when the other side was found already. */
function dismiss({ messages, peer }: Opened): void {
  messages.end(TOO_LATE);
  messages.close();
  peer?.close();
}

/**
 * Opens the old process's side of a hand-over by socket. Resolves when the successor is there.
 *
 * @throws VfioError ETIMEDOUT if there is no successor in time, EACCES if it is another user's, EPROTO if it is no successor or speaks
 *   another protocol
 */
export async function socketToSuccessor(
  place: SocketPlace,
  options: SocketCarrierOptions = {},
): Promise<OutgoingCarrier> {
  return new SocketToSuccessor(await open(place, "old", options), { ...LIMITS, ...options.limits });
}

/**
 * Opens the successor's side of a hand-over by socket. Resolves when the old process is there.
 *
 * @throws VfioError ETIMEDOUT if there is no old process in time, EACCES if it is another user's, EPROTO if it is no old process or
 *   speaks another protocol
 */
export async function socketFromOldProcess(
  place: SocketPlace,
  options: SocketCarrierOptions = {},
): Promise<IncomingCarrier> {
  return new SocketFromOldProcess(await open(place, "successor", options), { ...LIMITS, ...options.limits });
}

class SocketToSuccessor implements OutgoingCarrier {
  readonly name = "socket";
  readonly #messages: MessageSocket;
  readonly #limits: MessageLimits;
  #committed = false;

  constructor({ messages }: Opened, limits: MessageLimits) {
    this.#messages = messages;
    this.#limits = limits;
  }

  blockers(): readonly [] {
    return [];
  }

  async prepare({ manifest, descriptors }: Parcel, wait: CarrierWait): Promise<void> {
    await this.#messages.send("parcel", manifest, descriptors, wait);
    await this.#messages.receive("ready", NO_CONTENT, wait);
  }

  async ended(wait: CarrierWait): Promise<never> {
    return await this.#messages.ended(wait);
  }

  async transfer(late: Uint8Array, wait: CarrierWait): Promise<void> {
    await this.#messages.send("frozen", late, [], wait);
    await this.#messages.receive("taken", NO_CONTENT, wait);
  }

  commit(): void {
    this.#messages.throwIfEnded();
    this.#messages.sendNow("commit");
    this.#committed = true;
  }

  released(): void {
    try {
      this.#messages.sendNow("released");
    } catch {
      // The successor is dead, and acknowledged() will say so.
    }
  }

  async acknowledged(wait: CarrierWait): Promise<Uint8Array> {
    const { bytes } = await this.#messages.receive("done", { ...this.#limits, descriptors: 0 }, wait);
    return bytes;
  }

  abort(reason: string): void {
    if (!this.#committed) this.#messages.end(reason);
  }

  close(): void {
    this.abort("it closed the hand-over before it was complete");
    this.#messages.close();
  }
}

class SocketFromOldProcess implements IncomingCarrier {
  readonly name = "socket";
  readonly #messages: MessageSocket;
  readonly #peer: PeerProcess | undefined;
  readonly #limits: MessageLimits;
  #committed = false;
  #orphaned = false;

  constructor({ messages, peer }: Opened, limits: MessageLimits) {
    this.#messages = messages;
    this.#peer = peer;
    this.#limits = limits;
  }

  async receive(wait: CarrierWait): Promise<ReceivedParcel> {
    const { bytes, descriptors } = await this.#messages.receive("parcel", this.#limits, wait);
    return { manifest: bytes, descriptors };
  }

  async ready(wait: CarrierWait): Promise<Uint8Array> {
    await this.#messages.send("ready", NOTHING, [], wait);
    const { bytes } = await this.#messages.receive("frozen", { ...this.#limits, descriptors: 0 }, wait);
    return bytes;
  }

  async taken(wait: CarrierWait): Promise<void> {
    try {
      await this.#messages.send("taken", NOTHING, [], wait);
      await this.#messages.receive("commit", NO_CONTENT, wait);
    } catch (error) {
      if (!wait.signal.aborted && wentAwaySilently(error)) {
        await this.#inherit(error, wait);
        this.#orphaned = true;
        // Whatever ended the wait here: either the commit is there by now, or it can no longer be sent.
      } else if (!this.#messages.shutOut("commit")) {
        this.#messages.end(`it does not wait for the commit any longer: ${error}`);
        throw error;
      }
    }
    this.#committed = true;
  }

  async released(wait: CarrierWait): Promise<void> {
    if (this.#orphaned) return;
    try {
      await this.#messages.receive("released", NO_CONTENT, wait);
    } catch (error) {
      // A dead process has released everything.
      if (!wentAwaySilently(error)) throw error;
      await this.#inherit(error, wait);
    }
  }

  done(report: Uint8Array): void {
    try {
      this.#messages.sendNow("done", report);
    } catch {
      // The old process is gone, or about to end.
    }
  }

  fail(reason: string): void {
    if (!this.#committed) this.#messages.end(reason);
  }

  close(): void {
    this.fail("it closed the hand-over before it was complete");
    this.#peer?.close();
    this.#messages.close();
  }

  /** Resolves once the old process is dead, and throws if it lives and has only closed its socket. */
  async #inherit(cause: unknown, wait: CarrierWait): Promise<void> {
    if (this.#peer === undefined) {
      throw new VfioError({
        errno: ESRCH,
        syscall: "pidfd_open",
        why: "the old process went away without a reason, and it could not give a pidfd that would say whether it is dead",
        cause,
      });
    }
    if (!(await this.#peer.died(wait))) throw cause;
  }
}
