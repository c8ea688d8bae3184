/**
 * The client's memory, as a device sees it: ranges of IOVAs that come and go.
 *
 * @module
 */

import { constants } from "node:os";
import { checkBytes, checkInteger } from "../../base/arguments.js";
import { VfioError } from "../../base/errors.js";
import { counted, showAs } from "../../base/inspect.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { toIova } from "../../memory/iova-range.js";
import { MappingTable } from "../../memory/mapping-table.js";
import type { PeerConnection } from "../peer/connection.js";
import { DMA_MAP_FILE_IO, DMA_MAP_MMAP, DMA_MAP_READ, DMA_MAP_WRITE, ProtocolError } from "../protocol/constants.js";
import { type DmaMap, dmaRead, dmaWrite } from "../protocol/messages.js";
import { DirtyLog } from "./dirty-log.js";
import { openSharedFile, type SharedFile } from "./shared-file.js";

const { ECANCELED, EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOTCONN, EPERM, EPROTO } = constants.errno;

const KNOWN_FLAGS = DMA_MAP_READ | DMA_MAP_WRITE | DMA_MAP_MMAP | DMA_MAP_FILE_IO;
const PAGE = 4096n;
// Messages under way for one access: one travels while the other is copied. Two answers of 64 KiB fit into QEMU's socket, which
// must have room for them (see session.ts).
const WINDOW = 2;

/** A range of the client's memory that the device may use. */
export interface ClientRange {
  readonly iova: bigint;
  readonly length: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
}

interface Range extends ClientRange {
  readonly file: SharedFile | undefined;
  /** The descriptor's file and part, for the same range twice; undefined if it is not known. */
  readonly identity: string | undefined;
  /** Whether the client has sent a file of it. */
  readonly hasFile: boolean;
  gone: boolean;
}

/** How the memory of the client at hand is reached by messages. @internal */
export interface MemoryLink {
  readonly connection: PeerConnection;
  /** The most bytes in one message. */
  readonly maxTransfer: number;
  /** How long an answer may take, in milliseconds. */
  readonly timeout: number;
  /** A message about memory that came with a file has failed: the client may be one that answers none. */
  readonly unanswered: (error: VfioError) => void;
}

/** What a mapping must keep to. @internal */
export interface MemoryLimits {
  readonly maxRanges: number;
  readonly trusted: boolean;
}

/**
 * The memory that the client has given to the device: an {@link PciDevice.dma}. All addresses are IOVAs.
 *
 * Memory that came with a descriptor is used directly, as far as the client can do no harm with it; the rest is read and written
 * by messages to the client. Either way an
 * access is checked against the ranges and their permissions. What the client takes back is out of reach when it hears that
 * the device has let go of it.
 */
export class ClientMemory {
  readonly #ranges = new MappingTable<Range>();
  #link: MemoryLink | undefined;
  #log: DirtyLog | undefined;

