/**
 * The devices that benchmarks of the kernel's containers use: one is ours and one the floor's, as a group has one user.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { listPciDevices, type PciAddress, pciAddress, readIommuGroup } from "vfio/pci";

/** Who has which. */
export interface Devices {
  readonly ours: PciAddress;
  readonly floors: PciAddress;
}

/** What nobody misses: QEMU's teaching device, and its shared memory. Where one has a driver, it is somebody's. */
const TOYS = [
  { vendorId: 0x1234, deviceId: 0x11e8 },
  { vendorId: 0x1af4, deviceId: 0x1110 },
] as const;

function toys(): readonly PciAddress[] {
  const idle = listPciDevices().filter(({ driver }) => driver === undefined || driver === "vfio-pci");
  return TOYS.flatMap(({ vendorId, deviceId }) =>
    idle
      .filter((device) => device.vendorId === vendorId && device.deviceId === deviceId)
      .map(({ address }) => address)
      .filter((address) => readIommuGroup(address).devices.length === 1)
      .slice(0, 1),
  );
}

/** The two devices: those that `VFIO_BENCH_DEVICES` names, or QEMU's toys. */
export function findDevices(): Devices | undefined {
  const named = process.env.VFIO_BENCH_DEVICES?.trim().split(/\s+/).map(pciAddress);
  const [ours, floors] = named ?? (existsSync("/sys/kernel/iommu_groups") ? toys() : []);
  return ours === undefined || floors === undefined ? undefined : { ours, floors };
}

/** What this machine lacks for a container with a device. */
export function lacksDevices(): string | undefined {
  if (!existsSync("/dev/vfio/vfio") && !existsSync("/dev/iommu"))
    return "no VFIO in this kernel: --rig has a guest with it";
  return findDevices() === undefined
    ? "no devices to use: name two of different groups in VFIO_BENCH_DEVICES"
    : undefined;
}

/** edu is the device whose registers and interrupts are known. */
export function lacksEdu(): string | undefined {
  const lacking = lacksDevices();
  if (lacking !== undefined) return lacking;
  const found = listPciDevices().find(({ address }) => address === findDevices()?.ours);
  const [edu] = TOYS;
  return found?.vendorId === edu.vendorId && found.deviceId === edu.deviceId
    ? undefined
    : "the device is not QEMU's edu";
}
