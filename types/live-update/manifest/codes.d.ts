/**
 * The numbers that stand for words in the manifest. A number is never used for another word.
 *
 * @module
 */
import type { ContainerMode } from "../../container/modes.js";
import type { IrqName } from "../../device/irq-name.js";
import { Codes } from "./bytes.js";
export declare const modeCodes: Codes<ContainerMode>;
export declare const memoryCodes: Codes<"file" | "bar">;
export declare const irqCodes: Codes<IrqName>;
export declare const connectionCodes: Codes<"intx" | "msi" | "msix">;
export declare const maskingCodes: Codes<"irqfd" | "eventfd">;
export declare const deliveryCodes: Codes<"resample" | "irqfd" | "user">;
