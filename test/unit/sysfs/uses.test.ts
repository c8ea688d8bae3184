import { closeSync, openSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { findDeviceUses } from "../../../lib/sysfs/index.js";
import { errorOf, Tree } from "./tree.js";

/** An NVMe controller with a disk, two partitions, and a device-mapper volume on the second. */
function withDisk(tree: Tree): void {
  const disk = `${tree.pci("0000:02:00.0", { driver: "nvme" })}/nvme/nvme0`;
  tree.block(disk, "nvme0n1", "259:0");
  tree.block(`${disk}/nvme0n1`, "nvme0n1p1", "259:1");
  tree.block(`${disk}/nvme0n1`, "nvme0n1p2", "259:2");
  tree.block("sys/devices/virtual/block", "dm-0", "252:0");
}

describe("who uses a device", () => {
  test("nobody", () => {
    using tree = new Tree();
    withDisk(tree);
    tree.file("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    tree.file("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n");
    expect(findDeviceUses("02:00.0", tree.paths)).toEqual([]);
  });

  test("a mounted partition, with a space in its path", () => {
    using tree = new Tree();
    withDisk(tree);
    tree.file("proc/self/mountinfo", "30 22 259:1 / /mnt/my\\040disk rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw\n");
    expect(findDeviceUses("02:00.0", tree.paths)).toEqual([
      {
        kind: "mount",
        name: "nvme0n1p1",
        why: "nvme0n1p1 is mounted on /mnt/my disk",
        fix: "umount '/mnt/my disk'",
      },
    ]);
  });

  test("a mount that the first process sees, in a container with the host's proc; once, if both see it", () => {
    using tree = new Tree();
    withDisk(tree);
    tree.file("proc/self/mountinfo", "30 22 259:1 / /data rw - ext4 /dev/nvme0n1p1 rw\n");
    tree.file(
      "proc/1/mountinfo",
      "90 22 259:1 / /data rw - ext4 /dev/nvme0n1p1 rw\n91 22 259:2 / /var rw - ext4 /dev/nvme0n1p2 rw\n",
    );
    expect(findDeviceUses("02:00.0", tree.paths).map(({ why }) => why)).toEqual([
      "nvme0n1p1 is mounted on /data",
      "nvme0n1p2 is mounted on /var",
    ]);
  });

  test("a file system whose number is its own (btrfs), by its source", () => {
    using tree = new Tree();
    withDisk(tree);
    tree.file("proc/self/mountinfo", "30 22 0:45 / /data rw - btrfs /dev/nvme0n1 rw\n");
    expect(findDeviceUses("02:00.0", tree.paths)).toMatchObject([{ kind: "mount", name: "nvme0n1" }]);
  });

  test("a volume that stands on a partition, and the mount on that", () => {
    using tree = new Tree();
    withDisk(tree);
    tree.link("sys/devices/pci0000:00/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p2/holders/dm-0", "sys/class/block/dm-0");
    tree.file("proc/self/mountinfo", "30 22 252:0 / /home rw - ext4 /dev/mapper/vg-home rw\n");
    expect(findDeviceUses("02:00.0", tree.paths)).toMatchObject([
      { kind: "holder", name: "nvme0n1p2", why: "the block device dm-0 stands on nvme0n1p2" },
      { kind: "mount", name: "dm-0", why: "dm-0 is mounted on /home" },
    ]);
  });

  test("swap", () => {
    using tree = new Tree();
    withDisk(tree);
    tree.file("proc/swaps", "Filename Type Size Used Priority\n/dev/nvme0n1p2 partition 1048572 0 -2\n");
    expect(findDeviceUses("02:00.0", tree.paths)).toMatchObject([
      { kind: "swap", name: "nvme0n1p2", fix: "swapoff /dev/nvme0n1p2" },
    ]);
  });

  test("the disk that stands for all paths of an NVMe subsystem, which is not below the controller", () => {
    using tree = new Tree();
    tree.directory(`${tree.pci("0000:02:00.0", { driver: "nvme" })}/nvme/nvme0`);
    const subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    tree.link(`${subsystem}/nvme0`, "sys/devices/pci0000:00/0000:02:00.0/nvme/nvme0");
    tree.link("sys/class/nvme-subsystem/nvme-subsys0", subsystem);
    tree.block(subsystem, "nvme0n1", "259:0");
    tree.file("proc/self/mountinfo", "30 22 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n");
    expect(findDeviceUses("02:00.0", tree.paths)).toMatchObject([{ kind: "mount", name: "nvme0n1" }]);
  });

  test("a network interface that is up, and not its neighbour that is down", () => {
    using tree = new Tree();
    for (const [address, name, flags] of [
      ["0000:01:00.0", "eth0", "0x1003"],
      ["0000:01:00.1", "eth1", "0x1002"],
    ] as const) {
      const place = `${tree.pci(address, { driver: "igb" })}/net/${name}`;
      tree.file(`${place}/flags`, `${flags}\n`);
      tree.link(`sys/class/net/${name}`, place);
    }
    expect(findDeviceUses("01:00.0", tree.paths)).toMatchObject([
      { kind: "network", name: "eth0", fix: /ip link set eth0 down/ },
    ]);
    expect(findDeviceUses("01:00.1", tree.paths)).toEqual([]);
  });

  test("virtual functions", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0", { driver: "igb", attributes: { sriov_numvfs: "2" } });
    expect(findDeviceUses("01:00.0", tree.paths)).toMatchObject([
      { kind: "vfs", why: "there are 2 virtual functions of it" },
    ]);
  });

  test("a process that has the device's node open: this one", () => {
    using tree = new Tree();
    const place = tree.pci("0000:01:00.0", { driver: "vfio-pci" });
    // The device's node is one that every system has: 1:7 is /dev/full.
    tree.file(`${place}/vfio-dev/vfio0/dev`, "1:7\n");
    tree.file(`${place}/vfio-dev/vfio0/uevent`, "MAJOR=1\nMINOR=7\nDEVNAME=vfio/devices/vfio0\n");
    tree.link("sys/dev/char/1:7", `${place}/vfio-dev/vfio0`);
    const paths = { ...tree.paths, proc: "/proc" };
    expect(findDeviceUses("01:00.0", paths)).toEqual([]);
    const fd = openSync("/dev/full", "r");
    try {
      expect(findDeviceUses("01:00.0", paths)).toEqual([
        {
          kind: "process",
          name: "/dev/vfio/devices/vfio0",
          pid: process.pid,
          own: true,
          why: "this process has /dev/vfio/devices/vfio0 open",
          fix: "close it first",
        },
      ]);
    } finally {
      closeSync(fd);
    }
    expect(findDeviceUses("01:00.0", paths)).toEqual([]);
  });

  test("a device that a process opened through its group, as a recent kernel tells", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0", { driver: "vfio-pci" });
    tree.pci("0000:02:00.0", { driver: "vfio-pci" });
    tree.file("proc/71/comm", "qemu-system-x86\n");
    tree.file("proc/71/fdinfo/9", "pos:\t0\nvfio-device-syspath: /sys/devices/pci0000:00/0000:01:00.0\n");
    tree.anonymousLink("proc/71/fd/9", "anon_inode:[vfio-device]");
    expect(findDeviceUses("01:00.0", tree.paths)).toMatchObject([
      { kind: "process", pid: 71, own: false, why: "process 71 (qemu-system-x86) has the device itself open" },
    ]);
    expect(findDeviceUses("02:00.0", tree.paths)).toEqual([]);
  });

  test("a device that does not exist", () => {
    using tree = new Tree();
    expect(errorOf(() => findDeviceUses("01:00.0", tree.paths))).toMatchObject({ code: "ENODEV" });
  });
});
