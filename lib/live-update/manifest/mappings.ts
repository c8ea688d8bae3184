/**
 * The mappings of a container.
 *
 * There are thousands of mappings, and each process reads or writes them once, with code that is not compiled yet. So this part is
 * one loop over the bytes, with the offsets of a `struct`.
 *
 * @module
 */
import { struct, u32, u64 } from "../../base/struct.js";
import type { AnyContainerMode } from "../../container/modes.js";
import { MAX_IOVA } from "../../memory/iova-range.js";
import { getSize, setSize } from "./bytes.js";
import { type MemoryItem, nameMemory } from "./memory.js";
import { checkPages, PAGE, type Part, type Refuse } from "./schema.js";

/** One recorded mapping, exactly as it was made. */
export interface MappingItem {
  readonly iova: bigint;
  readonly length: number;
  readonly read: boolean;
  readonly write: boolean;
  /** An index into the manifest's memory. */
  readonly memory: number;
  /** In the memory, in bytes. */
  readonly offset: number;
}

/** `length` and `offset` are below 2^53, and so numbers. */
const { size: SIZE, offsets } = struct({ iova: u64, length: u64, offset: u64, memory: u32, access: u32 });
const READ = 1;
const WRITE = 2;

const OFFSET_BITS = BigInt(PAGE - 1);
const END = MAX_IOVA + 1n;

export const mappings: Part<readonly MappingItem[]> = {
  leastIn: () => 4,

  write(writer, items) {
    writer.u32(items.length);
    const view = writer.room(items.length * SIZE);
    let at = 0;
    for (const { iova, length, offset, memory, read, write } of items) {
      view.setBigUint64(at + offsets.iova, iova, true);
      setSize(view, at + offsets.length, length);
      setSize(view, at + offsets.offset, offset);
      view.setUint32(at + offsets.memory, memory, true);
      view.setUint32(at + offsets.access, (read ? READ : 0) | (write ? WRITE : 0), true);
      at += SIZE;
    }
  },

  read({ reader }, label) {
    const count = reader.count(label, SIZE);
    const begin = reader.at;
    const view = reader.view(count * SIZE);
    const items: MappingItem[] = [];
    for (let at = 0; at < view.byteLength; at += SIZE) {
      const length = getSize(view, at + offsets.length);
      const offset = getSize(view, at + offsets.offset);
      const memory = view.getUint32(at + offsets.memory, true);
      const access = view.getUint32(at + offsets.access, true);
      if (!Number.isSafeInteger(length) || !Number.isSafeInteger(offset)) {
        throw reader.refusal("a mapping's length or offset is 2^53 or more", begin + at);
      }
      if ((access & ~(READ | WRITE)) !== 0) {
        throw reader.refusal(`unknown access bits in a mapping: 0x${access.toString(16)}`, begin + at);
      }
      const [read, write] = [(access & READ) !== 0, (access & WRITE) !== 0];
      items.push({ iova: view.getBigUint64(at + offsets.iova, true), length, read, write, memory, offset });
    }
    return items;
  },

  // They are checked against the memory, by checkMappings.
  check: () => {},
  uses: () => {},
};

/** A container of any mode, as far as its mappings go. */
export interface Mapper {
  readonly mode: AnyContainerMode;
  readonly mappings: readonly MappingItem[];
}

/** Whether a container of this mode maps memory by its address in the process, and so also a device's BAR. */
function mapsByAddress(mode: AnyContainerMode): boolean {
  return mode === "type1" || mode === "type1v2";
}

/**
 * Checks the mappings of a container against the manifest's memory.
 *
 * @param name the container's, for messages
 */
export function checkMappings(mapper: Mapper, name: string, memory: readonly MemoryItem[], refuse: Refuse): void {
  const { mappings } = mapper;
  let ascending = true;
  let next = 0n;
  for (const mapping of mappings) {
    if (mapping.iova < next) ascending = false;
    next = checkMapping(mapping, mapper, name, memory, refuse);
  }
  if (ascending) return;
  const sorted = [...mappings].sort((a, b) => (a.iova < b.iova ? -1 : a.iova > b.iova ? 1 : 0));
  let end = 0n;
  for (const { iova, length } of sorted) {
    if (iova < end) throw refuse(`two mappings in ${name} overlap at IOVA 0x${iova.toString(16)}`);
    end = iova + BigInt(length);
  }
}

function isInPages(value: number, min = 0): boolean {
  return Number.isSafeInteger(value) && value >= min && value % PAGE === 0;
}

/** Returns the IOVA behind it. */
function checkMapping(
  { iova, length, offset, read, write, memory: index }: MappingItem,
  { mode }: Mapper,
  name: string,
  memory: readonly MemoryItem[],
  refuse: Refuse,
): bigint {
  const of = () => `the mapping at IOVA 0x${iova.toString(16)} in ${name}`;
  if (iova < 0n || iova > MAX_IOVA || (iova & OFFSET_BITS) !== 0n) {
    throw refuse(`${of()} is not at a multiple of ${PAGE} from 0 to 2^64 - 1`);
  }
  if (!isInPages(length, 1)) checkPages(length, { refuse, label: "length", of }, 1);
  if (!isInPages(offset)) checkPages(offset, { refuse, label: "offset", of });
  const end = iova + BigInt(length);
  if (end > END) throw refuse(`${of()} goes on past the end of the address space`);
  if (!read && !write) throw refuse(`${of()} can be neither read nor written`);
  const mapped = memory[index];
  if (mapped === undefined) throw refuse(`${of()} is of memory ${index}, and there are ${memory.length}`);
  if (offset + length > mapped.length) {
    const [mappingEnd, memoryEnd] = [offset + length, mapped.length].map((bytes) => `0x${bytes.toString(16)}`);
    throw refuse(`${of()} ends at ${mappingEnd} in ${nameMemory(mapped, index)}, which is ${memoryEnd} bytes long`);
  }
  if (mapped.kind === "bar" && !mapsByAddress(mode)) {
    throw refuse(`${of()} is of a BAR, which a container in mode ${mode} does not map by its address`);
  }
  return end;
}
