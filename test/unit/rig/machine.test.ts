import { describe, expect, test } from "vitest";
import {
  type Boot,
  defaultDevices,
  iommuKinds,
  kernelCommandLine,
  type Machine,
  parseMemory,
  qemuArguments,
} from "../../../lib/rig/machine.js";

const machine: Machine = { memory: 4096, cpus: 2, iommu: "intel", devices: [] };
const boot: Boot = {
  kernel: "/k/bzImage",
  directory: "/tmp/vfio-rig-1",
  disk: "/tmp/vfio-rig-1/disk.img",
  interactive: false,
};

/** The values of every occurrence of an option. */
function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] ?? ""] : []));
}

describe("memory", () => {
  test.each([
    ["4G", 4096],
    ["2048", 2048],
    ["1536M", 1536],
    ["8g", 8192],
  ])("%s is %i MiB", (text, mib) => {
    expect(parseMemory(text)).toBe(mib);
  });

  test.each(["", "much", "-1G", "1.5G", "4GB", "512M", "0", "99999999G"])("'%s' is refused", (text) => {
    expect(() => parseMemory(text)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  });
});

describe("the kernel's command line", () => {
  test("sets 1 GiB pages aside only where there is room", () => {
    expect(kernelCommandLine(machine, boot)).toContain("hugepagesz=1G hugepages=1 ");
    expect(kernelCommandLine({ ...machine, memory: 2048 }, boot)).not.toContain("hugepagesz=1G");
  });

  test("fits the kernel's buffer of 2048 bytes", () => {
    expect(kernelCommandLine(machine, boot).length).toBeLessThan(1024);
  });

  test("ends with the first process and its quoted arguments", () => {
    const line = kernelCommandLine(machine, { ...boot, directory: "/tmp/with space/x" });
    expect(line).toMatch(/ -- "\/tmp\/with space\/x\/init\.sh" "\/tmp\/with space\/x"$/);
  });
});

describe("QEMU's arguments", () => {
  test("give the guest the host's files to read, not to write", () => {
    const [fsdev = ""] = values(qemuArguments(machine, boot), "-fsdev");
    expect(fsdev.split(",")).toContain("readonly=on");
    const [drive = ""] = values(qemuArguments(machine, boot), "-drive");
    expect(drive.split(",")).toContain("snapshot=on");
  });

  test.each(
    iommuKinds.filter((iommu) => iommu !== "none"),
  )("have one IOMMU, %s, before every other device", (iommu) => {
    const devices = values(qemuArguments({ ...machine, iommu }, boot), "-device");
    expect(devices.filter((device) => device.includes("iommu"))).toHaveLength(1);
    expect(devices[0]).toContain("iommu");
  });

  test("have no IOMMU where none is wanted", () => {
    const devices = values(qemuArguments({ ...machine, iommu: "none" }, boot), "-device");
    expect(devices.filter((device) => device.includes("iommu"))).toEqual([]);
  });

  test("put the user's devices last, as they were given", () => {
    const devices = values(
      qemuArguments({ ...machine, devices: ["edu,addr=10", "e1000e,bus=port-free"] }, boot),
      "-device",
    );
    expect(devices.slice(-2)).toEqual(["edu,addr=10", "e1000e,bus=port-free"]);
  });

  test("double the commas of a path", () => {
    expect(defaultDevices("intel", "/tmp/a,b/disk").join(" ")).toContain("file=/tmp/a,,b/disk");
  });

  test("use no slot of the root bus twice", () => {
    for (const iommu of iommuKinds) {
      const devices = values(qemuArguments({ ...machine, iommu }, boot), "-device");
      const slots = devices.flatMap((device) =>
        device.includes("bus=") ? [] : [...device.matchAll(/addr=(\w+)/g)].map((match) => match[1]),
      );
      expect(new Set(slots).size).toBe(slots.length);
    }
  });

  test("give a shell a terminal, and a command three ports", () => {
    const ports = (interactive: boolean) =>
      values(qemuArguments(machine, { ...boot, interactive }), "-device").filter((device) => device.startsWith("virt"));
    expect(ports(false).filter((port) => port.startsWith("virtserialport"))).toHaveLength(4);
    expect(ports(true).filter((port) => port.startsWith("virtconsole"))).toHaveLength(1);
    expect(ports(true).filter((port) => port.startsWith("virtserialport"))).toHaveLength(1);
  });
});
