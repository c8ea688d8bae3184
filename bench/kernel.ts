/**
 * What else takes VFIO: opening a device, its registers and interrupts, and what a live update asks of the kernel.
 *
 * @module
 */
import { readdirSync, readlinkSync } from "node:fs";
import { type Container, DmaBuffer, IommufdContainer, type LegacyContainer, openContainer } from "vfio";
import { LiveUpdate, receiveLiveUpdate, socketFromOldProcess, socketToSuccessor, UnixSocket } from "vfio/live-update";
import { native } from "../kernel/native.js";
import { lacksDevices, lacksEdu } from "./kernel-devices.js";
import { openWorld, shareMemory, type World } from "./kernel-world.js";
import { type Benchmark, type Sides, startStopwatch, type Took } from "./measure.js";

const PAGE = 4096;
const GiB = 2 ** 30;
const NOTHING: Took = { wall: 0, cpu: 0 };

/** Adds up what each of several took. */
async function sumOf(operations: number, run: () => Took | Promise<Took>): Promise<Took> {
  let sum = NOTHING;
  for (let i = 0; i < operations; i++) {
    const { wall, cpu } = await run();
    sum = { wall: sum.wall + wall, cpu: sum.cpu + cpu };
  }
  return sum;
}

function timed(work: () => void): Took {
  const stopwatch = startStopwatch();
  work();
  return stopwatch();
}

function mapPages(container: Container, memory: DmaBuffer, count: number): void {
  container.mapMany(Array.from({ length: count }, () => ({ memory, length: PAGE })));
}

// ---- opening -------------------------------------------------------------------------------------------------------------

function opening(mode: "type1v2" | "iommufd"): Benchmark {
  return {
    name: `open/${mode === "iommufd" ? "cdev" : "group"}`,
    what: `close and open a container and a device by its ${mode === "iommufd" ? "own node" : "group"}`,
    missing: lacksDevices,
    open: () =>
      openWorld(mode, async ({ container, device, floor, cleanup }) => {
        const { address } = device;
        let last: Container = container;
        cleanup.defer(() => last.close());
        return {
          ours(operations) {
            for (let i = 0; i < operations; i++) {
              last.close();
              last = openContainer({ mode });
              last.attach(address);
            }
            return undefined;
          },
          floor: (operations) => floor.order(`open ${operations}`),
        };
      }),
  };
}

// ---- edu's registers and interrupts --------------------------------------------------------------------------------------

// QEMU's docs/specs/edu.rst
const LIVENESS = 0x04;
const RAISE = 0x60;
const ACKNOWLEDGE = 0x64;

/** The descriptor of the only device that this process has open. */
function deviceDescriptor(): number {
  const found = readdirSync("/proc/self/fd").find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[vfio-device]";
    } catch {
      // The directory's own descriptor is closed by now.
      return false;
    }
  });
  if (found === undefined) throw new Error("no device is open");
  return Number(found);
}

function eduBenchmark(
  definition: Pick<Benchmark, "name" | "what" | "target">,
  order: string,
  prepare: (world: World) => Sides["ours"],
): Benchmark {
  return {
    ...definition,
    missing: lacksEdu,
    open: () =>
      openWorld("type1v2", async (world) => {
        // Both sides use this one device.
        await world.floor.order(`borrow device ${process.pid} ${deviceDescriptor()}`);
        const ours = prepare(world);
        return { ours, floor: (operations) => world.floor.order(`${order} ${operations}`) };
      }),
  };
}

function interrupts(how: "loop" | "wait"): Benchmark {
  const name = `device/interrupt-${how}`;
  const what = `have edu raise MSI, and hear it ${how === "loop" ? "in the event loop" : "with waitSync()"}`;
  return eduBenchmark(
    { name, what, ...(how === "loop" ? { target: { ratio: 1.2 } } : {}) },
    "interrupt",
    ({ device }) => {
      device.busMaster = true;
      const registers = device.region("bar0").registers();
      registers.write32(ACKNOWLEDGE, 0xffff_ffff);
      return async (operations) => {
        // The floor has its own eventfd there meanwhile.
        using vector = device.msi.enableVector(0);
        if (how === "wait") {
          return timed(() => {
            for (let i = 0; i < operations; i++) {
              registers.write32(RAISE, 1);
              vector.waitSync();
              registers.write32(ACKNOWLEDGE, 1);
            }
          });
        }
        const stopwatch = startStopwatch();
        await new Promise<void>((resolve) => {
          let left = operations;
          vector.on("interrupt", () => {
            registers.write32(ACKNOWLEDGE, 1);
            left--;
            if (left > 0) registers.write32(RAISE, 1);
            else resolve();
          });
          registers.write32(RAISE, 1);
        });
        return stopwatch();
      };
    },
  );
}

// ---- live update ---------------------------------------------------------------------------------------------------------

const RENEWED = 1000;
const { VFIO_DMA_UNMAP_FLAG_ALL, VFIO_DMA_UNMAP_FLAG_VADDR, VFIO_DMA_MAP_FLAG_VADDR } = {
  VFIO_DMA_UNMAP_FLAG_ALL: 2,
  VFIO_DMA_UNMAP_FLAG_VADDR: 4,
  VFIO_DMA_MAP_FLAG_VADDR: 4,
};

