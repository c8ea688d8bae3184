/**
 * The vfio-user container: a device that another process emulates, at the other end of a Unix socket. It needs no kernel
 * driver, no IOMMU and no privileges.
 *
 * The server is the IOMMU here: it learns every range of memory, with the memory's descriptor where there is one that it may
 * have, and keeps to the ranges and their permissions as far as it is honest. Memory that it has a descriptor of is its own from then on, as far as
 * the file goes: share with a server what it may see.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import { fstatSync } from "node:fs";
import { constants as os } from "node:os";
import {
  anything,
  checkBoolean,
  checkDescriptor,
  checkListener,
  checkOptions,
  integer,
  knownOptions,
} from "../../base/arguments.js";
import { argTypeError, outOfRangeError, VfioError } from "../../base/errors.js";
import type { AddDescriptor, Blocker } from "../../base/preserve.js";
import { Container } from "../../container/container.js";
import type { HandOver, PreservedContainer } from "../../container/hand-over.js";
import type { DmaMapping } from "../../container/mapping.js";
import type { AttachOptions, SpaceInfo } from "../../container/options.js";
import type { Attachment } from "../../device/attachment.js";
import type { Device } from "../../device/device.js";
import { type DeviceState, mapDeviceState } from "../../device/state.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { UnixListener, UnixSocket } from "../../kernel/unix-socket.js";
import type { DmaMemory } from "../../memory/dma-buffer.js";
import { MappingTable } from "../../memory/mapping-table.js";
import { cannotFault } from "../../memory/memory-file.js";
import { DMA_MAP_READ, DMA_MAP_WRITE } from "../protocol/constants.js";
import { type DmaMap, type DmaUnmap, dmaMap, dmaUnmap } from "../protocol/messages.js";
import { defaultCapabilities } from "../protocol/version.js";
import { type CallOptions, ClientConnection, type ConnectionOptions } from "./connection.js";
import { answerServer } from "./dma.js";
import { type PortOptions, UserPort } from "./port.js";
import type { ConnectionState, PortState } from "./state.js";

/** How a vfio-user container is opened. */
export interface UserContainerOptions {
  /**
   * Where the server listens: a path, or a name in the abstract namespace (which begins with NUL). Or the descriptor of a
   * stream socket that is connected already, which belongs to the container from here on and serves one attach.
   */
  readonly socket: string | number;
  /** How long the server may take for an answer, in milliseconds. Default 5000, as QEMU's. */
  readonly timeout?: number;
  /**
   * Whether writes to the device's memory are sent without waiting for an answer, as a processor's are: several times faster, and
   * a write that the device refuses is lost. Done for devices of which no region is mapped. Default true.
   */
  readonly postedWrites?: boolean;
  /**
   * Whether the server is trusted not to end this process: a server that cuts or empties a file whose memory is mapped here does
   * so, with SIGBUS. Default false.
   *
   * Without it, a region is mapped only if its file is a sealed memfd without huge pages (`F_SEAL_SHRINK`), and is reached by
   * messages otherwise. And the server gets the file of memory that is mapped for the device only if that is such a memfd, as
   * that of a `DmaBuffer` without huge pages; it reaches other memory by messages.
   */
  readonly trustServer?: boolean;
}

/** What a successor must know of a container, its connection and its device. */
export interface UserContainerState<Fd> extends ConnectionState<Fd>, PortOptions {
  /** Where the server listens; undefined if the socket came as a descriptor. */
  readonly path: string | undefined;
  readonly timeout: number;
  /** What the device is called. */
  readonly address: string;
  /** What the server has said of the device. */
  readonly port: PortState<Fd>;
  /** Its interrupts. */
  readonly device: DeviceState<Fd>;
}

declare module "../../container/hand-over.js" {
  interface PreservedContainers {
    readonly sockets: UserContainerState<number>;
  }
}

