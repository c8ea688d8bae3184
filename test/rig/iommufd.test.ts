/**
 * iommufd held to the kernel's own rules, with the kernel's mock devices: the assertions of its self-test
 * (tools/testing/selftests/iommu/iommufd.c, Linux 7.3) that concern the requests this package makes, in our words.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Ioas, Iommufd } from "../../lib/iommufd/iommufd.js";
import { OwnedFd } from "../../lib/kernel/fd.js";
import { lockedMemory } from "../../lib/kernel/memlock.js";
import { native } from "../../lib/kernel/native.js";
import { IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_SET, IOMMU_OPTION_RLIMIT_MODE } from "../../lib/kernel/uapi.js";
import { DmaBuffer } from "../../lib/memory/dma-buffer.js";
import { refusal } from "../helpers/refusal.js";
import { Agent, setMemlock } from "./agent.js";
import { Memory, MiB, NOWHERE, PAGE } from "./memory.js";
import {
  APERTURE_LAST,
  APERTURE_START,
  addReserved,
  MOCK_PAGE,
  MockAccess,
  MockDevice,
  MockDmaBuf,
  MockQueue,
  pinnedTimes,
  smallBatches,
} from "./mock-iommu.js";
import { outcome } from "./outcome.js";
import { resources } from "./resources.mjs";

const PAGES = 16;
const SIZE = PAGES * PAGE;
const ULONG_MAX = (1n << 64n) - 1n;
/** IOMMU_IOAS_MAP_FIXED_IOVA, _WRITEABLE, _READABLE. */
const READ_WRITE_FIXED = 7;

const code = (act: () => unknown): string => refusal(act).code;
const at = (base: bigint, pages: number): bigint => base + BigInt(pages * PAGE);

/** A memfd that is not sealed, as a buffer's own is: somebody else can cut it. */
function cuttable(length: number, pages: "normal" | "2M"): OwnedFd {
  // linux/memfd.h: MFD_HUGETLB, MFD_HUGE_2MB
  const fd = new OwnedFd(native.memfdCreate("cuttable", pages === "2M" ? 4 | (21 << 26) : 0), "memfd");
  expect(native.ftruncate(fd.number, length)).toBe(0);
  return fd;
}

/** The largest power of two that divides a length. */
function alignmentOf(length: number): bigint {
  return BigInt(length & -length);
}

let iommufd: Iommufd;
let buffer: Memory;
let file: DmaBuffer;
let before: ReturnType<typeof resources>;

const fileFd = (): number => file.backing()?.fd ?? -1;

beforeAll(() => {
  buffer = Memory.anonymous(SIZE);
  file = DmaBuffer.allocate(SIZE);
  // Every page is there: what is counted below is what the tests pin.
  buffer.bytes.fill(1);
  file.bytes.fill(1);
});

afterAll(() => {
  file.close();
  buffer[Symbol.dispose]();
});

beforeEach(() => {
  before = resources();
  iommufd = Iommufd.open();
});

// Whatever a test left mapped, closing the iommufd gives back: no page stays pinned.
afterEach(() => {
  iommufd.close();
  using probe = Iommufd.open();
  expect(pinnedTimes(probe, buffer.address, SIZE, 0)).toBe(true);
  expect(pinnedTimes(probe, file.address, SIZE, 0)).toBe(true);
  probe.close();
  expect(resources()).toEqual(before);
});

