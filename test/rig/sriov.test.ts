/** SR-IOV: virtual functions in user space, with the kernel's driver or VFIO behind their physical function. */
import { readFileSync, writeFileSync } from "node:fs";
import { type Container, type Device, openContainer } from "vfio";
import { readPciDevice, setNumVfs } from "vfio/pci";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { refusal } from "../helpers/refusal.js";
import { bind, devices } from "./devices.js";
import { modes } from "./modes.js";
import { resources } from "./resources.mjs";

const UUID_1 = "2bd6e1f6-7f05-4c2b-9a3a-5e8d1c0f4b11";
const UUID_2 = "c19e4a60-0d7d-4f53-8a0e-93f7b2d65e22";
const pf = devices.igb;

let before: ReturnType<typeof resources>;

beforeEach(() => {
  before = resources();
});

afterEach(() => {
  expect(resources()).toEqual(before);
});

function createVf(options?: { autoprobe: boolean }): string {
  const [vf] = setNumVfs(pf, 1, options);
  if (vf === undefined) throw new Error("no virtual function came");
  return vf;
}

/** A virtual function sees the state of its physical function, and has registers of its own. */
function expectRegisters(device: Device): void {
  const registers = device.region("bar0").registers();
  // "Virtual Function Register Summary": STATUS, and the 64 bytes of the mailbox to the physical function's driver.
  const [STATUS, MAILBOX] = [0x0008, 0x0800];
  expect(registers.read32(STATUS)).not.toBe(0);
  expect(registers.read32(STATUS)).not.toBe(0xffff_ffff);
  for (const base of [0x1234_5600, 0xfedc_ba00]) {
    for (let at = 0; at < 64; at += 4) registers.write32(MAILBOX + at, base + at);
    for (let at = 0; at < 64; at += 4) expect(registers.read32(MAILBOX + at)).toBe(base + at);
  }
  // The same, through the kernel's own accesses.
  expect(device.region("bar0").read32(MAILBOX + 60)).toBe(0xfedc_ba3c);
}

/**
 * QEMU 10.0 looks at the lower half only of the address of a virtual function's BARs: what lies above 4 GiB for the kernel
 * is elsewhere for the machine, and nobody answers.
 */
function registersAnswer(vf: string): boolean {
  const bar0 = readPciDevice(vf).resources.find(({ kind, index }) => kind === "bar" && index === 0);
  return bar0 !== undefined && bar0.start < 1n << 32n;
}

/** What a user sees of a virtual function that is open: config space, regions, a reset, interrupts. */
function expectUsable(device: Device): void {
  const { config } = device;
  // The function itself answers 0xffff for both: its identity is the kernel's to say.
  expect([config.vendorId, config.deviceId]).toEqual([0x8086, 0x10ca]);
  expect(config.classCode).toBe(0x020000);
  expect(config.headerType).toBe(0);
  expect(config.capability("msix")?.extended).toBe(false);
  expect(config.extendedCapability("sriov")).toBeUndefined();
  // Its BARs are what the physical function's SR-IOV capability made of them.
  const { resources: bars } = readPciDevice(device.address);
  for (const { index, size } of bars.filter(({ kind }) => kind === "bar")) {
    expect(device.region(index).size).toBe(Number(size));
  }
  expect(config.bars[0]).toMatchObject({ index: 0, space: "memory" });

  device.reset();

  expect(device.msix.count).toBe(3);
  const vectors = device.msix.enable(3);
  for (const vector of vectors) {
    expect(vector.take()).toBe(0);
    vector.trigger();
    expect(vector.take()).toBe(1);
  }
  device.msix.disable();
}

