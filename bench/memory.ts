/**
 * Memory and the tables about it: buffers, blocks of a pool, I/O addresses, look-ups, dirty pages. No device is needed.
 *
 * @module
 */
import { AddressSpace, type DmaBlock, DmaBuffer, DmaPool, dirtyRanges, IovaAllocator } from "vfio";
import { UserContainer } from "vfio/user";
import { MappingTable } from "../memory/mapping-table.js";
import type { Cleanup } from "./cleanup.js";
import { DeviceProcess } from "./device-process.js";
import { type HostBenchmark, onHost } from "./host.js";
import type { Benchmark, Took } from "./measure.js";
import { startStopwatch } from "./measure.js";

const PAGE = 4096;
const MiB = 2 ** 20;
// As many as 64 queues of 1,024 descriptors would have.
const LIVE = 10_000;
// Somewhat below the limit of a legacy container: 65,535.
const MAPPINGS = 60_000;
// 4 GiB in pages of 4 KiB, of which some of each 64 are dirty.
const DIRTY_PAGES = 2 ** 20;

function define({ name, ...rest }: HostBenchmark): Benchmark {
  return onHost({ name: `memory/${name}`, ...rest });
}

/** The same numbers as in bench/floor/host.c. */
function randomNumbers(): (limit: number) => number {
  let state = 1;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % limit;
  };
}

function allocation(name: string, length: number, size: string): Benchmark {
  return define({
    name: `buffer-${name}`,
    what: `allocate and close a DmaBuffer of ${size}, which nobody touches`,
    order: (operations) => `allocate ${length} ${operations}`,
    prepare: () => (operations) => {
      for (let i = 0; i < operations; i++) DmaBuffer.allocate(length).close();
      return undefined;
    },
  });
}

async function makePool(stack: Cleanup): Promise<DmaPool> {
  const server = await DeviceProcess.start("page-device.js");
  stack.defer(() => server[Symbol.asyncDispose]());
  const buffer = DmaBuffer.allocate(MiB);
  stack.defer(() => buffer.close());
  const container = UserContainer.open({ socket: server.socket });
  stack.defer(() => container.close());
  container.attach();
  return new DmaPool(container.map(buffer), { blockSize: 256 });
}

function dirty(name: string, run: number, what: string): Benchmark {
  return define({
    name: `dirty-${name}`,
    what: `go through the dirty pages of 4 GiB: ${what}`,
    order: (operations) => `dirty ${DIRTY_PAGES} ${run} ${operations}`,
    prepare() {
      const bitmap = new BigUint64Array(DIRTY_PAGES / 64).fill((1n << BigInt(run)) - 1n);
      return (operations) => {
        let bytes = 0;
        for (let i = 0; i < operations; i++) for (const { length } of dirtyRanges(bitmap, PAGE)) bytes += length;
        if (bytes !== operations * (DIRTY_PAGES / 64) * run * PAGE) throw new Error("not all that is dirty was found");
        return undefined;
      };
    },
  });
}

/** All of them. */
export const memoryBenchmarks: readonly Benchmark[] = [
  allocation("4k", PAGE, "4 KiB"),
  allocation("64m", 64 * MiB, "64 MiB"),
  define({
    name: "pool",
    what: "allocate a block of a DmaPool, and free it",
    // Five million a second.
    target: { at: 200 },
    order: (operations) => `pool ${operations}`,
    async prepare(stack) {
      const pool = await makePool(stack);
      return (operations) => {
        let last = 0n;
        for (let i = 0; i < operations; i++) {
          const block = pool.allocate();
          last = block.iova;
          block.free();
        }
        if (last === 0n) throw new Error("no block has that address");
        return undefined;
      };
    },
  }),
  define({
    name: "pool-queue",
    what: "the same with 1,024 blocks under way, the oldest freed first, and a byte of each written",
    target: { at: 200 },
    order: (operations) => `pool ${operations}`,
    async prepare(stack) {
      const pool = await makePool(stack);
      const queue: DmaBlock[] = Array.from({ length: 1024 }, () => pool.allocate());
      return (operations) => {
        for (let i = 0; i < operations; i++) {
          queue[i % 1024]?.free();
          const block = pool.allocate();
          block.bytes[0] = i;
          queue[i % 1024] = block;
        }
        return undefined;
      };
    },
  }),
  define({
    name: "iova",
    what: `free an I/O address and allocate one, with ${LIVE.toLocaleString("en")} others allocated`,
    order: (operations) => `iova ${LIVE} ${operations}`,
    prepare() {
      const allocator = new IovaAllocator([{ start: 0n, last: (1n << 39n) - 1n }]);
      const allocated = Array.from({ length: LIVE }, () => allocator.allocate(PAGE));
      return (operations): Took => {
        const random = randomNumbers();
        const stopwatch = startStopwatch();
        for (let i = 0; i < operations; i++) {
          const at = random(LIVE);
          allocator.free(allocated[at] ?? 0n, PAGE);
          allocated[at] = allocator.allocate(PAGE);
        }
        return stopwatch();
      };
    },
  }),
  define({
    name: "lookup",
    what: `find the mapping that an I/O address lies in, among ${MAPPINGS.toLocaleString("en")}`,
    order: (operations) => `lookup ${MAPPINGS} ${operations}`,
    prepare() {
      const table = new MappingTable<{ readonly iova: bigint; readonly length: number }>();
      for (let i = 0; i < MAPPINGS; i++) table.insert({ iova: BigInt(i) * BigInt(2 * PAGE), length: PAGE });
      return (operations) => {
        const random = randomNumbers();
        let found = 0;
        for (let i = 0; i < operations; i++) if (table.at(random(MAPPINGS) * 2 * PAGE + 5) !== undefined) found++;
        if (found !== operations) throw new Error("a mapping was not found");
        return undefined;
      };
    },
  }),
  define({
    name: "section",
    what: `find the section of an AddressSpace that an address lies in, among ${MAPPINGS.toLocaleString("en")}`,
    order: (operations) => `lookup ${MAPPINGS} ${operations}`,
    prepare() {
      const space = new AddressSpace<number>();
      for (let i = 0; i < MAPPINGS; i++) space.add({ iova: i * 2 * PAGE, length: PAGE, memory: i });
      return (operations) => {
        const random = randomNumbers();
        let found = 0;
        for (let i = 0; i < operations; i++) if (space.at(random(MAPPINGS) * 2 * PAGE + 5) !== undefined) found++;
        if (found !== operations) throw new Error("a section was not found");
        return undefined;
      };
    },
  }),
  dirty("clean", 0, "none"),
  dirty("runs", 8, "8 of each 64, as one part"),
  dirty("all", 64, "all of them"),
];
