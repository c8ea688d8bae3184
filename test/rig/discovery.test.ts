/** Discovery against the rig's kernel and machine, whose devices docs/rig.md lists. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  groupViability,
  listIommuGroups,
  listPciDevices,
  type PciDevice,
  readIommuGroup,
  readMdevDevice,
  readPciDevice,
  setNumVfs,
  vfioCdevPath,
  vfioGroupPath,
} from "../../lib/pci/index.js";
import { onlyIf, rigOnly } from "./devices.js";
import { inRig, usableDevices } from "./selection.js";

function devices(vendorId: number, deviceId: number): PciDevice[] {
  return listPciDevices().filter((device) => device.vendorId === vendorId && device.deviceId === deviceId);
}

function device(vendorId: number, deviceId: number): PciDevice {
  const [found] = devices(vendorId, deviceId);
  if (found === undefined) throw new Error("the rig has no such device");
  return found;
}

describe("the rig's devices", rigOnly("knows the rig's devices"), () => {
  test("edu: no driver, one memory BAR of 1 MiB, alone in its group", () => {
    const edu = devices(0x1234, 0x11e8).find(({ iommuGroup }) => readIommuGroup(iommuGroup ?? -1).devices.length === 1);
    expect(edu).toMatchObject({
      classCode: 0x00ff00,
      driver: undefined,
      driverOverride: undefined,
      sriov: undefined,
      isVf: false,
      vfio: undefined,
      resources: [{ kind: "bar", index: 0, size: 0x10_0000n, space: "memory", prefetchable: false, wide: false }],
    });
    expect(groupViability(edu?.address ?? "")).toMatchObject({ viable: true });
  });

  test("igb: its driver, SR-IOV, ports and memory, BARs for its virtual functions", () => {
    const igb = device(0x8086, 0x10c9);
    expect(igb).toMatchObject({
      classCode: 0x020000,
      driver: "igb",
      enabled: true,
      modalias: expect.stringMatching(/^pci:v00008086d000010C9/),
      sriov: { totalVfs: 7, numVfs: 0, vfs: [], driversAutoprobe: true },
    });
    expect(igb.resources.map(({ kind, index, space }) => `${kind}${index} ${space}`)).toEqual([
      "bar0 memory",
      "bar1 memory",
      "bar2 io",
      "bar3 memory",
      "vf-bar0 memory",
      "vf-bar3 memory",
    ]);
  });

  test("nvme: its class", () => {
    expect(device(0x1b36, 0x0010)).toMatchObject({ classCode: 0x010802, driver: "nvme" });
  });
});

test("what sysfs says of a device is what its configuration space says", () => {
  for (const { sysfsPath, vendorId, deviceId, classCode, revision } of usableDevices()) {
    const config = readFileSync(join(sysfsPath, "config"));
    expect([config.readUInt16LE(0), config.readUInt16LE(2)]).toEqual([vendorId, deviceId]);
    expect([config.readUIntLE(9, 3), config.readUInt8(8)]).toEqual([classCode, revision]);
  }
});

describe("IOMMU groups", () => {
  test("every device is in the group that it names", () => {
    const groups = listIommuGroups();
    expect(groups.length).toBeGreaterThan(0);
    for (const { address, iommuGroup } of listPciDevices()) {
      const home = groups.filter(({ devices }) => devices.some(({ name }) => name === address));
      expect(home.map(({ id }) => id)).toEqual(iommuGroup === undefined ? [] : [iommuGroup]);
    }
  });

  test("the interrupt window is reserved", rigOnly("knows the rig's IOMMU"), () => {
    expect(readIommuGroup(device(0x8086, 0x10c9).address).reservedRegions).toContainEqual({
      start: 0xfee00000n,
      end: 0xfeefffffn,
      type: "msi",
    });
  });

  // Not every machine of the rig has the bridge.
  const [serial] = devices(0x1b36, 0x0002);
  const bridge = onlyIf(inRig && serial !== undefined, "knows the rig's bridge, which is not there with every IOMMU");
  test("behind a conventional bridge all share one, whose serial port is in the way", bridge, () => {
    const { address } = device(0x1b36, 0x0002);
    const viability = groupViability(address);
    expect(viability.group.devices.filter(({ bus }) => bus === "pci")).toHaveLength(4);
    expect(viability).toMatchObject({ viable: false, blockers: [{ name: address, driver: "serial" }] });
  });
});

const makesVfs = rigOnly("makes virtual functions, which nobody can have named");

describe("devices that come and go while they are listed", makesVfs, () => {
  test("a listing never fails, and never misses one that stays", async () => {
    const igb = device(0x8086, 0x10c9);
    const staying = listPciDevices().map(({ address }) => address);
    // They stay until they were seen; the listings before and after run into their coming and going.
    const script = 'echo 3 >"$0/sriov_numvfs"; read -r _; echo 0 >"$0/sriov_numvfs"';
    const child = spawn("sh", ["-c", script, igb.sysfsPath], { stdio: ["pipe", "inherit", "inherit"] });
    const ended = once(child, "exit");
    const letGo = () => {
      if (!child.stdin.writableEnded) child.stdin.end("\n");
    };
    try {
      while (child.exitCode === null) {
        const listed = listPciDevices();
        expect(listed.map(({ address }) => address)).toEqual(expect.arrayContaining(staying));
        const vfs = listed.filter(({ isVf }) => isVf);
        for (const vf of vfs) expect(vf.vendorId).toBe(0x8086);
        if (vfs.length > 0) letGo();
        listIommuGroups();
        await setImmediate();
      }
    } finally {
      letGo();
      await ended;
    }
    expect(await ended).toEqual([0, null]);
    expect(listPciDevices().map(({ address }) => address)).toEqual(staying);
  });
});

describe("virtual functions", makesVfs, () => {
  test("come with their physical function's address and go", () => {
    const { address, sriov } = device(0x8086, 0x10c9);
    const autoprobe = sriov?.driversAutoprobe ?? true;
    const vfs = setNumVfs(address, 2, { autoprobe: false });
    try {
      expect(vfs).toHaveLength(2);
      expect(readPciDevice(address).sriov).toMatchObject({ numVfs: 2, vfs, driversAutoprobe: false });
      for (const vf of vfs) {
        expect(readPciDevice(vf)).toMatchObject({ isVf: true, physfn: address, driver: undefined, deviceId: 0x10ca });
      }
      expect(setNumVfs(address, 2)).toEqual(vfs);
      expect(() => setNumVfs(address, 3)).toThrow(expect.objectContaining({ code: "EBUSY" }));
      expect(() => setNumVfs(address, 8)).toThrow(RangeError);
    } finally {
      setNumVfs(address, 0, { autoprobe });
    }
    expect(readPciDevice(address).sriov).toEqual(sriov);
    expect(() => readPciDevice(vfs[0] ?? "")).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });

  test("a device without SR-IOV has none", () => {
    expect(() => setNumVfs(device(0x1b36, 0x0010).address, 1)).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
  });
});

describe("mediated devices", rigOnly("makes a mediated device, of the kernel's sample driver"), () => {
  const uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

  test("one of the kernel's sample serial port", () => {
    const parent = "/sys/class/mdev_bus/mtty";
    execFileSync("sh", ["-c", `echo ${uuid} >${parent}/mdev_supported_types/mtty-1/create`]);
    try {
      const mdev = readMdevDevice(uuid);
      expect(mdev).toMatchObject({ uuid, parent: "mtty", type: "mtty-1", iommuGroup: expect.any(Number) });
      expect(mdev.vfio?.cdevPath).toBe(vfioCdevPath(uuid));
      expect(mdev.vfio?.groupPath).toBe(vfioGroupPath(uuid));
      expect(groupViability(uuid)).toMatchObject({
        viable: true,
        group: { devices: [{ name: uuid, bus: "mdev", vfio: true }] },
      });
    } finally {
      execFileSync("sh", ["-c", `echo 1 >/sys/bus/mdev/devices/${uuid}/remove`]);
    }
    expect(() => readMdevDevice(uuid)).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });
});

test("sysfs that is mounted elsewhere, as in a container", rigOnly("mounts a file system"), () => {
  const sysfs = mkdtempSync(join(tmpdir(), "sysfs-"));
  execFileSync("mount", ["-t", "sysfs", "-o", "ro", "sysfs", sysfs]);
  try {
    const here = listPciDevices().map(({ sysfsPath, ...device }) => device);
    expect(listPciDevices({ sysfs }).map(({ sysfsPath, ...device }) => device)).toEqual(here);
  } finally {
    execFileSync("umount", [sysfs]);
    rmSync(sysfs, { recursive: true });
  }
});
