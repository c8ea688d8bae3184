/**
 * Devices, with their interrupts and ioeventfds: what a device's user knows and the kernel does not tell.
 *
 * @module
 */
import { pciAddress } from "../../pci/address.js";
import { mdevUuid } from "../../pci/node.js";
import { irqCodes } from "./codes.js";
import {
  code,
  descriptor,
  id,
  item,
  list,
  oneOf,
  only,
  optionalDescriptor,
  quote,
  type Refuse,
  size,
  text,
  u32,
  u64,
  type ValueOf,
} from "./schema.js";

/** PCI 3.0, 6.8.1 and 6.8.2. */
const mostVectors = { msi: 32, msix: 2048 } as const;
/** The most vectors that a device can have. */
export const MAX_VECTORS = mostVectors.msix;

/** Throws if two items have the same key. */
export function checkUnique<T>(
  items: Iterable<T>,
  keyOf: (item: T) => readonly [key: string | number, name: string],
  refuse: Refuse,
): void {
  const seen = new Set<string | number>();
  for (const item of items) {
    const [key, name] = keyOf(item);
    if (seen.has(key)) throw refuse(`${name} is there twice`);
    seen.add(key);
  }
}

const vector = item(
  { index: u32(), eventfd: descriptor() },
  {
    name: ({ index }, irq) => `vector ${index} of ${irq}`,
    descriptors: { eventfd: (_, what) => ({ expected: { kind: "eventfd" }, what }) },
  },
);

/** A kind of interrupt that is on. */
const irq = item(
  {
    kind: code(irqCodes),
    /** MSI and MSI-X: how many vectors the kernel has set aside. */
    allocated: u32(),
    /** INTx: the eventfd that unmasks the line. */
    unmask: optionalDescriptor(),
    vectors: list(vector, "descriptors"),
  },
  {
    name: ({ kind }, device) => `${kind} of ${device}`,
    descriptors: { unmask: (_, name) => ({ expected: { kind: "eventfd" }, what: `unmask of ${name}` }) },
    rule({ kind, allocated, unmask, vectors }, name, refuse) {
      if (vectors.length === 0) throw refuse(`${name()} is on without a vector`);
      if (unmask !== undefined && kind !== "intx") {
        throw refuse(`${name()} has an unmask eventfd, which only intx has`);
      }
      const most = kind === "msi" || kind === "msix" ? mostVectors[kind] : undefined;
      const [least, largest] = most === undefined ? [0, 0] : [1, most];
      if (allocated < least || allocated > largest) {
        throw refuse(`${allocated} vectors are set aside for ${name()}, not ${least} to ${largest}`);
      }
      const last = (most ?? 1) - 1;
      for (const { index } of vectors) {
        if (index > last)
          throw refuse(`the index of a vector of ${name()} is ${index}, not an integer from 0 to ${last}`);
      }
      checkUnique(vectors, ({ index }) => [index, `vector ${index} of ${name()}`], refuse);
    },
  },
);
export type IrqItem = ValueOf<typeof irq>;

export const irqs = list(irq, "descriptors");

const lineAndMessages: readonly string[] = ["intx", "msi", "msix"];

/** Checks the kinds of interrupt of one device against each other. */
export function checkIrqs(irqs: readonly IrqItem[], device: () => string, refuse: Refuse): void {
  checkUnique(irqs, ({ kind }) => [kind, `${kind} of ${device()}`], refuse);
  const [first, second] = irqs.filter(({ kind }) => lineAndMessages.includes(kind));
  if (first !== undefined && second !== undefined) {
    throw refuse(`${first.kind} and ${second.kind} of ${device()} are both on, and the kernel has one on at a time`);
  }
}

/** A register that the kernel writes when an eventfd is signalled. */
const ioeventfd = item(
  {
    region: u32(),
    /** In the region, in bytes. */
    offset: size(),
    width: oneOf(1, 2, 4, 8),
    /** What the kernel writes. */
    value: u64(),
    eventfd: descriptor(),
  },
  {
    name: ({ region, offset }, device) => `the ioeventfd at 0x${offset.toString(16)} in region ${region} of ${device}`,
    descriptors: { eventfd: (_, what) => ({ expected: { kind: "eventfd" }, what }) },
    rule({ width, value }, name, refuse) {
      if (value >= 1n << BigInt(8 * width)) {
        throw refuse(`${name()} writes 0x${value.toString(16)}, more than its ${width} bytes can hold`);
      }
    },
  },
);

export type IoeventfdItem = ValueOf<typeof ioeventfd>;

export const ioeventfds = list(ioeventfd, "descriptors");

function isDeviceAddress(address: string): boolean {
  try {
    return (address.includes("-") ? mdevUuid(address) : pciAddress(address)) === address;
  } catch {
    return false;
  }
}

/** A device of an iommufd, or of a legacy container. */
export const device = (isIommufd: boolean) =>
  item(
    {
      /** Its PCI address, or a mediated device's UUID, as sysfs spells them. */
      address: text(),
      descriptor: descriptor(),
      /** Legacy: its group's number. */
      group: only(!isIommufd, id(), undefined),
      /** iommufd: its id there, and that of the page table that it is attached to. */
      iommufdId: only(isIommufd, id(), undefined),
      pageTableId: only(isIommufd, id(), undefined),
      irqs,
      ioeventfds,
    },
    {
      name: ({ address }, container) => `device ${quote(address)} in ${container}`,
      descriptors: {
        descriptor: ({ address }, what) => ({
          expected: { kind: "device", address, through: isIommufd ? "cdev" : "group" },
          what,
        }),
      },
      rule({ address, irqs, ioeventfds }, name, refuse) {
        if (!isDeviceAddress(address)) {
          throw refuse(`${name()} has neither a PCI address, like 0000:01:00.0, nor a UUID, in small letters`);
        }
        checkIrqs(irqs, name, refuse);
        checkUnique(
          ioeventfds,
          ({ region, offset, width, value }) => [
            `${region} ${offset} ${width} ${value}`,
            `the ioeventfd at 0x${offset.toString(16)} in region ${region} of ${name()}`,
          ],
          refuse,
        );
      },
    },
  );
export type DeviceItem = ValueOf<ReturnType<typeof device>>;
