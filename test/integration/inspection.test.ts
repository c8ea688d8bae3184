/** What console.log shows of the public objects: one useful line each; and what a forgotten one warns of: once. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect, promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as library from "../../lib/index.js";
import * as kvm from "../../lib/kvm/index.js";
import * as update from "../../lib/live-update/index.js";
import * as pci from "../../lib/pci/index.js";
import * as user from "../../lib/vfio-user/index.js";
import { type EduProcess, socketDirectory, startEdu } from "./vfio-user-client/edu-process.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

/** Classes whose objects have nothing inside but what they show. */
const plain = ["IovaAllocator", "LocalApic", "PciNames", "RegisterProgram"];

const classes = Object.entries({ ...library, ...kvm, ...update, ...pci, ...user }).filter(
  ([name, value]) =>
    /^class\b/.test(String(value)) &&
    !plain.includes(name) &&
    !(typeof value === "function" && Object.prototype.isPrototypeOf.call(Error, value)),
);

test.each(classes)("%s says in one line what it is", (_, type) => {
  if (typeof type !== "function") throw new Error("it is a class");
  expect(inspect.custom in type.prototype).toBe(true);
});

describe("a device behind a socket", () => {
  let directory: ReturnType<typeof socketDirectory>;
  let server: EduProcess;
  let container: user.UserContainer;
  let device: library.Device;
  beforeAll(async () => {
    directory = socketDirectory();
    server = await startEdu(join(directory.path, "edu.sock"));
    container = user.UserContainer.open({ socket: server.socket });
    device = container.attach();
  });
  afterAll(async () => {
    container.close();
    await server[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  test("shows its address, what is mapped and what it can do", () => {
    using buffer = library.DmaBuffer.allocate(8192, { name: "ring" });
    using mapping = container.map(buffer, { iova: 0x1000, write: false });
    const address = device.address;
    expect(inspect(mapping)).toBe("DmaMapping { IOVA 0x1000, 0x2000 bytes of ring (8192 bytes), devices may read }");
    expect(inspect(buffer)).toBe("DmaBuffer { ring (8192 bytes), pages of 4096, open }");
    expect(inspect(container)).toBe(`UserContainer { vfio-user, devices: ${address}, 1 mapping, open }`);
    expect(inspect({ device })).toBe(`{ device: Device { ${address}, open } }`);
    expect(inspect(device.region("bar0"))).toBe(`Region { bar0 of ${address}, 1048576 bytes, read, write }`);
    expect(inspect(device.msi)).toBe(`MessageInterrupts { msi of ${address} }`);
    expect(inspect([device.config], { depth: 0, colors: true })).toBe(`[ ConfigSpace { config of ${address} } ]`);
  });
});

test("a forgotten buffer warns once", async () => {
  const program = `
    import { DmaBuffer } from "vfio";
    import { setImmediate as turn } from "node:timers/promises";
    (() => void DmaBuffer.allocate(4096))();
    let warned = 0;
    process.on("warning", ({ code }) => { if (code === "VFIO_LEAK") warned++; });
    for (let i = 0; i < 20; i++) { gc(); await turn(); }
    console.log(warned);`;
  const options = ["--expose-gc", "--no-warnings", "--input-type=module", "--eval", program];
  const { stdout } = await run(process.execPath, options, { cwd: root });
  expect(stdout).toBe("1\n");
});
