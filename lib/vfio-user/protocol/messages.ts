/**
 * The payloads of the protocol's messages: one {@link Command} each, with the form of its request and of its reply.
 *
 * `encode` makes a whole message with room for the header, so that a message is one piece of memory from here to the
 * socket. `decode` checks every size against the payload before it reads, and refuses with a {@link ProtocolError}: what
 * it returns is consistent in itself, and whether the device has such a region, interrupt or mapping is the server's to
 * say. Decoded bytes are views into the payload.
 *
 * @module
 */
import { constants } from "node:os";
import { VFIO_DEVICE_FEATURE_MASK } from "../../kernel/uapi.js";
import { CommandNumber, commandName, HEADER_SIZE, ProtocolError } from "./constants.js";
import { decodeVersion, encodeVersion, type Version } from "./version.js";

const { EINVAL } = constants.errno;

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

function command<Request, Reply>(
  number: number,
  formats: (name: string) => { request: Format<Request>; reply: Format<Reply> },
): Command<Request, Reply> {
  const name = commandName(number);
  return { number, name, ...formats(name) };
}

/** A new message, and a view of its payload. */
function blank(payloadLength: number): { message: Uint8Array; view: DataView } {
  // With a buffer from the start: a small array gets one when it is looked into, and is copied there.
  const buffer = new ArrayBuffer(HEADER_SIZE + payloadLength);
  return { message: new Uint8Array(buffer), view: new DataView(buffer, HEADER_SIZE) };
}

function viewOf(payload: Uint8Array): DataView {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
}

function refuse(name: string, why: string): ProtocolError {
  return new ProtocolError(EINVAL, name, why);
}

function need(name: string, payload: Uint8Array, length: number): DataView {
  if (payload.length < length) throw refuse(name, `${payload.length} bytes of payload, and it needs ${length}`);
  return viewOf(payload);
}

/** A struct that begins with its size: what a sender offers must cover what the struct has at least. */
function needArgsz(name: string, payload: Uint8Array, length: number): DataView {
  const view = need(name, payload, length);
  const argsz = view.getUint32(0, true);
  if (argsz < length) throw refuse(name, `argsz is ${argsz}, and the struct has ${length} bytes`);
  return view;
}

function nothing(name: string): Format<void> {
  return {
    encode: () => blank(0).message,
    decode: (payload) => {
      if (payload.length !== 0) throw refuse(name, `${payload.length} bytes of payload, and it has none`);
    },
  };
}

/** A reply whose payload means nothing to anybody. */
const ignored: Format<void> = { encode: () => blank(0).message, decode: () => {} };

/**
 * A reply that repeats its request, or says that all of it was done. Success is in the header, and some peers send no more: a
 * device of libvfio-user's that does no DMA answers DMA_UNMAP so. Undefined stands for such a reply.
 */
function optional<T>(format: Format<T>): Format<T | undefined> {
  return {
    encode: (value) => (value === undefined ? blank(0).message : format.encode(value)),
    decode: (payload) => (payload.length === 0 ? undefined : format.decode(payload)),
  };
}

// ---- VFIO_USER_VERSION ---------------------------------------------------------------------------------------------

export const version: Command<Version, Version> = command(CommandNumber.version, (name) => {
  const format: Format<Version> = {
    encode(value) {
      const bytes = encodeVersion(value);
      const { message } = blank(bytes.length);
      message.set(bytes, HEADER_SIZE);
      return message;
    },
    decode: (payload) => decodeVersion(name, payload),
  };
  return { request: format, reply: format };
});

// ---- VFIO_USER_DMA_MAP, VFIO_USER_DMA_UNMAP ------------------------------------------------------------------------

/** A range of the client's memory. The descriptor of its file travels beside the message, if it has one. */
export interface DmaMap {
  /** See the `DMA_MAP_*` bits. */
  readonly flags: number;
  /** Where in the file the range begins; 0 without a descriptor. */
  readonly offset: bigint;
  readonly iova: bigint;
  readonly size: bigint;
}

