/**
 * The numbers that stand for words in the manifest. A number is never used for another word.
 *
 * @module
 */
import type { ContainerMode } from "../../container/modes.js";
import type { IrqName } from "../../device/irq-name.js";
import { Codes } from "./bytes.js";

export const modeCodes: Codes<ContainerMode> = new Codes(
  // A vfio-user container has a record of its own.
  { type1: 1, type1v2: 2, "compat-type1": 3, "compat-type1v2": 4, iommufd: 5 },
);
export const memoryCodes: Codes<"file" | "bar"> = new Codes({ file: 1, bar: 2 });
// The kernel's own indexes, VFIO_PCI_INTX_IRQ_INDEX and so on.
export const irqCodes: Codes<IrqName> = new Codes({ intx: 0, msi: 1, msix: 2, err: 3, req: 4 });
export const connectionCodes: Codes<"intx" | "msi" | "msix"> = new Codes({ intx: 0, msi: 1, msix: 2 });
export const maskingCodes: Codes<"irqfd" | "eventfd"> = new Codes({ irqfd: 1, eventfd: 2 });
export const deliveryCodes: Codes<"resample" | "irqfd" | "user"> = new Codes({ resample: 1, irqfd: 2, user: 3 });
