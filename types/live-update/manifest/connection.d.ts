import { type ValueOf } from "./schema.js";
/** A bound that no host comes near. */
export declare const MAX_CONNECTIONS = 65536;
export declare const connection: import("./schema.js").ListedPart<import("./schema.js").Variants<"kind", {
    readonly intx: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        readonly machine: import("./schema.js").Part<string>;
        readonly container: import("./schema.js").Part<string>;
        readonly device: import("./schema.js").Part<string>;
        readonly gsi: import("./schema.js").Part<number>;
        readonly delivery: import("./schema.js").Part<"irqfd" | "resample" | "user">;
    }>>;
    readonly msi: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        readonly machine: import("./schema.js").Part<string>;
        readonly container: import("./schema.js").Part<string>;
        readonly device: import("./schema.js").Part<string>;
        readonly masking: import("./schema.js").Part<"eventfd" | "irqfd">;
        readonly vectors: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
            readonly index: import("./schema.js").Part<number>;
            /** The second eventfd of masking by eventfd. */
            readonly guest: import("./schema.js").DescriptorPart<number | undefined>;
        }>[]>;
    }>>;
    readonly msix: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        readonly machine: import("./schema.js").Part<string>;
        readonly container: import("./schema.js").Part<string>;
        readonly device: import("./schema.js").Part<string>;
        readonly masking: import("./schema.js").Part<"eventfd" | "irqfd">;
        readonly vectors: import("./schema.js").Part<readonly import("./schema.js").ItemValue<{
            readonly index: import("./schema.js").Part<number>;
            /** The second eventfd of masking by eventfd. */
            readonly guest: import("./schema.js").DescriptorPart<number | undefined>;
        }>[]>;
    }>>;
}>>;
export type ConnectionItem = ValueOf<typeof connection>;
export declare function nameConnection(item: ConnectionItem): string;
