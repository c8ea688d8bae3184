/** What a server has of a machine while its guest runs, and what is left when either side goes away. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { eduDevice } from "../../lib/vfio-user/devices/edu.js";
import { VfioUserServer } from "../../lib/vfio-user/server/server.js";
import { startGuest, vfioUserDevice } from "./guest.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "vfio-test-"));
});
afterEach(async () => await rm(directory, { recursive: true, force: true }));

/** A served edu, and what its server has told. */
function serve() {
  const path = join(directory, "edu");
  const device = eduDevice();
  const server = VfioUserServer.listen(device, path);
  const ends: (Error | undefined)[] = [];
  server.on("disconnect", (error) => ends.push(error));
  server.on("fault", (error) => ends.push(error instanceof Error ? error : new Error(String(error))));
  return {
    device,
    server,
    ends,
    plug: vfioUserDevice(path),
    [Symbol.dispose]() {
      server.close();
      device.close();
    },
  };
}

// Bus mastering on, as a driver would: QEMU refuses DMA without it.
const driver = `cd /sys/bus/pci/devices/0000:00:10.0
printf '\\006\\001' | dd of=config bs=1 seek=4 conv=notrunc 2>/dev/null
echo ready
read word
dd if=config bs=1 count=2 2>/dev/null | od -An -tx2`;

describe.skipIf(inject("qemu11") === undefined)("with QEMU 11.1", () => {
  test.each([
    ["with descriptors", true],
    ["by messages", false],
  ])("the guest's memory is the device's %s", async (_how, sharedMemory) => {
    using edu = serve();
    await using guest = await startGuest({ script: driver, devices: [edu.plug], sharedMemory });
    await guest.line(/^ready$/);
    const { dma } = edu.device;
    // The firmware's tables begin where the ACPI specification has them looked for (5.2.5.1), in memory that was RAM when
    // they were written and may only be read since.
    const firmware = Buffer.from(await dma.read(0xf0000, 0x10000));
    expect(firmware.includes("RSD PTR ")).toBe(true);
    await expect(dma.write(0xf0000, firmware.subarray(0, 16))).rejects.toMatchObject({ code: "EPERM" });
    // Above all memory.
    await expect(dma.read(0x1_0000_0000, 16)).rejects.toMatchObject({ code: "EFAULT" });
    // Linux leaves the first MiB alone: firmware has been known not to.
    const word = Buffer.from("written by the device");
    await dma.write(0x800, word);
    expect(Buffer.from(await dma.read(0x800, word.length)).equals(word)).toBe(true);
    guest.send("go on");
    expect((await guest.ended).output).toContain("1234");
    await edu.server.idle();
    expect(dma.ranges).toEqual([]);
    expect(edu.ends).toEqual([undefined]);
  });

  test("QEMU may be killed, and the next one finds the device", async () => {
    using edu = serve();
    for (let round = 0; round < 2; round++) {
      await using guest = await startGuest({ script: driver, devices: [edu.plug] });
      await guest.line(/^ready$/);
      expect(edu.device.dma.ranges).not.toEqual([]);
    }
    await edu.server.idle();
    expect(edu.device.dma.ranges).toEqual([]);
    expect(edu.server.connected).toBe(false);
    expect(edu.ends).toHaveLength(2);
  });

  test("the server may go away, and the guest goes on without the device", async () => {
    using edu = serve();
    await using guest = await startGuest({ script: driver, devices: [edu.plug] });
    await guest.line(/^ready$/);
    edu.server.close();
    await edu.server.idle();
    guest.send("go on");
    const { exitCode } = await guest.ended;
    expect(exitCode).toBe(0);
  });
});
