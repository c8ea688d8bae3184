/**
 * An iommufd as a legacy container, without any device: the mock's takes its place. The assertions of the kernel's own
 * test (the compatibility part of tools/testing/selftests/iommu/iommufd.c, Linux 7.3), in our words.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Ioas, Iommufd } from "../../lib/iommufd/iommufd.js";
import { type Capability, walkCapabilities } from "../../lib/kernel/caps.js";
import { native } from "../../lib/kernel/native.js";
import * as uapi from "../../lib/kernel/uapi.js";
import { DmaBuffer } from "../../lib/memory/dma-buffer.js";
import { Memory, MiB, PAGE } from "./memory.js";
import { APERTURE_LAST, APERTURE_START, MockAccess, MockDevice, MockQueue, pinnedTimes } from "./mock-iommu.js";
import { outcome } from "./outcome.js";
import { resources } from "./resources.mjs";

const PAGES = 16;
const SIZE = PAGES * PAGE;
const READ_WRITE = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE;
const ALL = uapi.VFIO_DMA_UNMAP_FLAG_ALL;
const UNKNOWN_FLAG = 0x8000_0000;

const VFIO_IOMMU_GET_INFO = 0x3b70;
const VFIO_IOMMU_MAP_DMA = 0x3b71;
const VFIO_IOMMU_UNMAP_DMA = 0x3b72;

/** 0 to 15 in an order that has nothing to do with theirs. */
const shuffled = Array.from({ length: PAGES }, (_, i) => (i * 7 + 3) % PAGES);

const at = (pages: number): bigint => APERTURE_START + BigInt(pages * PAGE);

let iommufd: Iommufd;
let buffer: Memory;
let before: ReturnType<typeof resources>;

const map = (iova: bigint, size: number, vaddr = buffer.address, flags = READ_WRITE) =>
  outcome(native.vfioIommuMapDma(iommufd.fd, flags, vaddr, iova, size));
const unmap = (iova: bigint, size: number, flags = 0) =>
  outcome(native.vfioIommuUnmapDma(iommufd.fd, flags, iova, size));
const setIommu = (type: number) => outcome(native.vfioSetIommu(iommufd.fd, type));
const extension = (number: number) => outcome(native.vfioCheckExtension(iommufd.fd, number));

beforeAll(() => {
  buffer = Memory.anonymous(SIZE);
  buffer.bytes.fill(1);
});

afterAll(() => {
  buffer[Symbol.dispose]();
});

beforeEach(() => {
  before = resources();
  iommufd = Iommufd.open();
});

afterEach(() => {
  iommufd.close();
  using probe = Iommufd.open();
  expect(pinnedTimes(probe, buffer.address, SIZE, 0)).toBe(true);
  probe.close();
  expect(resources()).toEqual(before);
});