const DMA_MAP_SIZE = 32;

export const dmaMap: Command<DmaMap, void> = command(CommandNumber.dmaMap, (name) => ({
  request: {
    encode({ flags, offset, iova, size }) {
      const { message, view } = blank(DMA_MAP_SIZE);
      view.setUint32(0, DMA_MAP_SIZE, true);
      view.setUint32(4, flags, true);
      view.setBigUint64(8, offset, true);
      view.setBigUint64(16, iova, true);
      view.setBigUint64(24, size, true);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, DMA_MAP_SIZE);
      return {
        flags: view.getUint32(4, true),
        offset: view.getBigUint64(8, true),
        iova: view.getBigUint64(16, true),
        size: view.getBigUint64(24, true),
      };
    },
  },
  reply: ignored,
}));

/** A range to forget, exactly as it was mapped; or everything. */
export interface DmaUnmap {
  readonly flags: number;
  readonly iova: bigint;
  readonly size: bigint;
  /** The largest reply that the client takes. */
  readonly argsz: number;
  /** With `DMA_UNMAP_GET_DIRTY_BITMAP`: the granularity, and the size of the bitmap in bytes. */
  readonly bitmap?: { readonly pageSize: bigint; readonly size: bigint };
}

/** What was forgotten, with the pages that the device had written, if that was asked for. */
export interface DmaUnmapReply {
  readonly flags: number;
  readonly iova: bigint;
  readonly size: bigint;
  readonly bitmap?: { readonly pageSize: bigint; readonly bits: Uint8Array };
}

export const DMA_UNMAP_SIZE = 24;
export const DMA_BITMAP_SIZE = 16;

export const dmaUnmap: Command<DmaUnmap, DmaUnmapReply | undefined> = command(CommandNumber.dmaUnmap, (name) => ({
  request: {
    encode({ flags, iova, size, argsz, bitmap }) {
      const { message, view } = blank(DMA_UNMAP_SIZE + (bitmap === undefined ? 0 : DMA_BITMAP_SIZE));
      view.setUint32(0, argsz, true);
      view.setUint32(4, flags, true);
      view.setBigUint64(8, iova, true);
      view.setBigUint64(16, size, true);
      if (bitmap !== undefined) {
        view.setBigUint64(24, bitmap.pageSize, true);
        view.setBigUint64(32, bitmap.size, true);
      }
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, DMA_UNMAP_SIZE);
      const unmap = {
        argsz: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        iova: view.getBigUint64(8, true),
        size: view.getBigUint64(16, true),
      };
      if (payload.length < DMA_UNMAP_SIZE + DMA_BITMAP_SIZE) return unmap;
      return { ...unmap, bitmap: { pageSize: view.getBigUint64(24, true), size: view.getBigUint64(32, true) } };
    },
  },
  reply: optional<DmaUnmapReply>({
    encode({ flags, iova, size, bitmap }) {
      const length = DMA_UNMAP_SIZE + (bitmap === undefined ? 0 : DMA_BITMAP_SIZE + bitmap.bits.length);
      const { message, view } = blank(length);
      view.setUint32(0, length, true);
      view.setUint32(4, flags, true);
      view.setBigUint64(8, iova, true);
      view.setBigUint64(16, size, true);
      if (bitmap !== undefined) {
        view.setBigUint64(24, bitmap.pageSize, true);
        view.setBigUint64(32, BigInt(bitmap.bits.length), true);
        message.set(bitmap.bits, HEADER_SIZE + DMA_UNMAP_SIZE + DMA_BITMAP_SIZE);
      }
      return message;
    },
    decode(payload) {
      const view = need(name, payload, DMA_UNMAP_SIZE);
      const reply = {
        flags: view.getUint32(4, true),
        iova: view.getBigUint64(8, true),
        size: view.getBigUint64(16, true),
      };
      if (payload.length < DMA_UNMAP_SIZE + DMA_BITMAP_SIZE) return reply;
      const bits = payload.subarray(DMA_UNMAP_SIZE + DMA_BITMAP_SIZE);
      return { ...reply, bitmap: { pageSize: view.getBigUint64(24, true), bits } };
    },
  }),
}));

