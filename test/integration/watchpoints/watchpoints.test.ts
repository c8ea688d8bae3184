// A register may be cleared by being read, or ring a bell: how often it is touched is what a driver depends on.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RegionMap, RegisterProgram } from "../../../lib/device/index.js";
import { UserContainer } from "../../../lib/vfio-user/index.js";

const OFFSET = 64;
// More than it takes until every tier of the compiler has had its turn.
const MANY = 20_000;

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const directory = mkdtempSync(path.join(tmpdir(), "vfio-watch-"));
const socket = path.join(directory, "page.sock");
const program = path.join(directory, "watch");
const built = spawnSync(process.env.CC ?? "cc", ["-O2", "-o", program, here("watch.c")], { stdio: "ignore" });
const tried = spawnSync(program, [String(process.pid), "4096"], { input: "", encoding: "utf8" });
const missing = built.status === 0 ? tried.stderr : "there is no C compiler";

afterAll(() => rmSync(directory, { recursive: true }));

/** A program, and what it says, line by line. */
function start(command: string, args: readonly string[]) {
  const child: ChildProcess = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error(`${command} has no pipes`);
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const over = once(child, "exit");
  return {
    next: async () => (await lines.next()).value,
    ask: (line: string) => stdin.write(`${line}\n`),
    async end() {
      stdin.end();
      await over;
    },
  };
}

describe.skipIf(missing !== "")(`a mapped register is touched exactly once ${missing}`.trim(), () => {
  let server: ReturnType<typeof start>;
  let watch: ReturnType<typeof start>;
  let container: UserContainer;
  let map: RegionMap;

  beforeAll(async () => {
    server = start(process.execPath, [here("page-server.mjs"), socket]);
    expect(await server.next()).toBe("ready");
    container = UserContainer.open({ socket });
    map = container.attach().region("bar0").map();
    watch = start(program, [String(process.pid), String(map.address + OFFSET)]);
    expect(await watch.next()).toBe("ready");
  });

  afterAll(async () => {
    await watch.end();
    container.close();
    await server.end();
  });

  /** How often the register was touched since it was asked before. */
  async function accesses(): Promise<number> {
    watch.ask("count");
    return Number(await watch.next());
  }

  it.each([
    { name: "read8", access: () => map.read8(OFFSET) },
    { name: "read16", access: () => map.read16(OFFSET) },
    { name: "read32", access: () => map.read32(OFFSET) },
    { name: "read64", access: () => map.read64(OFFSET) },
    { name: "write8", access: () => map.write8(OFFSET, 1) },
    { name: "write16", access: () => map.write16(OFFSET, 1) },
    { name: "write32", access: () => map.write32(OFFSET, 1) },
    { name: "write64", access: () => map.write64(OFFSET, 1n) },
  ])("by $name, the first time and after many", async ({ access }) => {
    await accesses();
    access();
    expect(await accesses()).toBe(1);
    // What is read is not used, and what is written is the same: an engine would leave most of it out.
    for (let i = 0; i < MANY; i++) access();
    expect(await accesses()).toBe(MANY);
  });

  it("by each access of a program", async () => {
    const sequence = new RegisterProgram();
    for (let i = 0; i < 16; i++) {
      sequence.write32(OFFSET, 7).write8(OFFSET, 7);
      sequence.read32(OFFSET);
      sequence.read64(OFFSET);
    }
    await accesses();
    map.run(sequence);
    expect(await accesses()).toBe(64);
    for (let i = 0; i < 100; i++) map.run(sequence);
    expect(await accesses()).toBe(6400);
  });

  it("not at all by one that is refused", async () => {
    await accesses();
    expect(() => map.read64(OFFSET + 4)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
    expect(() => map.write32(OFFSET + 2, 1)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
    expect(await accesses()).toBe(0);
  });
});