/** The same state with other descriptors: borrowed ones sent, or received ones owned. */
export function withDescriptors<From, To>(
  state: UserContainerState<From>,
  convert: (fd: From) => To,
): UserContainerState<To> {
  const { socket, twin, port, device, ...rest } = state;
  const optional = (fd: From | undefined) => (fd === undefined ? undefined : convert(fd));
  return {
    ...rest,
    socket: convert(socket),
    twin: optional(twin),
    port: { ...port, regions: port.regions.map(({ file, ...region }) => ({ ...region, file: optional(file) })) },
    device: mapDeviceState(device, convert),
  };
}

/** Memory whose file a server cannot cut or empty. Asking takes several system calls, and some memory is mapped thousands of times. */
const harmlessFiles = new WeakMap<DmaMemory, boolean>();

const { EBUSY, EDEADLK, EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOTCONN, ETIMEDOUT, ECANCELED } = os.errno;
// Node's timers count up to here, in milliseconds.
const LONGEST = 2 ** 31 - 1;
const DEFAULT_TIMEOUT = 5000;
// How long to wait before a listener's queue that was full is tried again. Nothing tells when it has room.
const QUEUE_PAUSE_MS = 10;

const userOptions = knownOptions<UserContainerOptions>({
  socket: anything,
  timeout: integer(1, LONGEST),
  postedWrites: checkBoolean,
  trustServer: checkBoolean,
});

/** What a container tells of. */
export interface UserContainerEvents {
  /** The server is gone. The device is to be closed; then it can be attached again. */
  lost: [error: VfioError];
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * A container with the device of one vfio-user server. Made by {@link UserContainer.open}.
 *
 * Calls block until the server has answered, as system calls do; what the server asks meanwhile is answered too. So the server runs
 * in another process, or at least on another thread.
 *
 * When the server goes away, everything that asks it throws `ENOTCONN`, and says when and during what it happened. What only gives
 * back (`close`, `unmap`, `disable`) works nevertheless.
 */
export class UserContainer extends Container {
  declare readonly mode: "vfio-user";
  protected readonly requests = { map: dmaMap.name, unmap: dmaUnmap.name };
  protected override readonly syscall = "vfio-user";
  protected override readonly counterpart = "the server";
  readonly #socket: string | number;
  readonly #timeout: number;
  readonly #port: PortOptions;
  readonly #events = new EventEmitter<UserContainerEvents>();
  /** What the server was told of, from before it is told until it has forgotten. */
  readonly #told = new MappingTable<DmaMapping>();
  #connection: ClientConnection | undefined;
  #userPort: UserPort | undefined;
  #lost: VfioError | undefined;
  #used = false;

  /**
   * The socket travels, and the server notices nothing. While it does, nobody reads: what the server asks waits in the socket.
   *
   * @internal
   */
  readonly handOver: HandOver = {
    blockers: () => this.#blockers(),
    prepare: () => {},
    freeze: () => this.#attachedConnection().suspend(),
    thaw: () => this.#attachedConnection().resume(),
    takeOver: () => {},
    finish: () => this.#attachedConnection().resume(),
  };

  /**
   * Opens an empty container. The first attach connects to the server.
   *
   * @param options.socket where the server listens, or a connected socket, which belongs to the container from here on
   * @throws TypeError, RangeError for wrong options
   */
  static open(options: UserContainerOptions): UserContainer {
    checkOptions("options", options, userOptions);
    const { socket, timeout = DEFAULT_TIMEOUT, postedWrites = true, trustServer = false } = options;
    if (typeof socket === "number") checkDescriptor("socket", socket);
    else if (typeof socket !== "string") throw argTypeError("socket", "a path or a descriptor", socket);
    return new UserContainer(socket, timeout, { postedWrites, trustServer });
  }

  private constructor(socket: string | number, timeout: number, port: PortOptions) {
    super("vfio-user");
    this.#socket = socket;
    this.#timeout = timeout;
    this.#port = port;
  }