// ---- information ---------------------------------------------------------------------------------------------------

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

export const DEVICE_INFO_SIZE = 16;

export const deviceGetInfo: Command<{ readonly argsz: number }, DeviceInfoReply> = command(
  CommandNumber.deviceGetInfo,
  (name) => ({
    request: {
      encode({ argsz }) {
        const { message, view } = blank(DEVICE_INFO_SIZE);
        view.setUint32(0, argsz, true);
        return message;
      },
      decode: (payload) => ({ argsz: needArgsz(name, payload, DEVICE_INFO_SIZE).getUint32(0, true) }),
    },
    reply: {
      encode({ argsz, flags, numRegions, numIrqs }) {
        const { message, view } = blank(DEVICE_INFO_SIZE);
        view.setUint32(0, argsz, true);
        view.setUint32(4, flags, true);
        view.setUint32(8, numRegions, true);
        view.setUint32(12, numIrqs, true);
        return message;
      },
      decode(payload) {
        const view = needArgsz(name, payload, DEVICE_INFO_SIZE);
        return {
          argsz: view.getUint32(0, true),
          flags: view.getUint32(4, true),
          numRegions: view.getUint32(8, true),
          numIrqs: view.getUint32(12, true),
        };
      },
    },
  }),
);

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

export const REGION_INFO_SIZE = 32;

