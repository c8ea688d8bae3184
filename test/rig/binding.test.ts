/** Binding against the rig's kernel: real drivers, real refusals. Every test gives back what it took. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { errnoName } from "../../lib/base/errors.js";
import { native } from "../../lib/kernel/native.js";
import { VFIO_GROUP_FLAGS_VIABLE, VFIO_TYPE1v2_IOMMU } from "../../lib/kernel/uapi.js";
import {
  Binding,
  bindDriver,
  findDeviceUses,
  formerDriver,
  groupViability,
  listPciDevices,
  type PciAddress,
  type PciDevice,
  planBinding,
  readIommuGroup,
  readPciDevice,
  readVfioNodes,
  releaseDevice,
  setNumVfs,
  vfioCdevPath,
  vfioGroupPath,
} from "../../lib/pci/index.js";
import { errorOf } from "../helpers/refusal.js";
import { held } from "./held.js";

function addresses(vendorId: number, deviceId: number): PciAddress[] {
  return listPciDevices()
    .filter((device) => device.vendorId === vendorId && device.deviceId === deviceId)
    .map(({ address }) => address);
}

function address(vendorId: number, deviceId: number): PciAddress {
  const [found] = addresses(vendorId, deviceId);
  if (found === undefined) throw new Error("the rig has no such device");
  return found;
}

const igb = address(0x8086, 0x10c9);
const nvme = address(0x1b36, 0x0010);
// Two functions of one card that share a group; the second also stands for any device that has a driver.
const [pair0, card] = addresses(0x8086, 0x10d3);
const edu = addresses(0x1234, 0x11e8).find((one) => readIommuGroup(one).devices.length === 1);
if (edu === undefined || pair0 === undefined || card === undefined) throw new Error("the rig lacks a device");

/** What binding may change, of the devices that are bound here. */
function state(devices: readonly PciAddress[]): unknown {
  return devices.map((name) => {
    const { driver, driverOverride, iommuGroup, vfio, sriov } = readPciDevice(name);
    return { name, driver, driverOverride, iommuGroup, vfio, sriov };
  });
}

const ours = [igb, nvme, pair0, card, edu];
const atFirst = state(ours);
afterEach(() => {
  expect(state(ours)).toEqual(atFirst);
  expect(ours.filter((name) => existsSync(`/run/vfio/${name}.json`))).toEqual([]);
});

async function appears(path: string): Promise<void> {
  const directory = join(path, "..");
  const watcher = watch(directory);
  try {
    while (!existsSync(path)) await once(watcher, "change");
  } finally {
    watcher.close();
  }
}

