/**
 * The devices that tests may use, by what they are, and mediated ones made on the spot.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { type Binding, bindDriver, listPciDevices, pciAddress, type ReservedRegion, readIommuGroup } from "vfio/pci";
import type { TestContext, TestOptions } from "vitest";
import { devicesOf, inRig, type Kind, named, whyNotKind } from "./selection.js";

const [igb] = devicesOf("igb");
const [nvme] = devicesOf("nvme");
const [ivshmem] = devicesOf("ivshmem");
// The rig has others that share a group.
const edu = devicesOf("edu").find(({ address }) => !inRig || readIommuGroup(address).devices.length === 1);

/** Every device that a machine may have; what it lacks is `none`, which no attach accepts. */
export const devices = {
  /** Alone on the root bus: INTx and MSI, DMA with a 28-bit mask. */
  edu: edu?.address ?? "none",
  /** MSI-X with vectors that come and go, FLR, SR-IOV. */
  igb: igb?.address ?? "none",
  /** 65 vectors of MSI-X. */
  nvme: nvme?.address ?? "none",
  /** A BAR of 256 MiB that is plain memory. */
  ivshmem: ivshmem?.address ?? "none",
  /** Two functions of one slot, in one group. */
  pair: devicesOf("pair").map(({ address }) => address),
  /** A USB controller with several vectors of MSI; not in the default machine, and nobody's on a host. */
  xhci: inRig
    ? listPciDevices().find(({ vendorId, deviceId }) => vendorId === 0x1b36 && deviceId === 0x000d)?.address
    : undefined,
  /** For tests that any device will do for. */
  any: named?.[0] ?? edu?.address ?? "none",
} as const;

/** For tests of what is true of every device: several that differ much, or all that the user of a host has named. */
export const various: readonly string[] = named ?? [devices.igb, devices.edu, devices.ivshmem];

declare module "vitest" {
  interface TaskMeta {
    /** Why a test is left out on this host. */
    leftOut?: string;
  }
}

/** The options of a test, or of a suite, that is left out unless something is so. */
export function onlyIf(condition: boolean, reason: string): TestOptions {
  return condition ? {} : { skip: true, meta: { leftOut: reason } };
}

/** The options of a test, or of a suite, that must not or cannot run on a host. */
export function rigOnly(reason: string): TestOptions {
  return onlyIf(inRig, reason);
}

/**
 * The options of a test, or of a suite, that takes certain kinds of devices: it is left out on a host where they are not
 * named. In the rig they must be there.
 */
export function needs(...wanted: readonly Kind[]): TestOptions {
  const [reason] = wanted.map(whyNotKind).filter((why) => why !== undefined);
  if (reason === undefined) return {};
  if (inRig) throw new Error(reason);
  return onlyIf(false, reason);
}

/** Leaves a test out that has found out that this host does not have what it takes. The rig has everything. */
export function leaveOut({ skip }: TestContext, reason: string): never {
  if (inRig) throw new Error(`in the rig this must not be: ${reason}`);
  return skip(reason);
}

/** Gives devices to vfio-pci until it is disposed; those that the machine does not have are left out. */
export function bind(...addresses: readonly string[]): Disposable {
  const bindings: Binding[] = [];
  const restore = () => {
    for (const binding of bindings.splice(0).reverse()) binding.restore();
  };
  try {
    for (const address of addresses) {
      if (!inRig && address === "none") continue;
      if (named?.includes(pciAddress(address)) === false) throw new Error(`${address} was not named by the user`);
      bindings.push(bindDriver(address));
    }
  } catch (error) {
    restore();
    throw error;
  }
  return { [Symbol.dispose]: restore };
}

/** An IOVA from which on, and below which, a device can use 16 MiB: the first multiple of 256 MiB that is no less than `from`. */
export function usableIova(address: string, from: bigint): bigint {
  const room = 16n << 20n;
  // What is reserved "relaxably" is not, for user space.
  const reserved = readIommuGroup(address).reservedRegions.filter(({ type }) => type !== "direct-relaxable");
  let iova = from;
  while (reserved.some(({ start, end }) => start < iova + room && end >= iova - room)) iova += 256n << 20n;
  return iova;
}

/** The addresses that the IOMMU keeps for interrupts: no memory can be mapped there. Undefined where it keeps none. */
export function interruptWindow(address: string): ReservedRegion | undefined {
  return readIommuGroup(address).reservedRegions.find(({ type }) => type === "msi");
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
