import { type Version } from "./version.js";
/** How a payload is laid out. */
export interface Format<T> {
    /** A message with room for its header; see {@link stampHeader}. */
    encode(value: T): Uint8Array;
    /** @throws ProtocolError */
    decode(payload: Uint8Array): T;
}
/** How the data of a feature is laid out, which travels within a {@link FeatureMessage}. */
export interface FeatureFormat<T> {
    encode(value: T): Uint8Array;
    /** @throws ProtocolError */
    decode(data: Uint8Array): T;
}
/** A command: its number, and what its two messages carry. */
export interface Command<Request, Reply> {
    readonly number: number;
    readonly name: string;
    readonly request: Format<Request>;
    readonly reply: Format<Reply>;
}
export declare const version: Command<Version, Version>;
/** A range of the client's memory. The descriptor of its file travels beside the message, if it has one. */
export interface DmaMap {
    /** See the `DMA_MAP_*` bits. */
    readonly flags: number;
    /** Where in the file the range begins; 0 without a descriptor. */
    readonly offset: bigint;
    readonly iova: bigint;
    readonly size: bigint;
}
export declare const dmaMap: Command<DmaMap, void>;
/** A range to forget, exactly as it was mapped; or everything. */
export interface DmaUnmap {
    readonly flags: number;
    readonly iova: bigint;
    readonly size: bigint;
    /** The largest reply that the client takes. */
    readonly argsz: number;
    /** With `DMA_UNMAP_GET_DIRTY_BITMAP`: the granularity, and the size of the bitmap in bytes. */
    readonly bitmap?: {
        readonly pageSize: bigint;
        readonly size: bigint;
    };
}
/** What was forgotten, with the pages that the device had written, if that was asked for. */
export interface DmaUnmapReply {
    readonly flags: number;
    readonly iova: bigint;
    readonly size: bigint;
    readonly bitmap?: {
        readonly pageSize: bigint;
        readonly bits: Uint8Array;
    };
}
export declare const DMA_UNMAP_SIZE = 24;
export declare const DMA_BITMAP_SIZE = 16;
export declare const dmaUnmap: Command<DmaUnmap, DmaUnmapReply | undefined>;
/** A question with the room for its answer, `argsz`. */
export interface InfoRequest {
    readonly argsz: number;
    readonly index: number;
}
/** `struct vfio_device_info` */
export interface DeviceInfoReply {
    /** The size that the whole answer needs. */
    readonly argsz: number;
    readonly flags: number;
    readonly numRegions: number;
    readonly numIrqs: number;
}
export declare const DEVICE_INFO_SIZE = 16;
export declare const deviceGetInfo: Command<{
    readonly argsz: number;
}, DeviceInfoReply>;
/** `struct vfio_region_info` with its capabilities. The descriptor of a mappable region travels beside it. */
export interface RegionInfoReply {
    /** The size that the whole answer needs; larger than `bytes` if there was no room for the capabilities. */
    readonly argsz: number;
    readonly flags: number;
    readonly index: number;
    readonly capOffset: number;
    readonly size: bigint;
    /** Where in the region's file it begins. */
    readonly offset: bigint;
    /** The whole answer, for those who walk the capabilities. */
    readonly bytes: Uint8Array;
}
/** What a server says of a region. */
export interface RegionInfoAnswer extends Omit<RegionInfoReply, "bytes" | "capOffset"> {
    /** The capabilities, from offset 32 on; left out where the client has no room for them. */
    readonly capabilities: Uint8Array | undefined;
}
export declare const REGION_INFO_SIZE = 32;
export declare const deviceGetRegionInfo: Command<InfoRequest, RegionInfoReply> & {
    /** Encodes from parts. */
    readonly answer: (answer: RegionInfoAnswer) => Uint8Array;
};
/** A part of a region whose accesses can go through a descriptor, past the client. */
export interface IoFd {
    readonly offset: bigint;
    /** 0 where the width of the access does not matter. */
    readonly size: bigint;
    /** Which of the descriptors beside the message. */
    readonly fdIndex: number;
    /** `IO_FD_TYPE_*` */
    readonly type: number;
    /** `KVM_IOEVENTFD_FLAG_*` or `KVM_IOREGION_*` */
    readonly flags: number;
    /** What an ioeventfd must match, or an ioregionfd's user data. */
    readonly data: bigint;
}
/** The parts, and what they need. */
export interface IoFdsReply {
    readonly argsz: number;
    readonly index: number;
    /** How many there are; `entries` is empty where the room was too small for them. */
    readonly count: number;
    readonly entries: readonly IoFd[];
}
export declare const IO_FDS_SIZE = 16;
export declare const IO_FD_SIZE = 40;
export declare const deviceGetRegionIoFds: Command<InfoRequest, IoFdsReply>;
/** `struct vfio_irq_info` */
export interface IrqInfoReply {
    readonly argsz: number;
    readonly flags: number;
    readonly index: number;
    readonly count: number;
}
export declare const IRQ_INFO_SIZE = 16;
export declare const deviceGetIrqInfo: Command<InfoRequest, IrqInfoReply>;
/** `struct vfio_irq_set`. Eventfds travel beside it. */
export interface SetIrqsRequest {
    /** One `VFIO_IRQ_SET_DATA_*` and one `VFIO_IRQ_SET_ACTION_*`. */
    readonly flags: number;
    readonly index: number;
    readonly start: number;
    readonly count: number;
    /** What follows the struct: one byte for each interrupt with `VFIO_IRQ_SET_DATA_BOOL`, else nothing. */
    readonly data: Uint8Array;
}
export declare const deviceSetIrqs: Command<SetIrqsRequest, void>;
/** A part of a region. */
export interface RegionAccess {
    readonly offset: bigint;
    readonly region: number;
    readonly count: number;
}
/** A part of a region, with what is or was there. */
export interface RegionData {
    readonly offset: bigint;
    readonly region: number;
    readonly data: Uint8Array;
}
/**
 * Where the parts of an access to a region stand in its message, for those who read and write it where it lies: an object, a view
 * and memory for each message cost more than the message.
 */