describe("vfio-pci and back", () => {
  test("a device without a driver", () => {
    const before = readPciDevice(edu);
    expect(before).toMatchObject({ driver: undefined, vfio: undefined });
    const binding = bindDriver(edu);
    try {
      expect(binding).toMatchObject({ address: edu, driver: "vfio-pci", previousDriver: undefined, active: true });
      const { vfio, driver, driverOverride } = readPciDevice(edu);
      expect({ driver, driverOverride }).toEqual({ driver: "vfio-pci", driverOverride: "vfio-pci" });
      expect(vfio?.cdevPath).toBe(vfioCdevPath(edu));
      expect(vfio?.groupPath).toBe(vfioGroupPath(edu));
      expect(vfio?.groupPath).toBe(`/dev/vfio/${before.iommuGroup}`);
      closeSync(openSync(vfioCdevPath(edu), "r+"));
      closeSync(openSync(vfioGroupPath(edu), "r+"));
    } finally {
      binding.restore();
    }
    expect(binding.active).toBe(false);
    expect(errorOf(() => vfioCdevPath(edu))).toMatchObject({ code: "ENODEV", why: /no driver/ });
    binding.restore();
  });

  test("a network card, whose driver comes back with its interface", () => {
    const interfaces = () => {
      const path = readPciDevice(igb).sysfsPath;
      return execFileSync("sh", ["-c", `ls ${path}/net 2>/dev/null || true`], { encoding: "utf8" }).trim();
    };
    const before = interfaces();
    expect(before).not.toBe("");
    {
      using binding = bindDriver(igb);
      expect(binding.previousDriver).toBe("igb");
      expect(readPciDevice(igb).driver).toBe("vfio-pci");
      expect(interfaces()).toBe("");
    }
    expect(interfaces()).toBe(before);
  });

  test("an override that was there is given back", () => {
    const { sysfsPath } = readPciDevice(card);
    writeFileSync(join(sysfsPath, "driver_override"), "e1000e\n");
    try {
      bindDriver(card).restore();
      expect(readPciDevice(card)).toMatchObject({ driver: "e1000e", driverOverride: "e1000e" });
    } finally {
      writeFileSync(join(sysfsPath, "driver_override"), "\n");
    }
  });

  describe.each(["no-such-driver", "igb", "vfio-pci"])("an override that names %s and not the driver", (stale) => {
    const override = join(readPciDevice(card).sysfsPath, "driver_override");
    const before = { driver: "e1000e", driverOverride: stale };
    beforeEach(() => writeFileSync(override, `${stale}\n`));
    afterEach(() => {
      try {
        expect(readPciDevice(card)).toMatchObject(before);
      } finally {
        writeFileSync(override, "\n");
      }
    });

    test("is given back after the driver is", () => {
      bindDriver(card).restore();
      expect(readPciDevice(card)).toMatchObject(before);
      bindDriver(card, { driver: null }).restore();
    });

    test("is given back by another process", () => {
      bindDriver(card);
      expect(releaseDevice(card)).toBe("e1000e");
    });

    test("is given back after a step that fails", () => {
      expect(errorOf(() => bindDriver(card, { driver: "virtio-pci" }))).toMatchObject({ code: "ENODEV" });
    });
  });

  test("the plan is what is done, and planning does nothing", () => {
    const plan = planBinding(card);
    expect(plan.uses).toEqual([]);
    using binding = bindDriver(card);
    expect(binding.plan).toEqual(plan);
    expect(planBinding(card).steps).toEqual([]);
  });

  test("no driver at all, and back", () => {
    using binding = bindDriver(card, { driver: null });
    expect(binding.driver).toBeUndefined();
    expect(readPciDevice(card).driver).toBeUndefined();
  });

  test("two bindings, one upon the other, restored in reverse", () => {
    using outer = bindDriver(card);
    {
      using inner = bindDriver(card, { driver: "e1000e" });
      expect(inner.previousDriver).toBe("vfio-pci");
      expect(readPciDevice(card).driver).toBe("e1000e");
    }
    expect(readPciDevice(card)).toMatchObject({ driver: "vfio-pci", driverOverride: "vfio-pci" });
    expect(outer.active).toBe(true);
  });
});

describe("several processes", () => {
  const library = new URL("../../dist/pci/bind.js", import.meta.url);
  const program = `
    import { once } from "node:events";
    import { bindDriver } from ${JSON.stringify(library.href)};
    console.log("ready");
    await once(process.stdin, "data");
    console.log(bindDriver(process.argv[1]).active);
    setInterval(() => {}, 60_000);
  `;

  /** A process that binds vfio-pci when \`bind()\` is called, and says whether it changed anything. */
  async function started(device: PciAddress) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program, device], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    const line = async () => String((await Promise.race([once(child.stdout, "data"), ended]))[0]).trim();
    expect(await line()).toBe("ready");
    return {
      bind: () => {
        child.stdin.write("now\n");
        return line();
      },
      end: (signal: NodeJS.Signals) => {
        child.kill(signal);
        return ended;
      },
    };
  }

  test("at once: one of them binds the device, and the others leave it as it is", async () => {
    const all = await Promise.all([edu, edu].map(started));
    try {
      const bound = await Promise.all(all.map(({ bind }) => bind()));
      expect(bound.sort()).toEqual(["false", "true"]);
      expect(readPciDevice(edu)).toMatchObject({ driver: "vfio-pci", driverOverride: "vfio-pci" });
    } finally {
      await Promise.all(all.map(({ end }) => end("SIGTERM")));
      releaseDevice(edu);
    }
  });

  test.each(["SIGINT", "SIGKILL"] as const)("one that ends by %s: its device can be given back", async (signal) => {
    const { sysfsPath } = readPciDevice(card);
    // The kernel would choose this driver by itself; the note has the override, too.
    writeFileSync(join(sysfsPath, "driver_override"), "e1000e\n");
    try {
      const child = await started(card);
      expect(await child.bind()).toBe("true");
      expect(await child.end(signal)).toEqual([null, signal]);
      expect(readPciDevice(card).driver).toBe("vfio-pci");
      expect(formerDriver(card)).toEqual({ driver: "e1000e", override: "e1000e" });
      expect(releaseDevice(card)).toBe("e1000e");
      expect(readPciDevice(card).driverOverride).toBe("e1000e");
    } finally {
      writeFileSync(join(sysfsPath, "driver_override"), "\n");
    }
  });
});

