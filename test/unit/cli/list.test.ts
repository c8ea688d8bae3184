import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Tree } from "../pci/tree.js";
import { vfio } from "./run.js";

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
  tree.pci("0000:00:00.0", { attributes: { class: "0x060000", vendor: "0x8086", device: "0x29c0" }, group: 0 });
  tree.pci("0000:01:00.0", {
    driver: "igb",
    group: 11,
    attributes: { sriov_totalvfs: "7", sriov_numvfs: "0", numa_node: "1" },
  });
  tree.pci("0000:02:00.0", {
    driver: "nvme",
    group: 12,
    attributes: { class: "0x010802", vendor: "0x1b36", device: "0x0010" },
  });
  const bound = tree.pci("0000:06:01.0", {
    driver: "vfio-pci",
    group: 14,
    attributes: { class: "0x00ff00", vendor: "0x1234", device: "0x11e8" },
  });
  tree.file(`${bound}/vfio-dev/vfio0/dev`, "511:0\n");
  tree.pci("0000:06:02.0", { group: 14, attributes: { class: "0x00ff00", vendor: "0x1234", device: "0x11e8" } });
  writeFileSync(
    tree.at("pci.ids"),
    [
      "# a comment",
      "1b36  Red Hat, Inc.",
      "\t0010  QEMU NVM Express Controller",
      "\t\t1af4 1100  a subsystem",
      "8086  Intel Corporation",
      "\t10c9  82576 Gigabit Network Connection",
      "C 01  Mass storage controller",
      "\t08  Non-Volatile memory controller",
      "\t\t02  NVM Express",
      "",
    ].join("\n"),
  );
});
afterEach(() => tree[Symbol.dispose]());

const list = (args: readonly string[], columns = 200) =>
  vfio(["list", "--host", tree.root, "--pci-ids", tree.at("pci.ids"), ...args], { columns, env: { NO_COLOR: "1" } });

const addresses = (out: string) => [...out.matchAll(/^[0-9a-f:.]{12}/gm)].map(([address]) => address);

describe("the table", () => {
  test("wide: everything, and bridges are counted", async () => {
    const { code, out } = await list([]);
    expect(code).toBe(0);
    expect(out.split("\n")).toEqual([
      "ADDRESS       ID         CLASS                           DRIVER    GROUP  WITH     VFIO   SR-IOV   NUMA  NAME",
      "0000:01:00.0  8086:10c9  Ethernet controller             igb          11                  0/7 VFs     1  82576 Gigabit Network Connection",
      "0000:02:00.0  1b36:0010  Non-Volatile memory controller  nvme         12                                 QEMU NVM Express Controller",
      "0000:06:01.0  1234:11e8  Unclassified device             vfio-pci     14  06:02.0  vfio0",
      "0000:06:02.0  1234:11e8  Unclassified device             none         14  06:01.0",
      "1 bridge not shown (--all)",
      "",
    ]);
  });

  test.each([80, 100, 60, 200])("no line is longer than %i columns, and addresses are never cut", async (columns) => {
    const { out } = await list(["--all"], columns);
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(columns);
    expect(addresses(out)).toHaveLength(5);
  });

  test("into a pipe: as long as it must be", async () => {
    const { out } = await vfio(["list", "--host", tree.root, "--pci-ids", tree.at("pci.ids")]);
    expect(out).toContain("82576 Gigabit Network Connection");
    expect(out).not.toContain("not shown");
  });

  test("no device at all", async () => {
    using empty = new Tree();
    const { code, out } = await vfio(["list", "--host", empty.root]);
    expect({ code, out }).toEqual({ code: 0, out: "There is no PCI device here.\n" });
  });
});

test.each([
  [["--vfio"], ["0000:06:01.0"]],
  [["--driver", "igb"], ["0000:01:00.0"]],
  [["--driver", "none"], ["0000:06:02.0"]],
  [
    ["--id", "1234:"],
    ["0000:06:01.0", "0000:06:02.0"],
  ],
  [["--id", "8086:10c9"], ["0000:01:00.0"]],
  [["--class", "0108"], ["0000:02:00.0"]],
  [["--class", "ethernet"], ["0000:01:00.0"]],
  [["--class", "06"], ["0000:00:00.0"]],
  [
    ["--group", "14"],
    ["0000:06:01.0", "0000:06:02.0"],
  ],
  [["--numa", "1"], ["0000:01:00.0"]],
  [["--vfio", "--driver", "igb"], []],
])("%j", async (args, expected) => {
  expect(addresses((await list(args)).out)).toEqual(expected);
});

test("JSON", async () => {
  const { out } = await list(["--json", "--driver", "igb"]);
  expect(JSON.parse(out)).toEqual({
    schema: 1,
    devices: [
      {
        address: "0000:01:00.0",
        vendorId: "8086",
        deviceId: "10c9",
        subsystemVendorId: "0000",
        subsystemDeviceId: "0000",
        revision: 0,
        classCode: "020000",
        className: "Ethernet controller",
        vendorName: "Intel Corporation",
        deviceName: "82576 Gigabit Network Connection",
        driver: "igb",
        driverOverride: null,
        iommuGroup: 11,
        groupSiblings: [],
        numaNode: 1,
        powerState: null,
        physicalFunction: null,
        sriov: { totalVfs: 7, numVfs: 0, vfs: [] },
        vfio: null,
      },
    ],
  });
});

test.each([
  ["network", ["0000:01:00.0"]],
  ["Ethernet", ["0000:01:00.0"]],
  ["nic", ["0000:01:00.0"]],
  ["storage", ["0000:02:00.0"]],
  ["disk", ["0000:02:00.0"]],
  ["nvme", ["0000:02:00.0"]],
  ["01", ["0000:02:00.0"]],
  ["display", []],
])("--class %s", async (kind, expected) => {
  const { out } = await list(["--class", kind]);
  expect(addresses(out)).toEqual(expected);
});

test("who shares a device's group is shown as long as its name", async () => {
  const header = async (columns: number) => (await list([], columns)).out.split("\n")[0] ?? "";
  for (let columns = 60; columns <= 140; columns++) {
    const shown = await header(columns);
    expect(shown).toContain("GROUP");
    if (shown.includes("NAME")) expect(shown).toContain("WITH");
  }
});
