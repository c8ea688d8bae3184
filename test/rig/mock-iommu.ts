/**
 * The kernel's mock IOMMU, from user space: devices that exist only inside iommufd, so that every rule of an address
 * space can be held to account without hardware, and a device's reads and writes can be simulated.
 *
 * It is there when the kernel was built with CONFIG_IOMMUFD_TEST. Its one request has no exported header; numbers and
 * layout are facts from the kernel's drivers/iommu/iommufd/iommufd_test.h (Linux 7.3).
 *
 * ```text
 *  0      4    8    12         16                                     64     68
 *  | size | op | id | reserved | the operation's own arguments        | last |  (72 with the padding)
 * ```
 *
 * @module
 */
import { readdirSync, readlinkSync } from "node:fs";
import { VfioError } from "../../lib/base/errors.js";
import type { Ioas, Iommufd } from "../../lib/iommufd/iommufd.js";
import { OwnedFd } from "../../lib/kernel/fd.js";
import { native } from "../../lib/kernel/native.js";
import { DmaBuffer } from "../../lib/memory/dma-buffer.js";

/** The addresses that a mock device can reach, and the size of its pages: half a CPU page, so that alignment bugs show. */
export const APERTURE_START = 1n << 24n;
export const APERTURE_LAST = (1n << 31n) - 1n;
export const MOCK_PAGE = 2048;

// _IO(';', 0xa0): the iommufd's type, and its first number (0x80) plus 32.
const IOMMU_TEST_CMD = 0x3ba0;
const CMD_SIZE = 72;

const OP_ADD_RESERVED = 1;
const OP_MD_CHECK_MAP = 3;
const OP_MD_CHECK_REFS = 4;
const OP_CREATE_ACCESS = 5;
const OP_DESTROY_ACCESS_PAGES = 6;
const OP_ACCESS_PAGES = 7;
const OP_ACCESS_RW = 8;
const OP_SET_TEMP_MEMORY_LIMIT = 9;
const OP_MOCK_DOMAIN_REPLACE = 10;
const OP_ACCESS_REPLACE_IOAS = 11;
const OP_MOCK_DOMAIN_FLAGS = 12;
const OP_DMABUF_GET = 22;
const OP_DMABUF_REVOKE = 23;

const DEVICE_PASID = 4;
const ACCESS_NEEDS_PIN_PAGES = 1;
const O_CLOEXEC = 0o2000000;
const RW_WRITE = 1;
const RW_SLOW_PATH = 4;

// What the mock starts with: the size of a batch of pages that are pinned at once, in bytes.
const DEFAULT_MEMORY_LIMIT = 65536;

type U64 = number | bigint;

/** One request to the mock: arguments by offset and width. */
class Command {
  readonly bytes = new DataView(new ArrayBuffer(CMD_SIZE));
  readonly #name: string;

  constructor(name: string, op: number, id: number) {
    this.#name = name;
    this.u32(0, CMD_SIZE).u32(4, op).u32(8, id);
  }

  u32(offset: number, value: number): this {
    this.bytes.setUint32(offset, value, true);
    return this;
  }

