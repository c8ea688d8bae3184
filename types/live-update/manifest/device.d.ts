import { type Refuse, type ValueOf } from "./schema.js";
/** The most vectors that a device can have. */
export declare const MAX_VECTORS: 2048;
/** Throws if two items have the same key. */
export declare function checkUnique<T>(items: Iterable<T>, keyOf: (item: T) => readonly [key: string | number, name: string], refuse: Refuse): void;
/** A kind of interrupt that is on. */
declare const irq: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
    readonly kind: import("./part.js").Part<import("../../index.js").IrqName>;
    /** MSI and MSI-X: how many vectors the kernel has set aside. */
    readonly allocated: import("./part.js").Part<number>;
    /** INTx: the eventfd that unmasks the line. */
    readonly unmask: import("./values.js").DescriptorPart<number | undefined>;
    readonly vectors: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
        readonly index: import("./part.js").Part<number>;
        readonly eventfd: import("./values.js").DescriptorPart<number>;
    }>[]>;
}>>;
export type IrqItem = ValueOf<typeof irq>;
export declare const irqs: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
    readonly kind: import("./part.js").Part<import("../../index.js").IrqName>;
    /** MSI and MSI-X: how many vectors the kernel has set aside. */
    readonly allocated: import("./part.js").Part<number>;
    /** INTx: the eventfd that unmasks the line. */
    readonly unmask: import("./values.js").DescriptorPart<number | undefined>;
    readonly vectors: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
        readonly index: import("./part.js").Part<number>;
        readonly eventfd: import("./values.js").DescriptorPart<number>;
    }>[]>;
}>[]>;
/** Checks the kinds of interrupt of one device against each other. */
export declare function checkIrqs(irqs: readonly IrqItem[], device: () => string, refuse: Refuse): void;
/** A register that the kernel writes when an eventfd is signalled. */
declare const ioeventfd: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
    readonly region: import("./part.js").Part<number>;
    /** In the region, in bytes. */
    readonly offset: import("./part.js").Part<number>;
    readonly width: import("./part.js").Part<1 | 2 | 4 | 8>;
    /** What the kernel writes. */
    readonly value: import("./part.js").Part<bigint>;
    readonly eventfd: import("./values.js").DescriptorPart<number>;
}>>;
export type IoeventfdItem = ValueOf<typeof ioeventfd>;
export declare const ioeventfds: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
    readonly region: import("./part.js").Part<number>;
    /** In the region, in bytes. */
    readonly offset: import("./part.js").Part<number>;
    readonly width: import("./part.js").Part<1 | 2 | 4 | 8>;
    /** What the kernel writes. */
    readonly value: import("./part.js").Part<bigint>;
    readonly eventfd: import("./values.js").DescriptorPart<number>;
}>[]>;
/** A device of an iommufd, or of a legacy container. */
export declare const device: (isIommufd: boolean) => import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
    /** Its PCI address, or a mediated device's UUID, as sysfs spells them. */
    readonly address: import("./part.js").Part<string>;
    readonly descriptor: import("./values.js").DescriptorPart<number>;
    /** Legacy: its group's number. */
    readonly group: import("./part.js").Part<number | undefined>;
    /** iommufd: its id there, and that of the page table that it is attached to. */
    readonly iommufdId: import("./part.js").Part<number | undefined>;
    readonly pageTableId: import("./part.js").Part<number | undefined>;
    readonly irqs: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
        readonly kind: import("./part.js").Part<import("../../index.js").IrqName>;
        /** MSI and MSI-X: how many vectors the kernel has set aside. */
        readonly allocated: import("./part.js").Part<number>;
        /** INTx: the eventfd that unmasks the line. */
        readonly unmask: import("./values.js").DescriptorPart<number | undefined>;
        readonly vectors: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
            readonly index: import("./part.js").Part<number>;
            readonly eventfd: import("./values.js").DescriptorPart<number>;
        }>[]>;
    }>[]>;
    readonly ioeventfds: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
        readonly region: import("./part.js").Part<number>;
        /** In the region, in bytes. */
        readonly offset: import("./part.js").Part<number>;
        readonly width: import("./part.js").Part<1 | 2 | 4 | 8>;
        /** What the kernel writes. */
        readonly value: import("./part.js").Part<bigint>;
        readonly eventfd: import("./values.js").DescriptorPart<number>;
    }>[]>;
}>>;
export type DeviceItem = ValueOf<ReturnType<typeof device>>;
export {};
