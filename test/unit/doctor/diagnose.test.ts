/** Diagnoses of systems made of files. A node that is a file opens, and knows no request. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { diagnose } from "../../../lib/doctor/index.js";
import { Tree } from "../pci/tree.js";

const address = "0000:01:00.0";
let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});
afterEach(() => tree[Symbol.dispose]());

/** A system in which everything is well, and a device that only has to be bound. */
function wellSystem(): string {
  const place = tree.pci(address, { driver: "igb", group: 11, attributes: { reset_method: "flr bus" } });
  tree.file("dev/vfio/vfio", "");
  tree.file("dev/iommu", "");
  tree.directory("sys/class/vfio");
  tree.directory("sys/class/vfio-dev");
  tree.file("proc/interrupts", "  24:  0  IR-PCI-MSIX-0000:01:00.0\n");
  tree.file("proc/sys/kernel/osrelease", "7.3.4\n");
  return place;
}

const found = (id: string, device?: string) => diagnose(device, tree.paths).checks.filter((check) => check.id === id);

describe("the system", () => {
  test("all is well", () => {
    wellSystem();
    expect(diagnose(undefined, tree.paths)).toMatchObject({ address: undefined, works: true });
  });

  test("nothing is there: no device would work, and each problem has a fix", () => {
    const { works, checks, modes } = diagnose(undefined, tree.paths);
    expect({ works, modes }).toEqual({ works: false, modes: [] });
    const problems = checks.filter(({ state }) => state === "problem");
    expect(problems.map(({ id }) => id)).toEqual(["iommu", "modes"]);
    expect(problems[0]?.fix).toContain("intel_iommu=on");
  });

  test("no vfio-pci", () => {
    wellSystem();
    tree.remove("sys/bus/pci/drivers/vfio-pci");
    expect(found("vfio-pci")).toMatchObject([{ state: "problem", fix: expect.stringContaining("modprobe vfio-pci") }]);
  });

  test.each([
    ["remapped", "IR-PCI-MSI", {}, "ok"],
    ["by Arm's controller", "ITS-PCI-MSIX", {}, "ok"],
    ["not", "PCI-MSI", {}, "warning"],
  ])("interrupts are remapped: %s", (_, chip, _more, state) => {
    wellSystem();
    tree.file("proc/interrupts", `  24:  0  ${chip}-0000:01:00.0\n`);
    expect(found("interrupt-remapping")).toMatchObject([{ state }]);
  });

  test("no sign of remapping is no reason to give the protection up", () => {
    wellSystem();
    tree.file("proc/interrupts", "");
    const [check] = found("interrupt-remapping");
    expect(check).toMatchObject({ state: "warning", fix: expect.stringContaining("switch it on") });
    expect(check?.fix).not.toContain("unsafe");
  });

  test("the disk that the system runs from is neither to be unmounted nor to be bound", () => {
    const place = tree.pci(address, { driver: "nvme", group: 11 });
    tree.block(`${place}/nvme/nvme0`, "nvme0n1", "259:0");
    tree.file("proc/self/mountinfo", "30 22 259:0 / / rw - ext4 /dev/nvme0n1 rw\n");
    const fix = "choose another device: the system runs from this one";
    expect(found("use", address)).toEqual([
      { id: "use", title: "in use", state: "problem", found: "nvme0n1 is mounted on /", fix },
    ]);
    expect(found("driver", address)).toMatchObject([{ fix }]);
  });

  test("unsafe interrupts were allowed", () => {
    wellSystem();
    tree.file("proc/interrupts", "");
    tree.file("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
    expect(found("interrupt-remapping")).toMatchObject([
      { state: "warning", found: expect.stringContaining("allowed") },
    ]);
  });

  test("the no-IOMMU mode is refused, with an IOMMU and without", () => {
    tree.file("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    expect(found("iommu")).toMatchObject([{ state: "problem", found: expect.stringContaining("refused") }]);
    wellSystem();
    expect(found("iommu")).toMatchObject([
      {
        state: "warning",
        found: expect.stringMatching(/^on, 1 groups; .*refused/),
        fix: expect.stringContaining("echo N"),
      },
    ]);
  });

  test("groups that VFIO made up are no sign of an IOMMU", () => {
    tree.file("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
    expect(found("iommu")).toMatchObject([{ state: "problem", found: "off, or there is none" }]);
  });

  test("a kernel that knows none of the requests", () => {
    wellSystem();
    expect(found("kernel")).toMatchObject([
      {
        state: "warning",
        found:
          "Linux 7.3.4; lacks MAP_FILE (Linux 6.13), CHANGE_PROCESS (Linux 6.14), UNMAP_ALL (Linux 5.12), UPDATE_VADDR (Linux 5.12)",
      },
    ]);
    expect(found("live-update")).toMatchObject([{ state: "info" }]);
  });

  test("huge pages", () => {
    tree.file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");
    tree.file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4\n");
    expect(found("huge-pages")).toMatchObject([{ state: "ok", found: "3 of 4 x 2 MiB free" }]);
  });
});

describe("a device", () => {
  test("that its own driver has", () => {
    wellSystem();
    const { works, modes } = diagnose(address, tree.paths);
    expect({ works, modes }).toEqual({ works: false, modes: [] });
    expect(found("driver", address)).toMatchObject([
      { state: "problem", found: "igb, the kernel's own", fix: `vfio bind ${address}` },
    ]);
    expect(found("group", address)).toMatchObject([{ state: "ok", found: "11, alone in it" }]);
    expect(found("reset", address)).toMatchObject([{ state: "ok", found: "flr bus" }]);
  });

  test("whose nodes are missing", () => {
    const place = wellSystem();
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
    tree.file(`${place}/vfio-dev/vfio0/dev`, "511:0\n");
    const { works, checks } = diagnose(address, tree.paths);
    expect(works).toBe(false);
    const states = Object.fromEntries(checks.map(({ id, state }) => [id, state]));
    expect(states).toMatchObject({ driver: "ok", "group.node": "warning", cdev: "warning", modes: "problem" });
  });

  test("whose sibling is in the way", () => {
    wellSystem();
    tree.pci("0000:01:00.1", { driver: "nvme", group: 11 });
    expect(found("group", address)).toMatchObject([{ found: "11, with 0000:01:00.1" }]);
    expect(found("group.viable", address)).toMatchObject([
      {
        state: "problem",
        found: expect.stringContaining("0000:01:00.1 is bound to nvme"),
        fix: expect.stringContaining("vfio bind 0000:01:00.1"),
      },
    ]);
  });

  test("in no group", () => {
    wellSystem();
    tree.pci("0000:02:00.0", { driver: "nvme" });
    expect(found("group", "02:00.0")).toMatchObject([{ state: "problem", found: "the device is in none" }]);
  });

  test("that VFIO offers in no-IOMMU mode", () => {
    wellSystem();
    const place = tree.pci("0000:02:00.0", { driver: "vfio-pci", group: 12 });
    tree.file(`${place}/vfio-dev/noiommu-vfio0/dev`, "1:3\n");
    tree.file("sys/class/vfio/noiommu-12/dev", "1:3\n");
    for (const node of ["dev/vfio/noiommu-12", "dev/vfio/devices/noiommu-vfio0"]) tree.link(node, "../../../dev/null");
    expect(diagnose("02:00.0", tree.paths)).toMatchObject({ works: false, modes: [] });
    expect(found("group", "02:00.0")).toMatchObject([
      { state: "problem", found: expect.stringContaining("refused"), fix: expect.stringContaining("IOMMU on") },
    ]);
    expect(found("modes", "02:00.0")).toMatchObject([{ state: "problem", fix: "see the IOMMU's line" }]);
  });

  test("that is a bridge", () => {
    wellSystem();
    tree.pci("0000:00:03.0", { driver: "pcieport", group: 2, attributes: { class: "0x060400" } });
    expect(found("driver", "00:03.0")).toMatchObject([{ state: "problem", found: expect.stringContaining("bridge") }]);
  });

  test("that is not there", () => {
    expect(() => diagnose("09:00.0", tree.paths)).toThrow(/there is no such device/);
  });
});
