import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const cwd = fileURLToPath(new URL("../../..", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "vfio-bench-test-"));
// The floor is to compile without a warning.
const environment = { ...process.env, CFLAGS: "-Werror" };
const bench = (args: readonly string[], env: NodeJS.ProcessEnv = environment) =>
  run(process.execPath, ["dist/cli/main.js", "bench", ...args], { cwd, env });

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
  await run(process.execPath, ["node_modules/@typescript/native/bin/tsc", "-p", "bench"], { cwd });
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

test("every benchmark of vfio-user runs and gives its numbers", { timeout: 120_000 }, async () => {
  const { stdout, stderr } = await bench(["--short", "--json", "vfio-user"]);
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
  const { stdout } = await bench(["--short", "vfio-user/program"]);
  expect(stdout).toMatch(/^ *[\d.]+ {2}vfio-user\/program /m);
  expect(stdout).not.toContain("vfio-user/read");
  await expect(bench(["--short", "nothing-like-it"])).rejects.toMatchObject({
    code: 2,
    stderr: "vfio bench: no benchmark is called nothing-like-it. Fix: see vfio bench --list\n",
  });
});

test("no two benchmarks have one name, and each says in a line what it is", async () => {
  const { stdout } = await bench(["--list", "--json"]);
  const { benchmarks }: { benchmarks: { name: string; what: string }[] } = JSON.parse(stdout);
  const names = benchmarks.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
  for (const { name, what } of benchmarks) {
    expect(name).toMatch(/^[\w.-]+(\/[\w.-]+)+$/);
    expect(what).toMatch(/^[^\n]+$/);
  }
});

test("a run is drawn, shown again, and compared with another", { timeout: 60_000 }, async () => {
  const [json, svg] = [join(directory, "run.json"), join(directory, "run.svg")];
  const { stdout } = await bench(["--short", "--json", "vfio-user/read", "--svg", svg]);
  writeFileSync(json, stdout);
  expect(readFileSync(svg, "utf8")).toMatch(/^<svg .*<\/svg>\n$/s);
  const again = await bench(["--from", json, "--json"]);
  expect(again.stdout).toBe(stdout);
  const compared = await bench(["--from", json, "--compare", json]);
  expect(compared.stdout).toMatch(/^vfio-user\/read .* 0\.0 % {2}within the spread/m);
});

test("what is no earlier run is refused", async () => {
  const file = join(directory, "other.json");
  writeFileSync(file, '{"schema":1}');
  for (const option of ["--from", "--compare"]) {
    await expect(bench([option, file])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^vfio bench: .*other.json has no results: effort is no object\. Fix: .+\n$/),
    });
  }
});

test("without a C compiler it says what to install", async () => {
  await expect(bench([], { ...environment, CC: "/no/such/compiler" })).rejects.toMatchObject({
    code: 1,
    stdout: "",
    stderr: "vfio bench: there is no C compiler, to measure against. Fix: install gcc or clang, or name one in CC\n",
  });
});
