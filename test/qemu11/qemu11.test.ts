import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { runGuest, startGuest, vfioUserDevice } from "./guest.js";
import { ensureEmulator } from "./provide.js";

const tools = inject("qemu11");
const run = promisify(execFile);

let temporary: string;
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "vfio-test-"));
});
afterEach(async () => await rm(temporary, { recursive: true, force: true }));

describe("where the mirror has no backports", () => {
  test("says so, and leaves nothing behind", async () => {
    const mirror = join(temporary, "mirror");
    const apt = join(temporary, "apt");
    const cache = join(temporary, "cache");
    await mkdir(apt);
    await writeFile(join(apt, "sources.list"), `deb [trusted=yes] file:${mirror} stable main\n`);
    await expect(ensureEmulator({ apt, directory: cache })).rejects.toMatchObject({
      code: "ERR_RIG_MISSING",
      message: expect.stringContaining(`QEMU 11.1 is in trixie-backports, which file:${mirror} did not give`),
    });
    expect(await readdir(cache)).toEqual([]);
  });
});

describe.skipIf(tools === undefined)("QEMU 11.1", () => {
  test("has a vfio-user client", async () => {
    const { stdout } = await run(tools?.qemu ?? "", ["-device", "help"]);
    expect(stdout).toContain('name "vfio-user-pci", bus PCI');
  });

  test("boots a guest, which runs a script and powers off", async () => {
    const { exitCode, output } = await runGuest({ script: "echo no newline; printf here; exit 3" });
    expect(exitCode).toBe(3);
    expect(output).toBe("no newline\nhere");
  });

  test("lets the script and the test talk", async () => {
    await using guest = await startGuest({ script: 'echo ready; while read word; do echo "<$word>"; done' });
    await guest.line(/^ready$/);
    guest.send("one");
    expect((await guest.line(/^<(.*)>$/))[1]).toBe("one");
    guest.send("two");
    expect((await guest.line(/^<(.*)>$/))[1]).toBe("two");
  });

  test("has drivers for the devices that servers may offer", async () => {
    const { output } = await runGuest({ script: "ls -1 /sys/bus/pci/drivers" });
    expect(output.split("\n")).toEqual(expect.arrayContaining(["virtio-pci", "nvme", "serial", "igb", "e1000e"]));
  });
});

describe.skipIf(tools === undefined)("a guest that does not end by itself", () => {
  const script = "echo ready; sleep 1000";

  test("is killed when its time is over", async () => {
    await expect(runGuest({ script, timeout: 1 })).rejects.toMatchObject({ code: "ERR_RIG_TIMEOUT" });
  });

  test("is killed by a signal", async () => {
    const controller = new AbortController();
    await using guest = await startGuest({ script, signal: controller.signal });
    await guest.line(/^ready$/);
    controller.abort();
    await expect(guest.ended).rejects.toMatchObject({ code: "ERR_RIG_ABORTED" });
    await expect(guest.line(/^never$/)).rejects.toMatchObject({ code: "ERR_RIG_ABORTED" });
  });

  test("is told from one that panicked", async () => {
    const panic = "echo c >/proc/sysrq-trigger; sleep 1000";
    await expect(runGuest({ script: panic })).rejects.toMatchObject({
      code: "ERR_RIG_PANIC",
      message: expect.stringContaining("sysrq triggered crash"),
    });
  });
});

test.skipIf(tools === undefined)("a device whose server is not there is QEMU's refusal, in QEMU's words", async () => {
  const path = join(temporary, "nobody.sock");
  await expect(runGuest({ script: "true", devices: [vfioUserDevice(path)] })).rejects.toMatchObject({
    code: "ERR_RIG_QEMU",
    message: expect.stringContaining(path),
  });
});
