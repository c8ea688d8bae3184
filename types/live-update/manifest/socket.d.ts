import { type Part, type ValueOf } from "./schema.js";
export declare const socket: Part<{
    name: string;
    address: string;
    timeout: number;
    socket: number;
    twin: number | undefined;
    port: import("./schema.js").ItemValue<{
        /** `VFIO_DEVICE_FLAGS_*` */
        readonly flags: Part<number>;
        readonly numRegions: Part<number>;
        readonly numIrqs: Part<number>;
        /** All of them, by index. */
        readonly regions: Part<readonly import("./schema.js").ItemValue<{
            readonly index: Part<number>;
            readonly status: Part<number>;
            /** `VFIO_REGION_INFO_FLAG_*` */
            readonly flags: Part<number>;
            readonly size: Part<bigint>;
            /** In its file. */
            readonly offset: Part<bigint>;
            readonly capOffset: Part<number>;
            /** The whole answer, with its capabilities. */
            readonly bytes: Part<Uint8Array<ArrayBufferLike>>;
            /** What it is mapped from. */
            readonly file: import("./values.js").DescriptorPart<number | undefined>;
        }>[]>;
        readonly irqs: Part<readonly import("./schema.js").ItemValue<{
            readonly index: Part<number>;
            readonly status: Part<number>;
            /** `VFIO_IRQ_INFO_*` */
            readonly flags: Part<number>;
            readonly count: Part<number>;
        }>[]>;
    }> & import("./schema.js").ItemValue<{
        readonly posted: Part<readonly boolean[]>;
    }>;
    device: import("./schema.js").ItemValue<{
        readonly irqs: Part<readonly import("./schema.js").ItemValue<{
            readonly kind: Part<import("../../index.js").IrqName>;
            readonly allocated: Part<number>;
            readonly unmask: import("./values.js").DescriptorPart<number | undefined>;
            readonly vectors: Part<readonly import("./schema.js").ItemValue<{
                readonly index: Part<number>;
                readonly eventfd: import("./values.js").DescriptorPart<number>;
            }>[]>;
        }>[]>;
        readonly ioeventfds: Part<readonly import("./schema.js").ItemValue<{
            readonly region: Part<number>;
            readonly offset: Part<number>;
            readonly width: Part<1 | 2 | 4 | 8>;
            readonly value: Part<bigint>;
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
}>;
export type SocketItem = ValueOf<typeof socket>;