describe("an iommufd by itself", () => {
  it("opens and closes, twice", () => {
    iommufd.close();
    iommufd.close();
    expect(() => iommufd.fd).toThrow(/closed/);
  });

  it("refuses what it does not know", () => {
    expect(code(() => iommufd.destroy(0))).toBe("ENOENT");
    const bare = new Uint32Array([8, 0]);
    expect(outcome(native.ioctl(iommufd.fd, 0x3b80))).toBe("EFAULT");
    for (const request of [0x3b7f, 0x3bbf, 0x3bff])
      expect(outcome(native.ioctl(iommufd.fd, request, bare))).toBe("ENOTTY");
  });

  // Name, number, smallest size that the kernel takes, size. The first word of each is the size; all else zero.
  it.each([
    ["DESTROY", 0x80, 8, 8],
    ["IOAS_ALLOC", 0x81, 12, 12],
    ["IOAS_ALLOW_IOVAS", 0x82, 24, 24],
    ["IOAS_COPY", 0x83, 40, 40],
    ["IOAS_IOVA_RANGES", 0x84, 32, 32],
    ["IOAS_MAP", 0x85, 40, 40],
    ["IOAS_UNMAP", 0x86, 24, 24],
    ["OPTION", 0x87, 24, 24],
    ["VFIO_IOAS", 0x88, 12, 12],
    ["IOAS_MAP_FILE", 0x8f, 40, 40],
    ["IOAS_CHANGE_PROCESS", 0x92, 8, 8],
  ])("takes IOMMU_%s in older and newer sizes, and no others", (_, number, least, size) => {
    const ask = (length: number, tail: number) => {
      const bytes = new Uint8Array(size + 8);
      new DataView(bytes.buffer).setUint32(0, length, true);
      bytes.fill(tail, size);
      return outcome(native.ioctl(iommufd.fd, 0x3b00 | number, bytes));
    };
    const exact = ask(size, 0xff);
    expect(ask(least - 1, 0)).toBe("EINVAL");
    // A program newer than the kernel: what the kernel does not know must be unused.
    expect(ask(size + 1, 0)).toBe(exact);
    expect(ask(size + 8, 0)).toBe(exact);
    expect(ask(size + 1, 0xff)).toBe("E2BIG");
    expect(ask(size + 8, 0xff)).toBe("E2BIG");
  });

  it("accounts per user, or per process when root says so in time", () => {
    expect(iommufd.accounting).toBe("user");
    iommufd.accounting = "process";
    const set = (option: number, value: number) =>
      outcome(native.iommufdOption(iommufd.fd, option, IOMMU_OPTION_OP_SET, 0, value));
    expect(set(IOMMU_OPTION_RLIMIT_MODE, 2)).toBe("EINVAL");
    expect(iommufd.accounting).toBe("process");
    iommufd.accounting = "user";
    expect(iommufd.accounting).toBe("user");
    expect(set(IOMMU_OPTION_HUGE_PAGES, 1)).toBe("ENOENT");

    using ioas = iommufd.allocIoas();
    const late = refusal(() => {
      iommufd.accounting = "process";
    });
    expect(late).toMatchObject({ code: "EBUSY", why: /has objects already/, fix: /right after opening/ });
    ioas.destroy();
    iommufd.accounting = "process";
  });

  it("lets only root change the accounting", () => {
    const { seteuid } = process;
    if (seteuid === undefined) throw new Error("this is not Linux");
    seteuid(65534);
    try {
      const refused = refusal(() => {
        iommufd.accounting = "process";
      });
      expect(refused).toMatchObject({ code: "EPERM", why: /only root/ });
      expect(iommufd.accounting).toBe("user");
    } finally {
      seteuid(0);
    }
  });

  it("has a compatibility address space only when it is given one", () => {
    expect(iommufd.compatIoas).toBeUndefined();
    expect(
      code(() => {
        iommufd.compatIoas = 0;
      }),
    ).toBe("ENOENT");
    using ioas = iommufd.allocIoas();
    iommufd.compatIoas = ioas.id;
    expect(iommufd.compatIoas).toBe(ioas.id);
    iommufd.compatIoas = undefined;
    expect(iommufd.compatIoas).toBeUndefined();
  });

  it("says why it refuses, and takes only numbers that can be addresses", () => {
    using ioas = iommufd.allocIoas();
    const map = (iova: bigint, length = PAGE) => ioas.map(buffer.address, length, { iova });
    const words = (act: () => unknown) => refusal(act).why ?? "";
    map(0n, 2 * PAGE);
    expect(words(() => map(0n))).toMatch(/mapped already/);
    expect(words(() => map(0n, 0))).toMatch(/not usable/);
    expect(words(() => map(ULONG_MAX))).toMatch(/last address/);
    expect(words(() => ioas.copy(ioas, 4 * PAGE, PAGE))).toMatch(/source is not mapped/);
    expect(words(() => ioas.unmap(0, PAGE))).toMatch(/would be cut/);
    expect(words(() => ioas.unmap(PAGE, ULONG_MAX))).toMatch(/last address/);
    expect(words(() => ioas.allow([{ start: 1n, last: 1n }]))).toMatch(/less than two/);
    const wrong = { code: "ERR_OUT_OF_RANGE" };
    expect(() => ioas.map(-1, PAGE)).toThrow(expect.objectContaining(wrong));
    expect(() => ioas.map(buffer.address, 1.5)).toThrow(expect.objectContaining(wrong));
    expect(() => map(-1n)).toThrow(expect.objectContaining(wrong));
    expect(() => ioas.mapFile(fileFd(), -1, PAGE)).toThrow(expect.objectContaining(wrong));
    expect(() => ioas.copy(ioas, 1n << 64n, PAGE)).toThrow(expect.objectContaining(wrong));
    expect(() => ioas.unmap(0, 1n << 64n)).toThrow(expect.objectContaining(wrong));
    // A view of 64-bit words would have made 2^64 - 1 of it.
    expect(() => ioas.allow([{ start: -1n, last: 0n }])).toThrow(expect.objectContaining(wrong));
    const call = (method: string, ...args: readonly unknown[]) => Reflect.apply(Reflect.get(ioas, method), ioas, args);
    const wrongType = expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" });
    expect(() => call("map", "0", PAGE)).toThrow(wrongType);
    expect(() => call("mapFile", "3", 0, PAGE)).toThrow(wrongType);
    expect(() => call("copy", {}, 0, PAGE)).toThrow(wrongType);
    expect(() => call("allow", 5)).toThrow(wrongType);
    expect(() => call("map", 0, PAGE, { iovaa: 0 })).toThrow(/Did you mean "iova"/);
  });

  it("keeps its objects to itself", () => {
    using other = Iommufd.open();
    using here = iommufd.allocIoas();
    using there = other.allocIoas();
    expect(() => here.copy(there, 0, PAGE)).toThrow(RangeError);
    expect(() => MockDevice.attach(iommufd, there.id + 1)).toThrow(/ENOENT/);
  });
});