export const deviceGetRegionInfo: Command<InfoRequest, RegionInfoReply> & {
  /** Encodes from parts. */
  readonly answer: (answer: RegionInfoAnswer) => Uint8Array;
} = {
  ...command(CommandNumber.deviceGetRegionInfo, (name) => ({
    request: {
      encode({ argsz, index }: InfoRequest) {
        const { message, view } = blank(REGION_INFO_SIZE);
        view.setUint32(0, argsz, true);
        view.setUint32(8, index, true);
        return message;
      },
      decode(payload: Uint8Array) {
        const view = needArgsz(name, payload, REGION_INFO_SIZE);
        return { argsz: view.getUint32(0, true), index: view.getUint32(8, true) };
      },
    },
    reply: {
      encode({ bytes }: RegionInfoReply) {
        const { message } = blank(bytes.length);
        message.set(bytes, HEADER_SIZE);
        return message;
      },
      decode(payload: Uint8Array) {
        const view = needArgsz(name, payload, REGION_INFO_SIZE);
        return {
          argsz: view.getUint32(0, true),
          flags: view.getUint32(4, true),
          index: view.getUint32(8, true),
          capOffset: view.getUint32(12, true),
          size: view.getBigUint64(16, true),
          offset: view.getBigUint64(24, true),
          bytes: payload,
        };
      },
    },
  })),
  answer({ argsz, flags, index, size, offset, capabilities }) {
    const { message, view } = blank(REGION_INFO_SIZE + (capabilities?.length ?? 0));
    view.setUint32(0, argsz, true);
    view.setUint32(4, flags, true);
    view.setUint32(8, index, true);
    view.setUint32(12, capabilities === undefined ? 0 : REGION_INFO_SIZE, true);
    view.setBigUint64(16, size, true);
    view.setBigUint64(24, offset, true);
    if (capabilities !== undefined) message.set(capabilities, HEADER_SIZE + REGION_INFO_SIZE);
    return message;
  },
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

export const IO_FDS_SIZE = 16;
export const IO_FD_SIZE = 40;
// libvfio-user's entries are of 48 bytes, with a shadow's offset before the value to match.
const IO_FD_SHADOW_SIZE = 48;
/** Entries that any peer may describe: a region has no more doorbells than it has pages. */
const MOST_IO_FDS = 4096;

export const deviceGetRegionIoFds: Command<InfoRequest, IoFdsReply> = command(
  CommandNumber.deviceGetRegionIoFds,
  (name) => ({
    request: {
      encode({ argsz, index }) {
        const { message, view } = blank(IO_FDS_SIZE);
        view.setUint32(0, argsz, true);
        view.setUint32(8, index, true);
        return message;
      },
      decode(payload) {
        const view = needArgsz(name, payload, IO_FDS_SIZE);
        if (view.getUint32(4, true) !== 0 || view.getUint32(12, true) !== 0) {
          throw refuse(name, "its flags and count must be 0");
        }
        return { argsz: view.getUint32(0, true), index: view.getUint32(8, true) };
      },
    },
    reply: {
      encode({ argsz, index, count, entries }) {
        const { message, view } = blank(IO_FDS_SIZE + entries.length * IO_FD_SIZE);
        view.setUint32(0, argsz, true);
        view.setUint32(8, index, true);
        view.setUint32(12, count, true);
        for (const [i, entry] of entries.entries()) {
          const at = IO_FDS_SIZE + i * IO_FD_SIZE;
          view.setBigUint64(at, entry.offset, true);
          view.setBigUint64(at + 8, entry.size, true);
          view.setUint32(at + 16, entry.fdIndex, true);
          view.setUint32(at + 20, entry.type, true);
          view.setUint32(at + 24, entry.flags, true);
          view.setBigUint64(at + 32, entry.data, true);
        }
        return message;
      },
      decode(payload) {
        const view = needArgsz(name, payload, IO_FDS_SIZE);
        const argsz = view.getUint32(0, true);
        const index = view.getUint32(8, true);
        const count = view.getUint32(12, true);
        // Too little room: the count alone.
        if (count === 0 || argsz > payload.length) return { argsz, index, count, entries: [] };
        // The length of an entry is not fixed: it follows from the whole. (The specification's text subtracts 32 there,
        // and its table has 16.)
        const stride = Math.floor((argsz - IO_FDS_SIZE) / count);
        if (count > MOST_IO_FDS || stride < IO_FD_SIZE || IO_FDS_SIZE + count * stride > payload.length) {
          throw refuse(name, `${count} entries do not fit into ${payload.length} bytes`);
        }
        const entries = Array.from({ length: count }, (_, i): IoFd => {
          const at = IO_FDS_SIZE + i * stride;
          return {
            offset: view.getBigUint64(at, true),
            size: view.getBigUint64(at + 8, true),
            fdIndex: view.getUint32(at + 16, true),
            type: view.getUint32(at + 20, true),
            flags: view.getUint32(at + 24, true),
            data: view.getBigUint64(at + (stride >= IO_FD_SHADOW_SIZE ? 40 : 32), true),
          };
        });
        return { argsz, index, count, entries };
      },
    },
  }),
);

/** `struct vfio_irq_info` */
export interface IrqInfoReply {
  readonly argsz: number;
  readonly flags: number;
  readonly index: number;
  readonly count: number;
}

export const IRQ_INFO_SIZE = 16;

export const deviceGetIrqInfo: Command<InfoRequest, IrqInfoReply> = command(CommandNumber.deviceGetIrqInfo, (name) => ({
  request: {
    encode({ argsz, index }) {
      const { message, view } = blank(IRQ_INFO_SIZE);
      view.setUint32(0, argsz, true);
      view.setUint32(8, index, true);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, IRQ_INFO_SIZE);
      return { argsz: view.getUint32(0, true), index: view.getUint32(8, true) };
    },
  },
  reply: {
    encode({ argsz, flags, index, count }) {
      const { message, view } = blank(IRQ_INFO_SIZE);
      view.setUint32(0, argsz, true);
      view.setUint32(4, flags, true);
      view.setUint32(8, index, true);
      view.setUint32(12, count, true);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, IRQ_INFO_SIZE);
      return {
        argsz: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        index: view.getUint32(8, true),
        count: view.getUint32(12, true),
      };
    },
  },
}));

// ---- VFIO_USER_DEVICE_SET_IRQS -------------------------------------------------------------------------------------

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

const SET_IRQS_SIZE = 20;

