/**
 * The rig's devices by what they are, and mediated ones made on the spot.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { type Binding, bindDriver, listPciDevices, type PciAddress, readIommuGroup } from "vfio";

function all(vendorId: number, deviceId: number): PciAddress[] {
  return listPciDevices()
    .filter((device) => device.vendorId === vendorId && device.deviceId === deviceId)
    .map(({ address }) => address);
}

/** Every device that a machine may have; what it lacks is `none`, which no attach accepts. */
export const devices = {
  /** Alone on the root bus: INTx and MSI, DMA with a 28-bit mask. */
  edu: all(0x1234, 0x11e8).find((address) => readIommuGroup(address).devices.length === 1) ?? "none",
  /** MSI-X with vectors that come and go, FLR, SR-IOV. */
  igb: all(0x8086, 0x10c9)[0] ?? "none",
  /** 65 vectors of MSI-X. */
  nvme: all(0x1b36, 0x0010)[0] ?? "none",
  /** A BAR of 256 MiB that is plain memory. */
  ivshmem: all(0x1af4, 0x1110)[0] ?? "none",
  /** Two functions of one slot, in one group. */
  pair: all(0x8086, 0x10d3),
  /** A USB controller with several vectors of MSI; not in the default machine. */
  xhci: all(0x1b36, 0x000d)[0],
} as const;

/** Gives devices to vfio-pci until it is disposed. */
export function bind(...addresses: readonly string[]): Disposable {
  const bindings: Binding[] = [];
  const restore = () => {
    for (const binding of bindings.splice(0).reverse()) binding.restore();
  };
  try {
    for (const address of addresses) bindings.push(bindDriver(address));
  } catch (error) {
    restore();
    throw error;
  }
  return { [Symbol.dispose]: restore };
}

/** A mediated device of one of the kernel's sample drivers; gone when it is disposed. */
export class Mdev implements Disposable {
  readonly uuid = randomUUID();

  /** @param type the name of its type, without its driver's: `mtty-2` of `mtty` */
  constructor(driver: "mtty" | "mdpy" | "mbochs", type: string) {
    writeFileSync(`/sys/class/mdev_bus/${driver}/mdev_supported_types/${driver}-${type}/create`, this.uuid);
  }

  [Symbol.dispose](): void {
    writeFileSync(`/sys/bus/mdev/devices/${this.uuid}/remove`, "1");
  }
}

/** VFIO's interrupt handlers for a device, as the kernel lists them: `vfio-msix[3]`, `vfio-intx`. */
export function interruptHandlers(address: string): string[] {
  return [...readFileSync("/proc/interrupts", "latin1").matchAll(/(vfio-\S+)\((\S+)\)/g)]
    .filter(([, , device]) => device === address)
    .map(([, handler]) => handler ?? "");
}
