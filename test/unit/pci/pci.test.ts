import { describe, expect, test } from "vitest";
import {
  listIommuGroups,
  listMdevDevices,
  listPciDevices,
  readIommuGroup,
  readMdevDevice,
  readPciDevice,
  readVfioNodes,
  vfioCdevPath,
  vfioGroupPath,
} from "../../../lib/pci/index.js";
import { errorOf } from "../../helpers/refusal.js";
import { Tree } from "./tree.js";

// As an igb shows it, in hexadecimal: BARs 0, 2 and 3, the ROM, and the BARs of the virtual functions.
const resource = [
  "0x00000000fe800000 0x00000000fe81ffff 0x0000000000040200",
  "0x0000000000000000 0x0000000000000000 0x0000000000000000",
  "0x000000000000c000 0x000000000000c01f 0x0000000000040101",
  "0x0000000380000000 0x00000003ffffffff 0x000000000014220c",
  ...Array(2).fill("0x0000000000000000 0x0000000000000000 0x0000000000000000"),
  "0x00000000fe840000 0x00000000fe85ffff 0x000000000004e200",
  "0x00000000fe860000 0x00000000fe87ffff 0x0000000000140204",
  ...Array(5).fill("0x0000000000000000 0x0000000000000000 0x0000000000000000"),
].join("\n");

describe("PCI devices", () => {
  test("all attributes of a physical function", () => {
    using tree = new Tree();
    const place = tree.pci("0000:01:00.0", {
      driver: "igb",
      group: 8,
      attributes: {
        subsystem_vendor: "0x8086",
        subsystem_device: "0xa02c",
        revision: "0x01",
        numa_node: "1",
        modalias: "pci:v00008086d000010C9sv00008086sd0000A02Cbc02sc00i00",
        enable: "1",
        power_state: "D0",
        resource,
        sriov_totalvfs: "8",
        sriov_numvfs: "2",
        sriov_drivers_autoprobe: "0",
        driver_override: "igb",
      },
    });
    tree.link(`${place}/virtfn0`, tree.pci("0000:01:10.0", { group: 9 }));
    tree.link(`${place}/virtfn1`, tree.pci("0000:01:10.2", { group: 10 }));
    tree.link("sys/devices/pci0000:00/0000:01:10.0/physfn", place);

    const device = readPciDevice("01:00.0", tree.paths);
    expect(device).toMatchObject({
      address: "0000:01:00.0",
      vendorId: 0x8086,
      deviceId: 0x10c9,
      subsystemVendorId: 0x8086,
      subsystemDeviceId: 0xa02c,
      classCode: 0x020000,
      revision: 1,
      driver: "igb",
      driverOverride: "igb",
      iommuGroup: 8,
      numaNode: 1,
      enabled: true,
      powerState: "D0",
      isVf: false,
      physfn: undefined,
      vfio: undefined,
      sriov: { totalVfs: 8, numVfs: 2, vfs: ["0000:01:10.0", "0000:01:10.2"], driversAutoprobe: false },
    });
    expect(device.resources).toEqual([
      {
        index: 0,
        kind: "bar",
        start: 0xfe800000n,
        size: 0x20000n,
        flags: 0x40200,
        space: "memory",
        prefetchable: false,
        wide: false,
      },
      expect.objectContaining({ index: 2, kind: "bar", space: "io", start: 0xc000n, size: 32n }),
      expect.objectContaining({ index: 3, kind: "bar", size: 0x80000000n, prefetchable: true, wide: true }),
      expect.objectContaining({ index: 0, kind: "rom", size: 0x20000n }),
      expect.objectContaining({ index: 0, kind: "vf-bar", size: 0x20000n, wide: true }),
    ]);
    expect(readPciDevice("01:10.0", tree.paths)).toMatchObject({ isVf: true, physfn: "0000:01:00.0" });
  });

  test("what is not there or not known is undefined", () => {
    using tree = new Tree();
    tree.pci("0000:00:02.0", { attributes: { numa_node: "-1", resource: "" } });
    expect(readPciDevice("00:02.0", tree.paths)).toMatchObject({
      driver: undefined,
      driverOverride: undefined,
      iommuGroup: undefined,
      numaNode: undefined,
      sriov: undefined,
      enabled: false,
      resources: [],
    });
  });

  test("a bridge's windows are told from the BARs of virtual functions by the length of the file", () => {
    using tree = new Tree();
    const none = "0x0000000000000000 0x0000000000000000 0x0000000000000000";
    const window = "0x00000000fe800000 0x00000000fe9fffff 0x0000000000000200";
    const before = (count: number) => [...Array(count).fill(none), none, window, none, none].join("\n");
    tree.pci("0000:00:03.0", { attributes: { resource: before(7) } });
    tree.pci("0000:00:04.0", { attributes: { resource: before(13) } });
    for (const device of listPciDevices(tree.paths)) {
      expect(device.resources).toEqual([expect.objectContaining({ kind: "window", index: 1, size: 0x200000n })]);
    }
  });

  test("a listing leaves out a device that went away while it was read", () => {
    using tree = new Tree();
    tree.pci("0000:00:02.0");
    tree.pci("0000:00:04.0");
    // A link that leads nowhere, and a directory whose files are gone: the two states a removal passes through.
    tree.link("sys/bus/pci/devices/0000:00:03.0", "sys/devices/pci0000:00/0000:00:03.0");
    tree.directory("sys/devices/pci0000:00/0000:00:05.0");
    tree.link("sys/bus/pci/devices/0000:00:05.0", "sys/devices/pci0000:00/0000:00:05.0");
    expect(listPciDevices(tree.paths).map(({ address }) => address)).toEqual(["0000:00:02.0", "0000:00:04.0"]);
    expect(() => readPciDevice("00:05.0", tree.paths)).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });

  test("a device that does not exist: ENODEV, with what there is on the bus", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0");
    const error = errorOf(() => readPciDevice("01:00.1", tree.paths));
    expect(error).toMatchObject({ name: "VfioError", code: "ENODEV", object: "0000:01:00.1" });
    expect(error.message).toMatch(/no such device[\s\S]*on that bus there is 0000:01:00\.0/);
  });

  test("no sysfs: an empty listing, and an error that says to mount it", () => {
    const paths = { sysfs: "/nonexistent" };
    expect(listPciDevices(paths)).toEqual([]);
    expect(errorOf(() => readPciDevice("01:00.0", paths)).message).toMatch(/mount sysfs at \/nonexistent/);
  });
});

