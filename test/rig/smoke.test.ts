import { existsSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";

test("the kernel offers both doors, and KVM", () => {
  expect(existsSync("/dev/iommu")).toBe(true);
  expect(existsSync("/dev/vfio/vfio")).toBe(true);
  expect(existsSync("/dev/kvm")).toBe(true);
});

test("the machine has its devices", () => {
  const devices = readdirSync("/sys/bus/pci/devices");
  for (const address of ["00:02.0", "00:07.0", "01:00.0", "02:00.0", "03:00.0", "03:00.1"]) {
    expect(devices).toContain(`0000:${address}`);
  }
});
