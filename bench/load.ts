/**
 * What it takes to load the package, in a process of its own each time; the floor is an empty module. After `npm run build` these
 * are the files that are published: the library in one, see `.ci/package/bundle.mjs`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Benchmark, startStopwatch, type Took } from "./measure.js";

const MS = 1e6;

/** Runs a Node with arguments, so many times one after the other. */
function runs(args: readonly string[]): (operations: number) => Took {
  return (operations) => {
    const stopwatch = startStopwatch();
    for (let i = 0; i < operations; i++) {
      const { status, error, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      if (status !== 0) throw error ?? new Error(stderr);
    }
    return stopwatch();
  };
}

/** A module that is no file: nothing is measured but what it imports. */
function module(source: string): readonly string[] {
  return ["--input-type=module", "--eval", source];
}

function define({
  name,
  what,
  target,
  args,
}: Pick<Benchmark, "name" | "what" | "target"> & { args: readonly string[] }) {
  const ours = runs(args);
  const empty = runs(module(""));
  const benchmark: Benchmark = {
    name: `load/${name}`,
    what,
    ...(target === undefined ? {} : { target }),
    open: async () => ({
      ours,
      floor: async (operations) => empty(operations),
      async [Symbol.asyncDispose]() {},
    }),
  };
  return benchmark;
}

function imports(specifier: string): readonly string[] {
  return module(`import ${JSON.stringify(import.meta.resolve(specifier))};`);
}

/** All of them. */
export const loadBenchmarks: readonly Benchmark[] = [
  define({
    name: "import",
    what: 'a process that imports "vfio" (the floor: an empty module)',
    target: { over: 30 * MS },
    args: imports("vfio"),
  }),
  define({
    name: "import-user",
    what: 'a process that imports "vfio/user" (the floor: an empty module)',
    target: { over: 30 * MS },
    args: imports("vfio/user"),
  }),
  define({
    name: "command",
    what: "vfio --version (the floor: an empty module)",
    args: [fileURLToPath(new URL("../cli/main.js", import.meta.url)), "--version"],
  }),
];
