import { describe, expect, test } from "vitest";
import { groupViability, leavesDmaAlone, listIommuGroups, readIommuGroup } from "../../../lib/pci/index.js";
import { errorOf } from "../../helpers/refusal.js";
import { Tree } from "./tree.js";

describe("IOMMU groups", () => {
  test("members and reserved regions", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0", { driver: "igb", group: 8 });
    tree.pci("0000:01:00.1", { group: 8 });
    tree.pci("0000:02:00.0", { driver: "nvme", group: 12 });
    tree.file("sys/kernel/iommu_groups/8/type", "DMA-FQ\n");
    tree.file(
      "sys/kernel/iommu_groups/8/reserved_regions",
      "0x00000000fee00000 0x00000000feefffff msi\n0x00000000000e0000 0x00000000000fffff direct\n",
    );
    expect(readIommuGroup("01:00.1", tree.paths)).toEqual({
      id: 8,
      type: "DMA-FQ",
      devices: [
        {
          name: "0000:01:00.0",
          sysfsPath: tree.at("sys/devices/pci0000:00/0000:01:00.0"),
          bus: "pci",
          driver: "igb",
          vfio: false,
        },
        expect.objectContaining({ name: "0000:01:00.1", driver: undefined }),
      ],
      reservedRegions: [
        { start: 0xfee00000n, end: 0xfeefffffn, type: "msi" },
        { start: 0xe0000n, end: 0xfffffn, type: "direct" },
      ],
    });
    expect(listIommuGroups(tree.paths).map(({ id }) => id)).toEqual([8, 12]);
  });

  test("a member that just went away is left out", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0", { group: 8 });
    tree.link("sys/kernel/iommu_groups/8/devices/0000:01:00.1", "sys/devices/pci0000:00/0000:01:00.1");
    expect(readIommuGroup(8, tree.paths).devices.map(({ name }) => name)).toEqual(["0000:01:00.0"]);
  });

  test("no such group, no IOMMU, no such device", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0");
    const fix = /intel_iommu=on/;
    expect(errorOf(() => readIommuGroup(8, tree.paths))).toMatchObject({
      code: "ENODEV",
      why: /no IOMMU group at all/,
      fix,
    });
    expect(errorOf(() => readIommuGroup("01:00.0", tree.paths))).toMatchObject({ code: "ENODEV", fix });
    expect(errorOf(() => readIommuGroup("02:00.0", tree.paths))).toMatchObject({
      code: "ENODEV",
      why: /no such device/,
    });
    tree.directory("sys/kernel/iommu_groups/1");
    expect(errorOf(() => readIommuGroup(8, tree.paths))).toMatchObject({ code: "ENODEV", why: /no such group/ });
    expect(errorOf(() => readIommuGroup(-1, tree.paths))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
  });
});

describe("viability", () => {
  test("a sibling with a driver that does DMA is in the way, and is named with the fix", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0", { driver: "vfio-pci", group: 8 });
    tree.pci("0000:01:00.1", { driver: "igb", group: 8 });
    const viability = groupViability("01:00.0", tree.paths);
    expect(viability).toMatchObject({
      viable: false,
      group: { id: 8 },
      blockers: [{ name: "0000:01:00.1", driver: "igb", why: /group 8 too and is bound to the kernel's driver igb/ }],
    });
    expect(viability.viable ? "" : viability.blockers[0]?.fix).toMatch(/bindDriver\("0000:01:00\.1"\)/);
  });

  test("siblings without a driver, with VFIO's, with pci-stub, and bridges are not", () => {
    using tree = new Tree();
    for (const driver of ["pci-stub", "mlx5_vfio_pci", "our-own"]) tree.driver(driver);
    tree.pci("0000:00:1c.0", { driver: "pcieport", group: 8, attributes: { class: "0x060400" } });
    tree.pci("0000:01:00.0", { driver: "vfio-pci", group: 8 });
    tree.pci("0000:01:00.1", { group: 8 });
    tree.pci("0000:01:00.2", { driver: "pci-stub", group: 8 });
    tree.pci("0000:01:00.3", { driver: "mlx5_vfio_pci", group: 8 });
    // A VFIO driver under any name shows by the device that it registers.
    tree.directory(`${tree.pci("0000:01:00.4", { driver: "our-own", group: 8 })}/vfio-dev/vfio7`);
    expect(groupViability(8, tree.paths)).toMatchObject({ viable: true, group: { id: 8 } });
    expect(groupViability(readIommuGroup(8, tree.paths))).toMatchObject({ viable: true });
  });

  test.each([
    ["vfio-pci", true],
    ["nvgrace-gpu-vfio-pci", true],
    ["vfio-platform", true],
    ["pcieport", true],
    ["uio_pci_generic", false],
    ["shpchp", false],
    ["nvme", false],
  ])("%s leaves DMA alone: %s", (driver, expected) => {
    expect(leavesDmaAlone(driver)).toBe(expected);
  });
});