describe.each([
  { variant: "no device", devices: 0, batch: undefined },
  { variant: "one device", devices: 1, batch: undefined },
  { variant: "two devices", devices: 2, batch: undefined },
  { variant: "one device, pages pinned a few at a time", devices: 1, batch: 16 },
])("an address space with $variant", ({ devices: count, batch }) => {
  let ioas: Ioas;
  let devices: MockDevice[];
  let batches: Disposable | undefined;
  const attached = count > 0;
  const base = attached ? APERTURE_START : 0n;

  beforeEach(() => {
    ioas = iommufd.allocIoas();
    if (batch !== undefined) batches = smallBatches(iommufd, batch);
    devices = Array.from({ length: count }, () => MockDevice.attach(iommufd, ioas));
    if (count === 1) devices.push(MockDevice.attach(iommufd, devices[0]?.hwptId ?? 0, { pasid: true }));
  });

  afterEach(() => {
    batches?.[Symbol.dispose]();
    batches = undefined;
  });

  const map = (length: number, iova?: bigint) => ioas.map(buffer.address, length, iova === undefined ? {} : { iova });

  /** That every device sees the memory at the address. */
  const expectMapped = (iova: bigint, length: number, address: number) => {
    for (const device of devices) expect(device.maps(iova, length, address)).toBe(true);
  };

  describe("ends", () => {
    const destroy = () => (attached ? code(() => ioas.destroy()) : ioas.destroy());
    const expected = attached ? "EBUSY" : undefined;

    it("when no device needs it", () => {
      expect(destroy()).toBe(expected);
      for (const device of devices) device.destroy();
      ioas.destroy();
      ioas.destroy();
      expect(code(() => iommufd.destroy(ioas.id))).toBe("ENOENT");
    });

    it("with what is mapped in it", () => {
      map(PAGE, base);
      expect(destroy()).toBe(expected);
    });

    it("with the iommufd", () => {
      for (let i = 0; i < 10; i++) map(PAGE, at(base, i));
      if (attached) expect(pinnedTimes(iommufd, buffer.address, PAGE, 0)).toBe(false);
    });
  });

  describe("maps and unmaps", () => {
    it("nothing where nothing is", () => {
      for (let i = 0; i < 10; i++) expect(code(() => ioas.unmap(at(base, i), PAGE))).toBe("ENOENT");
      expect(ioas.unmapAll()).toBe(0);
    });

    it("page by page", () => {
      for (let i = 0; i < 10; i++) expect(map(PAGE, at(base, i))).toBe(at(base, i));
      for (let i = 0; i < 10; i++) expect(ioas.unmap(at(base, i), PAGE)).toBe(PAGE);
    });

    it("no half of a mapping", () => {
      map(2 * PAGE, at(base, 16));
      expect(code(() => ioas.unmap(at(base, 16), PAGE))).toBe("ENOENT");
      expect(code(() => ioas.unmap(at(base, 17), PAGE))).toBe("ENOENT");
      expect(ioas.unmapAll()).toBe(2 * PAGE);
    });

    it.each([
      ["the same", 16, 2],
      ["its first page", 16, 1],
      ["its second page", 17, 1],
      ["its first page from in front", 15, 2],
      ["more than it on both sides", 15, 4],
      ["all of it from in front", 15, 3],
    ])("nothing over a mapping: %s", (_, page, pages) => {
      map(2 * PAGE, at(base, 16));
      expect(code(() => map(pages * PAGE, at(base, page)))).toBe("EEXIST");
    });

    it("no range that wraps, is empty, or is the last address", () => {
      const top = ULONG_MAX - BigInt(PAGE) + 1n;
      expect(code(() => map(2 * PAGE, top))).toBe("EOVERFLOW");
      expect(code(() => ioas.unmap(top, 2 * PAGE))).toBe("EOVERFLOW");
      expect(code(() => map(PAGE, ULONG_MAX))).toBe("EOVERFLOW");
      // From 0 that length means everything; from anywhere else it is too much.
      expect(code(() => ioas.unmap(at(base, 1), ULONG_MAX))).toBe("EOVERFLOW");
      expect(code(() => map(0, base))).toBe("EINVAL");
      expect(code(() => ioas.unmap(base, 0))).toBe("EINVAL");
    });

    it("nothing that a device may neither read nor write", () => {
      expect(code(() => ioas.map(buffer.address, PAGE, { iova: base, read: false, write: false }))).toBe("EINVAL");
      expect(code(() => ioas.mapFile(fileFd(), 0, PAGE, { iova: base, read: false, write: false }))).toBe("EINVAL");
    });

    it("whole mappings inside a larger range, and counts them", () => {
      const first = at(base, 4);
      for (let i = 0; i < 4; i++) map(8 * PAGE, at(first, 16 * i));
      // Four pages in front of the first mapping to its middle; the middle of the last to four pages behind it.
      expect(code(() => ioas.unmap(at(first, -4), 8 * PAGE))).toBe("ENOENT");
      expect(code(() => ioas.unmap(at(first, 3 * 16 + 4), 8 * PAGE))).toBe("ENOENT");
      expect(ioas.unmap(at(first, -4), (4 + 3 * 16 + 8) * PAGE)).toBe(32 * PAGE);
      expect(ioas.unmapAll()).toBe(0);
    });

    it("what comes before a cut, without saying how much", () => {
      for (let i = 0; i < 3; i++) map(8 * PAGE, at(base, 16 * i));
      expect(code(() => ioas.unmap(base, (2 * 16 + 4) * PAGE))).toBe("ENOENT");
      expect(code(() => ioas.unmap(base, 8 * PAGE))).toBe("ENOENT");
      expect(code(() => ioas.unmap(at(base, 16), 8 * PAGE))).toBe("ENOENT");
      expect(ioas.unmap(at(base, 32), 8 * PAGE)).toBe(8 * PAGE);
    });

    it("nothing that hardware has a queue in", () => {
      const [device] = devices;
      if (device === undefined) return;
      map(4 * PAGE, base);
      map(PAGE, at(base, 8));
      {
        using _queue = new MockQueue(device, ioas, base, PAGE);
        expect(code(() => ioas.unmap(base, 4 * PAGE))).toBe("EBUSY");
        expect(code(() => ioas.unmapAll())).toBe("EBUSY");
        expect(ioas.unmap(at(base, 8), PAGE)).toBe(PAGE);
      }
      expect(ioas.unmapAll()).toBe(4 * PAGE);
    });

    it("a file, from wherever in it", () => {
      expect(ioas.mapFile(fileFd(), 4 * PAGE, 3 * PAGE, { iova: base })).toBe(base);
      expectMapped(base, 3 * PAGE, file.address + 4 * PAGE);
      expect(code(() => ioas.mapFile(fileFd(), 0, PAGE, { iova: base }))).toBe("EEXIST");
      expect(ioas.unmap(base, 3 * PAGE)).toBe(3 * PAGE);
    });

    it("no file that is none, and none that is not memory", () => {
      expect(code(() => ioas.mapFile(999_999, 0, PAGE))).toBe("EBADF");
      expect(code(() => ioas.mapFile(fileFd(), 0, 0))).toBe("EINVAL");
      expect(code(() => ioas.mapFile(fileFd(), ULONG_MAX, 2))).toBe("EOVERFLOW");
      // Without a device nothing is looked at yet.
      if (attached) expect(code(() => ioas.mapFile(iommufd.fd, 0, PAGE))).toBe("EINVAL");
    });
  });

  describe("chooses addresses", () => {
    const lengths = Array.from({ length: 10 }, (_, i) => (i + 1) * PAGE);
    // Without a device nothing is pinned, so memory that is not there will do, at an address of great alignment.
    const choose = (length: number) => (attached ? map(length) : ioas.map(2 ** 31, length));

    it("for a page", () => {
      const iovas = lengths.map(() => map(PAGE));
      expect(new Set(iovas).size).toBe(iovas.length);
      for (const iova of iovas) expect(ioas.unmap(iova, PAGE)).toBe(PAGE);
    });

    it("aligned as the length is", () => {
      for (const length of lengths) expect(choose(length) % alignmentOf(length)).toBe(0n);
    });

    it("outside what is reserved", () => {
      const reserved = { start: BigInt(4 * PAGE), end: BigInt(104 * PAGE) };
      addReserved(iommufd, ioas, reserved.start, reserved.end - reserved.start);
      for (const length of lengths) {
        const iova = choose(length);
        expect(iova % alignmentOf(length)).toBe(0n);
        expect(iova + BigInt(length) <= reserved.start || iova >= reserved.end).toBe(true);
      }
      expect(code(() => ioas.allow([{ start: BigInt(PAGE), last: BigInt(600 * PAGE) }]))).toBe("EADDRINUSE");
      if (!attached) expect(code(() => map(PAGE, reserved.start))).toBe("EINVAL");
    });

    it("inside what is allowed", () => {
      const allowed = { start: at(base, attached ? 1 : 200), last: at(base, 600) - 1n };
      ioas.allow([allowed]);
      for (const length of lengths) {
        const iova = choose(length);
        expect(iova % alignmentOf(length)).toBe(0n);
        expect(iova >= allowed.start && iova + BigInt(length) - 1n <= allowed.last).toBe(true);
      }
      // A fixed address may still be anywhere.
      expect(map(PAGE, at(base, 1000))).toBe(at(base, 1000));
      ioas.allow([]);
    });

    it("until there are none left", () => {
      ioas.allow([{ start: at(base, 16), last: at(base, 18) - 1n }]);
      expect(map(PAGE)).toBe(at(base, 16));
      expect(map(PAGE)).toBe(at(base, 17));
      expect(refusal(() => map(PAGE))).toMatchObject({ code: "ENOSPC", args: { iova: "any" } });
    });

    it("none at the very end, where a range would wrap", () => {
      // All but the first bytes and the last 32 KiB: what is left is too small, and counting past it must not wrap.
      addReserved(iommufd, ioas, 6, 0xffff_ffff_ffff_8001n);
      expect(code(() => map(5 * PAGE))).toBe("ENOSPC");
    });

    it("for every length that a device's pages allow", () => {
      // Every multiple of an eighth of a page, and what is one off.
      const lengths = Array.from({ length: 16 }, (_, i) => ((i + 1) * PAGE) / 8).flatMap((n) => [n - 1, n, n + 1]);
      for (const length of [1, ...lengths]) {
        const iova = native.iommufdIoasMap(iommufd.fd, 6, ioas.id, buffer.address, 0, length);
        if (attached && length % MOCK_PAGE !== 0) {
          expect(outcome(iova)).toBe("EINVAL");
        } else {
          expect(native.iommufdIoasUnmap(iommufd.fd, ioas.id, iova, length)).toBe(length);
        }
      }
    });
  });

  describe("knows its addresses", () => {
    const everything = attached ? { start: APERTURE_START, last: APERTURE_LAST } : { start: 0n, last: ULONG_MAX };
    const ask = (words: BigUint64Array) => {
      const { status, count: needed } = native.iommufdIoasIovaRanges(iommufd.fd, ioas.id, words);
      return [outcome(status), needed];
    };

    it("all of them, and what they are multiples of", () => {
      expect(ioas.ranges()).toEqual({ ranges: [everything], alignment: attached ? BigInt(MOCK_PAGE) : 1n });
    });

    it("how many they are, where there is no room", () => {
      const words = new BigUint64Array(2);
      expect(ask(words.subarray(0, 0))).toEqual(["EMSGSIZE", 1]);
      expect(words).toEqual(new BigUint64Array(2));
    });

    it("around what is reserved", () => {
      addReserved(iommufd, ioas, PAGE, PAGE);
      // The page is below the mock's aperture anyhow.
      const ranges = attached
        ? [everything]
        : [
            { start: 0n, last: BigInt(PAGE - 1) },
            { start: BigInt(2 * PAGE), last: ULONG_MAX },
          ];
      expect(ioas.ranges().ranges).toEqual(ranges);
      const words = new BigUint64Array(4);
      expect(ask(words.subarray(0, 2))).toEqual(attached ? [0, 1] : ["EMSGSIZE", 2]);
      expect([...words]).toEqual([ranges[0]?.start, ranges[0]?.last, 0n, 0n]);
    });

    it("however many", () => {
      for (let i = 1; i <= 40; i++) addReserved(iommufd, ioas, at(base, 2 * i), PAGE);
      const { ranges } = ioas.ranges();
      expect(ranges).toHaveLength(41);
      expect(ranges[0]).toEqual({ start: base, last: at(base, 2) - 1n });
      expect(ranges[40]).toEqual({ start: at(base, 81), last: everything.last });
    });

    it("and keeps allowed ones free of reserved ones, and the other way round", () => {
      const allowed = { start: base, last: at(base, 600) };
      const reserve = () => addReserved(iommufd, ioas, at(base, 1), PAGE);
      ioas.allow([allowed]);
      expect(code(reserve)).toBe("EADDRINUSE");
      ioas.allow([]);
      reserve();
      expect(code(() => ioas.allow([allowed]))).toBe("EADDRINUSE");
    });

    it("takes no allowed range that is empty or overlaps another", () => {
      const range = (from: number, to: number) => ({ start: at(base, from), last: at(base, to) - 1n });
      expect(code(() => ioas.allow([{ start: base, last: base }]))).toBe("EINVAL");
      expect(code(() => ioas.allow([{ start: at(base, 1), last: base }]))).toBe("EINVAL");
      expect(code(() => ioas.allow([range(0, 4), range(3, 8)]))).toBe("EINVAL");
      ioas.allow([range(4, 8), range(0, 4)]);
    });
  });

  describe("shares pages", () => {
    it("within itself and with another", () => {
      map(PAGE, base);
      expect(ioas.copy(ioas, base, PAGE, { iova: at(base, 1), read: false })).toBe(at(base, 1));
      using other = iommufd.allocIoas();
      expect(other.copy(ioas, base, PAGE, { iova: 0n, read: false })).toBe(0n);
      expectMapped(at(base, 1), PAGE, buffer.address);
      if (attached) expect(pinnedTimes(iommufd, buffer.address, PAGE, 1)).toBe(true);
      ioas.unmapAll();
      // The other has no device: what it maps is there, but is not pinned any more.
      expect(pinnedTimes(iommufd, buffer.address, PAGE, 0)).toBe(true);
    });

    it("by any part that is mapped, and by no other", () => {
      using other = iommufd.allocIoas();
      // Without a device a mapping need not end with a page.
      const last = APERTURE_START + BigInt(SIZE) - (attached ? 1n : 2n);
      map(Number(last - APERTURE_START) + 1, APERTURE_START);
      for (let from = APERTURE_START - BigInt(PAGE); from <= last; from += 511n) {
        const copied = outcome(
          native.iommufdIoasCopy(iommufd.fd, 3, other.id, ioas.id, APERTURE_START, from, MOCK_PAGE),
        );
        if (from < APERTURE_START || from + BigInt(MOCK_PAGE) - 1n > last) {
          expect(copied).toBe("ENOENT");
        } else {
          expect(copied).toBe(Number(APERTURE_START));
          other.unmap(APERTURE_START, MOCK_PAGE);
        }
      }
    });

    it("without more rights than the first had", () => {
      ioas.map(buffer.address, PAGE, { iova: base, write: false });
      expect(code(() => ioas.copy(ioas, base, PAGE, { iova: at(base, 1) }))).toBe("EPERM");
      ioas.copy(ioas, base, PAGE, { iova: at(base, 1), write: false });
    });
  });

  describe("has options", () => {
    it("huge pages: on and off", () => {
      expect(ioas.hugePages).toBe(true);
      ioas.hugePages = false;
      expect(ioas.hugePages).toBe(false);
      const set = native.iommufdOption(iommufd.fd, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_SET, ioas.id, 2);
      expect(outcome(set)).toBe("EINVAL");
      ioas.hugePages = true;
      expect(ioas.hugePages).toBe(true);
    });

    it("huge pages: not while a device has pages mapped", () => {
      map(PAGE, APERTURE_START);
      const off = () => {
        ioas.hugePages = false;
      };
      if (attached) {
        expect(code(off)).toBe("EINVAL");
        return;
      }
      off();
      // Now everything is aligned to CPU pages: the memory, and what was mapped before.
      const misaligned = () => ioas.map(buffer.address + MOCK_PAGE, PAGE, { iova: at(APERTURE_START, 1) });
      expect(code(misaligned)).toBe("EINVAL");
      ioas.hugePages = true;
      misaligned();
      expect(code(off)).toBe("EADDRINUSE");
    });
  });

  describe("is what a device works with", () => {
    /** Reads and writes around a page's end, at every offset and length, then all of it. */
    const exercise = (access: MockAccess, iova: bigint, slow: boolean) => {
      crypto.getRandomValues(buffer.bytes);
      const scratch = new Uint8Array(32);
      for (let offset = PAGE - 50; offset < PAGE + 50; offset++) {
        for (let length = 1; length < 32; length++) {
          const there = Buffer.from(buffer.bytes.buffer, offset, length);
          const device = scratch.subarray(0, length);
          access.simulateDma(iova + BigInt(offset), device, { slow });
          if (there.compare(device) !== 0) expect(device).toEqual(new Uint8Array(there));
          for (let i = 0; i < length; i++) device[i] = (offset * 31 + length * 7 + i) & 0xff;
          access.simulateDma(iova + BigInt(offset), device, { write: true, slow });
          if (there.compare(device) !== 0) expect(new Uint8Array(there)).toEqual(device);
        }
      }
      const whole = new Uint8Array(SIZE);
      access.simulateDma(iova, whole, { slow });
      expect(Buffer.compare(whole, buffer.bytes)).toBe(0);
    };

    it("the device reads what the program wrote, and the program what the device wrote", () => {
      const iova = map(SIZE);
      using access = MockAccess.create(iommufd, ioas);
      exercise(access, iova, false);
      exercise(access, iova, true);
    });

    it("also when IO pages and CPU pages do not begin together", () => {
      const iova = map(SIZE, base + BigInt(MOCK_PAGE));
      using access = MockAccess.create(iommufd, ioas);
      exercise(access, iova, false);
    });

    it("also by file", () => {
      const iova = ioas.mapFile(fileFd(), 0, SIZE);
      using access = MockAccess.create(iommufd, ioas);
      file.bytes.fill(0x5a);
      const seen = new Uint8Array(SIZE);
      access.simulateDma(iova, seen);
      expect(seen.every((byte) => byte === 0x5a)).toBe(true);
      access.simulateDma(iova, seen.fill(0xa5), { write: true });
      expect(file.bytes.every((byte) => byte === 0xa5)).toBe(true);
    });

    it("a device sees nothing that is not mapped, and writes nothing that is not writeable", () => {
      using access = MockAccess.create(iommufd, ioas);
      ioas.map(buffer.address, PAGE, { iova: base, write: false });
      const bytes = new Uint8Array(16);
      access.simulateDma(base, bytes);
      expect(code(() => access.simulateDma(base, bytes, { write: true }))).toBe("EPERM");
      expect(code(() => access.simulateDma(at(base, 1), bytes))).toBe("ENOENT");
      expect(code(() => access.simulateDma(at(base, 1) - 8n, bytes))).toBe("ENOENT");
      ioas.unmap(base, PAGE);
      expect(code(() => access.simulateDma(base, bytes))).toBe("ENOENT");
    });

    it("pages that a driver pinned are the program's, with devices coming and going", () => {
      using access = MockAccess.create(iommufd, ioas, { pins: true });
      for (let pages = 1; pages < PAGES; pages++) {
        map(SIZE, APERTURE_START);
        const pin = () => access.pin(APERTURE_START, pages * PAGE, buffer.address);
        access.unpin(pin());
        const [first, second] = [pin(), pin()];
        access.unpin(second);
        access.unpin(first);
        const held = pin();
        {
          using late = MockDevice.attach(iommufd, ioas);
          expect(late.maps(APERTURE_START, SIZE, buffer.address)).toBe(true);
        }
        access.unpin(held);
        ioas.unmap(APERTURE_START, SIZE);
      }
    });

    it("an unmap takes pinned pages back", () => {
      using access = MockAccess.create(iommufd, ioas, { pins: true });
      map(SIZE, APERTURE_START);
      const pin = access.pin(APERTURE_START, SIZE, buffer.address);
      expect(ioas.unmap(APERTURE_START, SIZE)).toBe(SIZE);
      expect(code(() => access.unpin(pin))).toBe("ENOENT");
    });

    it("a device that leaves while a driver holds a part of a huge page", () => {
      using huge = DmaBuffer.allocate(4 * MiB, { pages: "2M" });
      ioas.map(huge.address, huge.length, { iova: base });
      using access = MockAccess.create(iommufd, ioas, { pins: true });
      const pin = access.pin(at(base, 1), PAGE, huge.address + PAGE);
      for (const device of devices) device.destroy();
      access.unpin(pin);
    });
  });

  // The other variants would show nothing more, and a process takes its time to start.
  if (count < 2 && batch === undefined)
    describe("takes memory of another process", () => {
      it("that is still there", async () => {
        await using agent = await Agent.start({ fds: [iommufd.fd], ipcLock: true });
        const memory = await agent.allocate(SIZE, { backing: "anonymous" });
        await memory.fill(0x77);
        const mapped = await agent.call(
          "iommufdIoasMap",
          agent.fd(0),
          READ_WRITE_FIXED,
          ioas.id,
          memory.address,
          APERTURE_START,
          SIZE,
        );
        expect(BigInt(mapped)).toBe(APERTURE_START);
        using late = MockDevice.attach(iommufd, ioas);
        using access = MockAccess.create(iommufd, ioas);
        const seen = new Uint8Array(SIZE);
        access.simulateDma(APERTURE_START, seen);
        expect(seen.every((byte) => byte === 0x77)).toBe(true);
        late.destroy();
      });

      it("that is gone: pages that a device has stay, others cannot be had any more", async () => {
        {
          await using agent = await Agent.start({ fds: [iommufd.fd], ipcLock: true });
          const memory = await agent.allocate(SIZE, { backing: "anonymous" });
          await memory.fill(0x78);
          await agent.call(
            "iommufdIoasMap",
            agent.fd(0),
            READ_WRITE_FIXED,
            ioas.id,
            memory.address,
            APERTURE_START,
            SIZE,
          );
        }
        if (!attached) {
          expect(code(() => MockDevice.attach(iommufd, ioas))).toBe("EFAULT");
          return;
        }
        using _late = MockDevice.attach(iommufd, ioas);
        using access = MockAccess.create(iommufd, ioas);
        const seen = new Uint8Array(SIZE);
        access.simulateDma(APERTURE_START, seen);
        expect(seen.every((byte) => byte === 0x78)).toBe(true);
      });
    });

  describe("takes a dma-buf", () => {
    it("whole or in part, and not beyond its end", () => {
      using dmaBuf = MockDmaBuf.create(iommufd, 4 * PAGE);
      expect(code(() => ioas.mapFile(dmaBuf.fd, 0, 0))).toBe("EINVAL");
      expect(code(() => ioas.mapFile(dmaBuf.fd, 4 * PAGE, 4 * PAGE))).toBe("EINVAL");
      expect(code(() => ioas.mapFile(dmaBuf.fd, 0, 4 * PAGE + 1))).toBe("EINVAL");
      const iova = ioas.mapFile(dmaBuf.fd, 0, 4 * PAGE);
      expect(ioas.unmap(iova, 4 * PAGE)).toBe(4 * PAGE);
    });

    it("until its exporter revokes it, and again when it offers it again", () => {
      using dmaBuf = MockDmaBuf.create(iommufd, 4 * PAGE);
      const iova = ioas.mapFile(dmaBuf.fd, 0, 4 * PAGE);
      dmaBuf.setRevoked(true);
      expect(code(() => ioas.mapFile(dmaBuf.fd, 0, 4 * PAGE))).toBe("ENODEV");
      dmaBuf.setRevoked(false);
      ioas.mapFile(dmaBuf.fd, 0, 4 * PAGE);
      // The first mapping kept its place, and can be made anew there.
      expect(ioas.unmap(iova, 4 * PAGE)).toBe(4 * PAGE);
      expect(ioas.mapFile(dmaBuf.fd, 0, 4 * PAGE, { iova })).toBe(iova);
    });
  });
});

