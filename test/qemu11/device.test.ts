/** Devices written in TypeScript, plugged into an unmodified QEMU, worked by drivers that ship with Linux. */

import { createHash, randomFillSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { PciDevice } from "../../lib/vfio-user/device/pci-device.js";
import { eduDevice } from "../../lib/vfio-user/devices/edu.js";
import { memoryDisk, virtioBlockDevice } from "../../lib/vfio-user/devices/virtio-blk.js";
import { VfioUserServer } from "../../lib/vfio-user/server/server.js";
import { runGuest, vfioUserDevice } from "./guest.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "vfio-test-"));
});
afterEach(async () => await rm(directory, { recursive: true, force: true }));

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Boots a guest with a device at 00:10.0, and tells what the server told. */
async function boot(device: PciDevice, script: string, sharedMemory = true) {
  const path = join(directory, "socket");
  using server = VfioUserServer.listen(device, path);
  const told: unknown[] = [];
  server.on("disconnect", (error) => told.push(error));
  server.on("fault", (error) => told.push(error));
  const end = await runGuest({ devices: [vfioUserDevice(path)], script, sharedMemory });
  await server.idle();
  return { ...end, told };
}

describe.skipIf(inject("qemu11") === undefined)("in QEMU 11.1's guest", () => {
  test("edu is what it says it is", async () => {
    using device = eduDevice();
    const { output, told } = await boot(
      device,
      `cd /sys/bus/pci/devices/0000:00:10.0
cat vendor device class revision resource`,
    );
    expect(output).toContain("0x1234\n0x11e8\n0x00ff00\n0x10\n");
    expect(output).toMatch(/^0x[0-9a-f]+00000 0x[0-9a-f]+fffff 0x0000000000040200$/m);
    expect(told).toEqual([undefined]);
  });

  describe.each([
    ["by shared memory", true],
    ["by messages", false],
  ])("a disk, with DMA %s", (_, sharedMemory) => {
    test("is read and written by virtio_blk", async () => {
      const MiB = 1 << 20;
      const bytes = randomFillSync(new Uint8Array(8 * MiB));
      const before = sha256(bytes);
      const second = bytes.slice(4 * MiB);
      using device = virtioBlockDevice(memoryDisk(bytes), { serial: "typescript" });
      const { output, told, qemuErrors } = await boot(
        device,
        `cat /sys/block/vda/size /sys/block/vda/serial /sys/block/vda/ro
echo
sha256sum < /dev/vda
dd if=/dev/vda of=/dev/vda bs=64k skip=64 count=64 conv=notrunc,fsync 2>/dev/null
echo 3 > /proc/sys/vm/drop_caches
sha256sum < /dev/vda
grep -E 'virtio0' /proc/interrupts`,
        sharedMemory,
      );
      expect(qemuErrors).toBe("");
      expect(output).toContain(`16384\ntypescript0\n`);
      expect(output).toContain(before);
      // The second half, twice.
      expect(Buffer.compare(bytes.subarray(0, 4 * MiB), second)).toBe(0);
      expect(output).toContain(sha256(bytes));
      expect(output).toMatch(/PCI-MSIX.*virtio0-req/);
      expect(told).toEqual([undefined]);
    });
  });
});