const renewal: Benchmark = {
  name: "vaddr/type1v2",
  what: `take ${RENEWED} mappings' addresses away and give them new ones, by the shim`,
  missing: lacksDevices,
  open: () =>
    openWorld("type1v2", async (world) => {
      const memory = await shareMemory(world, "memfd", PAGE);
      const { container, floor } = world;
      if (container instanceof IommufdContainer) throw new TypeError("iommufd has no addresses to renew");
      const { fd } = container;
      mapPages(container, memory, RENEWED);
      await floor.order(`fill ${RENEWED}`);
      const address = BigInt(memory.address);
      // A word for the errno first.
      const batch = BigUint64Array.from([
        0n,
        ...[...container.mappings].flatMap(({ iova }) => [
          BigInt(VFIO_DMA_MAP_FLAG_VADDR),
          address,
          iova,
          BigInt(PAGE),
        ]),
      ]);
      return {
        ours(operations) {
          for (let i = 0; i < operations; i++) {
            native.vfioIommuUnmapDma(fd, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR, 0, 0);
            const done = native.vfioIommuMapDmaBatch(fd, batch, RENEWED);
            if (done !== RENEWED) throw new Error(`${done} of ${RENEWED} have an address`);
          }
          return undefined;
        },
        floor: (operations) => floor.order(`renew ${operations}`),
      };
    }),
};

const changeProcess: Benchmark = {
  name: "change-process/1g",
  what: "make 1 GiB that is mapped by file another process's, by IOMMU_IOAS_CHANGE_PROCESS",
  missing: lacksDevices,
  open: () =>
    openWorld("iommufd", async (world) => {
      const { container, floor, cleanup } = world;
      if (!(container instanceof IommufdContainer)) throw new TypeError("only iommufd has a process to change");
      const memory = DmaBuffer.allocate(GiB);
      cleanup.defer(() => memory.close());
      memory.bytes.fill(1);
      const mapping = container.map(memory);
      cleanup.defer(() => mapping.unmap());
      const { iommufd } = container;
      // Back and forth: the owner who asks again changes nothing.
      await floor.order(`borrow container ${process.pid} ${iommufd.fd}`);
      const change = () => iommufd.changeProcess();
      cleanup.defer(change);
      return {
        ours: (operations) =>
          sumOf(operations, async () => {
            await floor.order("change-process 1");
            return timed(change);
          }),
        floor: (operations) =>
          sumOf(operations, () => {
            change();
            return floor.order("change-process 1");
          }),
      };
    }),
};

/** Hands a container over to this same process. Returns the successor's, and how long nobody heard interrupts. */
async function handOver(container: Container, memory: DmaBuffer) {
  const [old, young] = UnixSocket.pair("seqpacket");
  const [out, back] = await Promise.all([socketToSuccessor({ socket: old }), socketFromOldProcess({ socket: young })]);
  const [report, incoming] = await Promise.all([
    new LiveUpdate({ containers: { main: container }, memory: { main: memory } }).handOver(out),
    receiveLiveUpdate(back).then(async (received) => {
      await received.takeOver();
      return received;
    }),
  ]);
  const main = incoming.memory.get("main");
  if (main === undefined) throw new Error("the memory did not come");
  return { container: incoming.container("main"), memory: main, blackout: report.blackout };
}

function blackout(mode: "type1v2" | "iommufd", mappings: number): Benchmark {
  const many = mappings.toLocaleString("en");
  return {
    name: `live-update/${mode}/${mappings}`,
    what: `blackout of a live update with ${many} mapping${mappings === 1 ? "" : "s"}; C makes the requests only`,
    ...(mode === "type1v2" && mappings === 10_000 ? { target: { ratio: 1.2 } } : {}),
    missing: lacksDevices,
    open: () =>
      openWorld(mode, async (world) => {
        const { floor, cleanup } = world;
        const shared = await shareMemory(world, "memfd", PAGE);
        // What the hand-over makes of these is closed here; the first ones are closed by it.
        let container: Container | LegacyContainer = world.container;
        let memory = DmaBuffer.allocate(PAGE);
        shared.bytes.fill(1);
        mapPages(container, memory, mappings);
        await floor.order(`fill ${mappings}`);
        cleanup.defer(() => {
          container.close();
          memory.close();
        });
        return {
          ours: (operations) =>
            sumOf(operations, async () => {
              const next = await handOver(container, memory);
              ({ container, memory } = next);
              return { wall: next.blackout * 1e6, cpu: next.blackout * 1e6 };
            }),
          floor: (operations) => floor.order(`${mode === "iommufd" ? "change-process" : "renew"} ${operations}`),
        };
      }),
  };
}

/** All of them. */
export const kernelBenchmarks: readonly Benchmark[] = [
  opening("type1v2"),
  opening("iommufd"),
  eduBenchmark({ name: "device/read", what: "read a register of edu" }, "read", ({ device }) => {
    const registers = device.region("bar0").registers();
    return (operations) => {
      for (let i = 0; i < operations; i++) registers.read32(LIVENESS);
      return undefined;
    };
  }),
  eduBenchmark({ name: "device/write", what: "write a register of edu" }, "write", ({ device }) => {
    const registers = device.region("bar0").registers();
    return (operations) => {
      for (let i = 0; i < operations; i++) registers.write32(LIVENESS, 1);
      return undefined;
    };
  }),
  interrupts("loop"),
  interrupts("wait"),
  renewal,
  changeProcess,
  ...(["type1v2", "iommufd"] as const).flatMap((mode) => [1, 100, 10_000].map((mappings) => blackout(mode, mappings))),
];
