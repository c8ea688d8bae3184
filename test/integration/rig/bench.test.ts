/** What this machine lacks for a benchmark, the rig's guest has. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const cwd = fileURLToPath(new URL("../../..", import.meta.url));
const bench = async (...args: string[]) =>
  JSON.parse((await run(process.execPath, ["dist/cli/main.js", "bench", "--json", ...args], { cwd })).stdout);

beforeAll(async () => {
  await run(process.execPath, ["node_modules/@typescript/native/bin/tsc", "-p", "bench"], { cwd });
}, 60_000);

// A host that has it needs no guest for it.
test.skipIf(existsSync("/dev/iommu"))(
  "what takes a kernel with VFIO is measured in a guest, beside what runs here",
  async () => {
    const name = "map/iommufd/memfd/4k/1/shim";
    const { machines, benchmarks } = await bench("--short", "--rig", name, "registers/read32");
    expect(benchmarks).toEqual([
      expect.objectContaining({ name, where: "guest", result: expect.objectContaining({ ratio: expect.any(Number) }) }),
      expect.objectContaining({ name: "registers/read32", where: "host", result: expect.any(Object) }),
    ]);
    expect(machines.map(({ where }: { where: string }) => where)).toEqual(["host", "guest"]);
  },
);