  u64(offset: number, value: U64): this {
    this.bytes.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  result(offset: number): number {
    return this.bytes.getUint32(offset, true);
  }

  /** The kernel's own answer: `>= 0` or `-errno`. */
  status(fd: number): number {
    return native.ioctl(fd, IOMMU_TEST_CMD, this.bytes);
  }

  /** @throws VfioError */
  run(fd: number): this {
    const status = this.status(fd);
    if (status < 0) {
      throw new VfioError({ errno: status, syscall: "ioctl", request: "IOMMU_TEST_CMD", object: this.#name });
    }
    return this;
  }
}

/** A device of the mock IOMMU, attached to an address space or to one of its page tables. */
export class MockDevice implements Disposable {
  readonly iommufd: Iommufd;
  /** Destroying it detaches the device and takes the two others with it. */
  readonly id: number;
  /** The page table that the kernel made (or took) for it. */
  readonly hwptId: number;
  /** The device as iommufd's own requests know it. */
  readonly deviceId: number;
  #destroyed = false;

  private constructor(iommufd: Iommufd, command: Command) {
    this.iommufd = iommufd;
    this.id = command.result(16);
    this.hwptId = command.result(20);
    this.deviceId = command.result(24);
  }

  /**
   * @param to the address space, or the id of a page table
   * @throws VfioError what the kernel refuses a real device with
   */
  static attach(iommufd: Iommufd, to: Ioas | number, options: { readonly pasid?: boolean } = {}): MockDevice {
    const command = new Command("mock device", OP_MOCK_DOMAIN_FLAGS, typeof to === "number" ? to : to.id);
    command.u32(28, options.pasid === true ? DEVICE_PASID : 0);
    return new MockDevice(iommufd, command.run(iommufd.fd));
  }

  /** Moves the device to another address space or page table, without a moment in between. */
  replace(to: Ioas | number): void {
    new Command("mock device", OP_MOCK_DOMAIN_REPLACE, this.id)
      .u32(16, typeof to === "number" ? to : to.id)
      .run(this.iommufd.fd);
  }

  /** Whether the device's page table has, at every IOVA of the range, the very page that is at the address. */
  maps(iova: bigint, length: number, address: number): boolean {
    const command = new Command("mock page table", OP_MD_CHECK_MAP, this.hwptId);
    const status = command.u64(16, iova).u64(24, length).u64(32, address).status(this.iommufd.fd);
    // EINVAL is its word for another page, or none.
    if (status < 0 && status !== -22) command.run(this.iommufd.fd);
    return status === 0;
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.iommufd.destroy(this.id);
    this.#destroyed = true;
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * A driver inside the kernel that uses an address space as a device would: what it reads is what the device would read.
 * It keeps the iommufd open for as long as it is.
 */
export class MockAccess implements Disposable {
  readonly iommufd: Iommufd;
  readonly #fd: OwnedFd;

  private constructor(iommufd: Iommufd, fd: OwnedFd) {
    this.iommufd = iommufd;
    this.#fd = fd;
  }

  /** @param options `pins`: it will hold on to pages, and gives them up when they are unmapped */
  static create(iommufd: Iommufd, ioas: Ioas, options: { readonly pins?: boolean } = {}): MockAccess {
    const flags = options.pins === true ? ACCESS_NEEDS_PIN_PAGES : 0;
    const fd = new Command("mock access", OP_CREATE_ACCESS, ioas.id).u32(20, flags).run(iommufd.fd).result(16);
    return new MockAccess(iommufd, OwnedFd.adopt(fd, "mock access"));
  }

  /**
   * A device's read (into `bytes`) or write (from them).
   *
   * @param options `slow`: by the kernel's way for pages that no page table has
   * @throws VfioError `ENOENT` where nothing is mapped, `EPERM` for a write to what is mapped for reading only
   */
  simulateDma(
    iova: bigint,
    bytes: Uint8Array,
    options: { readonly write?: boolean; readonly slow?: boolean } = {},
  ): void {
    const flags = (options.write === true ? RW_WRITE : 0) | (options.slow === true ? RW_SLOW_PATH : 0);
    // Memory with an address that stays.
    using memory = DmaBuffer.allocate(bytes.length, { backing: "anonymous" });
    memory.bytes.set(bytes);
    new Command("mock access", OP_ACCESS_RW, this.#fd.number)
      .u64(16, iova)
      .u64(24, bytes.length)
      .u64(32, memory.address)
      .u32(40, flags)
      .run(this.iommufd.fd);
    bytes.set(memory.bytes.subarray(0, bytes.length));
  }

  /**
   * Pins a range, as a driver does that keeps pages for longer.
   *
   * @param address where the same pages are in this process: the mock compares
   * @returns a number for {@link unpin}
   */
  pin(iova: bigint, length: number, address: number): number {
    return new Command("mock access", OP_ACCESS_PAGES, this.#fd.number)
      .u64(24, iova)
      .u64(32, length)
      .u64(40, address)
      .run(this.iommufd.fd)
      .result(20);
  }

  /** @throws VfioError `ENOENT` if an unmap took the pages away meanwhile */
  unpin(pin: number): void {
    new Command("mock access", OP_DESTROY_ACCESS_PAGES, this.#fd.number).u32(16, pin).run(this.iommufd.fd);
  }

  /** Goes on with another address space. */
  replace(ioas: Ioas): void {
    new Command("mock access", OP_ACCESS_REPLACE_IOAS, this.#fd.number).u32(16, ioas.id).run(this.iommufd.fd);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** Whether every page of the range is pinned exactly so many times. */
export function pinnedTimes(iommufd: Iommufd, address: number, length: number, times: number): boolean {
  const command = new Command("pages", OP_MD_CHECK_REFS, 0).u64(16, length).u64(24, address).u32(32, times);
  const status = command.status(iommufd.fd);
  // EIO is its word for another count.
  if (status < 0 && status !== -5) command.run(iommufd.fd);
  return status === 0;
}

/** Takes addresses away, as a device with reserved regions does. */
export function addReserved(iommufd: Iommufd, ioas: Ioas, start: U64, length: U64): void {
  new Command("IOAS", OP_ADD_RESERVED, ioas.id).u64(16, start).u64(24, length).run(iommufd.fd);
}

/**
 * Makes the kernel work in batches of so many bytes of page addresses, until it is disposed: with few, every edge between
 * two batches is crossed. The limit is the kernel's, not this iommufd's.
 */
export function smallBatches(iommufd: Iommufd, bytes: number): Disposable {
  const set = (limit: number) => new Command("batches", OP_SET_TEMP_MEMORY_LIMIT, 0).u32(16, limit).run(iommufd.fd);
  set(bytes);
  return {
    [Symbol.dispose]: () => {
      set(DEFAULT_MEMORY_LIMIT);
    },
  };
}

/**
 * A queue of the mock IOMMU's own in a guest's memory (a vIOMMU with a hardware queue), which owns the memory that it is
 * in: that cannot be unmapped meanwhile.
 */
export class MockQueue implements Disposable {
  readonly #iommufd: Iommufd;
  // In the order in which they were made.
  readonly #objects: number[] = [];

  constructor(device: MockDevice, ioas: Ioas, iova: bigint, length: number) {
    this.#iommufd = device.iommufd;
    const NEST_PARENT = 1;
    const SELFTEST = 0xdead_beef;
    // IOMMU_HWPT_ALLOC, IOMMU_VIOMMU_ALLOC, IOMMU_HW_QUEUE_ALLOC: 32-bit words, and where the new object's id comes back.
    const hwpt = this.#make(0x3b89, [48, NEST_PARENT, device.deviceId, ioas.id, 0, 0, 0, 0, 0, 0, 0, 0], 4);
    const viommu = this.#make(0x3b90, [40, 0, SELFTEST, device.deviceId, hwpt, 0, 0, 0, 0, 0], 5);
    this.#make(0x3b94, [40, 0, viommu, SELFTEST, 0, 0, Number(iova), 0, length, 0], 5);
  }

  #make(request: number, words: readonly number[], out: number): number {
    const bytes = Uint32Array.from(words);
    const status = native.ioctl(this.#iommufd.fd, request, bytes);
    if (status < 0) {
      this[Symbol.dispose]();
      throw new VfioError({ errno: status, syscall: "ioctl", args: { request }, object: "mock queue" });
    }
    const id = bytes[out] ?? 0;
    this.#objects.push(id);
    return id;
  }

  [Symbol.dispose](): void {
    for (const id of this.#objects.splice(0).reverse()) this.#iommufd.destroy(id);
  }
}

function dmaBufDescriptors(): Set<number> {
  return new Set(
    readdirSync("/proc/self/fd")
      .map(Number)
      .filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith("/dmabuf:");
        } catch {
          return false; // readdir's own
        }
      }),
  );
}

/** A dma-buf whose exporter can take it back, as a BAR's is when its device is reset. */
export class MockDmaBuf implements Disposable {
  readonly iommufd: Iommufd;
  readonly #fd: OwnedFd;

  private constructor(iommufd: Iommufd, fd: OwnedFd) {
    this.iommufd = iommufd;
    this.#fd = fd;
  }

  static create(iommufd: Iommufd, length: number): MockDmaBuf {
    // Linux 7.3's mock makes the descriptor and answers 0 instead of its number, so it is looked for.
    const before = dmaBufDescriptors();
    new Command("mock dma-buf", OP_DMABUF_GET, 0).u32(16, length).u32(20, O_CLOEXEC).run(iommufd.fd);
    const [fd] = [...dmaBufDescriptors()].filter((each) => !before.has(each));
    if (fd === undefined) throw new Error("the mock made no dma-buf");
    return new MockDmaBuf(iommufd, OwnedFd.adopt(fd, "mock dma-buf"));
  }

  /** To borrow. */
  get fd(): number {
    return this.#fd.number;
  }

  /** Takes the memory back from everybody who has it mapped, or offers it again. */
  setRevoked(revoked: boolean): void {
    new Command("mock dma-buf", OP_DMABUF_REVOKE, 0)
      .u32(16, this.fd)
      .u32(20, revoked ? 1 : 0)
      .run(this.iommufd.fd);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