export const deviceSetIrqs: Command<SetIrqsRequest, void> = command(CommandNumber.deviceSetIrqs, (name) => ({
  request: {
    encode({ flags, index, start, count, data }) {
      const { message, view } = blank(SET_IRQS_SIZE + data.length);
      view.setUint32(0, SET_IRQS_SIZE + data.length, true);
      view.setUint32(4, flags, true);
      view.setUint32(8, index, true);
      view.setUint32(12, start, true);
      view.setUint32(16, count, true);
      message.set(data, HEADER_SIZE + SET_IRQS_SIZE);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, SET_IRQS_SIZE);
      return {
        flags: view.getUint32(4, true),
        index: view.getUint32(8, true),
        start: view.getUint32(12, true),
        count: view.getUint32(16, true),
        data: payload.subarray(SET_IRQS_SIZE),
      };
    },
  },
  reply: ignored,
}));

// ---- VFIO_USER_REGION_READ, _WRITE, _WRITE_MULTI -------------------------------------------------------------------

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

const REGION_ACCESS_SIZE = 16;

/**
 * Where the parts of an access to a region stand in its message, for those who read and write it where it lies: an object, a view
 * and memory for each message cost more than the message.
 */
export const RegionAccessLayout = {
  offset: HEADER_SIZE,
  offsetHigh: HEADER_SIZE + 4,
  region: HEADER_SIZE + 8,
  count: HEADER_SIZE + 12,
  data: HEADER_SIZE + REGION_ACCESS_SIZE,
} as const;

function regionAccess(name: string): Format<RegionAccess> {
  return {
    encode({ offset, region, count }) {
      const { message, view } = blank(REGION_ACCESS_SIZE);
      view.setBigUint64(0, offset, true);
      view.setUint32(8, region, true);
      view.setUint32(12, count, true);
      return message;
    },
    decode(payload) {
      const view = need(name, payload, REGION_ACCESS_SIZE);
      return { offset: view.getBigUint64(0, true), region: view.getUint32(8, true), count: view.getUint32(12, true) };
    },
  };
}

function regionData(name: string): Format<RegionData> {
  return {
    encode({ offset, region, data }) {
      const { message, view } = blank(REGION_ACCESS_SIZE + data.length);
      view.setBigUint64(0, offset, true);
      view.setUint32(8, region, true);
      view.setUint32(12, data.length, true);
      message.set(data, HEADER_SIZE + REGION_ACCESS_SIZE);
      return message;
    },
    decode(payload) {
      const view = need(name, payload, REGION_ACCESS_SIZE);
      const count = view.getUint32(12, true);
      const data = payload.subarray(REGION_ACCESS_SIZE);
      if (data.length !== count) throw refuse(name, `its count is ${count}, and it carries ${data.length} bytes`);
      return { offset: view.getBigUint64(0, true), region: view.getUint32(8, true), data };
    },
  };
}

export const regionRead: Command<RegionAccess, RegionData> = command(CommandNumber.regionRead, (name) => ({
  request: {
    ...regionAccess(name),
    decode(payload) {
      if (payload.length !== REGION_ACCESS_SIZE) {
        throw refuse(name, `${payload.length} bytes of payload, and it has ${REGION_ACCESS_SIZE}`);
      }
      return regionAccess(name).decode(payload);
    },
  },
  reply: regionData(name),
}));

export const regionWrite: Command<RegionData, RegionAccess | undefined> = command(
  CommandNumber.regionWrite,
  (name) => ({
    request: regionData(name),
    reply: optional(regionAccess(name)),
  }),
);

// Each write has room for 8 bytes of data.
const WRITE_MULTI_DATA = 8;
const WRITE_MULTI_SIZE = REGION_ACCESS_SIZE + WRITE_MULTI_DATA;

/** The same for many writes: `first` is where the first one stands, and `size` what each takes. The rest counts from a write. */
export const WriteMultiLayout = {
  count: HEADER_SIZE,
  countHigh: HEADER_SIZE + 4,
  first: HEADER_SIZE + 8,
  size: WRITE_MULTI_SIZE,
  offset: 0,
  offsetHigh: 4,
  region: 8,
  width: 12,
  data: REGION_ACCESS_SIZE,
} as const;

