import { closeSync, openSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bindDriver, findDeviceUses } from "../../../lib/pci/index.js";
import { errorOf } from "../../helpers/refusal.js";
import { Tree } from "./tree.js";

/** An NVMe controller with a disk, two partitions, and a device-mapper volume on the second. */
function withDisk(tree: Tree): void {
  const disk = `${tree.pci("0000:02:00.0", { driver: "nvme" })}/nvme/nvme0`;
  tree.block(disk, "nvme0n1", "259:0");
  tree.block(`${disk}/nvme0n1`, "nvme0n1p1", "259:1");
  tree.block(`${disk}/nvme0n1`, "nvme0n1p2", "259:2");
  tree.block("sys/devices/virtual/block", "dm-0", "252:0");
}

/** Two NVMe controllers with `nvme_core.multipath=Y`. The first one's disk is below its subsystem, as are its nodes. */
function withMultipathDisk(tree: Tree): void {
  for (const [index, address] of ["0000:02:00.0", "0000:03:00.0"].entries()) {
    const controller = `${tree.pci(address, { driver: "nvme" })}/nvme/nvme${index}`;
    const subsystem = `sys/devices/virtual/nvme-subsystem/nvme-subsys${index}`;
    // The path's own disk is hidden: it has no number and no node.
    tree.directory(`${controller}/nvme${index}c${index}n1`);
    tree.link(`sys/class/block/nvme${index}c${index}n1`, `${controller}/nvme${index}c${index}n1`);
    tree.link(`${subsystem}/nvme${index}`, controller);
    tree.link(`sys/class/nvme-subsystem/nvme-subsys${index}`, subsystem);
  }
  const subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
  tree.block(subsystem, "nvme0n1", "259:0");
  tree.file(`${subsystem}/nvme0n1/uevent`, "MAJOR=259\nMINOR=0\nDEVNAME=nvme0n1\nDEVTYPE=disk\n");
  tree.link("sys/dev/block/259:0", `${subsystem}/nvme0n1`);
  tree.file(`${subsystem}/ng0n1/uevent`, "MAJOR=1\nMINOR=7\nDEVNAME=ng0n1\n");
  tree.link("sys/dev/char/1:7", `${subsystem}/ng0n1`);
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

  describe("the disk of an NVMe subsystem (multipath), which is not below the controller", () => {
    test("that is mounted", () => {
      using tree = new Tree();
      withMultipathDisk(tree);
      tree.file("proc/self/mountinfo", "30 22 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n");
      expect(findDeviceUses("02:00.0", tree.paths)).toMatchObject([{ kind: "mount", name: "nvme0n1" }]);
      expect(findDeviceUses("03:00.0", tree.paths)).toEqual([]);
    });

    test("that a process has open, by its character device", () => {
      using tree = new Tree();
      withMultipathDisk(tree);
      const paths = { ...tree.paths, proc: "/proc" };
      // The disk's node is one that every system has: 1:7 is /dev/full.
      const fd = openSync("/dev/full", "r");
      try {
        const found = findDeviceUses("02:00.0", paths);
        expect(found).toMatchObject([{ kind: "process", name: "/dev/ng0n1", pid: process.pid, own: true }]);
        expect(findDeviceUses("03:00.0", paths)).toEqual([]);
      } finally {
        closeSync(fd);
      }
    });
  });

  test.each([
    "/",
    "/usr",
    "/boot/efi",
  ])("the disk that the system runs from (%s): no use of it can be ended", (target) => {
    using tree = new Tree();
    withDisk(tree);
    tree.file("proc/swaps", "Filename Type Size Used Priority\n/dev/nvme0n1p2 partition 1048572 0 -2\n");
    tree.file(
      "proc/self/mountinfo",
      `30 22 259:1 / ${target} rw - ext4 /dev/nvme0n1p1 rw\n31 30 259:2 / /home rw - ext4 /dev/nvme0n1p2 rw\n`,
    );
    const uses = findDeviceUses("02:00.0", tree.paths);
    expect(uses).toMatchObject([{ kind: "mount", system: true }, { kind: "mount" }, { kind: "swap" }]);
    expect(new Set(uses.map(({ fix }) => fix))).toEqual(
      new Set(["choose another device: the system runs from this one"]),
    );
    const error = errorOf(() => bindDriver("02:00.0", { ...tree.paths, driver: null }));
    expect(error).toMatchObject({ code: "EBUSY", fix: "choose another device: the system runs from this one" });
  });

  describe("the graphics card that shows the console", () => {
    const [first, second] = ["0000:01:00.0", "0000:05:00.0"];
    const card = (tree: Tree, address: string, bootVga: number, driver?: string) => {
      const attributes = { class: "0x030000", boot_vga: String(bootVga) };
      return tree.pci(address, driver === undefined ? { attributes } : { attributes, driver });
    };
    const vtconsole = (tree: Tree, index: number, name: string, bind: number) => {
      const place = `sys/devices/virtual/vtconsole/vtcon${index}`;
      tree.file(`${place}/name`, `${name}\n`);
      tree.file(`${place}/bind`, `${bind}\n`);
      tree.link(`sys/class/vtconsole/vtcon${index}`, place);
    };
    const frameBuffer = (tree: Tree, place: string, name: string) => {
      tree.directory(`${place}/graphics/${name}`);
      tree.link(`sys/class/graphics/${name}`, `${place}/graphics/${name}`);
    };
    const kinds = (tree: Tree) =>
      [first, second].map((address) => findDeviceUses(address, tree.paths).map(({ kind, why }) => `${kind}: ${why}`));
    const onFrameBuffer = "console: it shows the kernel's console (frame buffer device)";

    test("by its frame buffer", () => {
      using tree = new Tree();
      tree.driver("i915");
      const places = [card(tree, first, 1, "i915"), card(tree, second, 0, "amdgpu")];
      for (const [index, place] of places.entries()) frameBuffer(tree, place, `fb${index}`);
      vtconsole(tree, 0, "(S) dummy device", 0);
      vtconsole(tree, 1, "(M) frame buffer device", 1);
      expect(kinds(tree)).toEqual([[onFrameBuffer], []]);
      expect(errorOf(() => bindDriver(first, { ...tree.paths, driver: null }))).toMatchObject({
        code: "EBUSY",
        fix: /another graphics card.*echo 0 > .*\/vtcon1\/bind/,
      });
      tree.file("sys/devices/virtual/vtconsole/vtcon1/bind", "0\n");
      expect(kinds(tree)).toEqual([[], []]);
    });

    test("by the firmware's frame buffer, which is no part of it in sysfs", () => {
      using tree = new Tree();
      card(tree, first, 0);
      card(tree, second, 1);
      frameBuffer(tree, "sys/devices/platform/efi-framebuffer.0", "fb0");
      vtconsole(tree, 0, "(M) frame buffer device", 1);
      expect(kinds(tree)).toEqual([[], [onFrameBuffer]]);
    });

    test("as text, until VFIO has it", () => {
      using tree = new Tree();
      const place = card(tree, first, 1);
      card(tree, second, 0);
      vtconsole(tree, 0, "(S) VGA+", 1);
      expect(kinds(tree)).toEqual([["console: it shows the kernel's console (VGA+)"], []]);
      tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
      expect(kinds(tree)).toEqual([[], []]);
    });
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

  test("a mediated device that is a part of it, and whose group a process has open", () => {
    using tree = new Tree();
    const place = tree.pci("0000:01:00.0", { driver: "i915" });
    const mdev = `${place}/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001`;
    tree.file(`${mdev}/vfio-dev/vfio0/dev`, "511:0\n");
    tree.link("sys/class/vfio-dev/vfio0", `${mdev}/vfio-dev/vfio0`);
    tree.link(`${mdev}/iommu_group`, "sys/kernel/iommu_groups/31");
    tree.file("sys/class/vfio/31/dev", "1:7\n");
    const fd = openSync("/dev/full", "r");
    try {
      expect(findDeviceUses("01:00.0", { ...tree.paths, proc: "/proc" })).toMatchObject([
        { kind: "process", name: tree.at("dev/vfio/31"), own: true },
      ]);
    } finally {
      closeSync(fd);
    }
  });

  test("a device that does not exist", () => {
    using tree = new Tree();
    expect(errorOf(() => findDeviceUses("01:00.0", tree.paths))).toMatchObject({ code: "ENODEV" });
  });
});