describe("a step that fails", () => {
  test("a driver that does not want the device: its error, and the first driver is back", () => {
    // virtio-pci looks at the device's ID when it probes, and answers ENODEV.
    const error = errorOf(() => bindDriver(card, { driver: "virtio-pci" }));
    expect(error).toMatchObject({
      name: "VfioError",
      code: "ENODEV",
      why: /virtio-pci does not take this device/,
      fix: /dmesg/,
      path: expect.stringMatching(/drivers\/virtio-pci\/bind$/),
    });
    expect(readPciDevice(card)).toMatchObject({ driver: "e1000e", driverOverride: undefined });
  });

  // An empty root port, so that nothing is behind it; not every machine of the rig has one.
  const port = listPciDevices().find(isEmptyPort);
  test.runIf(port !== undefined)("a bridge: VFIO takes only endpoints", () => {
    if (port === undefined) return;
    expect(errorOf(() => bindDriver(port.address))).toMatchObject({ code: "EINVAL", why: /bridge/ });
    expect(readPciDevice(port.address).driver).toBe("pcieport");
  });

  test("what does not exist", () => {
    expect(errorOf(() => bindDriver("0000:ff:1f.7"))).toMatchObject({ code: "ENODEV", why: /no such device/ });
    expect(errorOf(() => bindDriver(edu, { driver: "no-such-driver" }))).toMatchObject({
      code: "ENOENT",
      fix: /modprobe/,
    });
    expect(errorOf(() => bindDriver("02.0"))).toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
  });

  test("without the permission", () => {
    const { seteuid } = process;
    if (seteuid === undefined) throw new Error("this is not Linux");
    seteuid(65534);
    let error: Error;
    try {
      error = errorOf(() => bindDriver(edu));
    } finally {
      seteuid(0);
    }
    expect(error).toMatchObject({ code: "EACCES", why: /only root/, fix: /sudo/ });
  });

  test("on a sysfs that is mounted read-only: found before the first write", () => {
    const sysfs = mkdtempSync(join(tmpdir(), "sysfs-"));
    execFileSync("mount", ["-t", "sysfs", "-o", "ro", "sysfs", sysfs]);
    try {
      expect(errorOf(() => bindDriver(card, { sysfs }))).toMatchObject({ code: "EROFS", why: /read-only/ });
      expect(readPciDevice(card).driver).toBe("e1000e");
    } finally {
      execFileSync("umount", [sysfs]);
      rmSync(sysfs, { recursive: true });
    }
  });
});

function isEmptyPort({ driver, sysfsPath }: PciDevice): boolean {
  if (driver !== "pcieport") return false;
  return execFileSync("sh", ["-c", `ls -d ${sysfsPath}/????:??:??.? 2>/dev/null || true`], { encoding: "utf8" }) === "";
}