describe("a container that has no address space yet", () => {
  it("says what it is", () => {
    expect(native.vfioGetApiVersion(iommufd.fd)).toBe(uapi.VFIO_API_VERSION);
    expect(extension(uapi.VFIO_TYPE1_IOMMU)).toBe(1);
    expect(extension(uapi.VFIO_TYPE1v2_IOMMU)).toBe(1);
    expect(extension(uapi.VFIO_UNMAP_ALL)).toBe(1);
    expect(extension(uapi.VFIO_UPDATE_VADDR)).toBe(0);
    expect(extension(12345)).toBe(0);
  });

  it("refuses a type, known or not", () => {
    expect(setIommu(uapi.VFIO_TYPE1_IOMMU)).toBe("ENODEV");
    expect(setIommu(uapi.VFIO_TYPE1v2_IOMMU)).toBe("ENODEV");
    expect(setIommu(12345)).toBe("EINVAL");
  });

  it("looks at the form of a request before it looks for its address space", () => {
    const short = new Uint32Array([1, 0, 0, 0, 0, 0, 0, 0]);
    for (const request of [VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA]) {
      expect(outcome(native.ioctl(iommufd.fd, request, short))).toBe("EINVAL");
      expect(outcome(native.ioctl(iommufd.fd, request))).toBe("EFAULT");
    }
    expect(map(APERTURE_START, PAGE, buffer.address, UNKNOWN_FLAG)).toBe("EINVAL");
    expect(unmap(APERTURE_START, PAGE, UNKNOWN_FLAG)).toBe("EINVAL");

    expect(map(APERTURE_START, PAGE)).toBe("ENODEV");
    expect(unmap(APERTURE_START, PAGE)).toBe("ENODEV");
    expect(unmap(0n, 0, ALL)).toBe("ENODEV");
    expect(native.vfioIommuGetInfo(iommufd.fd, 24)).toBe(-19);
  });

  it("is one as soon as it has an address space", () => {
    using ioas = iommufd.allocIoas();
    iommufd.compatIoas = ioas.id;
    expect(setIommu(uapi.VFIO_TYPE1v2_IOMMU)).toBe(0);
    expect(map(0n, PAGE)).toBe(0);
    iommufd.compatIoas = undefined;
    expect(map(at(1), PAGE)).toBe("ENODEV");
    // The address space did not go away with the name.
    expect(ioas.unmap(0, PAGE)).toBe(PAGE);
  });
});