/** The reply says how many of the writes were made. */
export const regionWriteMulti: Command<readonly RegionData[], number | undefined> = command(
  CommandNumber.regionWriteMulti,
  (name) => ({
    request: {
      encode(writes) {
        const { message, view } = blank(8 + writes.length * WRITE_MULTI_SIZE);
        view.setBigUint64(0, BigInt(writes.length), true);
        for (const [i, { offset, region, data }] of writes.entries()) {
          if (data.length > WRITE_MULTI_DATA)
            throw refuse(name, `a write of ${data.length} bytes, and there is room for 8`);
          const at = 8 + i * WRITE_MULTI_SIZE;
          view.setBigUint64(at, offset, true);
          view.setUint32(at + 8, region, true);
          view.setUint32(at + 12, data.length, true);
          message.set(data, HEADER_SIZE + at + REGION_ACCESS_SIZE);
        }
        return message;
      },
      decode(payload) {
        const view = need(name, payload, 8);
        const count = view.getBigUint64(0, true);
        // The count first: a peer may name one whose size does not fit into any number.
        if (count > BigInt(payload.length) || payload.length !== 8 + Number(count) * WRITE_MULTI_SIZE) {
          throw refuse(name, `${count} writes do not make ${payload.length} bytes`);
        }
        return Array.from({ length: Number(count) }, (_, i): RegionData => {
          const at = 8 + i * WRITE_MULTI_SIZE;
          const length = view.getUint32(at + 12, true);
          if (length > WRITE_MULTI_DATA) throw refuse(name, `a write of ${length} bytes, and there is room for 8`);
          const data = payload.subarray(at + REGION_ACCESS_SIZE, at + REGION_ACCESS_SIZE + length);
          return { offset: view.getBigUint64(at, true), region: view.getUint32(at + 8, true), data };
        });
      },
    },
    reply: optional<number>({
      encode(completed) {
        const { message, view } = blank(8);
        view.setBigUint64(0, BigInt(completed), true);
        return message;
      },
      decode: (payload) => Number(need(name, payload, 8).getBigUint64(0, true)),
    }),
  }),
);

// ---- VFIO_USER_DMA_READ, VFIO_USER_DMA_WRITE: from the server to the client ----------------------------------------

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

const DMA_ACCESS_SIZE = 16;

/** Where the data of a {@link DmaData} stands in its message. */
export const DMA_DATA_OFFSET = HEADER_SIZE + DMA_ACCESS_SIZE;

/** Writes what stands before the data, in a message that holds the data already. */
export function placeDmaAccess(message: Uint8Array, iova: bigint): void {
  const view = new DataView(message.buffer, message.byteOffset + HEADER_SIZE, DMA_ACCESS_SIZE);
  view.setBigUint64(0, iova, true);
  view.setBigUint64(8, BigInt(message.length - DMA_DATA_OFFSET), true);
}

function dmaAccess(name: string): Format<DmaAccess> {
  return {
    encode({ iova, count }) {
      const { message, view } = blank(DMA_ACCESS_SIZE);
      view.setBigUint64(0, iova, true);
      view.setBigUint64(8, count, true);
      return message;
    },
    decode(payload) {
      const view = need(name, payload, DMA_ACCESS_SIZE);
      return { iova: view.getBigUint64(0, true), count: view.getBigUint64(8, true) };
    },
  };
}

function dmaData(name: string): Format<DmaData> {
  return {
    encode({ iova, data }) {
      const { message } = blank(DMA_ACCESS_SIZE + data.length);
      message.set(data, DMA_DATA_OFFSET);
      placeDmaAccess(message, iova);
      return message;
    },
    decode(payload) {
      const view = need(name, payload, DMA_ACCESS_SIZE);
      const count = view.getBigUint64(8, true);
      const data = payload.subarray(DMA_ACCESS_SIZE);
      if (BigInt(data.length) !== count)
        throw refuse(name, `its count is ${count}, and it carries ${data.length} bytes`);
      return { iova: view.getBigUint64(0, true), data };
    },
  };
}

