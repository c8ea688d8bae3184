/**
 * Every function of the addon: which call into the kernel it makes, and what its arguments are.
 *
 * @module
 */

import type { Native } from "./contract.js";
import * as errnos from "./errnos.js";
import * as names from "./names.js";
import { IOMMU_IOAS_MAP_FIXED_IOVA, VFIO_DEVICE_FEATURE_MASK, VFIO_IRQ_SET_DATA_EVENTFD } from "./uapi.js";
import {
  answer,
  bytes,
  countOf,
  decimal,
  descriptor,
  descriptors,
  flags,
  hex,
  mapping,
  oneOf,
  type Show,
  text,
} from "./values.js";

/**
 * An argument: its name and how it is shown. The call only fills a `filled` one in; the addon adds a `constant` one, which is no
 * argument of its function.
 */
export type ArgumentSpec = readonly [name: string, show: Show, kind?: "filled" | "constant"];

/** A function that is one call into the kernel, or (`register`) one access to registers. */
export interface CallSpec {
  readonly of: "kernel" | "register";
  readonly syscall: string;
  readonly request?: string | ((args: readonly unknown[]) => string);
  readonly args: readonly ArgumentSpec[];
  /** Whether the arguments behind the first are those of a structure. */
  readonly structure: boolean;
  /** How a result is shown that is no refusal; "" for a function without one. */
  readonly result: Show;
  /** Meanings of errnos, by name, that are the same for every caller. */
  readonly errnos?: errnos.Errnos;
  /** The program ends with it, unless it is refused: it is told before. */
  readonly ends?: true;
}

/** A function that makes many calls, each of which is told as if it were on its own. */
export interface BatchSpec {
  readonly of: "batch";
  /** The calls, from the addon's arguments. */
  split(args: readonly unknown[]): readonly { readonly name: keyof Native; readonly args: readonly unknown[] }[];
  /** The errno of the call that failed, once it has. */
  failure(args: readonly unknown[]): number;
  /** What such a call answers when it is made on its own. */
  answer(args: readonly unknown[]): number | bigint;
}

/** A function that does not ask the kernel for anything: it reads what the addon or libuv has. */
export interface LocalSpec {
  readonly of: "process";
}

const local: LocalSpec = { of: "process" };

function call(syscall: string, args: readonly ArgumentSpec[], result: Show = decimal): CallSpec {
  return { of: "kernel", syscall, args, structure: false, result };
}

/** An ioctl with a structure. The first argument is the descriptor. */
function ioctl(
  request: string,
  args: readonly ArgumentSpec[],
  result: Show = decimal,
  meanings: errnos.Errnos = {},
): CallSpec {
  const all: readonly ArgumentSpec[] = [["fd", descriptor], ...args];
  return { of: "kernel", syscall: "ioctl", request, args: all, structure: true, result, errnos: meanings };
}

/** An ioctl whose argument is a number, or nothing. */
function bare(request: string, args: readonly ArgumentSpec[], result: Show = decimal): CallSpec {
  return { ...ioctl(request, args, result), structure: false };
}

function register(syscall: string, args: readonly ArgumentSpec[], result: Show = hex): CallSpec {
  return { of: "register", syscall, args: [["mapping", mapping], ...args], structure: false, result };
}

const fd: ArgumentSpec = ["fd", descriptor];
const socketType: ArgumentSpec = ["type", oneOf(names.socketTypes)];
const length: ArgumentSpec = ["length", hex];
const timeout: ArgumentSpec = ["timeout", decimal];
const iova: ArgumentSpec = ["iova", hex];
const size: ArgumentSpec = ["size", hex];
const vaddr: ArgumentSpec = ["vaddr", hex];
const ioas: ArgumentSpec = ["ioas_id", decimal];
const argsz: ArgumentSpec = ["argsz", decimal];
const bitmap: readonly ArgumentSpec[] = [
  ["bitmap.pgsize", hex],
  ["bitmap.data", countOf(1)],
];

const mapDma: readonly ArgumentSpec[] = [["flags", flags(names.dmaMapFlags)], vaddr, iova, size];

const mapFlags = flags(names.ioasMapFlags);
// The addon sets the flag itself for the calls on another thread.
const fixedFlags: Show = (value, shown) =>
  mapFlags(typeof value === "number" ? value | IOMMU_IOAS_MAP_FIXED_IOVA : value, shown);

function ioasMap(show: Show): readonly ArgumentSpec[] {
  return [["flags", show], ioas, ["user_va", hex], iova, length];
}