  /** The ranges that the client has given, by IOVA. A snapshot. */
  get ranges(): readonly ClientRange[] {
    return [...this.#ranges].map(({ iova, length, readable, writable }) => ({ iova, length, readable, writable }));
  }

  /**
   * Reads a part of the memory.
   *
   * @param length in bytes
   * @throws VfioError EFAULT where nothing is mapped, EPERM where the client allows no reading; ECANCELED if the client took it
   *   back meanwhile; ENOTCONN, ECONNRESET without a client, or when it is gone; ETIMEDOUT, or the client's own errno, for memory that is reached
   *   by messages
   */
  async read(iova: number | bigint, length: number): Promise<Uint8Array> {
    const into = new Uint8Array(checkLength(length));
    await this.readInto(iova, into);
    return into;
  }

  /** Reads a part of the memory into `into`. Throws as {@link read}. */
  async readInto(iova: number | bigint, into: Uint8Array): Promise<void> {
    checkBytes("into", into);
    for (const { range, at, from, to } of this.#parts(toIova("iova", iova), into.length, "read")) {
      const part = into.subarray(from, to);
      // The client may have taken it back while the part before it was under way.
      this.#connected(range, "read", at, part.length);
      if (range.file?.read(Number(at - range.iova), part) === true) continue;
      await this.#readByMessage(range, at, part);
    }
  }

  /** Writes into the memory. Throws as {@link read}, with EPERM where the client allows no writing. */
  async write(iova: number | bigint, bytes: Uint8Array): Promise<void> {
    checkBytes("bytes", bytes);
    for (const { range, at, from, to } of this.#parts(toIova("iova", iova), bytes.length, "write")) {
      const part = bytes.subarray(from, to);
      this.#connected(range, "write", at, part.length);
      // Before the write, and not behind it: a report in between must not miss it.
      this.#log?.mark(at, part.length);
      if (range.file?.write(Number(at - range.iova), part) === true) continue;
      await this.#writeByMessage(range, at, part);
    }
  }

  /**
   * The memory itself, for a part that lies in one range and is mapped (see `trustClients` of the server); undefined
   * otherwise, and then {@link read} and {@link write} still reach it.
   *
   * When the client takes the memory back, or is gone, the view becomes empty. Tell {@link markDirty} what you write through it.
   * Writes into memory that may only be read stay in this process.
   */
  view(iova: number | bigint, length: number): Uint8Array | undefined {
    const start = toIova("iova", iova);
    const range = this.#ranges.at(start);
    if (this.#link === undefined) return undefined;
    if (range?.file === undefined || start + BigInt(checkLength(length)) > range.iova + range.length) return undefined;
    return range.file.view(Number(start - range.iova), length);
  }

  /** Says that a part was written through a {@link view}, for a migration's log. {@link write} says so by itself. */
  markDirty(iova: number | bigint, length: number): void {
    this.#log?.mark(toIova("iova", iova), checkLength(length));
  }

  /** The parts of an access, range by range. All of them are checked before the first is touched. */
  #parts(iova: bigint, length: number, how: "read" | "write"): readonly Part[] {
    if (this.#link === undefined)
      throw refusal(ENOTCONN, how, iova, length, "the client is gone, or none was connected");
    const parts: Part[] = [];
    for (let from = 0; from < length; ) {
      const at = iova + BigInt(from);
      const range = this.#ranges.at(at);
      if (range === undefined) throw refusal(EFAULT, how, iova, length, `nothing is mapped at 0x${at.toString(16)}`);
      if (!(how === "read" ? range.readable : range.writable)) {
        throw refusal(EPERM, how, iova, length, `the client allows no ${how} at 0x${at.toString(16)}`);
      }
      const end = range.iova + range.length - iova;
      const to = end < BigInt(length) ? Number(end) : length;
      parts.push({ range, at, from, to });
      from = to;
    }
    return parts;
  }

  // ---- by messages -------------------------------------------------------------------------------------------------

  async #readByMessage(range: Range, iova: bigint, into: Uint8Array): Promise<void> {
    const link = this.#connected(range, "read", iova, into.length);
    const { maxTransfer } = link;
    const reading = inWindow(into.length, maxTransfer, (from) => {
      // Again for each message, for the same reason.
      const { connection, timeout } = this.#connected(range, "read", iova, into.length);
      const part = into.subarray(from, from + maxTransfer);
      const at = iova + BigInt(from);
      return connection.request(dmaRead, { iova: at, count: BigInt(part.length) }, timeout, (reply) => {
        if (range.gone) throw refusal(ECANCELED, "read", iova, into.length, "the client took the memory back");
        if (reply.iova !== at || reply.data.length !== part.length) throw wrongReply(dmaRead.name);
        part.set(reply.data);
      });
    });
    await explained(reading, range, link);
  }

  async #writeByMessage(range: Range, iova: bigint, bytes: Uint8Array): Promise<void> {
    const link = this.#connected(range, "write", iova, bytes.length);
    const { maxTransfer } = link;
    const writing = inWindow(bytes.length, maxTransfer, (from) => {
      const { connection, timeout } = this.#connected(range, "write", iova, bytes.length);
      const part = bytes.subarray(from, from + maxTransfer);
      const at = iova + BigInt(from);
      return connection.request(dmaWrite, { iova: at, data: part }, timeout, (reply) => {
        if (reply !== undefined && (reply.iova !== at || reply.count !== BigInt(part.length))) {
          throw wrongReply(dmaWrite.name);
        }
        if (range.gone) throw refusal(ECANCELED, "write", iova, bytes.length, "the client took the memory back");
      });
    });
    await explained(writing, range, link);
  }