describe.each([
  { version: "TYPE1", type: uapi.VFIO_TYPE1_IOMMU },
  { version: "TYPE1v2", type: uapi.VFIO_TYPE1v2_IOMMU },
])("a container as $version", ({ type }) => {
  const splits = type === uapi.VFIO_TYPE1_IOMMU;
  let ioas: Ioas;
  let device: MockDevice;

  beforeEach(() => {
    ioas = iommufd.allocIoas();
    device = MockDevice.attach(iommufd, ioas);
    iommufd.compatIoas = ioas.id;
    expect(setIommu(type)).toBe(0);
  });

  it("closes", () => {
    map(APERTURE_START, SIZE);
  });

  it("uses huge pages only where it need not split them", () => {
    expect(ioas.hugePages).toBe(!splits);
  });

  it("may be told its type again, but splits for ever once it did", () => {
    expect(setIommu(type)).toBe(0);
    expect(setIommu(uapi.VFIO_TYPE1v2_IOMMU)).toBe(0);
    expect(ioas.hugePages).toBe(!splits);
    expect(map(APERTURE_START, PAGE)).toBe(0);
    // Not with pages mapped: they may be huge already.
    expect(setIommu(uapi.VFIO_TYPE1_IOMMU)).toBe(splits ? 0 : "EINVAL");
  });

  describe("tells of itself", () => {
    // The fixed part as it was before capabilities, and with them.
    const OLD = 16;
    const FIXED = 24;

    /** The answer to a caller who has room for so much; what is behind is filled, and must stay as it is. */
    const ask = (argsz: number) => {
      const bytes = new Uint8Array(PAGE).fill(0xaa);
      const view = new DataView(bytes.buffer);
      bytes.fill(0, 0, Math.max(argsz, OLD));
      view.setUint32(0, argsz, true);
      expect(outcome(native.ioctl(iommufd.fd, VFIO_IOMMU_GET_INFO, bytes))).toBe(0);
      expect(bytes.subarray(argsz).every((byte) => byte === 0xaa)).toBe(true);
      return {
        bytes: bytes.subarray(0, argsz),
        argsz: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        pageSizes: view.getBigUint64(8, true),
        capOffset: argsz < FIXED ? 0 : view.getUint32(16, true),
      };
    };

    const flags = uapi.VFIO_IOMMU_INFO_PGSIZES | uapi.VFIO_IOMMU_INFO_CAPS;

    it("to programs older than capabilities", () => {
      const info = ask(OLD);
      expect(info.flags).toBe(flags);
      // At least pages of the CPU, and nothing smaller although the mock has it.
      expect(info.pageSizes & -info.pageSizes).toBe(BigInt(PAGE));
    });

    it("to programs that ask how much there is", () => {
      const info = ask(FIXED);
      expect(info).toMatchObject({ flags, capOffset: 0 });
      expect(info.argsz).toBeGreaterThan(FIXED);
    });

    it("nothing to programs that have no room", () => {
      const bytes = new Uint8Array(PAGE);
      bytes[0] = OLD - 1;
      expect(outcome(native.ioctl(iommufd.fd, VFIO_IOMMU_GET_INFO, bytes))).toBe("EINVAL");
      expect(native.vfioIommuGetInfo(iommufd.fd, FIXED - 1)).toBe(-22);
    });

    const describeCapability = ({ id, version, bytes }: Capability) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (id === uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) return { id, version, available: view.getUint32(8, true) };
      const ranges = Array.from({ length: view.getUint32(8, true) }, (_, i) => ({
        start: view.getBigUint64(16 + 16 * i, true),
        last: view.getBigUint64(24 + 16 * i, true),
      }));
      return { id, version, ranges };
    };

    it("never a broken chain, whatever the room", () => {
      const whole = ask(FIXED).argsz;
      const complete = [
        // No limit of entries: there is none in iommufd.
        { id: uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, version: 1, available: 0xffff_ffff },
        {
          id: uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
          version: 1,
          ranges: [{ start: APERTURE_START, last: APERTURE_LAST }],
        },
      ];
      for (let argsz = FIXED; argsz <= whole + 8; argsz++) {
        const info = ask(argsz);
        expect(info).toMatchObject({ argsz: whole, flags });
        const capabilities = [...walkCapabilities(info.bytes, info.capOffset)].map(describeCapability);
        expect(capabilities).toEqual(argsz < whole ? [] : complete);
      }
      const info = native.vfioIommuGetInfo(iommufd.fd, whole);
      if (typeof info === "number") throw new Error(`${outcome(info)}`);
      expect([...walkCapabilities(info.bytes, info.capOffset)].map(describeCapability)).toEqual(complete);
    });
  });

  describe("maps and unmaps", () => {
    it("a range, and nothing without complaint", () => {
      expect(unmap(APERTURE_START, SIZE)).toBe(0);
      expect(map(APERTURE_START, SIZE)).toBe(0);
      expect(device.maps(APERTURE_START, SIZE, buffer.address)).toBe(true);
      expect(map(at(3), PAGE)).toBe("EEXIST");
      expect(unmap(APERTURE_START, SIZE)).toBe(SIZE);
      expect(device.maps(APERTURE_START, PAGE, buffer.address)).toBe(false);
      expect(unmap(APERTURE_START, SIZE)).toBe(0);
    });

    it("everything, asked for exactly so", () => {
      expect(unmap(0n, 0, ALL)).toBe(0);
      map(APERTURE_START, SIZE);
      expect(unmap(APERTURE_START, SIZE, ALL)).toBe("EINVAL");
      expect(unmap(APERTURE_START, 0, ALL)).toBe("EINVAL");
      expect(unmap(0n, SIZE, ALL)).toBe("EINVAL");
      expect(unmap(0n, 0, ALL)).toBe(SIZE);
      expect(unmap(0n, 0)).toBe("EINVAL");
    });

    it("single pages, in any order", () => {
      for (let i = 0; i < PAGES; i++) expect(map(at(i), PAGE, buffer.address + i * PAGE)).toBe(0);
      expect(device.maps(APERTURE_START, SIZE, buffer.address)).toBe(true);
      for (const page of shuffled) expect(unmap(at(page), PAGE)).toBe(PAGE);
    });

    it("single pages with one request", () => {
      for (let i = 0; i < PAGES; i++) map(at(i), PAGE);
      expect(unmap(at(0), SIZE)).toBe(SIZE);
    });

    it.each(["2M", "normal"] as const)(`${splits ? "parts" : "no part"} of a mapping (pages: %s)`, (pages) => {
      using memory = DmaBuffer.allocate(4 * MiB, { pages });
      expect(map(APERTURE_START, memory.length, memory.address)).toBe(0);
      const part = memory.length / PAGES;
      for (const i of shuffled) {
        const iova = APERTURE_START + BigInt(i * part);
        expect(unmap(iova, part)).toBe(splits ? part : "ENOENT");
        expect(device.maps(iova, part, memory.address + i * part)).toBe(!splits);
      }
      expect(unmap(0n, 0, ALL)).toBe(splits ? 0 : memory.length);
    });

    it("what a split leaves is what the device goes on with", () => {
      map(APERTURE_START, SIZE);
      using access = MockAccess.create(iommufd, ioas);
      const reaches = (page: number) => {
        try {
          access.simulateDma(at(page), new Uint8Array(PAGE));
          return true;
        } catch {
          return false;
        }
      };
      expect(unmap(at(4), 8 * PAGE)).toBe(splits ? 8 * PAGE : "ENOENT");
      const rest = Array.from({ length: PAGES }, (_, page) => !splits || page < 4 || page >= 12);
      expect(Array.from({ length: PAGES }, (_, page) => reaches(page))).toEqual(rest);
      for (const page of [0, 15]) expect(device.maps(at(page), PAGE, buffer.address + page * PAGE)).toBe(true);
      // What has gone can be mapped again; the two pieces that are left go together.
      if (splits) expect(map(at(4), 8 * PAGE)).toBe(0);
      expect(unmap(APERTURE_START, SIZE)).toBe(SIZE);
    });

    it("nothing that hardware has a queue in", () => {
      map(APERTURE_START, 4 * PAGE);
      {
        using _queue = new MockQueue(device, ioas, APERTURE_START, PAGE);
        expect(unmap(APERTURE_START, 4 * PAGE)).toBe("EBUSY");
        expect(unmap(0n, 0, ALL)).toBe("EBUSY");
      }
      expect(unmap(APERTURE_START, 4 * PAGE)).toBe(4 * PAGE);
    });

    it("writes back what a cut range removed, where it cannot split", () => {
      for (let i = 0; i < 3; i++) map(at(4 * i), 4 * PAGE);
      const request = new BigUint64Array([24n, APERTURE_START, BigInt(10 * PAGE)]);
      const status = outcome(native.ioctl(iommufd.fd, VFIO_IOMMU_UNMAP_DMA, request));
      expect(status).toBe(splits ? 0 : "ENOENT");
      expect(request[2]).toBe(BigInt((splits ? 10 : 8) * PAGE));
      expect(unmap(0n, 0, ALL)).toBe((splits ? 2 : 4) * PAGE);
    });
  });

  describe("knows nothing of", () => {
    it("addresses that change", () => {
      map(APERTURE_START, SIZE);
      expect(map(APERTURE_START, SIZE, buffer.address, uapi.VFIO_DMA_MAP_FLAG_VADDR)).toBe("EINVAL");
      expect(unmap(APERTURE_START, SIZE, uapi.VFIO_DMA_UNMAP_FLAG_VADDR)).toBe("EINVAL");
      expect(unmap(0n, 0, uapi.VFIO_DMA_UNMAP_FLAG_VADDR | ALL)).toBe("EINVAL");
    });

    it("dirty pages", () => {
      map(APERTURE_START, SIZE);
      const bitmap = new BigUint64Array(1);
      for (const flag of [uapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_START, uapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP]) {
        expect(outcome(native.vfioIommuDirtyPages(iommufd.fd, flag))).toBe("ENOTTY");
      }
      expect(outcome(native.vfioIommuDirtyPagesGet(iommufd.fd, APERTURE_START, SIZE, PAGE, bitmap))).toBe("ENOTTY");
      expect(outcome(native.vfioIommuUnmapDmaDirty(iommufd.fd, APERTURE_START, SIZE, PAGE, bitmap))).toBe("EINVAL");
    });
  });
});