export const dmaRead: Command<DmaAccess, DmaData> = command(CommandNumber.dmaRead, (name) => ({
  request: dmaAccess(name),
  reply: dmaData(name),
}));

export const dmaWrite: Command<DmaData, DmaAccess | undefined> = command(CommandNumber.dmaWrite, (name) => ({
  request: dmaData(name),
  reply: optional<DmaAccess>({
    ...dmaAccess(name),
    decode(payload) {
      // The specification's table gives the reply's count 4 bytes, and the request's 8: both forms are about.
      if (payload.length !== 12) return dmaAccess(name).decode(payload);
      const view = viewOf(payload);
      return { iova: view.getBigUint64(0, true), count: BigInt(view.getUint32(8, true)) };
    },
  }),
}));

// ---- VFIO_USER_DEVICE_RESET ----------------------------------------------------------------------------------------

export const deviceReset: Command<void, void> = command(CommandNumber.deviceReset, (name) => ({
  request: nothing(name),
  reply: ignored,
}));

// ---- VFIO_USER_DEVICE_FEATURE --------------------------------------------------------------------------------------

/** `struct vfio_device_feature` */
export interface FeatureMessage {
  /** The largest reply that the client takes; in a reply, the size of the reply. */
  readonly argsz: number;
  /** The feature, and `VFIO_DEVICE_FEATURE_GET`, `_SET` and `_PROBE`. */
  readonly flags: number;
  readonly data: Uint8Array;
}

export const FEATURE_SIZE = 8;

export const deviceFeature: Command<FeatureMessage, FeatureMessage> = command(CommandNumber.deviceFeature, (name) => {
  const format: Format<FeatureMessage> = {
    encode({ argsz, flags, data }) {
      const { message, view } = blank(FEATURE_SIZE + data.length);
      view.setUint32(0, argsz, true);
      view.setUint32(4, flags, true);
      message.set(data, HEADER_SIZE + FEATURE_SIZE);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, FEATURE_SIZE);
      return {
        argsz: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        data: payload.subarray(FEATURE_SIZE),
      };
    },
  };
  return {
    request: format,
    reply: {
      ...format,
      // Success without data, which a set or a probe does not need.
      decode: (payload) =>
        payload.length === 0 ? { argsz: FEATURE_SIZE, flags: 0, data: payload } : format.decode(payload),
    },
  };
});

/** The number of the feature that a message is about. */
export function featureIndex(flags: number): number {
  return flags & VFIO_DEVICE_FEATURE_MASK;
}

/** `VFIO_DEVICE_FEATURE_MIGRATION`: what a device can do. */
export const migrationFeature: FeatureFormat<bigint> = {
  encode(flags) {
    const data = new Uint8Array(8);
    viewOf(data).setBigUint64(0, flags, true);
    return data;
  },
  decode: (data) => need("VFIO_DEVICE_FEATURE_MIGRATION", data, 8).getBigUint64(0, true),
};

/** `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`: the state's number; its descriptor is not used in vfio-user. */
export const migrationStateFeature: FeatureFormat<number> = {
  encode(state) {
    const data = new Uint8Array(8);
    viewOf(data).setUint32(0, state, true);
    return data;
  },
  decode: (data) => need("VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE", data, 8).getUint32(0, true),
};

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

const LOGGING_START_SIZE = 16;
const LOGGING_RANGE_SIZE = 16;

