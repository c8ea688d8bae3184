import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const cwd = fileURLToPath(new URL("../../..", import.meta.url));
const bench = (...args: string[]) => run(process.execPath, ["dist/cli/main.js", "bench", ...args], { cwd });

const number = expect.any(Number);
const times = expect.objectContaining({
  median: number,
  min: number,
  max: number,
  p10: number,
  p90: number,
  operations: number,
});

beforeAll(async () => {
  await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "bench"], { cwd });
}, 60_000);

test("every benchmark runs and gives its numbers", { timeout: 120_000 }, async () => {
  const { stdout, stderr } = await bench("--short", "--json", "vfio-user");
  const { benchmarks } = JSON.parse(stdout);
  const names = benchmarks.map(({ name }: { name: string }) => name);
  expect(names).toEqual(
    expect.arrayContaining(
      [
        ...["read", "write", "write-posted", "program", "map-4k", "map-1g"],
        ...["dma-read-shared", "dma-write-shared", "dma-read-messages", "dma-write-messages"],
        ...["interrupt-loop", "interrupt-wait", "interrupt-flood"],
      ].map((name) => `vfio-user/${name}`),
    ),
  );
  for (const { name, result } of benchmarks) {
    expect(result, name).toEqual({
      ours: times,
      floor: times,
      ratio: number,
      ratioP10: number,
      ratioP90: number,
      noisy: expect.any(Boolean),
    });
    expect(result.ratio, name).toBeGreaterThan(0);
    expect(result.ours.rounds, name).toHaveLength(result.floor.rounds.length);
  }
  expect(stderr).toBe("");
});

test("benchmarks are selected by name, and a name that there is not says so", { timeout: 60_000 }, async () => {
  const { stdout } = await bench("--short", "vfio-user/program");
  expect(stdout).toMatch(/^ *[\d.]+ {2}vfio-user\/program /m);
  expect(stdout).not.toContain("vfio-user/read");
  await expect(bench("--short", "nothing-like-it")).rejects.toMatchObject({
    code: 2,
    stderr: "vfio bench: no benchmark is called nothing-like-it. Fix: see vfio bench --list\n",
  });
});
