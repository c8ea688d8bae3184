/** Resets of a function, and of all that share its slot or bus. */
import { writeFileSync } from "node:fs";
import { type Container, openContainer } from "vfio";
import { readIommuGroup, setNumVfs } from "vfio/pci";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refusal } from "../helpers/refusal.js";
import { bind, devices, leaveOut, needs, rigOnly } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";
import { inRig } from "./selection.js";

// e1000e and igb: RAL(0), the low half of the first receive address, which a reset loads from the EEPROM again.
const RAL0 = 0x5400;

const [first = "none", second = "none"] = devices.pair;
/** Any device, if it can be reset. */
const other = inRig ? devices.igb : devices.any;

let before: ReturnType<typeof resources>;

beforeAll(() => {
  before = resources();
});

afterAll(() => {
  expect(resources()).toEqual(before);
});

describe.each(modes)("a reset in %s", (mode) => {
  let bound: Disposable;
  let container: Container;

  beforeAll(() => {
    bound = bind(devices.igb, devices.edu, other);
    container = openContainer({ mode });
  });

  afterAll(() => {
    container.close();
    bound[Symbol.dispose]();
  });

  test("puts the registers back, and config space", needs("igb"), async () => {
    const device = container.attach(devices.igb);
    const registers = device.region("bar0").registers();
    const fresh = registers.read32(RAL0);
    for (const reset of [() => device.reset(), () => device.resetAsync()]) {
      registers.write32(RAL0, 0x0102_0304);
      expect(registers.read32(RAL0)).toBe(0x0102_0304);
      await reset();
      expect(registers.read32(RAL0)).toBe(fresh);
      expect(device.config.vendorId).toBe(0x8086);
    }
    device.close();
  });

  test("on another thread leaves the event loop alone", async (context) => {
    using device = container.attach(other);
    if (!device.info.canReset) leaveOut(context, "takes a device that can be reset");
    const { vendorId, deviceId } = device.config;
    let over = false;
    const reset = device.resetAsync().then(() => {
      over = true;
    });
    let turns = 0;
    while (!over) {
      turns++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await reset;
    expect(turns).toBeGreaterThan(1);
    expect([device.config.vendorId, device.config.deviceId]).toEqual([vendorId, deviceId]);
  });

  test("is refused for a device without one", needs("edu"), async () => {
    const device = container.attach(devices.edu);
    expect(device.info.canReset).toBe(false);
    const refused = refusal(() => device.reset());
    expect(refused).toMatchObject({ code: "EINVAL", request: "VFIO_DEVICE_RESET", object: devices.edu });
    expect(refused.why).toContain("no reset of its own");
    // On the root complex there is no slot and no bus of its own either.
    expect(refused.fix).toBeUndefined();
    await expect(device.resetAsync()).rejects.toThrow(/no reset of its own/);
    expect(device.hotResetInfo()).toBeUndefined();
    expect(() => device.hotReset()).toThrow(/ENODEV.*neither its slot nor its bus/);
    device.close();
  });
});

describe.each(modes)("a hot reset in %s", needs("pair"), (mode) => {
  let bound: Disposable;
  let container: Container;

  beforeAll(() => {
    bound = bind(first, second);
    container = openContainer({ mode });
  });

  afterAll(() => {
    container.close();
    bound[Symbol.dispose]();
  });

  test("tells whom it takes along, and does", () => {
    const device = container.attach(first);
    const group = readIommuGroup(first).id;
    expect(readIommuGroup(second).id).toBe(group);
    const info = device.hotResetInfo();
    expect(info).toMatchObject({ by: mode === "iommufd" ? "iommufd" : "group", allowed: true });
    expect(info?.devices.map(({ address, owned }) => [address, owned])).toEqual([
      [first, true],
      [second, true],
    ]);
    expect(info?.devices.map((each) => each.group)).toEqual(
      mode === "iommufd" ? [undefined, undefined] : [group, group],
    );
    // The sibling is ours by its group, and has an id once it is open.
    expect(info?.devices.map(({ iommufdId }) => iommufdId !== undefined)).toEqual([mode === "iommufd", false]);
    const sibling = container.attach(second);
    const [, known] = device.hotResetInfo()?.devices ?? [];
    expect(known?.iommufdId !== undefined).toBe(mode === "iommufd");

    const registers = [device, sibling].map((each) => each.region("bar0").registers());
    const fresh = registers.map((each) => each.read32(RAL0));
    for (const each of registers) each.write32(RAL0, 0x0102_0304);
    expect(device.hotReset().devices).toHaveLength(2);
    expect(registers.map((each) => each.read32(RAL0))).toEqual(fresh);
    sibling.close();
    device.close();
  });
});

const quirk = rigOnly("shows a weakness of QEMU's machine");
test("a hot reset after which the link does not come up is an error that says so", quirk, () => {
  // QEMU's root port at 16 GT/s never reports its link as up; the kernel waits a second for that, then gives up.
  using _bound = bind(devices.nvme);
  using container = openContainer();
  const device = container.attach(devices.nvme);
  expect(device.hotResetInfo()?.allowed).toBe(true);
  expect(refusal(() => device.hotReset())).toMatchObject({
    code: "ENOTTY",
    why: expect.stringContaining("the reset was made"),
    fix: expect.stringContaining("dmesg"),
  });
  // Emulated, the device is there nevertheless.
  expect(device.config.vendorId).toBe(0x1b36);
});

const vfs = rigOnly("makes a virtual function, and changes a module's parameter");
describe.each(["type1v2", "iommufd"] as const)("a hot reset of what is not all ours in %s", vfs, (mode) => {
  const parameter = "/sys/module/vfio_pci/parameters/enable_sriov";
  const token = "2ab74924-c335-45f4-9b16-8569e5b08258";

  test("is refused with the device that is not, and what to do", () => {
    using _bound = bind(devices.igb);
    writeFileSync(parameter, "Y");
    using container = openContainer({ mode });
    const device = container.attach(devices.igb, { vfToken: token });
    const [vf = "none"] = setNumVfs(devices.igb, 1, { autoprobe: false });
    try {
      const group = readIommuGroup(vf).id;
      const info = device.hotResetInfo();
      expect(info).toMatchObject({ allowed: false });
      expect(info?.devices.find(({ address }) => address === vf)).toMatchObject({ owned: false });
      const refused = refusal(() => device.hotReset());
      expect(refused).toMatchObject({ code: "EPERM", request: "VFIO_DEVICE_PCI_HOT_RESET", object: devices.igb });
      const [named, where] = mode === "iommufd" ? [vf, "iommufd"] : [`${vf} (group ${group})`, "container"];
      expect(refused.why).toBe(`it would reset ${named} too, which is not in this ${where}`);
      expect(refused.fix).toContain(`the same ${where}`);
    } finally {
      setNumVfs(devices.igb, 0, { autoprobe: true });
      writeFileSync(parameter, "N");
    }
  });
});
