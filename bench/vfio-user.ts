/**
 * vfio-user: our client against our server in a process of its own; the floor is two C programs that exchange messages of the
 * same sizes over the same kind of socket.
 *
 * @module
 */
import { type Container, type Device, DmaBuffer, RegisterProgram, type Registers } from "vfio";
import { UserContainer } from "vfio/user";
import { Cleanup } from "./cleanup.js";
import { DeviceProcess } from "./device-process.js";
import { Floor } from "./floor.js";
import type { Benchmark, Sides } from "./measure.js";
import { COPY_IN, COPY_OUT, COUNT, IOVA, NOTHING, PIECE, RAISE } from "./vfio-user-registers.js";

const GiB = 2 ** 30;
// Writes of one program: as in the register benchmarks.
const WRITES = 64;
// Long copies on a busy machine are no fault.
const TIMEOUT = 60_000;

// Sizes of messages, in bytes: a header of 16, then what the specification says.
const HEADER = 16;
const ACCESS = HEADER + 16;
const READ = `${ACCESS} ${ACCESS + 4}`;
const WRITE = `${ACCESS + 4} ${ACCESS}`;
const WRITE_MULTI = `${HEADER + 8 + 24 * WRITES} ${HEADER + 8}`;

/** What a benchmark works with. */
interface World {
  readonly container: Container;
  readonly device: Device;
  readonly registers: Registers;
}

interface VfioUserBenchmark extends Pick<Benchmark, "what" | "bytes" | "target"> {
  readonly name: string;
  /** Whether writes wait for an answer. */
  readonly answered?: boolean;
  /** The floor's order for so many operations. */
  floor(operations: number): string;
  /** Prepares it. Returns what does so many operations, and what ends it. */
  prepare(world: World): { run: Sides["ours"]; end?: () => void };
}

