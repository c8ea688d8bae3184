/**
 * vfio-user containers: the connection with a server, and the device that it emulates. Since version 2 of the format.
 *
 * @module
 */
import { MAX_DESCRIPTORS } from "../../kernel/unix-socket.js";
import { nameContainer } from "./container.js";
import { checkIrqs, ioeventfds, irqs } from "./device.js";
import { mappings } from "./mappings.js";
import {
  bits,
  blob,
  checkInteger,
  dependent,
  descriptor,
  flag,
  item,
  list,
  mapped,
  name,
  only,
  optionalDescriptor,
  optionalName,
  type Part,
  size,
  u32,
  u64,
  type ValueOf,
} from "./schema.js";

const MAX_U32 = 0xffff_ffff;
/** Node's timers count up to here, in milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;
/** linux/err.h: MAX_ERRNO */
const MAX_ERRNO = 4095;
/** A region's capabilities take some hundred bytes. */
const MAX_REGION_ANSWER = 1 << 16;

const POSTED_WRITES = 1;
const TRUST_SERVER = 2;
const WRITE_MULTIPLE = 4;
const ABSTRACT = 8;

/** An errno, or 0. The value is the `-errno` that the request was answered with. */
const status: Part<number> = {
  ...mapped(
    u32(),
    (errno) => (errno === 0 ? 0 : -errno),
    (status) => -status,
  ),
  check: (status, place) => checkInteger(status, place, -MAX_ERRNO, 0),
};

/** What the server has said of a region. */
const region = item(
  {
    index: u32(),
    status,
    /** `VFIO_REGION_INFO_FLAG_*` */
    flags: u32(),
    size: u64(),
    /** In its file. */
    offset: u64(),
    capOffset: u32(),
    /** The whole answer, with its capabilities. */
    bytes: blob(MAX_REGION_ANSWER),
    /** What it is mapped from. */
    file: optionalDescriptor(),
  },
  {
    name: ({ index }, device) => `region ${index} in ${device}`,
    descriptors: { file: (_, what) => ({ expected: { kind: "any" }, what }) },
    rule({ status, file }, name, refuse) {
      if (status < 0 && file !== undefined) throw refuse(`${name()} was refused, and has a file`);
    },
  },
);

/** What the server has said of a kind of interrupt. */
const irqInfo = item(
  {
    index: u32(),
    status,
    /** `VFIO_IRQ_INFO_*` */
    flags: u32(),
    count: u32(),
  },
  { name: ({ index }, device) => `kind of interrupt ${index} in ${device}` },
);

/** For regions from the first on: whether writes to it are sent without waiting for an answer. */
const posted = (most: number) => item({ posted: list(flag(), most) });

const port = dependent(
  {
    /** `VFIO_DEVICE_FLAGS_*` */
    flags: u32(),
    numRegions: u32(),
    numIrqs: u32(),
    /** All of them, by index. */
    regions: list(region),
    irqs: list(irqInfo),
  },
  posted(0),
  // One byte each: without a bound, the list would take many times the memory of its bytes.
  ({ regions }) => posted(regions.length),
);

const device = item(
  { irqs, ioeventfds: only(false, ioeventfds, []) },
  {
    name: (_, container) => `the device of ${container}`,
    rule: ({ irqs }, name, refuse) => checkIrqs(irqs, name, refuse),
  },
);

/** As the bytes have it: some of what the container says of itself is in the bits. */
const wire = item(
  {
    /** The program's name for it. No other container has it. */
    name: name(),
    /** Where the server listens; undefined if the socket came as a descriptor. */
    path: optionalName(),
    /** What the device is called. */
    address: name(),
    /** In milliseconds. */
    timeout: u32({ min: 1, max: LONGEST_TIMEOUT }),
    bits: bits(POSTED_WRITES | TRUST_SERVER | WRITE_MULTIPLE | ABSTRACT),
    socket: descriptor(),
    /** The server's requests come by it. */
    twin: optionalDescriptor(),
    /** What client and server have agreed upon. */
    agreement: item({
      minor: u32(),
      maxFds: u32({ max: MAX_DESCRIPTORS }),
      /** In one access. */
      maxTransfer: size({ min: 1, max: MAX_U32 }),
      maxMaps: size(),
      /** Or'ed together. */
      pageSizes: u64({ min: 1n }),
    }),
    /** What the server has said of the device. */
    port,
    device,
    mappings,
  },
  {
    name: nameContainer,
    descriptors: {
      socket: (_, what) => ({ expected: { kind: "socket" }, what }),
      twin: (_, name) => ({ expected: { kind: "socket" }, what: `twin socket of ${name}` }),
    },
    rule({ port }, name, refuse) {
      const { numRegions, numIrqs, regions, irqs } = port;
      if (regions.length !== numRegions || irqs.length !== numIrqs) {
        throw refuse(`${name()} says ${numRegions} regions and ${numIrqs} kinds of interrupt, and describes others`);
      }
      for (const [place, { index }] of regions.entries()) {
        if (index !== place) throw refuse(`region ${index} in ${name()} stands at place ${place}`);
      }
      for (const [place, { index }] of irqs.entries()) {
        if (index !== place) throw refuse(`kind of interrupt ${index} in ${name()} stands at place ${place}`);
      }
    },
  },
);

export const socket = mapped(
  wire,
  ({ bits, path, agreement, ...rest }, { reader }) => {
    const isAbstract = (bits & ABSTRACT) !== 0;
    if (isAbstract && path === undefined) {
      throw reader.refusal(`the socket of ${nameContainer(rest)} is in the abstract namespace, and has no name`);
    }
    return {
      ...rest,
      // A name in the abstract namespace begins with NUL, which is in no text: a bit says so.
      path: isAbstract ? `\0${path}` : path,
      postedWrites: (bits & POSTED_WRITES) !== 0,
      trustServer: (bits & TRUST_SERVER) !== 0,
      agreement: { ...agreement, writeMultiple: (bits & WRITE_MULTIPLE) !== 0 },
    };
  },
  ({ path, postedWrites, trustServer, agreement, ...rest }) => {
    const isAbstract = path?.startsWith("\0") === true;
    return {
      ...rest,
      path: isAbstract ? path.slice(1) : path,
      agreement,
      bits:
        (postedWrites ? POSTED_WRITES : 0) |
        (trustServer ? TRUST_SERVER : 0) |
        (agreement.writeMultiple ? WRITE_MULTIPLE : 0) |
        (isAbstract ? ABSTRACT : 0),
    };
  },
);
export type SocketItem = ValueOf<typeof socket>;