function ioasMapFile(show: Show): readonly ArgumentSpec[] {
  return [["flags", show], ioas, ["fd", descriptor], ["start", hex], iova, length];
}

/** The words of a batch: one for the errno, then four for each call. */
function* words(batch: unknown, count: unknown): Generator<readonly [bigint, bigint, bigint, bigint]> {
  if (!(batch instanceof BigUint64Array) || typeof count !== "number") return;
  for (let at = 1; at < 1 + 4 * count; at += 4) {
    const [flagsAndFile = 0n, start = 0n, address = 0n, bytesOf = 0n] = batch.subarray(at, at + 4);
    yield [flagsAndFile, start, address, bytesOf];
  }
}

function batchErrno(batch: unknown): number {
  return batch instanceof BigUint64Array ? Number(batch[0] ?? 0n) : 0;
}

const irqData: Show = (value, shown) => {
  const [, irqFlags] = shown.args;
  const holdsEventfds = typeof irqFlags === "number" && (irqFlags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0;
  if (!holdsEventfds || !ArrayBuffer.isView(value)) return bytes(value, shown);
  return descriptors(new Int32Array(value.buffer, value.byteOffset, value.byteLength / 4), shown);
};

const featureFlags: Show = (value, shown) => {
  if (typeof value !== "number") return String(value);
  const feature = value & VFIO_DEVICE_FEATURE_MASK;
  const operation = flags(names.featureFlags)(value & ~VFIO_DEVICE_FEATURE_MASK, shown);
  return `${operation}|${oneOf(names.features)(feature, shown)}`;
};

/** How many descriptors came with a message, and which. */
const received: Show = (value, shown) => {
  if (!(value instanceof Int32Array)) return String(value);
  const [count = 0] = value;
  return descriptors(value.subarray(2, 2 + count), shown);
};

const polled: Show = (value, shown) =>
  value instanceof Int32Array
    ? descriptors(
        value.filter((_, index) => index % 3 === 0),
        shown,
      )
    : String(value);

const listLength: Show = (value) => (Array.isArray(value) ? `${value.length} strings` : String(value));

const pair: ArgumentSpec = ["sv", descriptors, "filled"];

const kvmCapability: ArgumentSpec = ["cap", oneOf(names.kvmCapabilities)];

function registerRead(width: number): CallSpec {
  return register(`read${width}`, [["offset", hex]]);
}

function registerWrite(width: number): CallSpec {
  return register(
    `write${width}`,
    [
      ["offset", hex],
      ["value", hex],
    ],
    () => "",
  );
}

const table = {
  open: call(
    "open",
    [
      ["path", text],
      ["flags", (value, shown) => (value === 0 ? "O_RDONLY" : flags(names.openFlags)(value, shown))],
    ],
    descriptor,
  ),
  close: call("close", [fd]),
  dup: call("dup", [fd], descriptor),
  adopt: call("fcntl", [fd, ["FD_CLOEXEC", () => "", "constant"]]),
  pread: call("pread", [fd, ["bytes", bytes, "filled"], ["position", hex]]),
  pwrite: call("pwrite", [fd, ["bytes", bytes], ["position", hex]]),
  ftruncate: call("ftruncate", [fd, length]),
  flock: call("flock", [fd, ["operation", flags(names.lockOperations)]]),
  ioctl: {
    ...bare("", [
      ["cmd", hex],
      ["bytes", bytes],
    ]),
    request: ([, request]) => `0x${Number(request).toString(16)}`,
  },

  mmap: call(
    "mmap",
    [
      length,
      ["prot", flags(names.protections)],
      ["flags", flags(names.mmapFlags)],
      fd,
      ["offset", hex],
      ["alignment", hex],
    ],
    mapping,
  ),
  munmap: call("munmap", [["address", mapping]]),
  mappingAddress: local,
  mappingArrayBuffer: local,
  detachArrayBuffer: local,
  madvise: call("madvise", [["address", mapping], ["offset", hex], length, ["advice", oneOf(names.advices)]]),
  mlock: call("mlock", [["address", mapping], ["offset", hex], length]),
  memfdCreate: call(
    "memfd_create",
    [
      ["name", text],
      ["flags", flags(names.memfdFlags)],
    ],
    descriptor,
  ),
  pageSize: local,

  mmioRead8: registerRead(8),
  mmioRead16: registerRead(16),
  mmioRead32: registerRead(32),
  mmioRead64: registerRead(64),
  mmioWrite8: registerWrite(8),
  mmioWrite16: registerWrite(16),
  mmioWrite32: registerWrite(32),
  mmioWrite64: registerWrite(64),
  mmioRun: register("run", [["program", countOf(4)]], decimal),

  // libuv makes these calls when the event loop turns.
  watchStart: local,
  watchSetEvents: local,
  pollStop: local,
  pollSetRef: local,
  pollStart: local,
  pollFd: call("poll", [fd, ["events", flags(names.pollEvents)], timeout], flags(names.pollEvents)),
  pollFds: call("poll", [["fds", polled], timeout]),

  eventfd: call("eventfd2", [], descriptor),
  eventfdRead: call("read", [fd]),
  eventfdReadNow: call("preadv2", [fd]),
  eventfdPending: call("poll", [fd]),
  eventfdWrite: call("write", [fd, ["count", decimal]]),
  eventfdWait: call("read", [fd, timeout]),

  socket: call("socket", [socketType, ["nonblocking", decimal]], descriptor),
  socketpair: call("socketpair", [socketType, ["nonblocking", decimal], pair]),
  socketBind: call("bind", [fd, ["path", text]]),
  socketListen: call("listen", [fd, ["backlog", decimal]]),
  socketAccept: call("accept", [fd, ["nonblocking", decimal]], descriptor),
  socketConnect: call("connect", [fd, ["path", text]]),
  socketShutdown: call("shutdown", [fd, ["how", oneOf(names.shutdowns)]]),
  socketGetOption: call("getsockopt", [fd, ["option", oneOf(names.socketOptions)]]),
  socketSetOption: call("setsockopt", [fd, ["option", oneOf(names.socketOptions)], ["value", decimal]]),
  socketPeerCredentials: call("getsockopt", [fd, ["SO_PEERCRED", () => ""]]),
  sendmsg: call("sendmsg", [
    fd,
    ["buffer", countOf(1)],
    ["offset", decimal],
    ["length", decimal],
    ["fds", descriptors],
    ["flags", flags(names.messageFlags)],
  ]),
  recvmsg: call("recvmsg", [
    fd,
    ["buffer", countOf(1)],
    ["offset", decimal],
    ["length", decimal],
    ["fds", received, "filled"],
    ["flags", flags(names.messageFlags)],
  ]),

  setCloseOnExec: call("fcntl", [fd, ["FD_CLOEXEC", decimal]]),
  // Its arguments and its environment may have secrets.
  execve: {
    ...call("execve", [
      ["path", text],
      ["argv", listLength],
      ["envp", listLength],
    ]),
    ends: true,
  },
  kcmpFile: call("kcmp", [
    ["fd1", descriptor],
    ["fd2", descriptor],
  ]),
  pidfdOpen: call("pidfd_open", [["pid", decimal]], descriptor),
  addSeals: call("fcntl", [fd, ["F_ADD_SEALS", flags(names.seals)]]),
  getSeals: call("fcntl", [fd, ["F_GET_SEALS", () => "", "constant"]], flags(names.seals)),

  vfioGetApiVersion: bare("VFIO_GET_API_VERSION", []),
  vfioCheckExtension: bare("VFIO_CHECK_EXTENSION", [["extension", oneOf(names.vfioExtensions)]]),
  vfioSetIommu: bare("VFIO_SET_IOMMU", [["type", oneOf(names.vfioExtensions)]]),
  vfioIommuGetInfo: ioctl("VFIO_IOMMU_GET_INFO", [argsz], answer(names.iommuInfoFlags)),
  vfioIommuMapDma: ioctl("VFIO_IOMMU_MAP_DMA", mapDma),
  vfioIommuMapDmaAsync: ioctl("VFIO_IOMMU_MAP_DMA", mapDma),
  vfioIommuMapDmaBatch: {
    of: "batch",
    split: ([container, batch, count]) =>
      [...words(batch, count)].map(([mapFlagsOf, start, address, bytesOf]) => ({
        name: "vfioIommuMapDma",
        args: [container, Number(mapFlagsOf), start, address, bytesOf],
      })),
    failure: ([, batch]) => batchErrno(batch),
    answer: () => 0,
  },
  vfioIommuUnmapDma: ioctl("VFIO_IOMMU_UNMAP_DMA", [["flags", flags(names.dmaUnmapFlags)], iova, size], hex),
  vfioIommuUnmapDmaAsync: ioctl("VFIO_IOMMU_UNMAP_DMA", [iova, size], hex),
  vfioIommuUnmapDmaDirty: ioctl("VFIO_IOMMU_UNMAP_DMA", [iova, size, ...bitmap], hex),
  vfioIommuDirtyPages: ioctl("VFIO_IOMMU_DIRTY_PAGES", [["flags", flags(names.dirtyPagesFlags)]]),
  vfioIommuDirtyPagesGet: ioctl("VFIO_IOMMU_DIRTY_PAGES", [iova, size, ...bitmap]),
  vfioGroupGetStatus: ioctl("VFIO_GROUP_GET_STATUS", [], flags(names.groupFlags)),
  vfioGroupSetContainer: bare("VFIO_GROUP_SET_CONTAINER", [["container", descriptor]]),
  vfioGroupUnsetContainer: bare("VFIO_GROUP_UNSET_CONTAINER", []),
  vfioGroupGetDeviceFd: bare("VFIO_GROUP_GET_DEVICE_FD", [["name", text]], descriptor),

  vfioDeviceGetInfo: ioctl("VFIO_DEVICE_GET_INFO", [argsz], answer(names.deviceFlags)),
  vfioDeviceGetRegionInfo: ioctl(
    "VFIO_DEVICE_GET_REGION_INFO",
    [["index", oneOf(names.regionIndexes)], argsz],
    answer(names.regionFlags),
  ),
  vfioDeviceGetIrqInfo: ioctl(
    "VFIO_DEVICE_GET_IRQ_INFO",
    [["index", oneOf(names.irqIndexes)]],
    answer(names.irqInfoFlags),
  ),
  vfioDeviceSetIrqs: ioctl("VFIO_DEVICE_SET_IRQS", [
    ["flags", flags(names.irqSetFlags)],
    ["index", oneOf(names.irqIndexes)],
    ["start", decimal],
    ["count", decimal],
    ["data", irqData],
  ]),
  vfioDeviceReset: bare("VFIO_DEVICE_RESET", []),
  vfioDeviceResetAsync: bare("VFIO_DEVICE_RESET", []),
  vfioDeviceGetPciHotResetInfo: ioctl(
    "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
    [["room", decimal]],
    answer(names.hotResetFlags),
  ),
  vfioDevicePciHotReset: ioctl("VFIO_DEVICE_PCI_HOT_RESET", [["group_fds", descriptors]]),
  vfioDeviceIoeventfd: ioctl("VFIO_DEVICE_IOEVENTFD", [
    ["flags", hex],
    ["offset", hex],
    ["data", hex],
    ["fd", descriptor],
  ]),
  // The result is a descriptor for a feature that makes one.
  vfioDeviceFeature: ioctl(
    "VFIO_DEVICE_FEATURE",
    [
      ["flags", featureFlags],
      ["data", bytes],
    ],
    (value, shown) => (value === 0 ? "0" : descriptor(value, shown)),
  ),
  vfioDeviceBindIommufd: ioctl("VFIO_DEVICE_BIND_IOMMUFD", [
    ["iommufd", descriptor],
    ["token", bytes],
  ]),
  vfioDeviceAttachIommufdPt: ioctl("VFIO_DEVICE_ATTACH_IOMMUFD_PT", [["pt_id", decimal]]),
  vfioDeviceDetachIommufdPt: ioctl("VFIO_DEVICE_DETACH_IOMMUFD_PT", []),

  iommufdDestroy: ioctl("IOMMU_DESTROY", [["id", decimal]], decimal, errnos.destroy),
  iommufdIoasAlloc: ioctl("IOMMU_IOAS_ALLOC", []),
  iommufdIoasIovaRanges: ioctl("IOMMU_IOAS_IOVA_RANGES", [ioas, ["num_iovas", countOf(16)]], answer()),
  iommufdIoasAllowIovas: ioctl(
    "IOMMU_IOAS_ALLOW_IOVAS",
    [ioas, ["num_iovas", countOf(16)]],
    decimal,
    errnos.allowIovas,
  ),
  iommufdIoasMap: ioctl("IOMMU_IOAS_MAP", ioasMap(mapFlags), hex, errnos.ioasMap),
  iommufdIoasMapFixedAsync: ioctl("IOMMU_IOAS_MAP", ioasMap(fixedFlags), decimal, errnos.ioasMap),
  iommufdIoasMapFile: ioctl("IOMMU_IOAS_MAP_FILE", ioasMapFile(mapFlags), hex, errnos.ioasMap),
  iommufdIoasMapFileFixedAsync: ioctl("IOMMU_IOAS_MAP_FILE", ioasMapFile(fixedFlags), decimal, errnos.ioasMap),
  iommufdIoasMapBatch: {
    of: "batch",
    split: ([iommufd, id, batch, count]) =>
      [...words(batch, count)].map(([flagsAndFile, start, address, bytesOf]) => {
        const mapFlagsOf = Number(flagsAndFile & 0xffff_ffffn);
        const file = Number(flagsAndFile >> 32n);
        return file === 0
          ? { name: "iommufdIoasMap", args: [iommufd, mapFlagsOf, id, start, address, bytesOf] }
          : { name: "iommufdIoasMapFile", args: [iommufd, mapFlagsOf, id, file - 1, start, address, bytesOf] };
      }),
    failure: ([, , batch]) => batchErrno(batch),
    // The IOVA, which is fixed in a batch.
    answer: (args) => {
      const address = args.at(-2);
      return typeof address === "bigint" ? address : 0;
    },
  },
  iommufdIoasCopy: ioctl(
    "IOMMU_IOAS_COPY",
    [
      ["flags", mapFlags],
      ["dst_ioas_id", decimal],
      ["src_ioas_id", decimal],
      ["dst_iova", hex],
      ["src_iova", hex],
      length,
    ],
    hex,
    errnos.ioasCopy,
  ),
  iommufdIoasUnmap: ioctl("IOMMU_IOAS_UNMAP", [ioas, iova, length], hex, errnos.ioasUnmap),
  iommufdIoasUnmapAsync: ioctl("IOMMU_IOAS_UNMAP", [ioas, iova, length], hex, errnos.ioasUnmap),
  iommufdOption: ioctl("IOMMU_OPTION", [
    ["option_id", oneOf(names.iommuOptions)],
    ["op", oneOf(names.iommuOptionOperations)],
    ["object_id", decimal],
    ["val64", hex],
  ]),
  iommufdVfioIoas: ioctl("IOMMU_VFIO_IOAS", [["op", oneOf(names.vfioIoasOperations)], ioas]),
  iommufdIoasChangeProcess: ioctl("IOMMU_IOAS_CHANGE_PROCESS", [], decimal, errnos.changeProcess),

  kvmGetApiVersion: bare("KVM_GET_API_VERSION", []),
  kvmCheckExtension: bare("KVM_CHECK_EXTENSION", [kvmCapability]),
  kvmCreateVm: bare("KVM_CREATE_VM", [["type", decimal]], descriptor),
  kvmEnableCap: ioctl("KVM_ENABLE_CAP", [kvmCapability, ["args[0]", decimal]]),
  kvmCreateIrqchip: bare("KVM_CREATE_IRQCHIP", []),
  kvmCreateVcpu: bare("KVM_CREATE_VCPU", [["id", decimal]], descriptor),
  kvmGetLapic: ioctl("KVM_GET_LAPIC", [["regs", bytes]]),
  kvmSetLapic: ioctl("KVM_SET_LAPIC", [["regs", bytes]]),
  kvmIrqLine: ioctl("KVM_IRQ_LINE", [
    ["irq", decimal],
    ["level", decimal],
  ]),
  kvmSetGsiRouting: ioctl("KVM_SET_GSI_ROUTING", [["nr", countOf(48)]]),
  kvmSignalMsi: ioctl("KVM_SIGNAL_MSI", [
    ["address", hex],
    ["data", hex],
    ["devid", decimal],
  ]),
  kvmIrqfd: ioctl("KVM_IRQFD", [
    ["fd", descriptor],
    ["gsi", decimal],
    ["flags", flags(names.irqfdFlags)],
    ["resamplefd", descriptor],
  ]),
  kvmIoeventfd: ioctl("KVM_IOEVENTFD", [
    ["fd", descriptor],
    ["addr", hex],
    ["len", decimal],
    ["flags", flags(names.ioeventfdFlags)],
    ["datamatch", hex],
  ]),
  kvmCreateDevice: ioctl("KVM_CREATE_DEVICE", [["type", oneOf(names.kvmDeviceTypes)]], descriptor),
  kvmHasDeviceAttr: ioctl("KVM_HAS_DEVICE_ATTR", [
    ["group", decimal],
    ["attr", hex],
  ]),
  kvmSetDeviceAttrFd: ioctl("KVM_SET_DEVICE_ATTR", [
    ["group", decimal],
    ["attr", hex],
    ["fd", descriptor],
  ]),
} satisfies Record<keyof Native, CallSpec | BatchSpec | LocalSpec>;

/** The functions that make one call into the kernel, which may refuse it. */
export type CallName = Exclude<
  { [K in keyof typeof table]: (typeof table)[K] extends CallSpec ? K : never }[keyof typeof table],
  "ioctl"
>;

/** Every function of the addon. */
export const nativeCalls: Readonly<Record<CallName, CallSpec>> &
  Readonly<Record<keyof Native, CallSpec | BatchSpec | LocalSpec>> = table;