  /**
   * A container with a device that another process has attached.
   *
   * @param state its descriptors belong to the container from here on; if this throws, they are still the caller's
   * @internal
   */
  static retrieve(state: UserContainerState<OwnedFd>): UserContainer {
    const { path, timeout, postedWrites, trustServer, agreement, address } = state;
    const socket = UnixSocket.ofStream(state.socket);
    const twin = state.twin === undefined ? undefined : UnixSocket.ofStream(state.twin);
    const container = new UserContainer(path ?? socket.fd, timeout, { postedWrites, trustServer });
    // A socket that came as a descriptor serves one attach, and this is the one.
    container.#used = true;
    container.#connection = ClientConnection.inherit({ socket, twin, agreement }, container.#connectionOptions());
    const port = UserPort.inherit(container.#connection, container.#port, state.port);
    container.inheritDevices([{ tie: container.#tie(address, port), state: state.device }]);
    return container;
  }

  /** @internal */
  override inheritMappings(parts: Parameters<Container["inheritMappings"]>[0]): void {
    super.inheritMappings(parts);
    for (const mapping of this.mappings) this.#told.insert(mapping);
  }

  /** What the socket is called: its path, `@name` for one in the abstract namespace. */
  get socket(): string {
    if (typeof this.#socket === "number") return `socket ${this.#socket}`;
    return this.#socket.startsWith("\0") ? `@${this.#socket.slice(1)}` : this.#socket;
  }

  // ---- devices -----------------------------------------------------------------------------------------------------

  /**
   * Connects to the server and attaches its device. One at a time; once it is closed, it can be attached again.
   *
   * @param address what the device is called here. Default: {@link socket}
   * @param options mean nothing here: there is neither a VFIO file nor a virtual function
   * @throws VfioError that says what stands in the way; nothing is left open
   */
  override attach(address: string = this.socket, options: AttachOptions = {}): Device {
    return super.attach(address, options);
  }

  protected open(address: string, options: AttachOptions): Attachment {
    if (options.vfToken !== undefined) {
      throw outOfRangeError("vfToken", "left out: a vfio-user device has none", options.vfToken);
    }
    this.refuseAttached(address);
    if (this.#connection !== undefined) {
      throw this.#error(EBUSY, "connect", "one socket has one device, and it is attached", "close it first");
    }
    const connection = ClientConnection.open(this.#connect(), this.#connectionOptions());
    this.#connection = connection;
    this.#lost = undefined;
    return this.#tie(address, new UserPort(connection, this.#port));
  }

  #connectionOptions(): ConnectionOptions {
    return {
      label: this.socket,
      timeout: this.#timeout,
      answer: (frame, room) => answerServer(frame, this.#told, defaultCapabilities.max_data_xfer_size, room),
      lost: (error) => this.#disconnected(error),
    };
  }

  #tie(address: string, port: UserPort): Attachment {
    this.#userPort = port;
    return {
      address,
      port,
      door: "socket",
      iommufdId: undefined,
      pageTableId: undefined,
      group: undefined,
      groupFds: () => new Map(),
      beforeClose: () => {
        // While the server can still say that it has let go.
        this.unmapAll();
      },
      afterClose: () => {
        this.#connection = undefined;
        this.#userPort = undefined;
        this.#told.clear();
      },
    };
  }

  #connect(): UnixSocket {
    const path = this.#socket;
    if (typeof path === "number") {
      if (this.#used) throw this.#error(ENOTCONN, "connect", "the socket was used before, and is closed");
      const socket = UnixSocket.adopt(path, this.socket);
      this.#used = true;
      if (socket.type === "stream") return socket;
      socket.close();
      throw this.#error(EINVAL, "connect", "it is not a stream socket");
    }
    if (UnixListener.listensHere(path)) {
      throw this.#error(
        EDEADLK,
        "connect",
        "the server listens on this very thread, which could not answer while it waits for the answer",
        "run the server in a process or worker of its own",
      );
    }
    const deadline = performance.now() + this.#timeout;
    for (;;) {
      const socket = UnixSocket.tryConnect(path, "stream");
      if (socket !== undefined) return socket;
      if (performance.now() > deadline) throw this.#error(ETIMEDOUT, "connect", "too many wait to be accepted there");
      pause(QUEUE_PAUSE_MS);
    }
  }

  #error(errno: number, request: string, why: string, fix?: string): VfioError {
    const init = { errno, syscall: "vfio-user", request, object: this.socket, why };
    return new VfioError(fix === undefined ? init : { ...init, fix });
  }

  #disconnected(error: VfioError): void {
    this.#lost = error;
    this.#events.emit("lost", error);
  }

  /** Why and when the server was lost; undefined while it is there, or nothing is attached. */
  get lost(): VfioError | undefined {
    return this.#lost;
  }

  /** Listens to an event: see {@link UserContainerEvents}. */
  on<Event extends keyof UserContainerEvents>(
    event: Event,
    listener: (...args: UserContainerEvents[Event]) => void,
  ): this {
    checkListener(["lost"], event, listener);
    this.#events.on<keyof UserContainerEvents>(event, listener);
    return this;
  }

  /** Listens to an event once. */
  once<Event extends keyof UserContainerEvents>(
    event: Event,
    listener: (...args: UserContainerEvents[Event]) => void,
  ): this {
    checkListener(["lost"], event, listener);
    this.#events.once<keyof UserContainerEvents>(event, listener);
    return this;
  }

  /** Listens no more. */
  off<Event extends keyof UserContainerEvents>(
    event: Event,
    listener: (...args: UserContainerEvents[Event]) => void,
  ): this {
    checkListener(["lost"], event, listener);
    this.#events.off<keyof UserContainerEvents>(event, listener);
    return this;
  }

  // ---- memory ------------------------------------------------------------------------------------------------------

  #attachedConnection(): ClientConnection {
    if (this.#connection === undefined) throw this.#error(ENODEV, "connect", "no device is attached");
    return this.#connection;
  }

  protected readSpace(): SpaceInfo {
    const { maxMaps, pageSizes } = this.#attachedConnection().agreement;
    return {
      ranges: [{ start: 0n, last: (1n << 64n) - 1n }],
      pageSizes,
      entriesLeft: Math.max(0, maxMaps - this.#told.size),
    };
  }

  /** What the server is told of a mapping. From here on it may ask for the memory. */
  #tell(connection: ClientConnection, mapping: DmaMapping): CallOptions & { readonly value: DmaMap } {
    const { iova, length, read, write, memory, offset } = mapping;
    const file = connection.agreement.maxFds > 0 ? this.#fileFor(memory) : undefined;
    this.#told.insert(mapping);
    return {
      value: {
        flags: (read ? DMA_MAP_READ : 0) | (write ? DMA_MAP_WRITE : 0),
        offset: file === undefined ? 0n : BigInt(file.offset + offset),
        iova,
        size: BigInt(length),
      },
      fds: file === undefined ? [] : [file.fd],
      // The program was told that it failed: the server is to forget it.
      late: () => connection.post(dmaUnmap, unmapOf(mapping)),
    };
  }

  /** The memory's file, if the server may have it: not if it could cut or empty it, and end this process so. */
  #fileFor(memory: DmaMemory): ReturnType<DmaMemory["backing"]> {
    const file = memory.backing();
    if (file === undefined || this.#port.trustServer) return file;
    let harmless = harmlessFiles.get(memory);
    if (harmless === undefined) {
      // A descriptor that is no regular file (a dma-buf) has neither a length nor pages that somebody can change.
      harmless = !fstatSync(file.fd).isFile() || cannotFault(file.fd);
      harmlessFiles.set(memory, harmless);
    }
    return harmless ? file : undefined;
  }

  #isFull(connection: ClientConnection): boolean {
    return this.#told.size >= connection.agreement.maxMaps;
  }

  protected kernelMap(mapping: DmaMapping): number {
    const connection = this.#attachedConnection();
    if (this.#isFull(connection)) return -ENOSPC;
    const { value, ...options } = this.#tell(connection, mapping);
    let done = false;
    try {
      const outcome = connection.call(dmaMap, value, options);
      done = outcome.ok;
      return outcome.ok ? 0 : -outcome.errno;
    } finally {
      if (!done) this.#told.remove(mapping);
    }
  }

  protected async kernelMapAsync(mapping: DmaMapping): Promise<number> {
    const connection = this.#attachedConnection();
    if (this.#isFull(connection)) return -ENOSPC;
    const { value, ...options } = this.#tell(connection, mapping);
    let done = false;
    try {
      const outcome = await connection.callAsync(dmaMap, value, { ...options, timeout: this.#timeout });
      // The device was closed in between, and with it went what was mapped.
      if (outcome.ok && connection !== this.#connection) return -ECANCELED;
      done = outcome.ok;
      return outcome.ok ? 0 : -outcome.errno;
    } finally {
      if (!done && connection === this.#connection) this.#told.remove(mapping);
    }
  }

  protected kernelMapMany(mappings: readonly DmaMapping[]): { done: number; errno: number } {
    const connection = this.#attachedConnection();
    const room = Math.max(0, connection.agreement.maxMaps - this.#told.size);
    const sent = mappings.slice(0, room);
    const requests: (CallOptions & { readonly value: DmaMap })[] = [];
    try {
      for (const mapping of sent) requests.push(this.#tell(connection, mapping));
    } catch (error) {
      for (const mapping of sent.slice(0, requests.length)) this.#told.remove(mapping);
      throw error;
    }
    const outcomes = connection.callEach(dmaMap, requests);
    const failed = outcomes.findIndex(({ ok }) => !ok);
    const first = failed < 0 ? undefined : outcomes[failed];
    if (first === undefined || first.ok) return { done: sent.length, errno: ENOSPC };
    // Those behind the first refusal were on their way already. Nobody is to be told of some that were made before a failure of
    // the connection, either.
    const thrown = first.thrown;
    const unwanted = sent.filter(
      (_, index) => outcomes[index]?.ok === true && (index > failed || thrown !== undefined),
    );
    for (const [index, mapping] of sent.entries()) if (outcomes[index]?.ok !== true) this.#told.remove(mapping);
    this.kernelUnmapMany(unwanted);
    if (thrown !== undefined) throw thrown;
    return { done: failed, errno: first.errno };
  }

  protected kernelUnmap(iova: bigint, length: number | bigint): number {
    // A server forgets ranges exactly as it was told of them.
    const removed = this.kernelUnmapMany(this.#told.overlapping(iova, length));
    const refused = removed.find((bytes) => bytes < 0);
    return refused ?? removed.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** The server has answered for each. Asking again could take as long as it may take to answer, each time. */
  protected override isKept(mapping: DmaMapping): boolean {
    return this.#told.at(mapping.iova) === mapping;
  }

  protected override kernelUnmapMany(mappings: readonly DmaMapping[]): readonly number[] {
    const connection = this.#connection;
    if (connection === undefined || connection.over) {
      // There is nobody any more who could use the memory.
      for (const mapping of mappings) this.#told.remove(mapping);
      return mappings.map(({ length }) => length);
    }
    const outcomes = connection.callEach(
      dmaUnmap,
      mappings.map((mapping) => ({ value: unmapOf(mapping) })),
    );
    const failures: Error[] = [];
    const removed = mappings.map((mapping, index) => {
      const outcome = outcomes[index];
      // ENOENT: it has forgotten it already, after a request that was given up.
      const gone = outcome === undefined || outcome.ok || outcome.errno === ENOENT || connection.over;
      if (gone) this.#told.remove(mapping);
      else if (outcome.thrown !== undefined) failures.push(outcome.thrown);
      return gone ? mapping.length : -outcome.errno;
    });
    const [failure] = failures;
    if (failure !== undefined && failures.length === mappings.length) throw failure;
    return removed;
  }

  protected async kernelUnmapAsync(mapping: DmaMapping): Promise<number> {
    const connection = this.#connection;
    if (connection !== undefined && !connection.over) {
      try {
        const outcome = await connection.callAsync(dmaUnmap, unmapOf(mapping), { timeout: this.#timeout });
        if (!outcome.ok && outcome.errno !== ENOENT) return -outcome.errno;
      } catch (error) {
        if (!connection.over) throw error;
      }
    }
    this.#told.remove(mapping);
    return mapping.length;
  }

  protected override get callsGoOn(): boolean {
    // With the connection go all requests, and what is called then may close the device before they have been told.
    return this.#connection?.over === false;
  }

  protected kernelUnmapAll(): number {
    // Not by VFIO_DMA_UNMAP_FLAG_ALL: the specification does not have it, a server that does not know it may answer with success,
    // and nothing in the answer says that nothing was unmapped.
    return this.kernelUnmap(0n, END);
  }

  protected override explainMap(errno: number, mapping: DmaMapping): { why: string; fix?: string } | undefined {
    switch (errno) {
      case ENOSPC:
        return {
          why: `the server takes no more than ${this.#attachedConnection().agreement.maxMaps} ranges, or none of this length`,
          fix: "map fewer, larger pieces",
        };
      case EEXIST:
        return { why: "the server says that something is mapped there" };
      case ENOMEM:
        return { why: "the server has no memory left for it" };
      case EINVAL:
        return { why: `the server refuses it: ${mapping.memory.label}, or the range, is nothing that it can use` };
      default:
        return { why: "the server refused it" };
    }
  }

  // ---- between two processes, and the end --------------------------------------------------------------------------

  #blockers(): readonly Blocker[] {
    const blocker = (why: string, fix: string): Blocker[] => [{ device: undefined, object: this.toString(), why, fix }];
    const connection = this.#connection;
    if (connection === undefined) return blocker("no device is attached to it", "leave it out");
    if (connection.over) return blocker("the server is gone", "close the device, and leave the container out");
    if (connection.unanswered > 0) {
      return blocker("requests to the server have no answer yet", "wait until they have, and try again");
    }
    return [];
  }

  /**
   * What the server was not asked yet, it is asked now.
   *
   * @throws VfioError
   * @internal
   */
  preserve(add: AddDescriptor): PreservedContainer {
    return { record: "sockets", state: withDescriptors(this.#state(), add) };
  }

  #state(): UserContainerState<number> {
    const [device] = this.devices.values();
    if (device === undefined || this.#userPort === undefined) {
      throw this.#error(ENODEV, "connect", "no device is attached");
    }
    return {
      path: typeof this.#socket === "string" ? this.#socket : undefined,
      timeout: this.#timeout,
      ...this.#port,
      ...this.#attachedConnection().state,
      address: device.address,
      port: this.#userPort.readState(),
      device: device.state,
    };
  }

  protected closeSelf(): void {
    this.#connection?.close();
    this.#connection = undefined;
    if (typeof this.#socket === "number" && !this.#used) UnixSocket.adopt(this.#socket).close();
  }

  protected disownSelf(): void {
    this.closeSelf();
  }

  override toString(): string {
    return `container (vfio-user, ${this.socket})`;
  }
}

const END = 1n << 64n;
// The size of the request and of its reply.
const UNMAP_SIZE = 24;

function unmapOf({ iova, length }: DmaMapping): DmaUnmap {
  return { flags: 0, iova, size: BigInt(length), argsz: UNMAP_SIZE };
}
