/** Tracing as users have it: an environment variable, and a command in front of theirs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keysOf } from "../unit/cli/run.js";

const dist = new URL("../../dist/", import.meta.url);
const main = fileURLToPath(new URL("cli/main.js", dist));
const documented = readFileSync(new URL("../../docs/command.md", import.meta.url), "utf8");

let directory: string;
/** A program that makes six calls in each of its main thread, a worker and a child process, and ends with 3. */
let program: string;
/** What makes six calls. */
const work = `DmaBuffer.allocate(4096).close();`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-trace-"));
  program = join(directory, "program.mjs");
  writeFileSync(
    program,
    `import { spawnSync } from "node:child_process";
    import { once } from "node:events";
    import { isMainThread, Worker } from "node:worker_threads";
    import { DmaBuffer } from ${JSON.stringify(new URL("index.js", dist).href)};
    ${work}
    if (isMainThread && process.argv[2] !== "child") {
      await once(new Worker(new URL(import.meta.url)), "exit");
      spawnSync(process.execPath, [process.argv[1], "child"], { stdio: "inherit" });
      console.log("done");
      process.exitCode = 3;
    }`,
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NODE_OPTIONS: "", NODE_DEBUG: "", NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { child, closed: once(child, "close") };
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { child, closed } = start(args, env);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, out, err, lines: err.split("\n").filter((line) => line !== "") };
}

const trace = (...args: string[]) => run([main, "trace", ...args]);

describe("NODE_DEBUG", () => {
  test("vfio: a line for each call, of every thread and process", async () => {
    const { code, out, lines } = await run([program], { NODE_DEBUG: "fs-no,vfio" });
    expect({ code, out }).toEqual({ code: 3, out: "done\n" });
    for (const line of lines) expect(line).toMatch(/^VFIO \d+: \w+\(.*\) = .+ <\d+\.\d{6}>$/);
    expect(lines.filter((line) => line.includes("memfd_create("))).toHaveLength(3);
    expect(lines.filter((line) => line.includes("munmap(0x"))).toHaveLength(3);
  });

  test("of something else: none", async () => {
    expect(await run([program], { NODE_DEBUG: "vfio-not" })).toMatchObject({ code: 3, err: "" });
  });
});

describe("vfio trace", () => {
  test("shows the calls of the program, its workers and its children, and ends as it does", async () => {
    const { code, out, lines } = await trace("--", process.execPath, program);
    expect({ code, out }).toEqual({ code: 3, out: "done\n" });
    for (const line of lines) expect(line).toMatch(/^\[pid \d+(, thread 1)?\] \w+\(.*\) = .+ <\d+\.\d{6}>$/);
    expect(new Set(lines.map((line) => /^\[.*?\]/.exec(line)?.[0])).size).toBe(3);
  });

  test("only some, and into a file", async () => {
    const file = join(directory, "calls");
    writeFileSync(file, "what was there before\n");
    expect(await trace("-e", "MEMFD*,ioctl", "-o", file, process.execPath, program)).toMatchObject({
      code: 3,
      err: "",
    });
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(/^\[pid .*\] memfd_create\(name="vfio-dma"/);
    expect(await trace("--failed", process.execPath, program)).toMatchObject({ code: 3, err: "" });
  });

  test("as JSON, of which the documentation has every field", async () => {
    const { lines } = await trace("--json", "-e", "ftruncate", process.execPath, program);
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const { args, ...call } = JSON.parse(line);
      expect(call).toMatchObject({
        schema: 1,
        syscall: "ftruncate",
        request: null,
        result: "0",
        error: null,
        batch: 1,
      });
      expect(args).toEqual({ fd: expect.stringMatching(/^\d+<memfd:vfio-dma>$/), length: "0x1000" });
      expect(Date.now() / 1000 - call.time).toBeLessThan(600);
      for (const key of keysOf(call)) expect(documented, key).toContain(`\`${key}\``);
    }
  });

  test("counted", async () => {
    const { code, out, err } = await trace("-c", process.execPath, program);
    expect({ code, out }).toEqual({ code: 3, out: "done\n" });
    expect(err).toMatch(/^% time +seconds +µs\/call +calls +errors +call\n/);
    expect(err).toMatch(/ 3 +memfd_create\n/);
    expect(err).toMatch(/ 100\.0 .* total\n$/);
    const summary = JSON.parse((await trace("-c", "--json", process.execPath, program)).err);
    expect(summary).toMatchObject({ schema: 1, total: { errors: 0 } });
    expect(summary.calls).toContainEqual({ name: "munmap", calls: 3, errors: 0, seconds: expect.any(Number) });
    for (const key of keysOf(summary)) expect(documented, key).toContain(`\`${key}\``);
  });

  test("of a program that makes no call", async () => {
    expect(await trace("-c", process.execPath, "-e", "0")).toMatchObject({
      code: 0,
      err: "no calls: the program made none through this package\n",
    });
  });

  test("loads nothing of the package's native part into programs that do not", async () => {
    const objects = "console.log(JSON.stringify(process.report.getReport().sharedObjects))";
    const { out } = await trace(process.execPath, "-e", objects);
    expect(JSON.parse(out).filter((file: string) => file.endsWith("vfio.node"))).toEqual([]);
  });

  test("passes signals on, and says which one the program died of", async () => {
    const waiting = join(directory, "waiting.mjs");
    writeFileSync(
      waiting,
      'setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(7)); console.log("here");',
    );
    const { child, closed } = start([main, "trace", process.execPath, waiting]);
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect(await closed).toEqual([7, null]);
    expect(await trace(process.execPath, "-e", "process.kill(process.pid, 'SIGKILL')")).toMatchObject({ code: 137 });
  });

  test("what cannot be run or written is said in one line", async () => {
    const plain = join(directory, "plain");
    writeFileSync(plain, "");
    chmodSync(plain, 0o644);
    for (const [args, expected, message] of [
      [["--", "no-such-program"], 127, /there is no program no-such-program\. Fix: .*PATH/],
      [[plain], 126, /cannot be run.*\. Fix: /],
      [["-o", "/no/such/directory/file", process.execPath, program], 1, /cannot be written.*\. Fix: /],
    ] as const) {
      const { code, out, lines } = await trace(...args);
      expect({ code, out }).toEqual({ code: expected, out: "" });
      expect(lines).toEqual([expect.stringMatching(message)]);
    }
  });
});
