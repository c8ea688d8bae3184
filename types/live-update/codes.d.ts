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
export declare const modeCodes: Codes<ContainerMode>;
export declare const memoryCodes: Codes<MemoryItem["kind"]>;
export declare const irqCodes: Codes<IrqName>;
export declare const connectionCodes: Codes<ConnectionItem["kind"]>;
export declare const maskingCodes: Codes<"irqfd" | "eventfd">;
export declare const deliveryCodes: Codes<"resample" | "irqfd" | "user">;
export declare const POSTED_WRITES = 1;
export declare const TRUST_SERVER = 2;
export declare const WRITE_MULTIPLE = 4;
export declare const ABSTRACT = 8;
export declare const READ = 1;
export declare const WRITE = 2;
export declare const HAS_MESSAGE = 1;
export declare const HAS_DEVICE_ID = 2;
export declare const MASKED = 4;
export declare const TO_GUEST = 8;
/** The sizes of the items that have one, and the least of those that have not, by the sum of their fields. */
export declare const sizes: {
    readonly memory: 25;
    readonly container: 19;
    readonly group: 8;
    readonly device: 18;
    readonly irq: 13;
    readonly vector: 8;
    readonly ioeventfd: 25;
    readonly mapping: 32;
    readonly connection: 12;
    readonly descriptor: 6;
    readonly socket: 86;
    readonly region: 40;
    readonly irqInfo: 16;
    readonly frozenConnection: 4;
    readonly frozenVector: 24;
    readonly time: 10;
};