describe("a device in use", () => {
  test("a network interface that is up", () => {
    const name = basename(
      execFileSync("sh", ["-c", `echo ${readPciDevice(igb).sysfsPath}/net/*`], { encoding: "utf8" }).trim(),
    );
    execFileSync("ip", ["link", "set", name, "up"]);
    try {
      expect(findDeviceUses(igb)).toMatchObject([{ kind: "network", name }]);
      expect(errorOf(() => bindDriver(igb))).toMatchObject({
        code: "EBUSY",
        why: /is up/,
        fix: /ip link set .* down.*force/,
      });
      expect(readPciDevice(igb).driver).toBe("igb");
      using binding = bindDriver(igb, { force: true });
      expect(readPciDevice(igb).driver).toBe("vfio-pci");
      expect(binding.plan.uses).toHaveLength(1);
    } finally {
      execFileSync("ip", ["link", "set", name, "down"]);
    }
    expect(findDeviceUses(igb)).toEqual([]);
  });

  test("a device that a process has open, by its own node or by its group", async () => {
    using binding = bindDriver(edu);
    for (const path of [vfioCdevPath(edu), vfioGroupPath(edu)]) {
      const fd = openSync(path, "r+");
      try {
        expect(findDeviceUses(edu)).toMatchObject([{ kind: "process", name: path, pid: process.pid, own: true }]);
        expect(errorOf(() => binding.restore())).toMatchObject({ code: "EBUSY", why: /this process has/ });
        // Not even by force: the kernel would wait for this process, which waits for the kernel.
        expect(errorOf(() => bindDriver(edu, { driver: null, force: true }))).toMatchObject({ code: "EBUSY" });
      } finally {
        closeSync(fd);
      }
      await using child = await held('exec 3<>"$0"', path);
      expect(findDeviceUses(edu)).toMatchObject([
        { kind: "process", name: path, pid: child.pid, own: false, why: /\(sh\) has/ },
      ]);
      expect(errorOf(() => binding.restore())).toMatchObject({ code: "EBUSY" });
    }
    expect(binding.active).toBe(true);
  });

  test("a device that was opened through its group, whose own descriptor is closed", () => {
    using binding = bindDriver(edu);
    using device = openedByGroup(edu);
    device.closeGroup();
    expect(findDeviceUses(edu)).toMatchObject([{ kind: "process", name: "the device itself", own: true }]);
    expect(findDeviceUses(igb)).toEqual([]);
    expect(errorOf(() => binding.restore())).toMatchObject({ code: "EBUSY" });
  });

  describe("a disk", () => {
    const disk = "/dev/nvme0n1";

    afterEach(async () => {
      // The driver finds its disks after it was bound.
      await appears(disk);
      expect(findDeviceUses(nvme)).toEqual([]);
    });

    test("a mounted file system, here and where only the kernel knows of it", async () => {
      execFileSync("mkfs.ext4", ["-q", "-F", disk, "16M"]);
      const target = mkdtempSync(join(tmpdir(), "mount "));
      execFileSync("mount", [disk, target]);
      try {
        expect(findDeviceUses(nvme)).toMatchObject([
          { kind: "mount", name: "nvme0n1", why: `nvme0n1 is mounted on ${target}` },
        ]);
        const error = errorOf(() => bindDriver(nvme));
        expect(error).toMatchObject({ code: "EBUSY", why: new RegExp(`mounted on ${target}`), fix: /umount/ });
        expect(readPciDevice(nvme).driver).toBe("nvme");
      } finally {
        execFileSync("umount", [target]);
      }
      {
        // In a mount namespace of its own, as a container's volume is.
        await using child = await held(
          `exec unshare -m sh -c 'mount "$0" "$1"; echo held; read -r _' "$0" "$1"`,
          disk,
          target,
        );
        expect(child.exitCode).toBeNull();
        expect(findDeviceUses(nvme)).toMatchObject([{ kind: "claim", name: "nvme0n1" }]);
        expect(errorOf(() => bindDriver(nvme))).toMatchObject({
          code: "EBUSY",
          why: /holds \/dev\/nvme0n1 for itself/,
        });
      }
      rmSync(target, { recursive: true });
    });

    test("swap", () => {
      execFileSync("mkswap", [disk], { stdio: "pipe" });
      execFileSync("swapon", [disk]);
      try {
        expect(findDeviceUses(nvme)).toMatchObject([{ kind: "swap", name: "nvme0n1", fix: `swapoff ${disk}` }]);
        expect(errorOf(() => bindDriver(nvme))).toMatchObject({ code: "EBUSY", why: /swaps/ });
      } finally {
        execFileSync("swapoff", [disk]);
      }
    });

    test("a process that reads it, or its controller", async () => {
      for (const path of [disk, "/dev/nvme0"]) {
        await using child = await held('exec 3<"$0"', path);
        expect(findDeviceUses(nvme)).toMatchObject([{ kind: "process", name: path, pid: child.pid }]);
      }
    });

    test("nobody: it goes and comes", () => {
      using binding = bindDriver(nvme);
      expect(existsSync(disk)).toBe(false);
      expect(binding.driver).toBe("vfio-pci");
    });
  });
});

/** Opens a device through its group and a container, as a legacy user does. */
function openedByGroup(device: PciAddress): Disposable & { closeGroup(): void } {
  const open = new Set([openSync("/dev/vfio/vfio", "r+"), openSync(vfioGroupPath(device), "r+")]);
  const [container = -1, group = -1] = open;
  const close = (fd: number) => {
    if (open.delete(fd)) native.close(fd);
  };
  const closeAll = () => {
    for (const fd of [...open].reverse()) close(fd);
  };
  const stepped = (status: number, step: string) => {
    if (status >= 0) return status;
    closeAll();
    throw new Error(`${step}: ${errnoName(status)}`);
  };
  stepped(native.vfioGroupSetContainer(group, container), "VFIO_GROUP_SET_CONTAINER");
  stepped(native.vfioSetIommu(container, VFIO_TYPE1v2_IOMMU), "VFIO_SET_IOMMU");
  open.add(stepped(native.vfioGroupGetDeviceFd(group, device), "VFIO_GROUP_GET_DEVICE_FD"));
  return { closeGroup: () => close(group), [Symbol.dispose]: closeAll };
}

