import { type ValueOf } from "./schema.js";
export declare const memory: import("./schema.js").ListedPart<import("./schema.js").Variants<"kind", {
    readonly file: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        /** The program's name for it; undefined for memory that is only mapped. */
        readonly name: import("./part.js").Part<string | undefined>;
        /** For messages. */
        readonly label: import("./part.js").Part<string>;
        readonly descriptor: import("./values.js").DescriptorPart<number>;
        /** In bytes, from the start of the file. */
        readonly length: import("./part.js").Part<number>;
        /** The size of its pages. */
        readonly pageSize: import("./part.js").Part<number>;
        /** Whether it is kept in memory (`mlock`), which does not travel and is done anew. */
        readonly locked: import("./part.js").Part<boolean>;
    }>>;
    readonly bar: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
        /** The container's name, and the device's address in it. */
        readonly container: import("./part.js").Part<string>;
        readonly device: import("./part.js").Part<string>;
        readonly region: import("./part.js").Part<number>;
        /** In the region, in bytes. */
        readonly offset: import("./part.js").Part<number>;
        readonly length: import("./part.js").Part<number>;
    }>>;
}>>;
export type MemoryItem = ValueOf<typeof memory>;
export type FileMemory = Extract<MemoryItem, {
    kind: "file";
}>;
export type BarMemory = Extract<MemoryItem, {
    kind: "bar";
}>;
export declare function nameMemory(item: MemoryItem, index: number): string;
