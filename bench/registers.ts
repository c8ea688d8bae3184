/**
 * Registers of a mapped BAR, one at a time and as a program; the floor is a volatile access in C to the same kind of memory.
 *
 * @module
 */
import { RegisterProgram, type Registers } from "vfio";
import { UserContainer } from "vfio/user";
import { DeviceProcess } from "./device-process.js";
import { onHost } from "./host.js";
import type { Benchmark, Target } from "./measure.js";

const OFFSET = 64;
const ACCESSES = 64;

interface RegisterBenchmark {
  readonly name: string;
  readonly what: string;
  readonly target?: Target;
  readonly order: "read" | "write";
  /** How many accesses one operation has. */
  readonly accesses?: number;
  prepare(registers: Registers): (operations: number) => undefined;
}

function define({ name, order, accesses = 1, prepare, ...rest }: RegisterBenchmark): Benchmark {
  return onHost({
    name: `registers/${name}`,
    ...rest,
    order: (operations) => `${order} ${operations * accesses}`,
    async prepare(stack) {
      const server = await DeviceProcess.start("page-device.js");
      stack.defer(() => server[Symbol.asyncDispose]());
      const container = UserContainer.open({ socket: server.socket });
      stack.defer(() => container.close());
      const map = container.attach().region("bar0").map();
      stack.defer(() => map.close());
      return prepare(map);
    },
  });
}

function program(name: "read" | "write", fill: (program: RegisterProgram, index: number) => void): Benchmark {
  return define({
    name: `program-${name}`,
    what: `a program of ${ACCESSES} ${name}s of 32 bits`,
    target: { over: 3 * ACCESSES },
    order: name,
    accesses: ACCESSES,
    prepare(registers) {
      const program = new RegisterProgram();
      for (let i = 0; i < ACCESSES; i++) fill(program, i);
      return (operations) => {
        for (let i = 0; i < operations; i++) registers.run(program);
        return undefined;
      };
    },
  });
}

/** All of them. */
export const registerBenchmarks: readonly Benchmark[] = [
  define({
    name: "read32",
    what: "read a mapped register of 32 bits",
    target: { over: 25 },
    order: "read",
    prepare: (registers) => (operations) => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum = (sum + registers.read32(OFFSET)) | 0;
      if (sum !== 0) throw new Error("nobody wrote that");
      return undefined;
    },
  }),
  define({
    name: "write32",
    what: "write a mapped register of 32 bits",
    target: { over: 25 },
    order: "write",
    prepare: (registers) => (operations) => {
      for (let i = 0; i < operations; i++) registers.write32(OFFSET, i);
      return undefined;
    },
  }),
  define({
    name: "read64",
    what: "read a mapped register of 64 bits, as a bigint",
    order: "read",
    prepare: (registers) => (operations) => {
      let last = 0n;
      for (let i = 0; i < operations; i++) last = registers.read64(OFFSET);
      if (last !== 0n) throw new Error("nobody wrote that");
      return undefined;
    },
  }),
  program("read", (program, index) => program.read32(4 * index)),
  program("write", (program, index) => program.write32(4 * index, index)),
];