function define({ name, what, bytes, target, answered = false, floor, prepare }: VfioUserBenchmark): Benchmark {
  return {
    name: `vfio-user/${name}`,
    what,
    ...(bytes === undefined ? {} : { bytes }),
    ...(target === undefined ? {} : { target }),
    async open() {
      await using stack = new Cleanup();
      const program = Floor.start("ping-pong");
      stack.defer(() => program[Symbol.asyncDispose]());
      const server = await DeviceProcess.start("vfio-user-device.js");
      stack.defer(() => server[Symbol.asyncDispose]());
      const { socket } = server;
      const container = UserContainer.open({ socket, timeout: TIMEOUT, postedWrites: !answered });
      stack.defer(() => container.close());
      const device = container.attach();
      const { run, end } = prepare({ container, device, registers: device.region("bar0").registers() });
      if (end !== undefined) stack.defer(end);
      const all = stack.move();
      return {
        ours: run,
        floor: (operations) => program.order(floor(operations)),
        [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
      };
    },
  };
}

// ---- the device's copies -----------------------------------------------------------------------------------------------

function copies(direction: "read" | "write", how: "shared" | "messages"): Benchmark {
  const [register, order] = direction === "read" ? [COPY_IN, "copy in"] : [COPY_OUT, "copy out"];
  const [request, reply] = direction === "read" ? [ACCESS, ACCESS + PIECE] : [ACCESS + PIECE, ACCESS];
  const shared = how === "shared";
  return define({
    name: `dma-${direction}-${how}`,
    what: `the device ${direction}s 1 MiB ${shared ? "of shared memory" : "by a message"}`,
    bytes: PIECE,
    floor: (pieces) => (shared ? `${order} ${PIECE} ${pieces}` : `message ${request} ${reply} ${pieces}`),
    prepare({ container, registers }) {
      const memory = DmaBuffer.allocate(PIECE, { backing: shared ? "memfd" : "anonymous" });
      memory.bytes.fill(1);
      registers.write64(IOVA, container.map(memory).iova);
      return {
        run(pieces) {
          registers.write32(COUNT, pieces);
          if (registers.read32(register) !== pieces) throw new Error("the device did not copy all pieces");
        },
        end() {
          container.unmapAll();
          memory.close();
        },
      };
    },
  });
}

// ---- mappings ----------------------------------------------------------------------------------------------------------

function mapping(name: string, length: number, size: string): Benchmark {
  return define({
    name: `map-${name}`,
    what: `map and unmap ${size} with a descriptor`,
    floor: (operations) => `map ${length} ${operations}`,
    prepare({ container }) {
      const memory = DmaBuffer.allocate(length);
      return {
        run(operations) {
          for (let i = 0; i < operations; i++) container.map(memory).unmap();
        },
        end: () => memory.close(),
      };
    },
  });
}

/** All of them. */
export const vfioUserBenchmarks: readonly Benchmark[] = [
  define({
    name: "read",
    what: "read a register of 32 bits",
    target: { ratio: 2 },
    floor: (operations) => `message ${READ} ${operations}`,
    prepare: ({ registers }) => ({
      run(operations) {
        for (let i = 0; i < operations; i++) registers.read32(NOTHING);
      },
    }),
  }),
  define({
    name: "write",
    what: "write a register, and wait for the answer",
    answered: true,
    floor: (operations) => `message ${WRITE} ${operations}`,
    prepare: ({ registers }) => ({
      run(operations) {
        for (let i = 0; i < operations; i++) registers.write32(NOTHING, i);
      },
    }),
  }),
  define({
    name: "write-posted",
    what: "write a register without an answer",
    floor: (operations) => `post ${ACCESS + 4} ${operations}`,
    prepare: ({ registers }) => ({
      run(operations) {
        for (let i = 0; i < operations; i++) registers.write32(NOTHING, i);
        // Until all of them have arrived.
        registers.read32(NOTHING);
      },
    }),
  }),
  define({
    name: "program",
    what: `run a program of ${WRITES} writes`,
    floor: (operations) => `message ${WRITE_MULTI} ${operations}`,
    prepare({ registers }) {
      const program = new RegisterProgram();
      for (let i = 0; i < WRITES; i++) program.write32(NOTHING, i);
      return {
        run(operations) {
          for (let i = 0; i < operations; i++) registers.run(program);
        },
      };
    },
  }),
  copies("read", "shared"),
  copies("write", "shared"),
  copies("read", "messages"),
  copies("write", "messages"),
  mapping("4k", 4096, "4 KiB"),
  mapping("1g", GiB, "1 GiB"),
  define({
    name: "interrupt-loop",
    what: "ring the device, and hear its MSI-X in the event loop",
    floor: (operations) => `event ${operations}`,
    prepare({ device, registers }) {
      const vector = device.msix.enableVector(0);
      return {
        run: (operations) =>
          new Promise<undefined>((resolve) => {
            let left = operations;
            const listener = () => {
              left--;
              if (left > 0) {
                registers.write32(RAISE, 1);
                return;
              }
              vector.off("interrupt", listener);
              resolve(undefined);
            };
            vector.on("interrupt", listener);
            registers.write32(RAISE, 1);
          }),
      };
    },
  }),
  define({
    name: "interrupt-wait",
    what: "ring the device, and wait for its MSI-X with waitSync()",
    floor: (operations) => `event ${operations}`,
    prepare({ device, registers }) {
      const vector = device.msix.enableVector(0);
      return {
        run(operations) {
          for (let i = 0; i < operations; i++) {
            registers.write32(RAISE, 1);
            if (vector.waitSync(TIMEOUT) !== 1) throw new Error("the device did not interrupt once");
          }
        },
      };
    },
  }),
  define({
    name: "interrupt-flood",
    what: "the device raises MSI-X without a pause, and all are counted",
    floor: (operations) => `flood ${operations}`,
    prepare({ device, registers }) {
      const vector = device.msix.enableVector(0);
      return {
        run: (operations) =>
          new Promise<undefined>((resolve) => {
            let left = operations;
            const listener = (count: number) => {
              left -= count;
              if (left > 0) return;
              vector.off("interrupt", listener);
              resolve(undefined);
            };
            vector.on("interrupt", listener);
            registers.write32(RAISE, operations);
          }),
      };
    },
  }),
];
