/** Our virtio disk and the driver that ships with Linux, where it is not the usual way: device.test.ts has that. */
import { createHash, randomFillSync } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import {
  type BlockDeviceOptions,
  type Disk,
  fileDisk,
  memoryDisk,
  virtioBlockDevice,
} from "../../lib/vfio-user/devices/virtio-blk.js";
import { VfioUserServer } from "../../lib/vfio-user/server/server.js";
import { type GuestOptions, runGuest, vfioUserDevice } from "./guest.js";

const MIB = 1 << 20;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "vfio-test-"));
});
afterEach(async () => await rm(directory, { recursive: true, force: true }));

/** Runs a guest that has a disk as /dev/vda. A step of its script that fails ends it, and the test. */
async function withDisk(disk: Disk, options: GuestOptions, how: BlockDeviceOptions = {}): Promise<string> {
  const path = join(directory, "disk");
  using device = virtioBlockDevice(disk, how);
  using server = VfioUserServer.listen(device, path);
  const failures: unknown[] = [];
  server.on("disconnect", (error) => failures.push(...(error === undefined ? [] : [error])));
  server.on("fault", (error) => failures.push(error));
  const script = `set -e\n${options.script}`;
  const { exitCode, output } = await runGuest({ ...options, script, devices: [vfioUserDevice(path)] });
  await server.idle();
  expect({ exitCode, output, failures }).toMatchObject({ exitCode: 0, failures: [] });
  return output;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe.skipIf(inject("qemu11") === undefined)("a disk of ours in QEMU 11.1", () => {
  test("interrupts by a line where there are no messages", async () => {
    const bytes = randomFillSync(new Uint8Array(4 * MIB));
    const before = sha256(bytes);
    const output = await withDisk(memoryDisk(bytes), {
      kernelParameters: "pci=nomsi",
      script: `sha256sum </dev/vda
dd if=/dev/urandom of=data bs=64k count=16 2>/dev/null
sha256sum <data
dd if=data of=/dev/vda bs=64k seek=32 oflag=direct 2>/dev/null
grep virtio /proc/interrupts`,
    });
    const [read, written, interrupts] = output.split("\n");
    expect(read?.slice(0, 64)).toBe(before);
    expect(written?.slice(0, 64)).toBe(sha256(bytes.subarray(2 * MIB, 3 * MIB)));
    expect(interrupts).toMatch(/IO-APIC.*virtio/);
  });

  test("carries a file system from one guest to the next", async () => {
    const path = join(directory, "image");
    await using file = await open(path, "w+");
    await file.truncate(16 * MIB);
    const first = await withDisk(await fileDisk(file), {
      script: `mke2fs -F /dev/vda >/dev/null 2>&1
mkdir mnt && mount -t ext2 /dev/vda mnt
dd if=/dev/urandom of=mnt/data bs=64k count=64 2>/dev/null
sha256sum <mnt/data
umount mnt`,
    });
    const second = await withDisk(await fileDisk(file), {
      script: `mkdir mnt && mount -t ext2 -o ro /dev/vda mnt
sha256sum <mnt/data
umount mnt`,
    });
    expect(second).toBe(first);
  });

  test("may be read only", async () => {
    const bytes = new Uint8Array(MIB);
    const output = await withDisk(
      memoryDisk(bytes),
      {
        script: `cat /sys/block/vda/ro
if echo no >/dev/vda; then exit 1; fi 2>/dev/null`,
      },
      { readOnly: true },
    );
    expect(output).toBe("1\n");
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  test("that fails is an I/O error, and no more", async () => {
    const whole = memoryDisk(randomFillSync(new Uint8Array(MIB)));
    const damaged: Disk = {
      ...whole,
      read(offset, into) {
        if (offset >= MIB / 2) throw Object.assign(new Error("bad sector"), { code: "EIO" });
        return whole.read(offset, into);
      },
    };
    const output = await withDisk(damaged, {
      script: `dd if=/dev/vda of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null && echo good
if dd if=/dev/vda of=/dev/null bs=64k skip=8 iflag=direct 2>&1; then exit 1; fi
dd if=/dev/vda of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null && echo good`,
    });
    expect(output).toMatch(/^good\n.*Input\/output error\ngood\n$/);
  });

  test("is there again when the guest has rebooted in the middle of its work", async () => {
    const bytes = randomFillSync(new Uint8Array(4 * MIB));
    bytes.fill(0, 0, 512);
    const output = await withDisk(memoryDisk(bytes), {
      reboot: true,
      // QEMU resets the device; nobody tells the driver, whose requests are under way.
      script: `if [ "$(head -c 8 /dev/vda)" != rebooted ]; then
  echo rebooted | dd of=/dev/vda conv=fsync 2>/dev/null
  # What is read when the machine goes down may fail.
  while cat /dev/vda; do echo 3 >/proc/sys/vm/drop_caches; done >/dev/null 2>&1 &
  echo the first time
  sha256sum </dev/vda >/dev/null
  reboot -f
fi
sha256sum </dev/vda`,
    });
    expect(output).toBe(`the first time\n${sha256(bytes)}  -\n`);
  });

  test("goes and comes back with its driver", async () => {
    const output = await withDisk(memoryDisk(new Uint8Array(MIB)), {
      script: `cd /sys/bus/pci/drivers/virtio-pci
for round in 1 2 3; do
  echo round $round | dd of=/dev/vda conv=fsync 2>/dev/null
  echo 0000:00:10.0 >unbind
  test ! -e /dev/vda
  echo 0000:00:10.0 >bind
  head -c 7 /dev/vda; echo
done`,
    });
    expect(output).toBe("round 1\nround 2\nround 3\n");
  });
});