describe.each([
  { variant: "one device", devices: 1, huge: false },
  { variant: "two devices", devices: 2, huge: false },
  { variant: "one device, huge pages", devices: 1, huge: true },
  { variant: "two devices, huge pages", devices: 2, huge: true },
])("what $variant can reach", ({ devices: count, huge }) => {
  let ioas: Ioas;
  let devices: MockDevice[];
  const pages = huge ? "2M" : "normal";
  const length = huge ? 4 * MiB : 8 * PAGE;

  beforeEach(() => {
    ioas = iommufd.allocIoas();
    devices = Array.from({ length: count }, () => MockDevice.attach(iommufd, ioas));
  });

  const reaches = (iova: bigint, size: number, address: number) =>
    devices.every((device) => device.maps(iova, size, address));

  it("is the memory that was mapped by address", () => {
    using memory = DmaBuffer.allocate(length, { backing: "anonymous", pages });
    const iova = ioas.map(memory.address, length);
    expect(reaches(iova, length, memory.address)).toBe(true);
    expect(reaches(iova, PAGE, buffer.address)).toBe(false);
    ioas.unmap(iova, length);
    expect(reaches(iova, PAGE, memory.address)).toBe(false);
  });

  it("is the memory that was mapped by file", () => {
    using memory = DmaBuffer.allocate(length, { pages });
    const iova = ioas.mapFile(memory.backing()?.fd ?? -1, 0, length);
    expect(reaches(iova, length, memory.address)).toBe(true);
    ioas.unmap(iova, length);
  });

  it("is nothing of memory that is not all there", () => {
    using memory = DmaBuffer.fromFd(cuttable(length, pages), { trustHolders: true });
    const fd = memory.backing()?.fd ?? -1;
    expect(code(() => ioas.mapFile(fd, 0, length + 1))).toBe("EINVAL");
    // Without its second half, then without anything.
    expect(native.ftruncate(fd, length / 2)).toBe(0);
    expect(code(() => ioas.map(memory.address, length))).toBe("EFAULT");
    expect(code(() => ioas.mapFile(fd, 0, length))).toBe("EINVAL");
    expect(native.ftruncate(fd, 0)).toBe(0);
    expect(code(() => ioas.map(memory.address, length))).toBe("EFAULT");
    expect(code(() => ioas.mapFile(fd, 0, length))).toBe("EINVAL");
    expect(code(() => ioas.map(NOWHERE, PAGE))).toBe("EFAULT");
    expect(ioas.unmapAll()).toBe(0);
  });

  it("stays the page that the program sees when it writes to a file's private page", () => {
    file.bytes.fill(0x11);
    using memory = Memory.private(fileFd(), PAGE);
    const iova = ioas.map(memory.address, PAGE, { write: false });
    expect(reaches(iova, PAGE, memory.address)).toBe(true);
    memory.bytes.fill(0x22);
    expect(reaches(iova, PAGE, memory.address)).toBe(true);
    expect(file.bytes[0]).toBe(0x11);
    ioas.unmap(iova, PAGE);
  });

  it.each(["address", "file"] as const)("is any part of it, by %s, pinned once and given back", (by) => {
    using memory = DmaBuffer.allocate(length, { pages });
    memory.bytes.fill(1);
    const fd = memory.backing()?.fd ?? -1;
    const step = huge ? length / 16 : MOCK_PAGE;
    for (let start = 0; start < length; start += step) {
      for (let end = huge ? length : start + step; end <= length; end += step) {
        const size = end - start;
        const iova = by === "file" ? ioas.mapFile(fd, start, size) : ioas.map(memory.address + start, size);
        const firstPage = Math.floor(start / PAGE) * PAGE;
        {
          // One device more for a moment: it gets the pages from the others.
          using late = MockDevice.attach(iommufd, ioas);
          expect(late.maps(iova, size, memory.address + start)).toBe(true);
        }
        const right =
          reaches(iova, size, memory.address + start) &&
          pinnedTimes(iommufd, memory.address + firstPage, Math.floor(end / PAGE) * PAGE - firstPage, 1);
        expect(right).toBe(true);
        ioas.unmap(iova, size);
      }
    }
    expect(pinnedTimes(iommufd, memory.address, length, 0)).toBe(true);
  });

  it("is what another address space, without a device, has pinned", () => {
    const source = iommufd.allocIoas();
    let from = source.map(buffer.address, SIZE);
    using access = MockAccess.create(iommufd, source, { pins: true });
    access.pin(from, SIZE, buffer.address);
    ioas.copy(source, from, SIZE, { iova: APERTURE_START, read: false });
    expect(reaches(APERTURE_START, SIZE, buffer.address)).toBe(true);

    // The driver moves on to a second address space: the first can end.
    using second = iommufd.allocIoas();
    from = second.map(buffer.address, SIZE);
    access.replace(second);
    ioas.unmap(APERTURE_START, SIZE);
    source.destroy();
    const pin = access.pin(from, SIZE, buffer.address);
    ioas.copy(second, from, SIZE, { iova: APERTURE_START, read: false });
    expect(reaches(APERTURE_START, SIZE, buffer.address)).toBe(true);
    access.unpin(pin);
    access[Symbol.dispose]();
  });

  it("moves with it to another address space, and its page table ends when it was the only one there", () => {
    const [device, other] = devices;
    if (device === undefined) throw new Error("no device");
    using elsewhere = iommufd.allocIoas();
    device.replace(elsewhere);
    if (other === undefined) {
      expect(code(() => device.replace(device.hwptId))).toBe("ENOENT");
    } else {
      device.replace(other.hwptId);
    }
    device.replace(elsewhere);
    device.replace(elsewhere);
    expect(code(() => elsewhere.destroy())).toBe("EBUSY");
    device.replace(ioas);
  });
});

