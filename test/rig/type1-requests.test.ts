/**
 * What the kernel answers to map and unmap requests, mode by mode and situation by situation, against a real device
 * behind a real IOMMU: the table that the library's one behaviour in all modes is built upon. The requests go to the
 * kernel as they are; nothing of the library's own rules is between.
 *
 * Where an answer surprises, it is what Linux 7.3 does.
 */
import { constants as fs, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import type { ContainerMode } from "vfio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { check } from "../../lib/base/errors.js";
import { walkCapabilities } from "../../lib/kernel/caps.js";
import { OwnedFd } from "../../lib/kernel/fd.js";
import { lockedMemory } from "../../lib/kernel/memlock.js";
import { native } from "../../lib/kernel/native.js";
import { openNode } from "../../lib/kernel/open-node.js";
import * as uapi from "../../lib/kernel/uapi.js";
import { DmaBuffer } from "../../lib/memory/dma-buffer.js";
import { vfioCdevPath, vfioGroupPath } from "../../lib/pci/index.js";
import { Agent, setMemlock } from "./agent.js";
import { bind, devices, Mdev } from "./devices.js";
import { Memory, NOWHERE, PAGE } from "./memory.js";
import { modes } from "./modes.js";
import { outcome } from "./outcome.js";
import { resources } from "./resources.mjs";

type Outcome = string | number | bigint;

const PAGES = 16;
const SIZE = PAGES * PAGE;
/** Where the tests map: within every device's reach. */
const BASE = 0x10_0000n;
const TOP_PAGE = (1n << 64n) - BigInt(PAGE);
/** Intel's and AMD's interrupt window, which no device can reach memory through. */
const RESERVED = 0xfee0_0000n;

const READ = 1;
const WRITE = 2;
const { VFIO_DMA_MAP_FLAG_VADDR: MAP_VADDR, VFIO_DMA_UNMAP_FLAG_VADDR: UNMAP_VADDR } = uapi;
const ALL = uapi.VFIO_DMA_UNMAP_FLAG_ALL;
const UNKNOWN_FLAG = 0x8000_0000;
const UNMAP_DIRTY = 1;
const { VFIO_IOMMU_DIRTY_PAGES_FLAG_START: DIRTY_START, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: DIRTY_STOP } = uapi;
const VFIO_IOMMU_GET_INFO = 0x3b70;
const VFIO_IOMMU_MAP_DMA = 0x3b71;
const VFIO_IOMMU_UNMAP_DMA = 0x3b72;

const page = (n: number): bigint => BASE + BigInt(n * PAGE);

const isCompat = (mode: ContainerMode): boolean => mode.startsWith("compat-");
const isLegacy = (mode: ContainerMode): boolean => mode === "type1" || mode === "type1v2";
const isNative = (mode: ContainerMode): boolean => mode === "iommufd";
const iommuType = (mode: ContainerMode): number =>
  mode.endsWith("v2") ? uapi.VFIO_TYPE1v2_IOMMU : uapi.VFIO_TYPE1_IOMMU;

const succeed = (status: number): number => check(status, () => ({ syscall: "ioctl" }));

function openDevice(group: number, address: string): OwnedFd {
  return new OwnedFd(succeed(native.vfioGroupGetDeviceFd(group, address)), address);
}

/** A container in one of the five modes with a device in it, by the kernel's requests alone. */
class Kernel implements Disposable {
  readonly mode: ContainerMode;
  /** The container, or the iommufd. */
  readonly fd: number;
  readonly device: number;
  /** -1 for a device opened by its own node. */
  readonly group: number;
  /** -1 in legacy containers. */
  readonly ioas: number;
  readonly #owned: OwnedFd[] = [];

  constructor(mode: ContainerMode, address: string) {
    this.mode = mode;
    const own = (fd: OwnedFd) => {
      this.#owned.push(fd);
      return fd.number;
    };
    try {
      this.fd = own(openNode(isLegacy(mode) ? "/dev/vfio/vfio" : "/dev/iommu"));
      if (isNative(mode)) {
        this.group = -1;
        this.device = own(openNode(vfioCdevPath(address)));
        this.ioas = succeed(native.iommufdIoasAlloc(this.fd));
        succeed(native.vfioDeviceBindIommufd(this.device, this.fd));
        succeed(native.vfioDeviceAttachIommufdPt(this.device, this.ioas));
      } else {
        this.ioas = -1;
        this.group = own(openNode(vfioGroupPath(address)));
        succeed(native.vfioGroupSetContainer(this.group, this.fd));
        succeed(native.vfioSetIommu(this.fd, iommuType(mode)));
        this.device = own(openDevice(this.group, address));
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#owned.splice(0).reverse()) fd.close();
  }

  /** What the mode's own request for a map at a fixed IOVA answers: 0, or the errno's name. */
  map(iova: bigint, size: number | bigint, vaddr: number | bigint = buffer.address, flags = READ | WRITE): Outcome {
    if (!isNative(this.mode)) return outcome(native.vfioIommuMapDma(this.fd, flags, vaddr, iova, size));
    const fixed =
      uapi.IOMMU_IOAS_MAP_FIXED_IOVA |
      ((flags & READ) !== 0 ? uapi.IOMMU_IOAS_MAP_READABLE : 0) |
      ((flags & WRITE) !== 0 ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0) |
      (flags & ~(READ | WRITE));
    const mapped = native.iommufdIoasMap(this.fd, fixed >>> 0, this.ioas, vaddr, iova, size);
    return typeof mapped === "number" && mapped < 0 ? outcome(mapped) : 0;
  }

  /** What the mode's own request for an unmap answers: how many bytes, or the errno's name. */
  unmap(iova: bigint, size: number | bigint, flags = 0): Outcome {
    return outcome(
      isNative(this.mode)
        ? native.iommufdIoasUnmap(this.fd, this.ioas, iova, size)
        : native.vfioIommuUnmapDma(this.fd, flags, iova, size),
    );
  }

  unmapAll(): Outcome {
    return isNative(this.mode) ? this.unmap(0n, (1n << 64n) - 1n) : this.unmap(0n, 0, ALL);
  }

  /** The capabilities of a legacy container. */
  capability(wanted: number): DataView | undefined {
    const info = native.vfioIommuGetInfo(this.fd, 4096);
    if (typeof info === "number") throw new Error(`VFIO_IOMMU_GET_INFO: ${outcome(info)}`);
    for (const { id, bytes } of walkCapabilities(info.bytes.subarray(0, info.argsz), info.capOffset)) {
      if (id === wanted) return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return undefined;
  }

  /** The last IOVA that there is. */
  last(): bigint {
    if (isNative(this.mode)) {
      const words = new BigUint64Array(64);
      const { count } = native.iommufdIoasIovaRanges(this.fd, this.ioas, words);
      return words[2 * count - 1] ?? 0n;
    }
    // Behind the header: how many, and from 16 on first and last of each.
    const ranges = this.capability(uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
    return ranges?.getBigUint64(8 + 16 * ranges.getUint32(8, true), true) ?? 0n;
  }

  /** Which of the pages from BASE on are mapped, as `#` and `.`: a map over a mapping is refused in every mode. */
  picture(pages: number): string {
    return Array.from({ length: pages }, (_, n) => {
      const mapped = this.map(page(n), PAGE);
      if (mapped === "EEXIST") return "#";
      expect([mapped, this.unmap(page(n), PAGE)]).toEqual([0, PAGE]);
      return ".";
    }).join("");
  }
}

/** A BAR of the device, mapped into this process. */
class Bar implements Disposable {
  readonly memory: Memory;
  readonly #device: number;

  private constructor(device: number, memory: Memory) {
    this.#device = device;
    this.memory = memory;
  }

  static open({ device }: Kernel): Bar {
    const info = native.vfioDeviceGetRegionInfo(device, uapi.VFIO_PCI_BAR0_REGION_INDEX, 32);
    if (typeof info === "number") throw new Error(`${outcome(info)}`);
    return new Bar(device, Memory.shared(device, Number(info.size), info.offset));
  }

  /** All of it, with a descriptor. */
  dmaBuf(): OwnedFd {
    // struct vfio_device_feature_dma_buf: region, flags of open(2), flags, number of ranges; then offset and length.
    const request = new Uint32Array([uapi.VFIO_PCI_BAR0_REGION_INDEX, fs.O_RDWR, 0, 1, 0, 0, this.memory.length, 0]);
    const flags = uapi.VFIO_DEVICE_FEATURE_GET | uapi.VFIO_DEVICE_FEATURE_DMA_BUF;
    return OwnedFd.adopt(succeed(native.vfioDeviceFeature(this.#device, flags, request)), "dma-buf");
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}

let binding: Disposable;
let buffer: Memory;
let before: ReturnType<typeof resources>;

beforeAll(() => {
  binding = bind(devices.edu, devices.ivshmem);
  buffer = Memory.anonymous(SIZE);
  buffer.bytes.fill(1);
});

afterAll(() => {
  buffer[Symbol.dispose]();
  binding[Symbol.dispose]();
});

beforeEach(() => {
  before = resources();
});

afterEach(() => {
  expect(resources()).toEqual(before);
});

/** One answer for each mode, in their order. */
type Answers = readonly [Outcome, Outcome, Outcome, Outcome, Outcome];

const all = (answer: Outcome): Answers => [answer, answer, answer, answer, answer];

interface Situation {
  readonly situation: string;
  /** What is mapped before. */
  readonly given?: (kernel: Kernel) => void;
  readonly ask: (kernel: Kernel) => Outcome;
  readonly answers: Answers;
  /** What is mapped afterwards, of the pages from BASE on. */
  readonly leaves?: Answers;
}

/** Eight pages, a hole of eight, eight pages, a hole, eight pages. */
function three(kernel: Kernel): void {
  for (const n of [0, 16, 32]) expect(kernel.map(page(n), 8 * PAGE)).toBe(0);
}

/** Eight pages. */
function one(kernel: Kernel): void {
  expect(kernel.map(page(0), 8 * PAGE)).toBe(0);
}

//                                            type1        type1v2      compat-type1  compat-type1v2  iommufd
const maps: readonly Situation[] = [
  { situation: "a range", ask: (k) => k.map(BASE, SIZE), answers: all(0) },
  { situation: "for reading only", ask: (k) => k.map(BASE, SIZE, buffer.address, READ), answers: all(0) },
  { situation: "for writing only", ask: (k) => k.map(BASE, SIZE, buffer.address, WRITE), answers: all(0) },
  { situation: "size 0", ask: (k) => k.map(BASE, 0), answers: all("EINVAL") },
  { situation: "a range that wraps", ask: (k) => k.map(TOP_PAGE, 2 * PAGE), answers: all("EOVERFLOW") },
  { situation: "memory that wraps", ask: (k) => k.map(BASE, 2 * PAGE, TOP_PAGE), answers: all("EOVERFLOW") },
  { situation: "an IOVA within a page", ask: (k) => k.map(BASE + 512n, PAGE), answers: all("EINVAL") },
  { situation: "a size within a page", ask: (k) => k.map(BASE, PAGE + 512), answers: all("EINVAL") },
  { situation: "memory within a page", ask: (k) => k.map(BASE, PAGE, buffer.address + 512), answers: all("EINVAL") },
  { situation: "the interrupt window", ask: (k) => k.map(RESERVED, PAGE), answers: all("EINVAL") },
  { situation: "into the interrupt window", ask: (k) => k.map(RESERVED - BigInt(PAGE), SIZE), answers: all("EINVAL") },
  { situation: "over a mapping", given: one, ask: (k) => k.map(page(0), 8 * PAGE), answers: all("EEXIST") },
  { situation: "inside a mapping", given: one, ask: (k) => k.map(page(3), PAGE), answers: all("EEXIST") },
  { situation: "over a mapping's end", given: one, ask: (k) => k.map(page(7), 2 * PAGE), answers: all("EEXIST") },
  { situation: "memory that is not there", ask: (k) => k.map(BASE, PAGE, NOWHERE), answers: all("EFAULT") },
  {
    situation: "an unknown flag",
    ask: (k) => k.map(BASE, PAGE, buffer.address, (READ | UNKNOWN_FLAG) >>> 0),
    answers: ["EINVAL", "EINVAL", "EINVAL", "EINVAL", "EOPNOTSUPP"],
  },
];

const unmaps: readonly Situation[] = [
  {
    situation: "a mapping",
    given: one,
    ask: (k) => k.unmap(page(0), 8 * PAGE),
    answers: all(8 * PAGE),
    leaves: all("........"),
  },
  { situation: "nothing there", ask: (k) => k.unmap(BASE, PAGE), answers: [0, 0, 0, 0, "ENOENT"] },
  { situation: "size 0", ask: (k) => k.unmap(BASE, 0), answers: all("EINVAL") },
  { situation: "a range that wraps", ask: (k) => k.unmap(TOP_PAGE, 2 * PAGE), answers: all("EOVERFLOW") },
  {
    situation: "an IOVA within a page, of nothing",
    ask: (k) => k.unmap(BASE + 512n, PAGE),
    answers: ["EINVAL", "EINVAL", 0, 0, "ENOENT"],
  },
  {
    situation: "an IOVA within a page, of a mapping",
    given: one,
    ask: (k) => k.unmap(BASE + 512n, PAGE),
    answers: ["EINVAL", "EINVAL", "EINVAL", "ENOENT", "ENOENT"],
    leaves: all("########"),
  },
  {
    situation: "a size within a page",
    given: one,
    ask: (k) => k.unmap(BASE, 512),
    answers: ["EINVAL", "EINVAL", "EINVAL", "ENOENT", "ENOENT"],
    leaves: all("########"),
  },
  {
    situation: "from inside a mapping to its end",
    given: one,
    ask: (k) => k.unmap(page(4), 4 * PAGE),
    answers: [0, "EINVAL", 4 * PAGE, "ENOENT", "ENOENT"],
    leaves: ["########", "########", "####....", "########", "########"],
  },
  {
    situation: "a mapping's middle",
    given: one,
    ask: (k) => k.unmap(page(2), 4 * PAGE),
    answers: [0, "EINVAL", 4 * PAGE, "ENOENT", "ENOENT"],
    leaves: ["########", "########", "##....##", "########", "########"],
  },
  {
    situation: "a mapping's beginning",
    given: one,
    ask: (k) => k.unmap(page(0), 2 * PAGE),
    answers: [8 * PAGE, "EINVAL", 2 * PAGE, "ENOENT", "ENOENT"],
    leaves: ["........", "########", "..######", "########", "########"],
  },
  {
    situation: "several mappings and what is between",
    given: three,
    ask: (k) => k.unmap(page(0), 40 * PAGE),
    answers: all(24 * PAGE),
    leaves: all(".".repeat(40)),
  },
  {
    situation: "several mappings, the last one cut",
    given: three,
    ask: (k) => k.unmap(page(0), 36 * PAGE),
    answers: [24 * PAGE, "EINVAL", 20 * PAGE, "ENOENT", "ENOENT"],
    leaves: [
      ".".repeat(40),
      "########........########........########",
      "....................................####",
      "................................########",
      "................................########",
    ],
  },
  {
    situation: "several mappings, the first one cut",
    given: three,
    ask: (k) => k.unmap(page(4), 36 * PAGE),
    // type1 gives up at the first mapping that begins in front of the range: the others stay, too.
    answers: [0, "EINVAL", 20 * PAGE, "ENOENT", "ENOENT"],
    leaves: [
      "########........########........########",
      "########........########........########",
      "####....................................",
      "########........########........########",
      "########........########........########",
    ],
  },
  { situation: "all of nothing", ask: (k) => k.unmapAll(), answers: all(0) },
  { situation: "all", given: three, ask: (k) => k.unmapAll(), answers: all(24 * PAGE), leaves: all(".".repeat(40)) },
];

describe.each(modes.map((mode, column) => ({ mode, column })))("$mode", ({ mode, column }) => {
  let kernel: Kernel;

  beforeEach(() => {
    kernel = new Kernel(mode, devices.edu);
  });

  afterEach(() => {
    kernel[Symbol.dispose]();
  });

  it.each(maps)("map: $situation", ({ given, ask, answers }) => {
    given?.(kernel);
    expect(ask(kernel)).toBe(answers[column]);
    // A refusal leaves nothing behind.
    if (typeof answers[column] === "string" && answers[column] !== "EEXIST") expect(kernel.unmapAll()).toBe(0);
  });

  it.each(unmaps)("unmap: $situation", ({ given, ask, answers, leaves }) => {
    given?.(kernel);
    expect(ask(kernel)).toBe(answers[column]);
    const picture = leaves?.[column];
    if (typeof picture === "string") expect(kernel.picture(picture.length)).toBe(picture);
  });

  it("map: for neither reading nor writing", () => {
    const mapped = kernel.map(BASE, PAGE, buffer.address, 0);
    // In the compatibility modes only the page table may refuse it: Intel's and AMD's do, virtio's does not.
    expect(isCompat(mode) ? [0, "EINVAL"] : ["EINVAL"]).toContain(mapped);
  });

  it("map: up to the last address that the IOMMU translates, and not beyond", () => {
    const last = kernel.last();
    const lastPage = last - BigInt(PAGE) + 1n;
    expect(kernel.map(lastPage, PAGE)).toBe(0);
    expect(kernel.unmap(lastPage, PAGE)).toBe(PAGE);
    // AMD's reaches all of 64 bits.
    if (lastPage === TOP_PAGE) return;
    expect(kernel.map(last + 1n, PAGE)).toBe("EINVAL");
    expect(kernel.map(lastPage, 2 * PAGE)).toBe("EINVAL");
    expect(kernel.unmapAll()).toBe(0);
  });

  it("map: memory that the program may not write", () => {
    using file = DmaBuffer.allocate(PAGE);
    using memory = Memory.readOnly(file.backing()?.fd ?? -1, PAGE);
    expect(kernel.map(BASE, PAGE, memory.address, READ)).toBe(0);
    expect(kernel.map(page(1), PAGE, memory.address, READ | WRITE)).toBe("EFAULT");
    expect(kernel.map(page(1), PAGE, memory.address, WRITE)).toBe("EFAULT");
    expect(kernel.unmapAll()).toBe(PAGE);
  });

  it("map: another device's memory, by its address and by dma-buf", () => {
    using bar = Bar.open(kernel);
    expect(kernel.map(BASE, bar.memory.length, bar.memory.address)).toBe(isLegacy(mode) ? 0 : "EFAULT");
    expect(kernel.unmapAll()).toBe(isLegacy(mode) ? bar.memory.length : 0);
    if (!isNative(mode)) return;
    using dmaBuf = bar.dmaBuf();
    const mapped = native.iommufdIoasMapFile(kernel.fd, 7, kernel.ioas, dmaBuf.number, 0, BASE, bar.memory.length);
    expect(outcome(mapped)).toBe(Number(BASE));
    expect(kernel.map(BASE, PAGE)).toBe("EEXIST");
    expect(kernel.unmapAll()).toBe(bar.memory.length);
  });

  it("map: more than the process may lock", async () => {
    await using agent = await Agent.start({ fds: [kernel.fd], memlock: SIZE });
    const memory = await agent.allocate(SIZE + PAGE, { backing: "anonymous" });
    await memory.fill(1);
    const there = agent.fd(0);
    const map = async (from: number, size: number): Promise<Outcome> => {
      const address = memory.address + from;
      const iova = BASE + BigInt(from);
      const mapped = isNative(mode)
        ? await agent.call("iommufdIoasMap", there, 7, kernel.ioas, address, iova, size)
        : await agent.call("vfioIommuMapDma", there, READ | WRITE, address, iova, size);
      return typeof mapped === "number" && mapped < 0 ? outcome(mapped) : 0;
    };
    const nothing = { locked: 0, pinned: 0 };
    // iommufd counts per user unless it is told otherwise, also as a legacy container: what is locked is not in VmLck.
    const everything = isLegacy(mode) ? { locked: SIZE, pinned: 0 } : { locked: 0, pinned: SIZE };

    expect(await map(0, SIZE + PAGE)).toBe("ENOMEM");
    expect(await agent.accounted()).toEqual(nothing);
    expect(await map(0, SIZE)).toBe(0);
    expect(await agent.accounted()).toEqual(everything);
    expect(await map(SIZE, PAGE)).toBe("ENOMEM");
    expect(await agent.accounted()).toEqual(everything);
    // Whoever unmaps it, it is given back to who mapped it.
    expect(kernel.unmap(BASE, SIZE)).toBe(SIZE);
    expect(await agent.accounted()).toEqual(nothing);
    expect(await map(SIZE, PAGE)).toBe(0);
  });

  it("map: more than the process may lock, where CAP_IPC_LOCK allows everything", async () => {
    const { limit } = lockedMemory();
    setMemlock(process.pid, PAGE);
    try {
      expect(kernel.map(BASE, SIZE)).toBe(0);
    } finally {
      setMemlock(process.pid, limit);
    }
    // type1 counts it all the same.
    const { locked, pinned } = lockedMemory();
    expect({ locked, pinned }).toEqual(isLegacy(mode) ? { locked: SIZE, pinned: 0 } : { locked: 0, pinned: SIZE });
    kernel.unmapAll();
  });

  if (!isNative(mode))
    describe("extensions and types", () => {
      const extension = (fd: number, number: number) => outcome(native.vfioCheckExtension(fd, number));

      it("say what it is", () => {
        const { fd } = kernel;
        expect(native.vfioGetApiVersion(fd)).toBe(uapi.VFIO_API_VERSION);
        expect(extension(fd, uapi.VFIO_TYPE1_IOMMU)).toBe(1);
        expect(extension(fd, uapi.VFIO_TYPE1v2_IOMMU)).toBe(1);
        expect(extension(fd, uapi.VFIO_UNMAP_ALL)).toBe(1);
        expect(extension(fd, uapi.VFIO_UPDATE_VADDR)).toBe(isCompat(mode) ? 0 : 1);
        expect(extension(fd, 12345)).toBe(0);
      });

      it("cannot be chosen twice, but again where iommufd is behind it", () => {
        const again = isCompat(mode) ? 0 : "EINVAL";
        expect(outcome(native.vfioSetIommu(kernel.fd, iommuType(mode)))).toBe(again);
        expect(outcome(native.vfioSetIommu(kernel.fd, 12345))).toBe("EINVAL");
      });

      it("have a container by themselves refuse everything else", () => {
        using container = openNode(isCompat(mode) ? "/dev/iommu" : "/dev/vfio/vfio");
        const fd = container.number;
        const refused = isCompat(mode) ? "ENODEV" : "EINVAL";
        expect(native.vfioGetApiVersion(fd)).toBe(0);
        expect(extension(fd, iommuType(mode))).toBe(1);
        expect(extension(fd, uapi.VFIO_UNMAP_ALL)).toBe(1);
        // Only a container with its type chosen can say so.
        expect(extension(fd, uapi.VFIO_UPDATE_VADDR)).toBe(0);
        expect(outcome(native.vfioSetIommu(fd, iommuType(mode)))).toBe(refused);
        expect(outcome(native.vfioIommuMapDma(fd, READ | WRITE, buffer.address, BASE, PAGE))).toBe(refused);
        expect(outcome(native.vfioIommuUnmapDma(fd, 0, BASE, PAGE))).toBe(refused);
        expect(outcome(native.vfioIommuUnmapDma(fd, ALL, 0, 0))).toBe(refused);
        expect(native.vfioIommuGetInfo(fd, 24)).toBe(-constants.errno[refused]);
        expect(outcome(native.vfioIommuDirtyPages(fd, DIRTY_START))).toBe(isCompat(mode) ? "ENOTTY" : "EINVAL");
      });

      it("are not needed where iommufd is behind the group: it maps at once", () => {
        using container = openNode(isCompat(mode) ? "/dev/iommu" : "/dev/vfio/vfio");
        using group = openNode(vfioGroupPath(devices.ivshmem));
        const fd = container.number;
        expect(outcome(native.vfioGroupSetContainer(group.number, fd))).toBe(0);
        expect(outcome(native.vfioIommuMapDma(fd, READ | WRITE, buffer.address, BASE, PAGE))).toBe(
          isCompat(mode) ? 0 : "EINVAL",
        );
        expect(outcome(native.vfioIommuUnmapDma(fd, 0, BASE, PAGE))).toBe(isCompat(mode) ? PAGE : "EINVAL");
        if (!isCompat(mode)) expect(native.vfioIommuGetInfo(fd, 24)).toBe(-constants.errno.EINVAL);
        expect(outcome(native.vfioSetIommu(fd, 12345))).toBe(isCompat(mode) ? "EINVAL" : "ENODEV");
        expect(outcome(native.vfioSetIommu(fd, iommuType(mode)))).toBe(0);
      });
    });

  if (!isNative(mode))
    describe("the forms of a request", () => {
      const raw = (request: number, words: BigUint64Array) => outcome(native.ioctl(kernel.fd, request, words));
      // The first 64-bit word is argsz and flags.
      const head = (argsz: number, flags = 0) => BigInt(argsz) | (BigInt(flags >>> 0) << 32n);

      it("too short, or with flags that nobody knows", () => {
        const map = (argsz: number, flags = READ | WRITE) =>
          raw(VFIO_IOMMU_MAP_DMA, new BigUint64Array([head(argsz, flags), BigInt(buffer.address), BASE, BigInt(PAGE)]));
        const unmap = (argsz: number, flags = 0) =>
          raw(VFIO_IOMMU_UNMAP_DMA, new BigUint64Array([head(argsz, flags), BASE, BigInt(PAGE)]));
        expect(map(31)).toBe("EINVAL");
        expect(unmap(23)).toBe("EINVAL");
        expect(unmap(24, UNKNOWN_FLAG)).toBe("EINVAL");
        expect(raw(VFIO_IOMMU_GET_INFO, new BigUint64Array([head(15), 0n, 0n]))).toBe("EINVAL");
        expect(raw(VFIO_IOMMU_GET_INFO + 100, new BigUint64Array(8))).toBe("ENOTTY");
        // Longer ones are as good: what is behind is for kernels that know it.
        expect(map(320)).toBe(0);
        expect(unmap(320)).toBe(0);
      });

      it("everything is asked for with no range", () => {
        three(kernel);
        expect(kernel.unmap(BASE, 0, ALL)).toBe("EINVAL");
        expect(kernel.unmap(0n, PAGE, ALL)).toBe("EINVAL");
        expect(kernel.unmap(0n, 0, ALL)).toBe(24 * PAGE);
      });

      it("what a refused unmap removed is written back only where iommufd is behind it", () => {
        three(kernel);
        const words = new BigUint64Array([head(24), page(0), BigInt(36 * PAGE)]);
        const answers: Record<string, readonly [Outcome, number]> = {
          type1: [0, 24],
          type1v2: ["EINVAL", 36],
          "compat-type1": [0, 20],
          "compat-type1v2": ["ENOENT", 16],
        };
        expect([raw(VFIO_IOMMU_UNMAP_DMA, words), Number(words[2]) / PAGE]).toEqual(answers[mode]);
      });
    });

  if (!isNative(mode))
    describe("dirty pages", () => {
      const tracks = mode === "type1v2";
      const set = (flags: number) => outcome(native.vfioIommuDirtyPages(kernel.fd, flags));
      const get = (iova: bigint, size: number | bigint, words = new BigUint64Array(1), pageSize = PAGE) =>
        outcome(native.vfioIommuDirtyPagesGet(kernel.fd, iova, size, pageSize, words));
      const unmapDirty = (iova: bigint, size: number, words = new BigUint64Array(1)) =>
        outcome(native.vfioIommuUnmapDmaDirty(kernel.fd, iova, size, PAGE, words));

      if (!tracks)
        it("are not tracked", () => {
          one(kernel);
          // A legacy container of version 1 may not, one with iommufd behind it cannot.
          const refused = isCompat(mode) ? "ENOTTY" : "EACCES";
          expect([DIRTY_START, DIRTY_STOP].map(set)).toEqual([refused, refused]);
          expect(get(BASE, 8 * PAGE)).toBe(refused);
          expect(unmapDirty(BASE, 8 * PAGE)).toBe("EINVAL");
          expect(kernel.unmapAll()).toBe(8 * PAGE);
        });

      if (tracks)
        describe("are tracked", () => {
          it("from start to stop", () => {
            one(kernel);
            expect(get(BASE, 8 * PAGE)).toBe("EINVAL");
            expect(unmapDirty(BASE, 8 * PAGE)).toBe("EINVAL");
            expect(set(DIRTY_START)).toBe(0);
            expect(set(DIRTY_START)).toBe(0);
            const words = new BigUint64Array(1);
            expect(get(BASE, 8 * PAGE, words)).toBe(0);
            // A device that writes by itself may have written all: what is mapped is dirty, each time.
            expect(words[0]).toBe(0xffn);
            expect(get(BASE, 8 * PAGE, words.fill(0n))).toBe(0);
            expect(words[0]).toBe(0xffn);
            expect(set(DIRTY_STOP)).toBe(0);
            expect(set(DIRTY_STOP)).toBe(0);
            expect(get(BASE, 8 * PAGE)).toBe("EINVAL");
          });

          it("over several mappings and what is between", () => {
            set(DIRTY_START);
            three(kernel);
            const words = new BigUint64Array(1);
            expect(get(BASE, 40 * PAGE, words)).toBe(0);
            expect(words[0]).toBe(0xff_00ff_00ffn);
            expect(get(page(8), 8 * PAGE, words.fill(0n))).toBe(0);
            expect(words[0]).toBe(0n);
          });

          it("up to the end, with an unmap", () => {
            set(DIRTY_START);
            three(kernel);
            const words = new BigUint64Array(1);
            expect(unmapDirty(BASE, 40 * PAGE, words)).toBe(24 * PAGE);
            expect(words[0]).toBe(0xff_00ff_00ffn);
            expect(kernel.unmapAll()).toBe(0);
          });

          it("in pages of the IOMMU, and whole mappings", () => {
            set(DIRTY_START);
            one(kernel);
            expect(get(BASE, 8 * PAGE, new BigUint64Array(1), 2 * PAGE)).toBe("EINVAL");
            expect(get(BASE + 512n, 8 * PAGE)).toBe("EINVAL");
            expect(get(BASE, 512)).toBe("EINVAL");
            expect(get(BASE, 0)).toBe("EINVAL");
            expect(get(TOP_PAGE, 2 * PAGE)).toBe("EOVERFLOW");
            expect(get(BASE, 4 * PAGE)).toBe("EINVAL");
            expect(get(page(4), 4 * PAGE)).toBe("EINVAL");
            expect(get(BASE, 8 * PAGE, new BigUint64Array(0))).toBe("EINVAL");
            expect(get(BASE, 65 * PAGE)).toBe("EINVAL");
            expect(unmapDirty(BASE, 4 * PAGE)).toBe("EINVAL");
            expect(kernel.picture(8)).toBe("########");
          });

          it("one wish at a time", () => {
            expect(set(DIRTY_START | DIRTY_STOP)).toBe("EINVAL");
            expect(set(UNKNOWN_FLAG)).toBe("EINVAL");
            expect(kernel.unmap(BASE, PAGE, UNMAP_DIRTY)).toBe("EINVAL");
            expect(kernel.unmap(0n, 0, UNMAP_DIRTY | ALL)).toBe("EINVAL");
            expect(kernel.unmap(BASE, PAGE, UNMAP_DIRTY | UNMAP_VADDR)).toBe("EINVAL");
          });
        });
    });

  if (isLegacy(mode))
    describe("new addresses for old pages", () => {
      const invalidate = (iova: bigint, size: number, flags = 0) => kernel.unmap(iova, size, UNMAP_VADDR | flags);
      const validate = (iova: bigint, size: number, vaddr: number = buffer.address, flags = 0) =>
        kernel.map(iova, size, vaddr, MAP_VADDR | flags);
      /** Whether another group may come into the container: not while an address is invalid. */
      const another = () => {
        using group = openNode(vfioGroupPath(devices.ivshmem));
        return outcome(native.vfioGroupSetContainer(group.number, kernel.fd));
      };

      it("taken away and given, mapping by mapping", () => {
        one(kernel);
        expect(validate(BASE, 8 * PAGE)).toBe("EINVAL"); // it has one
        expect(invalidate(BASE, 8 * PAGE)).toBe(8 * PAGE);
        expect(kernel.map(BASE, 8 * PAGE)).toBe("EEXIST"); // it is still mapped
        expect(validate(page(8), 8 * PAGE)).toBe("ENOENT");
        expect(validate(BASE, 4 * PAGE)).toBe("EINVAL");
        expect(validate(BASE, 16 * PAGE)).toBe("EINVAL");
        expect(validate(page(4), 4 * PAGE)).toBe("EINVAL");
        expect(validate(BASE, 8 * PAGE, buffer.address, READ)).toBe("EINVAL");
        expect(validate(BASE, 8 * PAGE, buffer.address, READ | WRITE)).toBe("EINVAL");
        expect(validate(BASE, 8 * PAGE, buffer.address + 512)).toBe("EINVAL");
        expect(validate(BASE, 8 * PAGE)).toBe(0);
        expect(validate(BASE, 8 * PAGE)).toBe("EINVAL");
        expect(kernel.unmapAll()).toBe(8 * PAGE);
      });

      it("taken away from all at once", () => {
        expect(invalidate(0n, 0, ALL)).toBe(0);
        three(kernel);
        expect(invalidate(BASE, 0, ALL)).toBe("EINVAL");
        expect(invalidate(0n, 0, ALL)).toBe(24 * PAGE);
        for (const n of [0, 16, 32]) expect(validate(page(n), 8 * PAGE)).toBe(0);
      });

      it("taken away from all or none: one that is gone already undoes the call", () => {
        three(kernel);
        expect(invalidate(page(16), 8 * PAGE)).toBe(8 * PAGE);
        expect(invalidate(0n, 0, ALL)).toBe("EINVAL");
        expect(invalidate(page(16), 8 * PAGE)).toBe("EINVAL");
        expect(validate(page(0), 8 * PAGE)).toBe("EINVAL");
        expect(validate(page(16), 8 * PAGE)).toBe(0);
      });

      it("no other group may come meanwhile, and everything else goes on", () => {
        three(kernel);
        expect(another()).toBe(0);
        invalidate(page(0), 8 * PAGE);
        expect(another()).toBe("EBUSY");
        expect(kernel.map(page(48), PAGE)).toBe(0);
        expect(kernel.unmap(page(48), PAGE)).toBe(PAGE);
        if (mode === "type1v2") {
          expect(outcome(native.vfioIommuDirtyPages(kernel.fd, DIRTY_START))).toBe(0);
          expect(outcome(native.vfioIommuDirtyPages(kernel.fd, DIRTY_STOP))).toBe(0);
        }
        validate(page(0), 8 * PAGE);
        expect(another()).toBe(0);
        // An ordinary unmap also ends the wait.
        invalidate(page(0), 8 * PAGE);
        expect(another()).toBe("EBUSY");
        expect(kernel.unmap(page(0), 8 * PAGE)).toBe(8 * PAGE);
        expect(another()).toBe(0);
      });

      it("given by another process: it is charged for the pages then, if its limit allows", async () => {
        await using agent = await Agent.start({ fds: [kernel.fd], memlock: SIZE / 2 });
        const memory = await agent.allocate(SIZE);
        const theirs = async () =>
          outcome(await agent.call("vfioIommuMapDma", agent.fd(0), MAP_VADDR, memory.address, BASE, SIZE));
        const mine = () => lockedMemory().locked;
        expect(kernel.map(BASE, SIZE)).toBe(0);
        expect(mine()).toBe(SIZE);
        invalidate(BASE, SIZE);
        expect(await theirs()).toBe("ENOMEM");
        expect([mine(), (await agent.accounted()).locked]).toEqual([SIZE, 0]);
        expect(another()).toBe("EBUSY");
        agent.setMemlock(SIZE);
        expect(await theirs()).toBe(0);
        expect([mine(), (await agent.accounted()).locked]).toEqual([0, SIZE]);
        expect(kernel.unmap(BASE, SIZE)).toBe(SIZE);
        expect((await agent.accounted()).locked).toBe(0);
      });
    });

  if (isCompat(mode))
    it("new addresses for old pages: there are none", () => {
      one(kernel);
      expect(kernel.unmap(BASE, 8 * PAGE, UNMAP_VADDR)).toBe("EINVAL");
      expect(kernel.unmap(0n, 0, UNMAP_VADDR | ALL)).toBe("EINVAL");
      expect(kernel.map(BASE, 8 * PAGE, buffer.address, MAP_VADDR)).toBe("EINVAL");
    });
});

describe("a device without an IOMMU behind it", () => {
  /** A container in which a mediated device's group is alone. */
  class Emulated implements Disposable {
    readonly mdev = new Mdev("mtty", "1");
    readonly #group: OwnedFd;
    readonly #container: OwnedFd;

    constructor(mode: ContainerMode) {
      this.#group = openNode(vfioGroupPath(this.mdev.uuid));
      this.#container = openNode(isLegacy(mode) ? "/dev/vfio/vfio" : "/dev/iommu");
      succeed(native.vfioGroupSetContainer(this.#group.number, this.fd));
      succeed(native.vfioSetIommu(this.fd, iommuType(mode)));
    }

    get fd(): number {
      return this.#container.number;
    }

    [Symbol.dispose](): void {
      this.#group.close();
      this.#container.close();
      this.mdev[Symbol.dispose]();
    }
  }

  it.each(
    modes.filter((mode) => !isNative(mode)),
  )("pins nothing, and knows no new addresses for old pages: %s", (mode) => {
    using emulated = new Emulated(mode);
    const { fd } = emulated;
    const map = (iova: bigint, vaddr: number) => outcome(native.vfioIommuMapDma(fd, READ | WRITE, vaddr, iova, PAGE));
    const unmap = (flags: number, iova = BASE, size = PAGE) => outcome(native.vfioIommuUnmapDma(fd, flags, iova, size));
    expect(outcome(native.vfioCheckExtension(fd, uapi.VFIO_UPDATE_VADDR))).toBe(0);
    expect(map(BASE, buffer.address)).toBe(0);
    // Nobody looks whether it is there.
    expect(map(page(1), NOWHERE)).toBe(0);
    expect(lockedMemory()).toMatchObject({ locked: 0, pinned: 0 });
    expect(unmap(UNMAP_VADDR)).toBe(isLegacy(mode) ? "EBUSY" : "EINVAL");
    expect(unmap(UNMAP_VADDR | ALL, 0n, 0)).toBe(isLegacy(mode) ? "EBUSY" : "EINVAL");
    expect(unmap(0)).toBe(PAGE);
    if (!isLegacy(mode)) return;

    // A device that has one joins: what is mapped is pinned now, which needs it to be there.
    using group = openNode(vfioGroupPath(devices.ivshmem));
    expect(outcome(native.vfioGroupSetContainer(group.number, fd))).toBe("EFAULT");
    expect(unmap(0, page(1))).toBe(PAGE);
    expect(map(BASE, buffer.address)).toBe(0);
    expect(outcome(native.vfioGroupSetContainer(group.number, fd))).toBe(0);
    expect(lockedMemory()).toMatchObject({ locked: PAGE });
    expect(outcome(native.vfioGroupUnsetContainer(group.number))).toBe(0);
    expect(lockedMemory()).toMatchObject({ locked: 0 });
    expect(unmap(0)).toBe(PAGE);
  });
});

describe("the number of mappings", () => {
  const parameter = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";
  let normal: string;

  beforeEach(() => {
    normal = readFileSync(parameter, "latin1");
    writeFileSync(parameter, "4");
  });

  afterEach(() => {
    writeFileSync(parameter, normal);
  });

  const available = (kernel: Kernel) => kernel.capability(uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)?.getUint32(8, true);

  it.each(modes)("is limited in legacy containers, when they get their type: %s", (mode) => {
    using kernel = new Kernel(mode, devices.edu);
    // Too late for this container.
    writeFileSync(parameter, normal);
    const limit = isLegacy(mode) ? 4 : 0xffff_ffff;
    if (!isNative(mode)) expect(available(kernel)).toBe(limit);
    for (let n = 0; n < 4; n++) expect(kernel.map(page(n), PAGE)).toBe(0);
    expect(kernel.map(page(4), PAGE)).toBe(isLegacy(mode) ? "ENOSPC" : 0);
    // What is wrong with a range counts more.
    expect(kernel.map(page(3), PAGE)).toBe("EEXIST");
    if (!isNative(mode)) expect(available(kernel)).toBe(isLegacy(mode) ? 0 : limit);
    expect(kernel.unmap(page(0), PAGE)).toBe(PAGE);
    expect(kernel.map(page(5), PAGE)).toBe(0);
  });
});

describe("groups", () => {
  const status = (group: number) => native.vfioGroupGetStatus(group);
  const VIABLE = uapi.VFIO_GROUP_FLAGS_VIABLE;
  const SET = uapi.VFIO_GROUP_FLAGS_CONTAINER_SET;

  it.each(["/dev/vfio/vfio", "/dev/iommu"])("belong to one container at a time, and one opener: %s", (path) => {
    using container = openNode(path);
    using other = openNode(path);
    using group = openNode(vfioGroupPath(devices.edu));
    expect(outcome(native.open(vfioGroupPath(devices.edu), fs.O_RDWR))).toBe("EBUSY");
    expect(status(group.number)).toBe(VIABLE);
    expect(outcome(native.vfioGroupUnsetContainer(group.number))).toBe("EINVAL");
    expect(outcome(native.vfioGroupGetDeviceFd(group.number, devices.edu))).toBe("EINVAL");
    expect(outcome(native.vfioGroupSetContainer(group.number, 999_999))).toBe("EBADF");
    expect(outcome(native.vfioGroupSetContainer(group.number, group.number))).toBe("EBADFD");
    expect(outcome(native.vfioGroupSetContainer(group.number, container.number))).toBe(0);
    expect(status(group.number)).toBe(VIABLE | SET);
    expect(outcome(native.vfioGroupSetContainer(group.number, other.number))).toBe("EINVAL");
    expect(outcome(native.vfioGroupGetDeviceFd(group.number, "0000:ff:1f.7"))).toBe("ENODEV");
    expect(outcome(native.vfioSetIommu(container.number, uapi.VFIO_TYPE1v2_IOMMU))).toBe(0);

    {
      using _device = openDevice(group.number, devices.edu);
      using _again = openDevice(group.number, devices.edu);
      // iommufd lets the group go: its devices keep the address space that they have.
      const unset = path === "/dev/iommu" ? 0 : "EBUSY";
      expect(outcome(native.vfioGroupUnsetContainer(group.number))).toBe(unset);
    }
    if (path === "/dev/vfio/vfio") expect(outcome(native.vfioGroupUnsetContainer(group.number))).toBe(0);
    expect(status(group.number)).toBe(VIABLE);
    expect(outcome(native.vfioGroupSetContainer(group.number, other.number))).toBe(0);
  });

  it("and a device's own node exclude each other", () => {
    using iommufd = openNode("/dev/iommu");
    using device = openNode(vfioCdevPath(devices.edu));
    {
      using _group = openNode(vfioGroupPath(devices.edu));
      expect(outcome(native.vfioDeviceBindIommufd(device.number, iommufd.number))).toBe("EBUSY");
    }
    expect(native.vfioDeviceBindIommufd(device.number, iommufd.number)).toBeGreaterThan(0);
    expect(outcome(native.open(vfioGroupPath(devices.edu), fs.O_RDWR))).toBe("EBUSY");
  });

  it("without the last one a legacy container forgets everything", () => {
    using container = openNode("/dev/vfio/vfio");
    using group = openNode(vfioGroupPath(devices.edu));
    const fd = container.number;
    const enter = (type: number) => {
      expect(outcome(native.vfioGroupSetContainer(group.number, fd))).toBe(0);
      expect(outcome(native.vfioSetIommu(fd, type))).toBe(0);
    };
    enter(uapi.VFIO_TYPE1v2_IOMMU);
    expect(outcome(native.vfioIommuMapDma(fd, READ | WRITE, buffer.address, BASE, SIZE))).toBe(0);
    expect(outcome(native.vfioGroupUnsetContainer(group.number))).toBe(0);
    expect(lockedMemory().locked).toBe(0);
    expect(outcome(native.vfioIommuUnmapDma(fd, ALL, 0, 0))).toBe("EINVAL");
    // Even its type.
    enter(uapi.VFIO_TYPE1_IOMMU);
    expect(outcome(native.vfioIommuUnmapDma(fd, ALL, 0, 0))).toBe(0);
  });
});