export const loggingStartFeature: FeatureFormat<LoggingStart> = {
  encode({ pageSize, ranges }) {
    const data = new Uint8Array(LOGGING_START_SIZE + ranges.length * LOGGING_RANGE_SIZE);
    const view = viewOf(data);
    view.setBigUint64(0, pageSize, true);
    view.setUint32(8, ranges.length, true);
    for (const [i, { iova, length }] of ranges.entries()) {
      view.setBigUint64(LOGGING_START_SIZE + i * LOGGING_RANGE_SIZE, iova, true);
      view.setBigUint64(LOGGING_START_SIZE + i * LOGGING_RANGE_SIZE + 8, length, true);
    }
    return data;
  },
  decode(data) {
    const name = "VFIO_DEVICE_FEATURE_DMA_LOGGING_START";
    const view = need(name, data, LOGGING_START_SIZE);
    const count = view.getUint32(8, true);
    if (data.length !== LOGGING_START_SIZE + count * LOGGING_RANGE_SIZE) {
      throw refuse(name, `${count} ranges do not make ${data.length} bytes`);
    }
    return {
      pageSize: view.getBigUint64(0, true),
      ranges: Array.from({ length: count }, (_, i) => ({
        iova: view.getBigUint64(LOGGING_START_SIZE + i * LOGGING_RANGE_SIZE, true),
        length: view.getBigUint64(LOGGING_START_SIZE + i * LOGGING_RANGE_SIZE + 8, true),
      })),
    };
  },
};

/** `VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT`: a range, and in the reply one bit for each of its pages. */
export interface LoggingReport extends DmaRange {
  readonly pageSize: bigint;
  readonly bitmap: Uint8Array;
}

export const LOGGING_REPORT_SIZE = 24;

export const loggingReportFeature: FeatureFormat<LoggingReport> = {
  encode({ iova, length, pageSize, bitmap }) {
    const data = new Uint8Array(LOGGING_REPORT_SIZE + bitmap.length);
    const view = viewOf(data);
    view.setBigUint64(0, iova, true);
    view.setBigUint64(8, length, true);
    view.setBigUint64(16, pageSize, true);
    data.set(bitmap, LOGGING_REPORT_SIZE);
    return data;
  },
  decode(data) {
    const view = need("VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT", data, LOGGING_REPORT_SIZE);
    return {
      iova: view.getBigUint64(0, true),
      length: view.getBigUint64(8, true),
      pageSize: view.getBigUint64(16, true),
      bitmap: data.subarray(LOGGING_REPORT_SIZE),
    };
  },
};

// ---- VFIO_USER_MIG_DATA_READ, VFIO_USER_MIG_DATA_WRITE -------------------------------------------------------------

export const MIG_DATA_SIZE = 8;

function migData(name: string): Format<Uint8Array> {
  return {
    encode(data) {
      const { message, view } = blank(MIG_DATA_SIZE + data.length);
      view.setUint32(0, MIG_DATA_SIZE + data.length, true);
      view.setUint32(4, data.length, true);
      message.set(data, HEADER_SIZE + MIG_DATA_SIZE);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, MIG_DATA_SIZE);
      const size = view.getUint32(4, true);
      // libvfio-user pads its reply to what was asked for: the size counts, not the length.
      if (size > payload.length - MIG_DATA_SIZE) {
        throw refuse(name, `its size is ${size}, and it carries ${payload.length - MIG_DATA_SIZE} bytes`);
      }
      if (view.getUint32(0, true) < MIG_DATA_SIZE + size) throw refuse(name, "its argsz does not cover its data");
      return payload.subarray(MIG_DATA_SIZE, MIG_DATA_SIZE + size);
    },
  };
}

/** The request says how many bytes the client takes; fewer come back when there are no more. */
export const migDataRead: Command<number, Uint8Array> = command(CommandNumber.migDataRead, (name) => ({
  request: {
    encode(size) {
      const { message, view } = blank(MIG_DATA_SIZE);
      view.setUint32(0, MIG_DATA_SIZE + size, true);
      view.setUint32(4, size, true);
      return message;
    },
    decode(payload) {
      const view = needArgsz(name, payload, MIG_DATA_SIZE);
      const size = view.getUint32(4, true);
      if (view.getUint32(0, true) < MIG_DATA_SIZE + size) throw refuse(name, "its argsz has no room for its size");
      return size;
    },
  },
  reply: migData(name),
}));

export const migDataWrite: Command<Uint8Array, void> = command(CommandNumber.migDataWrite, (name) => ({
  request: migData(name),
  reply: ignored,
}));