describe("a group of several devices", () => {
  function kernelSaysViable(device: PciAddress): boolean {
    const group = openSync(vfioGroupPath(device), "r+");
    try {
      return (native.vfioGroupGetStatus(group) & VFIO_GROUP_FLAGS_VIABLE) !== 0;
    } finally {
      closeSync(group);
    }
  }

  function canBeOwned(device: PciAddress): boolean {
    const container = openSync("/dev/vfio/vfio", "r+");
    const group = openSync(vfioGroupPath(device), "r+");
    try {
      return native.vfioGroupSetContainer(group, container) === 0;
    } finally {
      closeSync(group);
      closeSync(container);
    }
  }

  test("is viable for us when it is for the kernel", () => {
    using binding = bindDriver(pair0);
    expect(groupViability(pair0)).toMatchObject({ viable: false, blockers: [{ name: card, driver: "e1000e" }] });
    expect([kernelSaysViable(pair0), canBeOwned(pair0)]).toEqual([false, false]);
    // The fix that the blocker names, in both forms.
    for (const driver of [null, "vfio-pci"]) {
      using sibling = bindDriver(card, { driver });
      expect(sibling.previousDriver).toBe("e1000e");
      expect(groupViability(pair0)).toMatchObject({ viable: true });
      expect([kernelSaysViable(pair0), canBeOwned(pair0)]).toEqual([true, true]);
    }
    expect(binding.active).toBe(true);
  });

  test("that user space owns takes no driver of the kernel, and the error says so", () => {
    using first = bindDriver(pair0);
    using second = bindDriver(card, { driver: null });
    {
      using device = openedByGroup(pair0);
      const error = errorOf(() => second.restore());
      expect(error).toMatchObject({ code: "EBUSY", why: /user space owns its IOMMU group/, fix: /close/ });
      expect(second.active).toBe(true);
      device.closeGroup();
    }
    expect(first.active).toBe(true);
  });

  test("restoring one while its sibling is used by its node alone is nobody's business", () => {
    using first = bindDriver(pair0);
    const second = bindDriver(card);
    const fd = openSync(vfioCdevPath(pair0), "r+");
    try {
      second.restore();
      expect(readPciDevice(card).driver).toBe("e1000e");
    } finally {
      closeSync(fd);
    }
    expect(first.active).toBe(true);
  });
});

describe("virtual functions", () => {
  afterEach(() => setNumVfs(igb, 0, { autoprobe: true }));

  test("are bound like any device, hold the physical function, and go when nobody has them open", () => {
    const [vf, other] = setNumVfs(igb, 2, { autoprobe: false });
    if (vf === undefined || other === undefined) throw new Error("no virtual function came");
    const binding = bindDriver(vf);
    expect(readVfioNodes(vf)).toMatchObject({ cdevPath: vfioCdevPath(vf), groupPath: vfioGroupPath(vf) });
    expect(readPciDevice(other).driver).toBeUndefined();
    expect(errorOf(() => bindDriver(igb))).toMatchObject({
      code: "EBUSY",
      why: /2 virtual functions/,
      fix: /setNumVfs/,
    });

    const fd = openSync(vfioCdevPath(vf), "r+");
    try {
      // Not even by force: the kernel would wait for this process, which waits for the kernel.
      for (const force of [false, true]) {
        expect(errorOf(() => setNumVfs(igb, 0, { force }))).toMatchObject({ code: "EBUSY", why: /this process has/ });
      }
    } finally {
      closeSync(fd);
    }
    expect(setNumVfs(igb, 0)).toEqual([]);
    // The device is gone, and with it all that there was to restore.
    binding.restore();
    expect(binding).toBeInstanceOf(Binding);
    expect(binding.active).toBe(false);
  });

  test("vfio-pci makes none unless it is told to", () => {
    const parameter = "/sys/module/vfio_pci/parameters/enable_sriov";
    const before = readFileSync(parameter, "utf8");
    using binding = bindDriver(igb);
    expect(errorOf(() => setNumVfs(igb, 1))).toMatchObject({ code: "ENOENT", fix: /enable_sriov/ });
    writeFileSync(parameter, "1\n");
    try {
      const [vf] = setNumVfs(igb, 1);
      // vfio-pci keeps the functions of its device for itself.
      expect(readPciDevice(vf ?? "")).toMatchObject({ driver: "vfio-pci", isVf: true });
      expect(errorOf(() => binding.restore())).toMatchObject({ code: "EBUSY", why: /virtual function/ });
      setNumVfs(igb, 0);
    } finally {
      writeFileSync(parameter, before);
    }
  });

  test("need a driver that makes them", () => {
    using binding = bindDriver(igb, { driver: null });
    expect(errorOf(() => setNumVfs(igb, 1))).toMatchObject({ code: "ENOENT", why: /no driver is bound/ });
    expect(binding.active).toBe(true);
  });
});
