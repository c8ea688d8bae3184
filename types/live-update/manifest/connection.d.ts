import { type ValueOf } from "./schema.js";
/** A bound that no host comes near. */
export declare const MAX_CONNECTIONS = 65536;
export declare const connection: import("./schema.js").ListedPart<import("./schema.js").Variants<"kind", {
    readonly intx: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        readonly machine: import("./part.js").Part<string>;
        readonly container: import("./part.js").Part<string>;
        readonly device: import("./part.js").Part<string>;
        readonly gsi: import("./part.js").Part<number>;
        readonly delivery: import("./part.js").Part<"irqfd" | "resample" | "user">;
    }>>;
    readonly msi: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        readonly machine: import("./part.js").Part<string>;
        readonly container: import("./part.js").Part<string>;
        readonly device: import("./part.js").Part<string>;
        readonly masking: import("./part.js").Part<"eventfd" | "irqfd">;
        readonly vectors: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
            readonly index: import("./part.js").Part<number>;
            /** The second eventfd of masking by eventfd. */
            readonly guest: import("./values.js").DescriptorPart<number | undefined>;
        }>[]>;
    }>>;
    readonly msix: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        readonly machine: import("./part.js").Part<string>;
        readonly container: import("./part.js").Part<string>;
        readonly device: import("./part.js").Part<string>;
        readonly masking: import("./part.js").Part<"eventfd" | "irqfd">;
        readonly vectors: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
            readonly index: import("./part.js").Part<number>;
            /** The second eventfd of masking by eventfd. */
            readonly guest: import("./values.js").DescriptorPart<number | undefined>;
        }>[]>;
    }>>;
}>>;
export type ConnectionItem = ValueOf<typeof connection>;
export declare function nameConnection(item: ConnectionItem): string;
