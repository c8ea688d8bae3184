/** The command on real devices: some runs as a user makes them, in a process of their own, the others in this one. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readPciDevice } from "../../lib/pci/index.js";
import { keysOf, vfio } from "../unit/cli/run.js";
import { bind, devices, onlyIf } from "./devices.js";

const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const { edu, igb, ivshmem, pair } = devices;

/** Starts the command as a user does; `prefix` may take privileges away first. */
function start(args: readonly string[], prefix: readonly string[] = []) {
  const [file = "", ...rest] = [...prefix, process.execPath, program, ...args];
  const child = spawn(file, rest, {
    env: { ...process.env, NODE_OPTIONS: "", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close").then(([code]: unknown[]) => code);
  return { child, closed };
}

async function spawned(args: readonly string[], prefix: readonly string[] = []) {
  const { child, closed } = start(args, prefix);
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, out, err };
}

const setpriv = ["--reuid=65534", "--regid=65534", "--clear-groups"];
const nobody = ["setpriv", ...setpriv];
/** In a home directory that is its owner's alone, nobody else finds the command. */
const everybodysOwn = spawnSync("setpriv", [...setpriv, "test", "-r", program]).status === 0;

/** Takes the privileges of this process away meanwhile: ten times as fast as another process under emulation. */
async function asNobody<T>(action: () => Promise<T>): Promise<T> {
  const { setegid, seteuid } = process;
  if (setegid === undefined || seteuid === undefined) throw new Error("this system has no users");
  setegid(65534);
  seteuid(65534);
  try {
    return await action();
  } finally {
    seteuid(0);
    setegid(0);
  }
}

const documented = readFileSync(new URL("../../docs/command.md", import.meta.url), "utf8");
/** Of capabilities: they are named, and explained nowhere. */
const knownFields = new Set(
  "keepsState vectors enabled wide table pending type functionReset maxPayload link linkMost".split(" "),
);

/** What was printed, if every field of it is documented. */
function checked(out: string): Record<string, unknown> {
  const value: Record<string, unknown> = JSON.parse(out);
  for (const key of keysOf(value)) if (!knownFields.has(key)) expect(documented, key).toContain(`\`${key}\``);
  return value;
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await vfio([...args, "--json"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return checked(out);
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "vfio-cli-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("binding", () => {
  test("a device's way to a program and back: bind, list, doctor, unbind", async () => {
    const before = readPciDevice(igb).driver;
    expect(await spawned(["bind", igb])).toMatchObject({ code: 0, out: `${igb}: vfio-pci (was with ${before})\n` });
    try {
      const listed = await spawned(["list", "--vfio", "--json"]);
      expect(JSON.parse(listed.out)).toMatchObject({
        schema: 1,
        devices: [{ address: igb, driver: "vfio-pci", vfio: { name: "vfio0" } }],
      });
      const doctor = await json("doctor", igb, "--attach");
      expect(doctor).toMatchObject({ works: true, modes: expect.arrayContaining(["type1v2", "iommufd"]) });
      expect(JSON.stringify(doctor)).toContain('"attach.iommufd"');
    } finally {
      expect(await spawned(["unbind", igb])).toMatchObject({ code: 0, out: `${igb}: ${before} (as before)\n` });
    }
    expect(readPciDevice(igb)).toMatchObject({ driver: before, driverOverride: undefined });
    expect(existsSync(`/run/vfio/${igb}.json`)).toBe(false);
  });

  test("without a note, the kernel finds the driver", async () => {
    const before = readPciDevice(igb).driver;
    await vfio(["bind", igb]);
    rmSync(`/run/vfio/${igb}.json`);
    expect(await vfio(["unbind", igb])).toMatchObject({ code: 0, out: `${igb}: ${before} (the kernel's choice)\n` });
    expect(readPciDevice(igb).driver).toBe(before);
  });

  test("several: where one of them cannot be bound, the others are where they were", async () => {
    const before = readPciDevice(igb).driver;
    // A bridge, which VFIO does not take.
    const { code, err } = await vfio(["bind", igb, "00:03.0"]);
    expect(code).toBe(1);
    expect(err).toMatch(/it is a bridge.*\. Fix: name the device behind it\n$/);
    expect(readPciDevice(igb)).toMatchObject({ driver: before, driverOverride: undefined });
    expect(existsSync(`/run/vfio/${igb}.json`)).toBe(false);
  });

  test("a device that a program has open is not taken away", async () => {
    using _bound = bind(edu);
    const { child, closed } = start(["irq", edu, "--watch"]);
    await once(child.stderr, "data");
    const refused = await vfio(["unbind", edu]);
    expect(refused.code).toBe(5);
    expect(refused.err).toMatch(/has .*open\. Fix: .+\n$/);
    expect((await vfio(["doctor", edu])).code).toBe(1);
    expect((await vfio(["info", edu])).out).toContain("not opened  it is in use");
    child.kill("SIGINT");
    expect(await closed).toBe(130);
  });
});

describe("without the permission", onlyIf(everybodysOwn, "a checkout that every user may read"), () => {
  test.each([
    ["bind", [igb]],
    ["unbind", [edu]],
    ["read", [edu, "bar0"]],
    ["write", [edu, "bar0", "0=0"]],
    ["irq", [edu]],
    ["reset", [edu]],
    ["dump", [edu, "bar0", "-"]],
  ])("%s says so in one line", async (command, args) => {
    using _bound = bind(edu);
    const { code, out, err } = await asNobody(() => vfio([command, ...args]));
    expect({ code, out }).toEqual({ code: 4, out: "" });
    expect(err).toMatch(new RegExp(`^vfio ${command}: .+\\. Fix: .*root.*\\n$`));
  });

  test("a file that may not be written is the user's fault, and said before the program runs", async () => {
    const { code, out, err } = await asNobody(() => vfio(["trace", "-o", "/etc/calls", "--", "touch", "/tmp/was-run"]));
    expect({ code, out }).toEqual({ code: 4, out: "" });
    expect(err).toMatch(/^vfio trace: \/etc\/calls cannot be written\. Fix: name a file in a directory of yours\n$/);
    expect(existsSync("/tmp/was-run")).toBe(false);
  });

  test("doctor says which nodes do not open, list and info show what they may", async () => {
    using _bound = bind(edu);
    const { code, out } = await spawned(["doctor", edu], nobody);
    expect(code).toBe(1);
    expect(out).toMatch(/✗ +container modes +none/);
    expect(out).toContain("this user may not open /dev/iommu");
    const info = await asNobody(() => vfio(["info", edu]));
    expect(info.code).toBe(0);
    expect(info.out).toContain("as root there is more");
    expect((await asNobody(() => vfio(["list"]))).code).toBe(0);
    expect((await asNobody(() => vfio(["live-update", "check", edu]))).code).toBe(1);
  });
});

describe("a device", () => {
  test("info: what VFIO says, and what sysfs says of the others", async () => {
    using _bound = bind(edu);
    expect(await json("info", edu)).toMatchObject({
      device: { address: edu, vendorId: "1234" },
      opened: true,
      regions: [{ name: "bar0", size: 1 << 20, access: "rw", mappable: "whole" }, { name: "config" }],
      interrupts: expect.arrayContaining([expect.objectContaining({ name: "msi", count: 1 })]),
      config: { capabilities: [{ name: "msi", fields: { vectors: 1 } }] },
    });
    const other = await json("info", igb, "--hex");
    expect(other).toMatchObject({ opened: false, interrupts: null, config: { size: 4096 } });
    const bytes = readFileSync(`/sys/bus/pci/devices/${igb}/config`).toString("hex");
    expect(other).toMatchObject({ config: { bytes } });
  });

  test("read and write: registers of edu, which inverts one and computes factorials", async () => {
    using _bound = bind(edu);
    expect(await json("read", edu, "bar0")).toMatchObject({ width: 4, values: [{ offset: 0, value: "0x010000ed" }] });
    expect(await json("read", edu, "config", "0", "2", "--width", "2")).toMatchObject({
      values: [{ value: "0x1234" }, { value: "0x11e8" }],
    });
    expect(await json("write", edu, "bar0", "4=0x0f0f0f0f", "--read", "4")).toMatchObject({
      values: [{ offset: 4, value: "0xf0f0f0f0" }],
    });
  });

  test.each([
    [["read", edu, "bar5"], "no region bar5"],
    [["read", edu, "bar0", "2"], "aligned"],
    [["read", edu, "bar0", "0x100000"], "0x100000|1048576"],
    [["write", edu, "bar0", "4=0x100000000"], "0xffffffff"],
    [["irq", edu, "--watch", "--kind", "msix"], "choose msi or intx"],
    [["irq", edu, "--watch", "--vectors", "2"], "1 vectors of msi"],
    [["dump", edu, "bar0", "-", "--length", "0x200000"], "within them"],
    [["dump", edu, "bar0", "/no/such/directory/file"], "a directory that exists"],
    [["reset", edu, "--hot"], "root complex"],
  ])("%j is refused in one line", async (args, message) => {
    using _bound = bind(edu);
    const { code, out, err } = await vfio(args);
    expect(code).toBeGreaterThan(0);
    expect(out).toBe("");
    expect(err).toMatch(new RegExp(message));
    expect(err.trimEnd()).not.toContain("\n");
  });

  test("irq: those that a register raises, and those that the kernel does", async () => {
    using _bound = bind(edu);
    const one = await vfio(["irq", edu, "--watch", "--write", "bar0:0x60=1", "--count", "1", "--json"]);
    expect(one.code).toBe(0);
    expect(checked(one.out)).toMatchObject({ kind: "msi", vector: 0, count: 1, total: 1 });
    const line = await vfio(["irq", edu, "--watch", "--kind", "intx", "--trigger", "--count", "1"]);
    expect(line).toMatchObject({ code: 0, out: expect.stringMatching(/intx {2}\+1 {2}total 1\n$/) });
    // Nothing raises one.
    const none = await vfio(["irq", edu, "--watch", "--count", "1", "--timeout", "1"]);
    expect(none).toMatchObject({ code: 1, out: "" });
  });

  test("dump: the bytes of a BAR in a file, which is not replaced unasked", async () => {
    using _bound = bind(ivshmem);
    const file = join(directory, "bar2");
    const args = ["dump", ivshmem, "bar2", file, "--offset", "4096", "--length", "200000"];
    expect((await vfio(args)).code).toBe(0);
    expect(statSync(file).size).toBe(200_000);
    const again = await vfio(args);
    expect(again).toMatchObject({ code: 1, out: "" });
    expect(again.err).toMatch(/exists\. Fix: .*--force/);
    expect(await json(...args, "--force")).toMatchObject({ region: "bar2", offset: 4096, length: 200_000, file });
    const config = join(directory, "config");
    await vfio(["dump", ivshmem, "config", config]);
    expect(readFileSync(config).readUInt32LE(0)).toBe(0x1110_1af4);
  });

  test("dump draws a bar on a terminal, and leaves nothing behind when it is interrupted", async () => {
    using _bound = bind(ivshmem);
    const shown = await vfio(["dump", ivshmem, "bar2", join(directory, "shown"), "--length", "1000000"], {
      columns: 80,
    });
    expect(shown.err).toMatch(/bar2 .*[█░].* MiB/);
    const file = join(directory, "cut");
    const running = vfio(["dump", ivshmem, "bar2", file]);
    await expect.poll(() => existsSync(file), { timeout: 20_000 }).toBe(true);
    process.emit("SIGINT");
    expect(await running).toMatchObject({ code: 130, out: "" });
    expect(existsSync(file)).toBe(false);
  });

  test("reset: alone, and the slot with its other function", async () => {
    using _igb = bind(igb);
    expect(await json("reset", igb)).toMatchObject({ address: igb, kind: "function", also: [] });
    using _pair = bind(...pair);
    const [first = "", second = ""] = pair;
    expect(await json("reset", first, "--hot")).toMatchObject({ kind: "hot", also: [second] });
  });

  test("live-update check: which modes could hand it over", async () => {
    using _bound = bind(edu);
    expect(await json("live-update", "check", edu)).toMatchObject({ ready: ["type1", "type1v2", "iommufd"] });
    const compat = await vfio(["live-update", "check", edu, "--mode", "compat-type1v2"]);
    expect(compat.code).toBe(1);
    expect(compat.out).toContain("→ use the iommufd mode");
  });
});

test("a group that is not viable: bind says what is in the way", async () => {
  const inGroup = "0000:06:01.0";
  using _bound = bind(inGroup);
  const { code, err } = await vfio(["bind", inGroup]);
  expect(code).toBe(0);
  expect(err).toMatch(/^0000:06:03\.0 of the same IOMMU group is in the way.*vfio bind 0000:06:03\.0\n$/);
  const attached = await vfio(["read", inGroup, "bar0"]);
  expect(attached.code).toBe(1);
  expect(attached.err).toMatch(/group is not viable.*vfio bind 0000:06:03\.0/);
});
