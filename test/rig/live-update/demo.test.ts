/** The demo that `npm start` ends with, in a short form: a chain of four processes, of which each takes igb and nvme over. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { needs } from "../devices.js";

const run = promisify(execFile);
const demo = fileURLToPath(new URL("../../../dist/examples/live-update.js", import.meta.url));

it("igb and nvme transfer on while their process is replaced", {
  ...needs("igb", "nvme"),
  timeout: 240_000,
}, async () => {
  const { stdout, stderr } = await run(process.execPath, [demo, "--mappings", "100"], {
    env: { ...process.env, NODE_OPTIONS: "", NO_COLOR: "1" },
  });
  expect(stderr).toBe("");
  const lines = stdout.split("\n").filter((line) => line.startsWith("  ✔"));
  const handOvers = lines.map((line) => {
    const parts = /✔ (\w+) +100 mappings +pid (\d+) (?:→ (\d+)|again) .* KiB \((\d+)\+(\d+)\+(\d+) blocks\)/.exec(line);
    const [, carrier, old, successor, before, across, after] = parts ?? [];
    return { carrier, old, successor, blocks: [before, across, after].map(Number) };
  });
  expect(handOvers.map(({ carrier }) => carrier)).toEqual(["socket", "exec", "socket", "exec"]);
  // By exec the pid stays, by socket it is the successor's.
  const pids = handOvers.map(({ old, successor }) => [old, successor ?? old]);
  expect(pids.slice(1).map(([old]) => old)).toEqual(pids.slice(0, -1).map(([, successor]) => successor));
  expect(new Set(pids.flat()).size).toBe(3);
  // A block that does not arrive as it set off ends the demo, so it is enough that they were there.
  for (const { blocks } of handOvers) expect(Math.min(...blocks)).toBeGreaterThan(0);
  const [heads = "", ...rows] = stdout.slice(stdout.indexOf("milliseconds")).split("\n").slice(0, 5);
  expect(heads.trim().split(/ {2,}/).at(-1)).toBe("blackout");
  expect(rows.map((row) => row.split(/ +/).slice(0, 3).join(" "))).toEqual([
    "type1v2 socket 100",
    "type1v2 exec 100",
    "iommufd socket 100",
    "iommufd exec 100",
  ]);
});