describe("what is pinned", () => {
  const accounted = (locked: number, pinned: number) => ({ locked: locked * PAGE, pinned: pinned * PAGE });
  const mine = () => {
    const { locked, pinned } = lockedMemory();
    return { locked, pinned };
  };

  describe.each([
    { accounting: "none", ipcLock: true },
    { accounting: "user", ipcLock: false },
    { accounting: "process", ipcLock: false },
  ] as const)("with accounting $accounting", ({ accounting, ipcLock }) => {
    it("counts for the process that mapped it, until another takes it over", async () => {
      // CAP_IPC_LOCK at the time of the map means: accounted to nobody.
      if (accounting !== "none") iommufd.accounting = accounting;
      const ioas = iommufd.allocIoas();
      using _device = MockDevice.attach(iommufd, ioas);
      await using first = await Agent.start({ fds: [iommufd.fd], ipcLock });
      await using second = await Agent.start({ fds: [iommufd.fd], ipcLock });
      const fd = first.fd(0);
      const change = async (agent: Agent) => outcome(await agent.call("iommufdIoasChangeProcess", fd));

      // By address it belongs to that process's memory for good.
      const anonymous = await first.allocate(PAGE, { backing: "anonymous" });
      await first.call("iommufdIoasMap", fd, READ_WRITE_FIXED, ioas.id, anonymous.address, APERTURE_START, PAGE);
      expect(await change(first)).toBe("EINVAL");
      expect(refusal(() => iommufd.changeProcess())).toMatchObject({ code: "EINVAL", why: /by address/ });
      await first.call("iommufdIoasUnmap", fd, ioas.id, APERTURE_START, PAGE);

      const memory = await first.allocate(PAGE);
      await first.call("iommufdIoasMapFile", fd, READ_WRITE_FIXED, ioas.id, memory.fd, 0, APERTURE_START, PAGE);
      expect(await change(first)).toBe(0);
      const owner = accounted(accounting === "process" ? 1 : 0, 1);
      expect(await first.accounted()).toEqual(owner);
      expect(await second.accounted()).toEqual(accounted(0, 0));

      expect(await change(second)).toBe(0);
      // What nobody is charged for does not move either: VmPin stays where it was counted (Linux 7.3).
      const moves = accounting !== "none";
      expect(await first.accounted()).toEqual(moves ? accounted(0, 0) : owner);
      expect(await second.accounted()).toEqual(moves ? owner : accounted(0, 0));

      expect(await second.call("iommufdIoasUnmap", fd, ioas.id, APERTURE_START, PAGE)).toBe(PAGE);
      if (moves) expect(await second.accounted()).toEqual(accounted(0, 0));
    });
  });

  it("counts twice for a user while it changes hands, and is not touched when that is too much", async () => {
    const { limit } = lockedMemory();
    const ioas = iommufd.allocIoas();
    using _device = MockDevice.attach(iommufd, ioas);
    await using agent = await Agent.start({ fds: [iommufd.fd] });
    const fd = agent.fd(0);
    const memory = await agent.allocate(SIZE);
    await agent.call("iommufdIoasMapFile", fd, READ_WRITE_FIXED, ioas.id, memory.fd, 0, APERTURE_START, SIZE);
    setMemlock(process.pid, SIZE + SIZE / 2);
    try {
      expect(refusal(() => iommufd.changeProcess())).toMatchObject({
        code: "ENOMEM",
        why: /counts twice/,
        fix: /ulimit -l/,
      });
    } finally {
      setMemlock(process.pid, limit);
    }
    expect(await agent.accounted()).toEqual(accounted(0, PAGES));
    expect(mine()).toEqual(accounted(0, 0));
    iommufd.changeProcess();
    expect(await agent.accounted()).toEqual(accounted(0, 0));
    expect(mine()).toEqual(accounted(0, PAGES));
    ioas.unmapAll();
    expect(mine()).toEqual(accounted(0, 0));
  });

  it("counts nothing for an iommufd in which nothing is mapped: the probe for whether the kernel can", () => {
    iommufd.changeProcess();
    using ioas = iommufd.allocIoas();
    iommufd.changeProcess();
    ioas.mapFile(fileFd(), 0, SIZE);
    iommufd.changeProcess();
    expect(mine()).toEqual(accounted(0, 0));
  });
});
