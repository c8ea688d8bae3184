/**
 * What of this suite runs where.
 *
 * In the rig everything runs, on devices that are nobody's. On a host only that runs which can do without the rig, on the
 * devices that the user has named in `VFIO_TEST_HOST` and on no others; the rest is left out, and said to be.
 *
 * @module
 */
import { accessSync, constants, readdirSync } from "node:fs";
import { listPciDevices, type PciAddress, type PciDevice, pciAddress, readPciDevice } from "../../lib/pci/index.js";

/** The devices that the user of a host has named; undefined in the rig. */
export const named: readonly PciAddress[] | undefined = process.env.VFIO_TEST_HOST?.trim().split(/\s+/).map(pciAddress);

/** Whether this is the rig, where every device is the suite's and every test must find what it needs. */
export const inRig = named === undefined;

/** Whether the contents of disks may be overwritten: the rig's are empty. */
export const destructive = inRig || process.env.VFIO_TEST_DESTRUCTIVE === "1";

/** The devices that the suite may use. */
export function usableDevices(): PciDevice[] {
  return named === undefined ? listPciDevices() : named.map((address) => readPciDevice(address));
}

const withIds = (vendor: number, device: number) => (found: PciDevice) =>
  found.vendorId === vendor && found.deviceId === device;

/** The devices that tests know how to drive: what they are, and how they are told. */
export const kinds = {
  edu: { what: "QEMU's edu device (1234:11e8)", is: withIds(0x1234, 0x11e8) },
  igb: { what: "an Intel 82576 network card (8086:10c9)", is: withIds(0x8086, 0x10c9) },
  // In the rig it must be this one; elsewhere whatever says that it is an NVMe controller.
  nvme: {
    what: "an NVMe controller (class 01:08:02)",
    is: inRig ? withIds(0x1b36, 0x0010) : ({ classCode }: PciDevice) => classCode === 0x010802,
  },
  ivshmem: { what: "QEMU's ivshmem-plain device (1af4:1110)", is: withIds(0x1af4, 0x1110) },
  pair: {
    what: "two functions of an Intel 82574 network card (8086:10d3)",
    is: (found: PciDevice, others: readonly PciDevice[]) =>
      [found, ...others].every(withIds(0x8086, 0x10d3)) && others.length > 0,
  },
} as const;

/** A kind of device. */
export type Kind = keyof typeof kinds;

const slot = (address: PciAddress) => address.slice(0, address.lastIndexOf("."));
const known = new Map<Kind, PciDevice[]>();

/** The devices of a kind that the suite may use, as they were when it began. */
export function devicesOf(kind: Kind): readonly PciDevice[] {
  let found = known.get(kind);
  if (found === undefined) {
    const usable = usableDevices();
    const others = (one: PciDevice) =>
      usable.filter(({ address }) => address !== one.address && slot(address) === slot(one.address));
    found = usable.filter((device) => kinds[kind].is(device, others(device)));
    known.set(kind, found);
  }
  return found;
}

/** Why a kind of device cannot be used; undefined if it can. */
export function whyNotKind(kind: Kind): string | undefined {
  if (devicesOf(kind).length > 0) return undefined;
  return inRig ? `the rig lacks ${kinds[kind].what}` : `needs ${kinds[kind].what}, and none is named`;
}

/** Why KVM cannot be used; undefined if it can. */
function whyNotKvm(): string | undefined {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return "needs KVM, and /dev/kvm does not open";
  }
}

/** What a file of tests takes on a host: kinds of devices (none: any device will do) and KVM, or the rig for a reason. */
type Fitness = readonly (Kind | "kvm")[] | { readonly rigOnly: string };

const anyDevice: readonly Kind[] = [];
const mock = "takes the kernel's mock devices (CONFIG_IOMMUFD_TEST)";

/** A file that is not here has not been made fit for a host, and runs in the rig only. */
const fitness: Readonly<Record<string, Fitness>> = {
  "bar.test.ts": ["edu", "ivshmem"],
  "binding.test.ts": { rigOnly: "mounts and formats disks, sets interfaces up and down, and makes virtual functions" },
  "compat-mock.test.ts": { rigOnly: mock },
  "container.test.ts": anyDevice,
  "device.test.ts": anyDevice,
  "discovery.test.ts": anyDevice,
  "driver.test.ts": ["igb"],
  "edu.test.ts": ["edu"],
  "examples.test.ts": { rigOnly: "runs examples that look for their devices by themselves" },
  "fail-nth.test.ts": { rigOnly: "makes allocations of the kernel fail" },
  "foreign-memory.test.ts": { rigOnly: "uses up the reserve of huge pages" },
  "igb.test.ts": ["igb"],
  "iommufd.test.ts": { rigOnly: mock },
  "irq.test.ts": anyDevice,
  "kvm.test.ts": ["kvm"],
  "lifetime.test.ts": anyDevice,
  "mirror.test.ts": anyDevice,
  "nvme.test.ts": ["nvme"],
  "old-kernel.test.ts": anyDevice,
  "reset.test.ts": anyDevice,
  "smoke.test.ts": { rigOnly: "is about the rig's own machine" },
  "sriov.test.ts": {
    rigOnly: "makes virtual functions, which nobody can have named, and changes a module's parameter",
  },
  "type1-requests.test.ts": { rigOnly: "holds one kernel, the rig's, to its exact answers" },
  "unplug.test.ts": { rigOnly: "removes devices from their buses" },
};

/** Why a file of tests does not run on this host; undefined if it does. */
function whyNotFile(file: string): string | undefined {
  const found = fitness[file];
  if (found === undefined) return "has not been made fit for a host";
  if ("rigOnly" in found) return found.rigOnly;
  return found.map((need) => (need === "kvm" ? whyNotKvm() : whyNotKind(need))).find((reason) => reason !== undefined);
}

/** The files of this suite for this host, and those that are left out, with the reason. */
export function selectFiles(): { readonly run: readonly string[]; readonly leftOut: ReadonlyMap<string, string> } {
  const run: string[] = [];
  const leftOut = new Map<string, string>();
  for (const file of readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith(".test.ts"))) {
    const reason = whyNotFile(file);
    if (reason === undefined) run.push(file);
    else leftOut.set(file, reason);
  }
  return { run, leftOut };
}
