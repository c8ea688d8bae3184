/**
 * Map and unmap in the kernel's containers, for one device each: ours, by every layer, and C's.
 *
 * The whole matrix takes an hour. By default each axis is varied alone, around 4 KiB of a memfd mapped by one thread; the rest is
 * there for whoever names it (`matrix/...`).
 *
 * @module
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { type Container, type ContainerMode, containerModes, type DmaBuffer, IommufdContainer } from "vfio";
import { lacksDevices } from "./kernel-devices.js";
import {
  type Definition,
  type MemoryKind,
  memories,
  numbersOf,
  openWorld,
  shareMemory,
  type World,
} from "./kernel-world.js";
import { lacksKoffi, mapLoop, type Place, type Way } from "./map-calls.js";
import type { MapWorkerData } from "./map-worker.js";
import { type Benchmark, type Sides, startStopwatch, type Took } from "./measure.js";

const PAGE = 4096;
const MiB = 2 ** 20;
const GiB = 2 ** 30;
/** Where the floor's program begins, and the library too. */
const BASE = 4 * GiB;
const sizes = { "4k": PAGE, "2m": 2 * MiB, "64m": 64 * MiB, "1g": GiB } as const;
type Size = keyof typeof sizes;

// What issue and documentation promise, as a multiple of C.
const promised = { legacy: { ratio: 1.25 }, iommufd: { ratio: 1.15 }, batch: { ratio: 1.05 }, large: { ratio: 1.01 } };

/** How we ask: the API, or below it. */
const ways = ["api", "shim", "koffi"] as const;
const threadCounts = [1, 2, 4] as const;

interface Cell {
  readonly mode: ContainerMode;
  readonly memory: MemoryKind;
  readonly size: Size;
  readonly threads: (typeof threadCounts)[number];
  readonly way: (typeof ways)[number];
}

/** What a fact about this machine's reserve of huge pages is. */
function freeHugePages(kB: number): number {
  try {
    return Number(readFileSync(`/sys/kernel/mm/hugepages/hugepages-${kB}kB/free_hugepages`, "latin1"));
  } catch {
    return 0;
  }
}

function lacksMemory(memory: MemoryKind, size: Size): string | undefined {
  const page = memory === "2m" ? 2 * MiB : memory === "1g" ? GiB : undefined;
  if (page === undefined || freeHugePages(page / 1024) * page >= sizes[size]) return undefined;
  return `not ${sizes[size] / MiB} MiB in reserve as huge pages of ${page / MiB} MiB`;
}

// ---- one cell of the matrix ----------------------------------------------------------------------------------------------

function placeOf({ container }: World, memory: DmaBuffer, length: number, thread: number): Place {
  return {
    ...numbersOf(container),
    address: memory.address,
    file: memory.backing()?.fd,
    iova: BASE + thread * length,
    length,
  };
}

/** Threads of their own below the API: a container object stays in its thread. */
async function startWorkers({ cleanup }: World, way: Way, places: readonly Place[]): Promise<Sides["ours"]> {
  const workers: Worker[] = [];
  for (const place of places) {
    const workerData: MapWorkerData = { way, place };
    const worker = new Worker(new URL("map-worker.js", import.meta.url), { workerData });
    cleanup.defer(async () => {
      await worker.terminate();
    });
    await once(worker, "message");
    workers.push(worker);
  }
  return async (operations) => {
    const done = workers.map((worker) => once(worker, "message"));
    for (const worker of workers) worker.postMessage(Math.floor(operations / workers.length));
    await Promise.all(done);
    return undefined;
  };
}

function mapHere(container: Container, memory: DmaBuffer, length: number): Sides["ours"] {
  return (operations) => {
    for (let i = 0; i < operations; i++) container.map(memory, { length }).unmap();
    return undefined;
  };
}

/** The API's threads: several maps at a time, each on a thread of Node's pool. */
function mapAtOnce(container: Container, memory: DmaBuffer, length: number, threads: number): Sides["ours"] {
  return async (operations) => {
    const one = async () => {
      for (let i = Math.floor(operations / threads); i > 0; i--) {
        const mapping = await container.mapAsync(memory, { length });
        mapping.unmap();
      }
    };
    await Promise.all(Array.from({ length: threads }, one));
    return undefined;
  };
}

async function runCell(world: World, { memory: kind, size, threads, way }: Cell): Promise<Sides["ours"]> {
  const { container } = world;
  const length = sizes[size];
  const memory = await shareMemory(
    world,
    kind,
    Math.max(length, kind === "1g" ? GiB : kind === "2m" ? 2 * MiB : length),
  );
  if (way === "api") {
    if (threads > 1) return mapAtOnce(container, memory, length, threads);
    const ours = mapHere(container, memory, length);
    if (size === "4k") await ours(WARM_UP);
    return ours;
  }
  const places = Array.from({ length: threads }, (_, thread) => placeOf(world, memory, length, thread));
  const [place] = places;
  if (threads > 1 || place === undefined) return await startWorkers(world, way, places);
  const run = await mapLoop(way, place);
  return (operations) => {
    run(operations);
    return undefined;
  };
}

