/**
 * The client's memory, as its server reaches it by messages: where it came without a descriptor, or where the server prefers it.
 *
 * @module
 */
import { constants } from "node:os";
import { RegionMap } from "../../device/region-map.js";
import { DmaBuffer, type DmaMemory } from "../../memory/dma-buffer.js";
import { CommandNumber, commandName, ProtocolError } from "../protocol/constants.js";
import type { Frame } from "../protocol/framing.js";
import { DMA_DATA_OFFSET, dmaRead, dmaWrite, placeDmaAccess } from "../protocol/messages.js";

const { E2BIG, EFAULT, ENOSYS, EPERM } = constants.errno;
const END = 1n << 64n;

/** A range of memory that the server may use. */
export interface ServedRange {
  readonly iova: bigint;
  readonly length: number;
  readonly read: boolean;
  readonly write: boolean;
  readonly memory: DmaMemory;
  /** Where in the memory it begins. */
  readonly offset: number;
}

/** Where a range is found by an address in it. */
export interface ServedMemory {
  at(iova: bigint): ServedRange | undefined;
}

// Node 20 has no ArrayBuffer above 4 GiB, and each takes some 100 us to make: they are kept.
const WINDOW = 2 ** 30;
const windows = new WeakMap<DmaMemory, Map<number, Uint8Array>>();

/** The window of a memory that an offset lies in. */
function windowAt(memory: DmaMemory, offset: number): Uint8Array {
  let known = windows.get(memory);
  if (known === undefined) {
    known = new Map();
    windows.set(memory, known);
  }
  const start = offset - (offset % WINDOW);
  let window = known.get(start);
  // What was closed since is empty.
  if (window === undefined || window.length === 0) {
    const length = Math.min(WINDOW, memory.length - start);
    if (memory instanceof DmaBuffer) window = new Uint8Array(memory.window(start, length));
    else if (memory instanceof RegionMap) window = new Uint8Array(memory.unsafeArrayBuffer(start, length));
    else throw new ProtocolError(EFAULT, "DMA", `${memory.label} cannot be shown`);
    known.set(start, window);
  }
  return window;
}

/** The pieces that a range of addresses is made of: all of it is mapped with that permission, or it is refused. */
function pieces(
  name: string,
  space: ServedMemory,
  iova: bigint,
  length: number,
  permission: "read" | "write",
): readonly Uint8Array[] {
  if (iova + BigInt(length) > END) throw new ProtocolError(EFAULT, name, "the range ends beyond the last address");
  const found: Uint8Array[] = [];
  let done = 0;
  while (done < length) {
    const at = iova + BigInt(done);
    const range = space.at(at);
    if (range === undefined) throw new ProtocolError(EFAULT, name, `nothing is mapped at 0x${at.toString(16)}`);
    if (!range[permission]) throw new ProtocolError(EPERM, name, `0x${at.toString(16)} is not for a ${permission}`);
    const within = Number(at - range.iova);
    const offset = range.offset + within;
    const window = windowAt(range.memory, offset);
    const step = Math.min(length - done, range.length - within, window.length - (offset % WINDOW));
    found.push(window.subarray(offset % WINDOW, (offset % WINDOW) + step));
    done += step;
  }
  return found;
}

/**
 * Answers a request of the server's.
 *
 * @param largest the most bytes that the server was told it may ask for
 * @param room memory for an answer, which is used again for the next one
 * @returns a message whose header is blank
 * @throws ProtocolError for a request that breaks the rules, or is for memory that the server may not have
 */
export function answerServer(
  { header, payload }: Frame,
  space: ServedMemory,
  largest: number,
  room: (length: number) => Uint8Array,
): Uint8Array {
  switch (header.command) {
    case CommandNumber.dmaRead: {
      const { iova, count } = dmaRead.request.decode(payload);
      if (count > BigInt(largest)) throw new ProtocolError(E2BIG, dmaRead.name, `${count} bytes`);
      const parts = pieces(dmaRead.name, space, iova, Number(count), "read");
      const message = room(DMA_DATA_OFFSET + Number(count));
      let at = DMA_DATA_OFFSET;
      for (const part of parts) {
        message.set(part, at);
        at += part.length;
      }
      placeDmaAccess(message, iova);
      return message;
    }
    case CommandNumber.dmaWrite: {
      const { iova, data } = dmaWrite.request.decode(payload);
      if (data.length > largest) throw new ProtocolError(E2BIG, dmaWrite.name, `${data.length} bytes`);
      let done = 0;
      for (const part of pieces(dmaWrite.name, space, iova, data.length, "write")) {
        part.set(data.subarray(done, done + part.length));
        done += part.length;
      }
      return dmaWrite.reply.encode({ iova, count: BigInt(data.length) });
    }
    default:
      throw new ProtocolError(ENOSYS, commandName(header.command), "a client has no such command");
  }
}
