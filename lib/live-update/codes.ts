/**
 * The numbers that stand for words in the hand-over's format, and the sizes of what comes in lists.
 *
 * A number is never used for another word.
 *
 * @module
 */
import type { ContainerMode } from "../container/container.js";
import type { IrqName } from "../device/irq-index.js";
import { Codes } from "./bytes.js";
import type { ConnectionItem, MemoryItem } from "./manifest.js";

export const modeCodes: Codes<ContainerMode> = new Codes(
  // A vfio-user container has a record of its own.
  { type1: 1, type1v2: 2, "compat-type1": 3, "compat-type1v2": 4, iommufd: 5 },
);
export const memoryCodes: Codes<MemoryItem["kind"]> = new Codes({ file: 1, bar: 2 });
// The kernel's own indexes, VFIO_PCI_INTX_IRQ_INDEX and so on.
export const irqCodes: Codes<IrqName> = new Codes({ intx: 0, msi: 1, msix: 2, err: 3, req: 4 });
export const connectionCodes: Codes<ConnectionItem["kind"]> = new Codes({ intx: 0, msi: 1, msix: 2 });
export const maskingCodes: Codes<"irqfd" | "eventfd"> = new Codes({ irqfd: 1, eventfd: 2 });
export const deliveryCodes: Codes<"resample" | "irqfd" | "user"> = new Codes({ resample: 1, irqfd: 2, user: 3 });

export const POSTED_WRITES = 1;
export const TRUST_SERVER = 2;
export const WRITE_MULTIPLE = 4;
export const ABSTRACT = 8;

export const READ = 1;
export const WRITE = 2;

export const HAS_MESSAGE = 1;
export const HAS_DEVICE_ID = 2;
export const MASKED = 4;
export const TO_GUEST = 8;

/** The sizes of the items that have one, and the least of those that have not, by the sum of their fields. */
export const sizes = {
  memory: 25,
  container: 19,
  group: 8,
  device: 18,
  irq: 13,
  vector: 8,
  ioeventfd: 25,
  mapping: 32,
  connection: 12,
  descriptor: 6,
  socket: 86,
  region: 40,
  irqInfo: 16,
  frozenConnection: 4,
  frozenVector: 24,
  time: 10,
} as const;