function targetOf({ mode, size, threads, way }: Cell): Pick<Definition, "target"> {
  if (way !== "api" || threads > 1) return {};
  if (size === "64m" || size === "1g") return { target: promised.large };
  if (size !== "4k") return {};
  return { target: mode === "iommufd" ? promised.iommufd : promised.legacy };
}

const wayNames = { api: "container.map()", shim: "the shim", koffi: "koffi" } as const;

function cellBenchmark(family: string, cell: Cell): Benchmark {
  const { mode, memory, size, threads, way } = cell;
  const how = threads === 1 ? "" : `, ${threads} at a time`;
  const asynchronous = way === "api" && threads > 1 ? "container.mapAsync()" : wayNames[way];
  return {
    name: `${family}/${mode}/${memory}/${size}/${threads}/${way}`,
    what: `map and unmap ${size} of ${memories[memory].what} by ${asynchronous}${how}`,
    ...targetOf(cell),
    ...(family === "matrix" ? { onDemand: true } : {}),
    missing: () => lacksDevices() ?? lacksMemory(memory, size) ?? (way === "koffi" ? lacksKoffi() : undefined),
    open: () =>
      openWorld(mode, async (world) => ({
        ours: await runCell(world, cell),
        floor: (operations) => {
          const length = sizes[size];
          const counted = `${length} ${Math.floor(operations / threads) * threads}`;
          return world.floor.order(threads === 1 ? `map ${counted}` : `threads ${threads} ${counted}`);
        },
      })),
  };
}

const centre = { memory: "memfd", size: "4k", threads: 1, way: "api" } as const;
/** The two that a program would choose between. */
const usual = ["type1v2", "iommufd"] as const;
const kinds = ["anonymous", "memfd", "2m", "thp", "1g"] as const;

function defaultCells(): Cell[] {
  return [
    ...containerModes.flatMap((mode) => ways.map((way) => ({ ...centre, mode, way }))),
    ...usual.flatMap((mode): Cell[] => [
      ...(["2m", "64m", "1g"] as const).map((size) => ({ ...centre, mode, size })),
      ...(["anonymous", "2m", "thp"] as const).map((memory): Cell => ({ ...centre, mode, memory, size: "2m" })),
      { ...centre, mode, memory: "anonymous" },
      { ...centre, mode, memory: "1g", size: "1g" },
      ...([2, 4] as const).flatMap((threads) =>
        (["api", "shim"] as const).map((way): Cell => ({ ...centre, mode, threads, way })),
      ),
    ]),
  ];
}

function allCells(): Cell[] {
  return containerModes.flatMap((mode) =>
    kinds.flatMap((memory) =>
      (["4k", "2m", "64m", "1g"] as const).flatMap((size) =>
        threadCounts.flatMap((threads) => ways.map((way) => ({ mode, memory, size, threads, way }))),
      ),
    ),
  );
}

// ---- what is not a cell --------------------------------------------------------------------------------------------------

/** One operation with many mappings is with so many. */
const BATCH = 1000;
/** How often code runs before it is measured: by then it is compiled, which an emulated machine takes seconds for. */
const WARM_UP = 5000;

interface Other extends Definition {
  readonly mode: ContainerMode;
  prepare(world: World): Promise<Pick<Sides, "ours" | "floor">>;
}

function other({ mode, prepare, ...definition }: Other): Benchmark {
  return { ...definition, missing: lacksDevices, open: () => openWorld(mode, prepare) };
}

function add(one: Took, two: Took): Took {
  return { wall: one.wall + two.wall, cpu: one.cpu + two.cpu };
}

/** Adds up what each of several operations took. */
async function sumOf(operations: number, run: () => Took | Promise<Took>): Promise<Took> {
  let sum: Took = { wall: 0, cpu: 0 };
  for (let i = 0; i < operations; i++) sum = add(sum, await run());
  return sum;
}

function timed(work: () => void): Took {
  const stopwatch = startStopwatch();
  work();
  return stopwatch();
}

/** As many maps of a page each, one behind the other. */
function pages(memory: DmaBuffer, count: number) {
  return Array.from({ length: count }, (_, index) => ({
    memory,
    offset: (index * PAGE) % memory.length,
    length: PAGE,
  }));
}

function batch(mode: ContainerMode): Benchmark {
  return other({
    name: `map-many/${mode}`,
    what: `map ${BATCH} pages by one mapMany()`,
    target: promised.batch,
    mode,
    async prepare(world) {
      const memory = await shareMemory(world, "memfd", BATCH * PAGE);
      const { container, floor } = world;
      const requests = pages(memory, BATCH);
      return {
        ours: (operations) =>
          sumOf(operations, () => {
            const took = timed(() => container.mapMany(requests));
            container.unmapAll();
            return took;
          }),
        floor: (operations) => sumOf(operations, () => floor.order(`batch ${PAGE} ${BATCH}`)),
      };
    },
  });
}