describe("VFIO's device nodes", () => {
  // The nodes are links to /dev/null (1:3), whose number is the same on every Linux: making nodes takes privileges.
  function bound(tree: Tree, attributes: { dev?: string; group?: number } = {}): void {
    const place = tree.pci("0000:01:00.0", {
      driver: "vfio-pci",
      ...(attributes.group === undefined ? {} : { group: attributes.group }),
    });
    tree.directory(`${place}/vfio-dev/vfio3`);
    if (attributes.dev !== undefined) tree.file(`${place}/vfio-dev/vfio3/dev`, `${attributes.dev}\n`);
  }

  function node(tree: Tree, path: string): void {
    tree.link(path, "../../../dev/null");
  }

  function group(tree: Tree, name: string, dev = "1:3"): void {
    tree.file(`sys/class/vfio/${name}/dev`, `${dev}\n`);
    node(tree, `dev/vfio/${name}`);
  }

  test("both nodes", () => {
    using tree = new Tree();
    bound(tree, { dev: "1:3", group: 8 });
    node(tree, "dev/vfio/devices/vfio3");
    group(tree, "8");
    const nodes = { name: "vfio3", cdevPath: tree.at("dev/vfio/devices/vfio3"), groupPath: tree.at("dev/vfio/8") };
    expect(readVfioNodes("01:00.0", tree.paths)).toEqual(nodes);
    expect(readPciDevice("01:00.0", tree.paths).vfio).toEqual(nodes);
    expect(vfioCdevPath("01:00.0", tree.paths)).toBe(nodes.cdevPath);
    expect(vfioGroupPath("01:00.0", tree.paths)).toBe(nodes.groupPath);
  });

  // Since Linux 7.3 the device's own node has such a name too; before, it had none.
  test("a group that VFIO made up for a device without an IOMMU: its nodes are known, and refused", () => {
    using tree = new Tree();
    bound(tree, { group: 0 });
    group(tree, "noiommu-0");
    const { iommuGroup, vfio } = readPciDevice("01:00.0", tree.paths);
    expect([iommuGroup, vfio?.groupPath]).toEqual([undefined, tree.at("dev/vfio/noiommu-0")]);
    expect(listIommuGroups(tree.paths)).toEqual([]);
    for (const refused of [vfioGroupPath, vfioCdevPath, readIommuGroup]) {
      const error = errorOf(() => refused("01:00.0", tree.paths));
      expect(error).toMatchObject({ name: "VfioError", code: "ENODEV", why: /no-IOMMU.*refused/ });
    }
  });

  test.each([
    ["no node", { dev: "1:3" }, undefined, "ENOENT", /no node for that in .*mknod .*vfio3 c 1 3/s],
    [
      "another system's node",
      { dev: "511:0" },
      "dev/vfio/devices/vfio3",
      "ENOENT",
      /the node is the device 1:3.*511:0/s,
    ],
    ["a kernel without such nodes", {}, "dev/vfio/devices/vfio3", "ENOENT", /CONFIG_VFIO_DEVICE_CDEV/],
  ])("the device's own node: %s", (_, attributes, path, code, message) => {
    using tree = new Tree();
    bound(tree, attributes);
    if (path !== undefined) node(tree, path);
    expect(readVfioNodes("01:00.0", tree.paths)?.cdevPath).toBeUndefined();
    const error = errorOf(() => vfioCdevPath("01:00.0", tree.paths));
    expect(error).toMatchObject({ name: "VfioError", code });
    expect(error.message).toMatch(message);
  });

  test("the group's node: a kernel without groups, another system's node, none, and no group at all", () => {
    using tree = new Tree();
    bound(tree, { group: 8 });
    const refusal = () => errorOf(() => vfioGroupPath("01:00.0", tree.paths));
    expect(refusal()).toMatchObject({ code: "ENOENT", why: /CONFIG_VFIO_GROUP/, fix: /iommufd/ });
    group(tree, "8", "242:0");
    expect(refusal()).toMatchObject({ code: "ENOENT", why: /the node is the device 1:3.*242:0/ });
    expect(readVfioNodes("01:00.0", tree.paths)?.groupPath).toBeUndefined();
    tree.remove("dev/vfio/8");
    expect(refusal()).toMatchObject({ code: "ENOENT", why: /no node/, fix: /mknod .*8 c 242 0/ });
    using other = new Tree();
    bound(other);
    expect(errorOf(() => vfioGroupPath("01:00.0", other.paths))).toMatchObject({
      code: "ENODEV",
      fix: /intel_iommu=on/,
    });
  });

  test("bound elsewhere, to nothing, or not there", () => {
    using tree = new Tree();
    tree.pci("0000:01:00.0", { driver: "igb" });
    tree.pci("0000:02:00.0");
    expect(readVfioNodes("01:00.0", tree.paths)).toBeUndefined();
    for (const path of [vfioCdevPath, vfioGroupPath]) {
      expect(errorOf(() => path("01:00.0", tree.paths))).toMatchObject({
        code: "ENODEV",
        why: /the driver igb/,
        fix: /bindDriver/,
      });
      expect(errorOf(() => path("02:00.0", tree.paths))).toMatchObject({ code: "ENODEV", why: /no driver/ });
      expect(errorOf(() => path("03:00.0", tree.paths))).toMatchObject({ code: "ENODEV", why: /no such device/ });
    }
  });
});

