/**
 * A process that replaces itself by exec is killed somewhere on the way: then nobody has the device, and it can be opened afresh.
 * When it is not, the new program has it, and whoever else wants it is told.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type ContainerMode, DmaBuffer, openContainer } from "vfio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Prng } from "../../unit/prng.js";
import { bind, devices, needs } from "../devices.js";
import { dma } from "./edu-dma.js";

const script = fileURLToPath(new URL("kill-exec-process.mjs", import.meta.url));
const prng = new Prng(Number(process.env.VFIO_KILL_SEED ?? 1));
const runs = Number(process.env.VFIO_KILL_RUNS ?? 8) / 4;

/** The device works for who opens it now. */
function worksAfresh(mode: ContainerMode): void {
  using container = openContainer({ mode });
  using memory = DmaBuffer.allocate(4096);
  container.attach(devices.edu).busMaster = true;
  const mapping = container.map(memory, { mask: 0xfff_ffff });
  memory.bytes.set([1, 2, 3]);
  dma(container, mapping.iova, mapping.at(2048));
  expect([...memory.bytes.subarray(2048, 2051)]).toEqual([1, 2, 3]);
  mapping.unmap();
}

async function run(mode: ContainerMode, act: (kill: () => void) => Promise<void> | void): Promise<string[]> {
  const child = spawn(process.execPath, [script, mode, devices.edu], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  const words: string[] = [];
  const ended = once(child, "exit");
  const kill = () => child.kill("SIGKILL");
  for await (const word of createInterface({ input: child.stdout })) {
    words.push(word);
    if (word === "ready") {
      child.stdin.write("go\n");
      await act(kill);
    } else {
      expect(() => openContainer({ mode }).attach(devices.edu)).toThrow(/EBUSY/);
      kill();
    }
  }
  await ended;
  return words;
}

describe.each(["type1v2", "iommufd"] as const)("in mode %s", (mode) => {
  let bound: Disposable;
  beforeAll(() => {
    bound = bind(devices.edu);
  });
  afterAll(() => bound[Symbol.dispose]());

  it("a process that is not killed has the device as before", needs("edu"), async () => {
    expect(await run(mode, () => {})).toEqual(["ready", "over"]);
    worksAfresh(mode);
  });

  it(`a process that is killed anywhere (${Math.ceil(runs)} times) leaves the device to nobody`, {
    ...needs("edu"),
    timeout: 30_000 * Math.ceil(runs),
  }, async () => {
    for (let i = 0; i < runs; i++) {
      // An emulated machine takes about three seconds to start the new program.
      const words = await run(mode, (kill) => {
        setTimeout(kill, prng.below(3500));
      });
      expect(words[0]).toBe("ready");
      worksAfresh(mode);
    }
  });
});
