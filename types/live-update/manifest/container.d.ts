/**
 * Containers of the kernel: legacy ones, and iommufds.
 *
 * @module
 */
import type { ContainerMode } from "../../container/container.js";
import { type ValueOf } from "./schema.js";
export declare function nameContainer(container: {
    readonly name: string;
}): string;
export declare const container: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
    /** The program's name for it. */
    readonly name: import("./schema.js").Part<string>;
    readonly mode: import("./schema.js").Part<ContainerMode>;
}> & import("./schema.js").ItemValue<{
    /** `/dev/vfio/vfio`, or the iommufd. */
    readonly descriptor: import("./schema.js").DescriptorPart<number>;
    /** iommufd: the id of its address space. */
    readonly ioas: import("./schema.js").Part<number | undefined>;
    /** Legacy: its groups. */
    readonly groups: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
        readonly id: import("./schema.js").Part<number>;
        readonly descriptor: import("./schema.js").DescriptorPart<number>;
    }>[]>;
    readonly devices: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
        readonly address: import("./schema.js").Part<string>;
        readonly descriptor: import("./schema.js").DescriptorPart<number>;
        readonly group: import("./schema.js").Part<number | undefined>;
        readonly iommufdId: import("./schema.js").Part<number | undefined>;
        readonly pageTableId: import("./schema.js").Part<number | undefined>;
        readonly irqs: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
            readonly kind: import("./schema.js").Part<import("../../index.js").IrqName>;
            readonly allocated: import("./schema.js").Part<number>;
            readonly unmask: import("./schema.js").DescriptorPart<number | undefined>;
            readonly vectors: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
                readonly index: import("./schema.js").Part<number>;
                readonly eventfd: import("./schema.js").DescriptorPart<number>;
            }>[]>;
        }>[]>;
        readonly ioeventfds: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
            readonly region: import("./schema.js").Part<number>;
            readonly offset: import("./schema.js").Part<number>;
            readonly width: import("./schema.js").Part<1 | 2 | 4 | 8>;
            readonly value: import("./schema.js").Part<bigint>;
            readonly eventfd: import("./schema.js").DescriptorPart<number>;
        }>[]>;
    }>[]>;
    readonly mappings: import("./schema.js").Part<readonly import("./mappings.js").MappingItem[]>;
}>>;
export type ContainerItem = ValueOf<typeof container>;