describe("mediated devices", () => {
  const uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

  test("are listed and read", () => {
    using tree = new Tree();
    const place = `sys/devices/virtual/mtty/mtty/${uuid}`;
    tree.directory(place);
    tree.link(`${place}/mdev_type`, "sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-1");
    tree.link(`${place}/driver`, "sys/bus/mdev/drivers/vfio_mtty");
    tree.link(`${place}/iommu_group`, "sys/kernel/iommu_groups/20");
    tree.directory(`${place}/vfio-dev/vfio0`);
    tree.link(`sys/bus/mdev/devices/${uuid}`, place);
    tree.file("sys/class/vfio/20/dev", "1:3\n");
    tree.link("dev/vfio/20", "../../../dev/null");
    const expected = {
      uuid,
      parent: "mtty",
      type: "mtty-1",
      driver: "vfio_mtty",
      iommuGroup: 20,
      vfio: { name: "vfio0", cdevPath: undefined, groupPath: tree.at("dev/vfio/20") },
    };
    expect(readMdevDevice(uuid.toUpperCase(), tree.paths)).toMatchObject(expected);
    expect(listMdevDevices(tree.paths)).toMatchObject([expected]);
    expect(vfioGroupPath(uuid, tree.paths)).toBe(tree.at("dev/vfio/20"));
  });

  test("one that does not exist, and one that is no UUID", () => {
    using tree = new Tree();
    expect(errorOf(() => readMdevDevice(uuid, tree.paths))).toMatchObject({ code: "ENODEV", fix: /create/ });
    expect(errorOf(() => readMdevDevice("mtty", tree.paths))).toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
  });
});