describe("a virtual function of the kernel's driver", () => {
  let vf: string;
  let binding: Disposable;

  beforeAll(() => {
    vf = createVf({ autoprobe: false });
    binding = bind(vf);
  });

  afterAll(() => {
    binding[Symbol.dispose]();
    setNumVfs(pf, 0, { autoprobe: true });
  });

  it.each(modes)("is a device like any other in %s", (mode) => {
    using container = openContainer({ mode });
    expectUsable(container.attach(vf));
  });

  it.for(modes)("has registers of its own in %s", (mode, { skip }) => {
    if (!registersAnswer(vf)) skip("the machine has the function's BARs elsewhere than the kernel put them");
    using container = openContainer({ mode });
    expectRegisters(container.attach(vf));
  });

  it.each(modes)("takes no token in %s: there is nobody to share it with", (mode) => {
    using container = openContainer({ mode });
    expect(refusal(() => container.attach(vf, { vfToken: UUID_1 })).code).toBe("EINVAL");
    expect(container.devices.size).toBe(0);
  });

  it.each(modes)("is refused a token that is no UUID in %s, before anything is opened", (mode) => {
    using container = openContainer({ mode });
    for (const vfToken of ["", "secret", `${UUID_1} vf_token=${UUID_2}`, UUID_1.replaceAll("-", "")]) {
      expect(() => container.attach(vf, { vfToken })).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }),
      );
    }
  });
});

describe("a virtual function of a physical function that is in user space too", () => {
  const parameter = "/sys/module/vfio_pci/parameters/enable_sriov";
  let vf: string;
  let binding: Disposable;
  let parameterBefore: string;

  beforeAll(() => {
    parameterBefore = readFileSync(parameter, "utf8");
    writeFileSync(parameter, "1\n");
    binding = bind(pf);
    vf = createVf();
    // vfio-pci takes the functions of its device by itself.
    expect(readPciDevice(vf).driver).toBe("vfio-pci");
  });

  afterAll(() => {
    setNumVfs(pf, 0);
    binding[Symbol.dispose]();
    writeFileSync(parameter, parameterBefore);
  });

  describe.each(modes)("in %s", (mode) => {
    let container: Container;
    let physical: Device;

    beforeEach(() => {
      container = openContainer({ mode });
      physical = container.attach(pf, { vfToken: UUID_1 });
    });

    afterEach(() => {
      container.close();
    });

    /** The function opens with one token, and with no other. */
    function expectToken(right: string, wrong: string): void {
      for (const options of [{ vfToken: wrong }, {}]) {
        const error = refusal(() => container.attach(vf, options));
        expect(error).toMatchObject({
          code: "EACCES",
          why: /^it is a virtual function.* physical function/,
          fix: /vfToken/,
        });
      }
      const device = container.attach(vf, { vfToken: right });
      expect(device.config.deviceId).toBe(0x10ca);
      device.close();
    }

    it("opens with the token that its physical function was opened with", () => {
      expectToken(UUID_1, UUID_2);
    });

    it("opens with that token also when the physical function is closed again", () => {
      physical.close();
      expectToken(UUID_1, UUID_2);
    });

    it("opens with the token that was set since, and not with the one before", () => {
      physical.features.setVfToken(UUID_2);
      expect(() => physical.features.setVfToken("secret")).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }),
      );
      expectToken(UUID_2, UUID_1);
    });

    it("is usable beside its physical function", () => {
      expectUsable(container.attach(vf, { vfToken: UUID_1.toUpperCase() }));
      expect(physical.config.deviceId).toBe(0x10c9);
    });

    it("keeps the token in force: who opens the physical function while it is in use must know it", () => {
      const device = container.attach(vf, { vfToken: UUID_1 });
      physical.close();
      for (const options of [{ vfToken: UUID_2 }, {}]) {
        const error = refusal(() => container.attach(pf, options));
        expect(error).toMatchObject({
          code: "EACCES",
          why: /^it is a physical function.* virtual functions/,
          fix: /vfToken/,
        });
      }
      physical = container.attach(pf, { vfToken: UUID_1 });
      expect(physical.config.deviceId).toBe(0x10c9);
      expect(device.config.deviceId).toBe(0x10ca);
    });
  });
});