export declare const RegionAccessLayout: {
    readonly offset: 16;
    readonly offsetHigh: number;
    readonly region: number;
    readonly count: number;
    readonly data: number;
};
export declare const regionRead: Command<RegionAccess, RegionData>;
export declare const regionWrite: Command<RegionData, RegionAccess | undefined>;
/** The same for many writes: `first` is where the first one stands, and `size` what each takes. The rest counts from a write. */
export declare const WriteMultiLayout: {
    readonly count: 16;
    readonly countHigh: number;
    readonly first: number;
    readonly size: number;
    readonly offset: 0;
    readonly offsetHigh: 4;
    readonly region: 8;
    readonly width: 12;
    readonly data: 16;
};
/** The reply says how many of the writes were made. */
export declare const regionWriteMulti: Command<readonly RegionData[], number | undefined>;
/** A part of the client's memory. */
export interface DmaAccess {
    readonly iova: bigint;
    readonly count: bigint;
}
/** A part of the client's memory, with what is there or is to be there. */
export interface DmaData {
    readonly iova: bigint;
    readonly data: Uint8Array;
}
/** Where the data of a {@link DmaData} stands in its message. */
export declare const DMA_DATA_OFFSET: number;
/** Writes what stands before the data, in a message that holds the data already. */
export declare function placeDmaAccess(message: Uint8Array, iova: bigint): void;
export declare const dmaRead: Command<DmaAccess, DmaData>;
export declare const dmaWrite: Command<DmaData, DmaAccess | undefined>;
export declare const deviceReset: Command<void, void>;
/** `struct vfio_device_feature` */
export interface FeatureMessage {
    /** The largest reply that the client takes; in a reply, the size of the reply. */
    readonly argsz: number;
    /** The feature, and `VFIO_DEVICE_FEATURE_GET`, `_SET` and `_PROBE`. */
    readonly flags: number;
    readonly data: Uint8Array;
}
export declare const FEATURE_SIZE = 8;
export declare const deviceFeature: Command<FeatureMessage, FeatureMessage>;
/** The number of the feature that a message is about. */
export declare function featureIndex(flags: number): number;
/** `VFIO_DEVICE_FEATURE_MIGRATION`: what a device can do. */
export declare const migrationFeature: FeatureFormat<bigint>;
/** `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`: the state's number; its descriptor is not used in vfio-user. */
export declare const migrationStateFeature: FeatureFormat<number>;
/** A range of IOVAs. */
export interface DmaRange {
    readonly iova: bigint;
    readonly length: bigint;
}
/** `VFIO_DEVICE_FEATURE_DMA_LOGGING_START`: what to watch, all of it where there are no ranges. */
export interface LoggingStart {
    readonly pageSize: bigint;
    readonly ranges: readonly DmaRange[];
}
export declare const loggingStartFeature: FeatureFormat<LoggingStart>;
/** `VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT`: a range, and in the reply one bit for each of its pages. */
export interface LoggingReport extends DmaRange {
    readonly pageSize: bigint;
    readonly bitmap: Uint8Array;
}
export declare const LOGGING_REPORT_SIZE = 24;
export declare const loggingReportFeature: FeatureFormat<LoggingReport>;
export declare const MIG_DATA_SIZE = 8;
/** The request says how many bytes the client takes; fewer come back when there are no more. */
export declare const migDataRead: Command<number, Uint8Array>;
export declare const migDataWrite: Command<Uint8Array, void>;
