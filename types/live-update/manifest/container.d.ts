/**
 * Containers of the kernel: legacy ones, and iommufds.
 *
 * @module
 */
import type { ContainerMode } from "../../container/modes.js";
import { type ValueOf } from "./schema.js";
export declare function nameContainer(container: {
    readonly name: string;
}): string;
export declare const container: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
    /** The program's name for it. */
    readonly name: import("./part.js").Part<string>;
    readonly mode: import("./part.js").Part<ContainerMode>;
}> & import("./schema.js").ItemValue<{
    /** `/dev/vfio/vfio`, or the iommufd. */
    readonly descriptor: import("./values.js").DescriptorPart<number>;
    /** iommufd: the id of its address space. */
    readonly ioas: import("./part.js").Part<number | undefined>;
    /** Legacy: its groups. */
    readonly groups: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
        readonly id: import("./part.js").Part<number>;
        readonly descriptor: import("./values.js").DescriptorPart<number>;
    }>[]>;
    readonly devices: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
        readonly address: import("./part.js").Part<string>;
        readonly descriptor: import("./values.js").DescriptorPart<number>;
        readonly group: import("./part.js").Part<number | undefined>;
        readonly iommufdId: import("./part.js").Part<number | undefined>;
        readonly pageTableId: import("./part.js").Part<number | undefined>;
        readonly irqs: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
            readonly kind: import("./part.js").Part<import("../../index.js").IrqName>;
            readonly allocated: import("./part.js").Part<number>;
            readonly unmask: import("./values.js").DescriptorPart<number | undefined>;
            readonly vectors: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
                readonly index: import("./part.js").Part<number>;
                readonly eventfd: import("./values.js").DescriptorPart<number>;
            }>[]>;
        }>[]>;
        readonly ioeventfds: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
            readonly region: import("./part.js").Part<number>;
            readonly offset: import("./part.js").Part<number>;
            readonly width: import("./part.js").Part<1 | 2 | 4 | 8>;
            readonly value: import("./part.js").Part<bigint>;
            readonly eventfd: import("./values.js").DescriptorPart<number>;
        }>[]>;
    }>[]>;
    readonly mappings: import("./part.js").Part<readonly import("./mappings.js").MappingItem[]>;
}>>;
export type ContainerItem = ValueOf<typeof container>;