function unmapping(mode: ContainerMode, how: "one" | "range" | "all"): Benchmark {
  const order = { one: "unmap", range: "unmap-range", all: "unmap-all" }[how];
  const manner = { one: "one by one", range: "as a range", all: "by unmapAll()" }[how];
  return other({
    name: `unmap/${mode}/${how}`,
    what: `unmap ${BATCH} pages ${manner}`,
    mode,
    async prepare(world) {
      const memory = await shareMemory(world, "memfd", BATCH * PAGE);
      const { container, floor } = world;
      const requests = pages(memory, BATCH);
      return {
        ours: (operations) =>
          sumOf(operations, () => {
            const mappings = container.mapMany(requests);
            return timed(() => {
              if (how === "all") container.unmapAll();
              else if (how === "range") container.unmap(mappings[0]?.iova ?? 0, BATCH * PAGE);
              else for (const mapping of mappings) mapping.unmap();
            });
          }),
        floor: (operations) => sumOf(operations, () => floor.order(`${order} ${PAGE} ${BATCH}`)),
      };
    },
  });
}

function beside(mode: ContainerMode, present: number): Benchmark {
  return other({
    name: `map-beside/${mode}/${present}`,
    what: `map and unmap 4 KiB with ${present.toLocaleString("en")} mappings there`,
    target: mode === "iommufd" ? promised.iommufd : promised.legacy,
    mode,
    async prepare(world) {
      const memory = await shareMemory(world, "memfd", PAGE);
      const { container, floor } = world;
      if (present > 0) container.mapMany(pages(memory, present));
      await floor.order(`fill ${present}`);
      const ours = mapHere(container, memory, PAGE);
      await ours(WARM_UP);
      return {
        ours,
        floor: (operations) => floor.order(`map ${PAGE} ${operations}`),
      };
    },
  });
}

function copying(size: "4k" | "2m"): Benchmark {
  const length = sizes[size];
  return other({
    name: `map-copy/iommufd/${size}`,
    what: `map ${size} again, by IOAS_COPY, and unmap it`,
    mode: "iommufd",
    async prepare(world) {
      const memory = await shareMemory(world, "memfd", length);
      const { container, floor } = world;
      if (!(container instanceof IommufdContainer)) throw new TypeError("iommufd has address spaces");
      const { ioas } = container;
      const { iova } = container.map(memory);
      return {
        ours(operations) {
          for (let i = 0; i < operations; i++) ioas.unmap(ioas.copy(ioas, iova, length, { iova: 8 * GiB }), length);
          return undefined;
        },
        floor: (operations) => floor.order(`copy ${length} ${operations}`),
      };
    },
  });
}

function begin<T>(work: () => Promise<T>): { readonly took: Took; readonly result: Promise<T> } {
  const stopwatch = startStopwatch();
  const result = work();
  return { took: stopwatch(), result };
}

/** How long our part keeps the event loop from all others, which is what `mapAsync()` and `unmapAsync()` are for. */
function blocking(what: "map" | "unmap", mode: ContainerMode, size: "64m" | "1g"): Benchmark {
  const length = sizes[size];
  return other({
    name: `${what}-async/${mode}/${size}`,
    what: `what ${what}Async() of ${size} takes of the event loop; C's is the whole ${what}`,
    target: { at: 2e6 },
    mode,
    async prepare(world) {
      const memory = await shareMemory(world, "memfd", length);
      const { container, floor } = world;
      return {
        // A few stand for all: what is timed is a thousandth of what it takes.
        async ours(operations) {
          const sample = Math.min(operations, 4);
          const { wall, cpu } = await sumOf(sample, async () => {
            const mapped = begin(() => container.mapAsync(memory));
            const mapping = await mapped.result;
            const unmapped = begin(() => mapping.unmapAsync());
            await unmapped.result;
            return what === "map" ? mapped.took : unmapped.took;
          });
          const scale = operations / sample;
          return { wall: wall * scale, cpu: cpu * scale };
        },
        floor: (operations) =>
          sumOf(operations, () => floor.order(`${what === "map" ? "batch" : "unmap"} ${length} 1`)),
      };
    },
  });
}

/** By default. */
export const mapBenchmarks: readonly Benchmark[] = [
  ...defaultCells().map((cell) => cellBenchmark("map", cell)),
  ...containerModes.map(batch),
  ...usual.flatMap((mode) => (["one", "range", "all"] as const).map((how) => unmapping(mode, how))),
  ...usual.flatMap((mode) => [0, 1000, 10_000, 60_000].map((present) => beside(mode, present))),
  copying("4k"),
  copying("2m"),
  ...usual.flatMap((mode) =>
    (["64m", "1g"] as const).flatMap((size) => [blocking("map", mode, size), blocking("unmap", mode, size)]),
  ),
];

/** Everything, for who asks for it by name. */
export const matrixBenchmarks: readonly Benchmark[] = allCells().map((cell) => cellBenchmark("matrix", cell));
