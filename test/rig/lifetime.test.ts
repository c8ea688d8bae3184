import { execFile } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endedWell, endings, runInWorkersOnly } from "../workers-only.js";
import { bind, devices } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const library = new URL("../../dist/index.js", import.meta.url).href;
const counter = fileURLToPath(new URL("resources.mjs", import.meta.url));
const run = promisify(execFile);

/** Runs a program in a process of its own, with `gc` and the library; it prints JSON, which is returned. */
async function program(body: string): Promise<{ answer: unknown; warnings: string }> {
  const source = `
    const { openContainer, DmaBuffer } = await import(${JSON.stringify(library)});
    const { resources } = await import(${JSON.stringify(counter)});
    const address = ${JSON.stringify(devices.any)};
    const collect = async () => {
      for (let i = 0; i < 2; i++) { gc(); await new Promise((done) => setImmediate(done)); }
    };
    ${body}`;
  const { stdout, stderr } = await run(process.execPath, ["--expose-gc", "--input-type=module", "-e", source]);
  return { answer: JSON.parse(stdout), warnings: stderr };
}

let binding: Disposable;

beforeAll(() => {
  binding = bind(devices.any);
});

afterAll(() => {
  binding[Symbol.dispose]();
});

describe.each(modes)("garbage collection in %s", (mode) => {
  it("leaves alone what a container has mapped", async () => {
    const { answer } = await program(`
      const container = openContainer({ mode: "${mode}" });
      container.attach(address);
      const addresses = [];
      (() => {
        for (let i = 0; i < 50; i++) {
          const buffer = DmaBuffer.allocate(65536);
          buffer.bytes.fill(i);
          addresses.push([container.map(buffer).iova, buffer.address]);
        }
      })();
      for (let i = 0; i < 4; i++) { new Array(1e5).fill({}); await collect(); }
      const intact = addresses.every(([iova, address], i) => {
        const { memory } = container.mappingAt(iova);
        return memory.address === address && memory.bytes.every((byte) => byte === i);
      });
      const { bytes } = container.unmapAll();
      console.log(JSON.stringify({ intact, bytes: Number(bytes) }));
      container.close();
    `);
    expect(answer).toEqual({ intact: true, bytes: 50 * 65536 });
  });

  it("warns of what was forgotten, and leaks it", async () => {
    const { answer, warnings } = await program(`
      const before = resources();
      await (async () => {
        const container = openContainer({ mode: "${mode}" });
        container.attach(address);
        container.map(DmaBuffer.allocate(65536, { name: "forgotten" }));
      })();
      const held = resources();
      await collect();
      const after = resources();
      console.log(JSON.stringify({ grew: held.descriptors.length > before.descriptors.length,
        same: JSON.stringify(held) === JSON.stringify(after) }));
    `);
    expect(answer).toEqual({ grew: true, same: true });
    expect(warnings).toContain("VFIO_LEAK");
    expect(warnings).toContain(`a container (${mode}) was garbage-collected without close()`);
    expect(warnings).toContain("a DMA buffer of 65536 bytes");
    // One for each of the container, the device and the buffer; none for the descriptors that are theirs.
    expect(warnings.match(/was garbage-collected without/g)).toHaveLength(3);
  });
});

describe.each(modes)("a worker in %s", (mode) => {
  it("releases everything when it is terminated", async () => {
    const before = resources();
    const worker = new Worker(
      `
      const { parentPort } = require("node:worker_threads");
      import(${JSON.stringify(library)}).then(({ openContainer, DmaBuffer }) => {
        const container = openContainer({ mode: "${mode}" });
        const device = container.attach(${JSON.stringify(devices.any)});
        const buffer = DmaBuffer.allocate(1 << 20);
        buffer.bytes.fill(1);
        container.map(buffer);
        const [vector] = [device.msi, device.msix].find(({ count }) => count > 0)?.enable(1) ?? [];
        vector?.on("interrupt", () => {});
        container.map(DmaBuffer.allocate(8 << 20)).unmapAsync();
        container.mapAsync(DmaBuffer.allocate(8 << 20));
        parentPort.postMessage("ready");
        for (;;) device.config.vendorId;
      });`,
      { eval: true },
    );
    await once(worker, "message");
    expect(resources().descriptors.length).toBeGreaterThan(before.descriptors.length);
    await worker.terminate();
    expect(resources()).toEqual(before);
  });
});

describe("workers of a process whose main thread has not imported the package", () => {
  it.each(endings)("end by %s with a device attached, an interrupt watched and memory being mapped", async (ending) => {
    const ended = await runInWorkersOnly(
      `const container = vfio.openContainer();
       const device = container.attach(${JSON.stringify(devices.any)});
       const [vector] = [device.msi, device.msix].find(({ count }) => count > 0)?.enable(1) ?? [];
       vector?.on("interrupt", () => {}).unref();
       vector?.trigger();
       container.mapAsync(vfio.DmaBuffer.allocate(8 << 20));
       open.push(container);`,
      ending,
    );
    expect(ended).toEqual(endedWell(ending));
  });
});
