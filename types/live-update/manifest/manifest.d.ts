import { type DocumentValue } from "./document.js";
import { type DescriptorUse } from "./schema.js";
/** The document, record by record. A new one gets the next number, and stands in `since`. */
declare const manifestKind: {
    number: number;
    name: string;
    records: {
        writer: import("./document.js").DocumentRecord<import("./schema.js").ItemValue<{
            readonly version: import("./part.js").Part<string>;
            readonly node: import("./part.js").Part<string>;
            readonly pid: import("./part.js").Part<number>;
        }>>;
        memory: import("./document.js").DocumentRecord<readonly import("./schema.js").Variants<"kind", {
            readonly file: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
                readonly name: import("./part.js").Part<string | undefined>;
                readonly label: import("./part.js").Part<string>;
                readonly descriptor: import("./values.js").DescriptorPart<number>;
                readonly length: import("./part.js").Part<number>;
                readonly pageSize: import("./part.js").Part<number>;
                readonly locked: import("./part.js").Part<boolean>;
            }>>;
            readonly bar: import("./schema.js").ListedPart<import("./schema.js").ItemValue<{
                readonly container: import("./part.js").Part<string>;
                readonly device: import("./part.js").Part<string>;
                readonly region: import("./part.js").Part<number>;
                readonly offset: import("./part.js").Part<number>;
                readonly length: import("./part.js").Part<number>;
            }>>;
        }>[]>;
        containers: import("./document.js").DocumentRecord<readonly (import("./schema.js").ItemValue<{
            readonly name: import("./part.js").Part<string>;
            readonly mode: import("./part.js").Part<import("../../index.js").ContainerMode>;
        }> & import("./schema.js").ItemValue<{
            readonly descriptor: import("./values.js").DescriptorPart<number>;
            readonly ioas: import("./part.js").Part<number | undefined>;
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
        }>)[]>;
        connections: import("./document.js").DocumentRecord<readonly import("./schema.js").Variants<"kind", {
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
                    readonly guest: import("./values.js").DescriptorPart<number | undefined>;
                }>[]>;
            }>>;
        }>[]>;
        descriptors: import("./document.js").DocumentRecord<readonly import("./schema.js").ItemValue<{
            readonly name: import("./part.js").Part<string>;
            readonly descriptor: import("./values.js").DescriptorPart<number>;
        }>[]>;
        sockets: import("./document.js").DocumentRecord<readonly {
            name: string;
            address: string;
            timeout: number;
            socket: number;
            twin: number | undefined;
            port: import("./schema.js").ItemValue<{
                readonly flags: import("./part.js").Part<number>;
                readonly numRegions: import("./part.js").Part<number>;
                readonly numIrqs: import("./part.js").Part<number>;
                readonly regions: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
                    readonly index: import("./part.js").Part<number>;
                    readonly status: import("./part.js").Part<number>;
                    readonly flags: import("./part.js").Part<number>;
                    readonly size: import("./part.js").Part<bigint>;
                    readonly offset: import("./part.js").Part<bigint>;
                    readonly capOffset: import("./part.js").Part<number>;
                    readonly bytes: import("./part.js").Part<Uint8Array<ArrayBufferLike>>;
                    readonly file: import("./values.js").DescriptorPart<number | undefined>;
                }>[]>;
                readonly irqs: import("./part.js").Part<readonly import("./schema.js").ItemValue<{
                    readonly index: import("./part.js").Part<number>;
                    readonly status: import("./part.js").Part<number>;
                    readonly flags: import("./part.js").Part<number>;
                    readonly count: import("./part.js").Part<number>;
                }>[]>;
            }> & import("./schema.js").ItemValue<{
                readonly posted: import("./part.js").Part<readonly boolean[]>;
            }>;
            device: import("./schema.js").ItemValue<{
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
            }>;
            mappings: readonly import("./mappings.js").MappingItem[];
            path: string | undefined;
            postedWrites: boolean;
            trustServer: boolean;
            agreement: {
                minor: number;
                maxFds: number;
                maxTransfer: number;
                maxMaps: number;
                pageSizes: bigint;
                writeMultiple: boolean;
            };
        }[]>;
    };
};
/** The part that travels with the descriptors. */
export interface Manifest extends DocumentValue<typeof manifestKind.records> {
}
/** Every place where a manifest names a descriptor, in the order of the bytes. */
export declare function descriptorUses(manifest: Manifest): readonly DescriptorUse[];
/**
 * Encodes a manifest, after checking it by the same rules as its reader.
 *
 * The indexes of its descriptors must be 0, 1, 2, ..., each of them used once.
 *
 * @throws VfioError `EINVAL` for a manifest that no reader would accept, `EMSGSIZE` for one longer than {@link MAX_MANIFEST}
 */
export declare function encodeManifest(manifest: Manifest): Uint8Array;
/**
 * Decodes a manifest and checks it. The descriptors have not been touched when it throws, and can be closed.
 *
 * @param bytes what came; borrowed
 * @param descriptorCount how many descriptors came with it
 * @throws VfioError `EPROTONOSUPPORT` for a newer version of the format, `EPROTO` for bytes that are not a manifest, `EINVAL` for
 *   contradictions in it or with the descriptors, `EMSGSIZE` for more than {@link MAX_MANIFEST}
 */
export declare function decodeManifest(bytes: Uint8Array, descriptorCount: number): Manifest;
export {};