  #connected(range: Range, how: "read" | "write", iova: bigint, length: number): MemoryLink {
    if (this.#link === undefined || range.gone) {
      throw refusal(
        range.gone ? ECANCELED : ENOTCONN,
        how,
        iova,
        length,
        "the client took the memory back, or is gone",
      );
    }
    return this.#link;
  }

  // ---- the client's side -------------------------------------------------------------------------------------------

  /** @internal */
  connect(link: MemoryLink): void {
    this.#link = link;
  }

  /** The client is gone: every access is refused from here on. The ranges stay until {@link disconnect}. @internal */
  leave(): void {
    this.#link = undefined;
  }

  /** Gives everything back. @internal */
  disconnect(): void {
    this.#link = undefined;
    this.#log = undefined;
    for (const range of [...this.#ranges]) this.#drop(range);
  }

  /**
   * @param fd borrowed
   * @throws ProtocolError, VfioError
   * @internal
   */
  map({ flags, offset, iova, size }: DmaMap, fd: OwnedFd | undefined, { maxRanges, trusted }: MemoryLimits): void {
    const refuse = (errno: number, why: string) => new ProtocolError(errno, "VFIO_USER_DMA_MAP", why);
    if ((flags & ~KNOWN_FLAGS) !== 0) throw refuse(EINVAL, `unknown flags 0x${(flags & ~KNOWN_FLAGS).toString(16)}`);
    if ((flags & (DMA_MAP_MMAP | DMA_MAP_FILE_IO)) !== 0 && fd === undefined) {
      throw refuse(EINVAL, "it is to be mapped, and came without a descriptor");
    }
    if (size === 0n || iova % PAGE !== 0n || size % PAGE !== 0n) {
      throw refuse(EINVAL, `0x${iova.toString(16)} and 0x${size.toString(16)} must be of whole pages of 4096 bytes`);
    }
    if (iova + size > 1n << 64n || offset + size > 1n << 63n) throw refuse(EINVAL, "it ends behind the last address");
    const readable = (flags & DMA_MAP_READ) !== 0;
    const writable = (flags & DMA_MAP_WRITE) !== 0;
    const existing = this.#ranges.firstOverlap(iova, size);
    if (existing === undefined && this.#ranges.size >= maxRanges)
      throw refuse(ENOSPC, `${maxRanges} ranges are mapped`);
    const file = fd === undefined ? undefined : openSharedFile(fd, offset, size, { writable, trusted });
    const identity = file?.identity ?? (fd === undefined ? "messages" : undefined);
    const hasFile = fd !== undefined;
    const range: Range = { iova, length: size, readable, writable, file, identity, hasFile, gone: false };
    if (existing === undefined) {
      this.#ranges.insert(range);
      return;
    }
    file?.close();
    // The very same again changes nothing, and a client that lost count may say it twice.
    if (!same(existing, range)) throw refuse(EEXIST, `it overlaps the range at 0x${existing.iova.toString(16)}`);
  }

  /** The range that an unmapping names. @throws ProtocolError ENOENT @internal */
  exactly(iova: bigint, size: bigint): ClientRange {
    const range = this.#ranges.at(iova);
    if (range !== undefined && range.iova === iova && range.length === size) return range;
    const what = `0x${iova.toString(16)}, 0x${size.toString(16)} bytes`;
    throw new ProtocolError(ENOENT, "VFIO_USER_DMA_UNMAP", `no range was mapped exactly so: ${what}`);
  }

  /** @internal */
  unmap(iova: bigint, size: bigint): void {
    this.exactly(iova, size);
    const range = this.#ranges.at(iova);
    if (range !== undefined) this.#drop(range);
  }

  /** @internal */
  unmapAll(): void {
    for (const range of [...this.#ranges]) this.#drop(range);
  }

  #drop(range: Range): void {
    this.#ranges.remove(range);
    range.gone = true;
    range.file?.close();
  }

  /** What the device has written since the log began; undefined while none is kept. @internal */
  get log(): DirtyLog | undefined {
    return this.#log;
  }

  /** @internal */
  startLog(): void {
    this.#log = new DirtyLog();
  }

  /** @internal */
  stopLog(): void {
    this.#log = undefined;
  }
}

interface Part {
  readonly range: Range;
  /** Where it begins, as an IOVA. */
  readonly at: bigint;
  /** Which part of the caller's bytes it is. */
  readonly from: number;
  readonly to: number;
}

/**
 * Moves parts, in order, with at most {@link WINDOW} of them under way. After a failure nothing more is begun, and what is under way
 * is waited for: the caller's bytes are its own again.
 *
 * @throws the first failure
 */
async function inWindow(length: number, step: number, move: (from: number) => Promise<void>): Promise<void> {
  let next = 0;
  const inTurn = async (): Promise<void> => {
    while (next < length) {
      const from = next;
      next += step;
      try {
        await move(from);
      } catch (error) {
        next = length;
        throw error;
      }
    }
  };
  if (length <= step) return inTurn();
  const ends = await Promise.allSettled(Array.from({ length: WINDOW }, inTurn));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/**
 * Waits for messages, and adds to their failure what helps where the client has sent a file of the memory: a message is what is
 * left where that file is not mapped and cannot be read or written.
 */
async function explained(messages: Promise<void>, { hasFile }: Range, { unanswered }: MemoryLink): Promise<void> {
  try {
    await messages;
  } catch (error) {
    if (!hasFile || !(error instanceof VfioError) || error.errno === -ECANCELED) throw error;
    const { errno, syscall, request, why, code } = error;
    const explanation = new VfioError({
      errno,
      syscall,
      ...(request === undefined ? {} : { request }),
      object: "the client's memory",
      why:
        `${why ?? code}. The client has sent a file of this memory, which is not mapped because the client could end this process ` +
        "with it, and some clients (SPDK's host) answer no messages about their memory",
      fix: "pass trustClients: true to VfioUserServer.listen() or serve() if you trust the clients: the file is mapped then",
      cause: error,
    });
    unanswered(explanation);
    throw explanation;
  }
}

function same(a: Range, b: Range): boolean {
  return (
    a.iova === b.iova &&
    a.length === b.length &&
    a.readable === b.readable &&
    a.writable === b.writable &&
    a.identity !== undefined &&
    a.identity === b.identity
  );
}

function refusal(errno: number, how: "read" | "write", iova: bigint, length: number, why: string): VfioError {
  return new VfioError({ errno, syscall: `dma.${how}`, args: { iova, length }, object: "the client's memory", why });
}

function wrongReply(name: string): ProtocolError {
  return new ProtocolError(EPROTO, name, "the reply is about another address or length");
}

function checkLength(length: number): number {
  // What one ArrayBuffer can hold everywhere (Node 20: 4 GiB).
  return checkInteger("length", length, 0, 0xffff_ffff);
}

showAs(ClientMemory, (memory) => counted(memory.ranges.length, "range"));
