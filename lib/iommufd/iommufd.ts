/**
 * iommufd, object by object: the file, and the I/O address spaces in it. `Documentation/userspace-api/iommufd.rst`.
 *
 * A container is the comfortable way to use them; these are for what a container has no words for, such as two address
 * spaces that share pages.
 *
 * @module
 */

import { constants as os } from "node:os";
import {
  checkArray,
  checkBoolean,
  checkDescriptor,
  checkInteger,
  checkObject,
  checkOptions,
  checkU64,
  instanceOf,
  integer,
  knownOptions,
  oneOf,
} from "../base/arguments.js";
import { type ChangeLock, refuseChange } from "../base/change-lock.js";
import { check, outOfRangeError, VfioError } from "../base/errors.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { openNode } from "../kernel/open-node.js";
import * as uapi from "../kernel/uapi.js";
import { type IovaRange, toIova } from "../memory/iova.js";

/** What devices may do with a mapping, and where it goes. */
export interface IoasMapOptions {
  /** Where; left out, the kernel chooses. */
  readonly iova?: number | bigint;
  /** Default true. */
  readonly read?: boolean;
  /** Default true. */
  readonly write?: boolean;
}

/** The usable addresses of an address space. */
export interface IoasRanges {
  readonly ranges: readonly IovaRange[];
  /** What every IOVA and length must be a multiple of: 1 while no device is attached. */
  readonly alignment: bigint;
}

const { EADDRINUSE, EBUSY, EEXIST, EFAULT, EINVAL, EMSGSIZE, ENODEV, ENOENT, ENOMEM, ENOSPC, EOVERFLOW, EPERM } =
  os.errno;

/** What an errno means for a request: why, and what to do about it. */
type Meanings = ReadonlyMap<number, { readonly why: string; readonly fix?: string }>;

const ofMap: Meanings = new Map([
  [EEXIST, { why: "a part of the range is mapped already", fix: "unmap it first, or leave the IOVA to the kernel" }],
  [
    EINVAL,
    {
      why: "the range is not usable, nothing may be done with it, or something is not a multiple of the alignment or ends too early",
      fix: "compare with ranges(), and with the length of the file or the dma-buf",
    },
  ],
  [EOVERFLOW, { why: "the range, or the memory, goes beyond the last address" }],
  [EFAULT, { why: "the memory is not there, or this process may not access it in that way" }],
  [ENOSPC, { why: "no range that is free (and allowed) is large enough" }],
  [
    ENOMEM,
    {
      why: "it would exceed the locked-memory limit, or the kernel has no memory left",
      fix: "raise the limit (ulimit -l), or run with the host's CAP_IPC_LOCK",
    },
  ],
  [ENODEV, { why: "the dma-buf was revoked by its exporter", fix: "map it again when its device works again" }],
]);

const ofCopy: Meanings = new Map([
  ...ofMap,
  [ENOENT, { why: "a part of the source is not mapped" }],
  [EPERM, { why: "the source is mapped for reading only", fix: "copy it with write: false" }],
]);

const ofUnmap: Meanings = new Map([
  [
    ENOENT,
    {
      why: "nothing is mapped there, or a mapping would be cut (those before it are gone then)",
      fix: "unmap whole mappings",
    },
  ],
  [EBUSY, { why: "hardware has a queue in it", fix: "destroy the queue first" }],
  [EOVERFLOW, { why: "the range goes beyond the last address" }],
]);

const ofAllow: Meanings = new Map([
  [EADDRINUSE, { why: "a device needs a part of a range for itself", fix: "leave out what ranges() leaves out" }],
  [EINVAL, { why: "a range has less than two addresses, or overlaps another" }],
]);

const nothing: Meanings = new Map();

const checkId = integer(0, 0xffff_ffff);
const checkAccounting = oneOf(["user", "process"]);
const mapOptions = knownOptions<IoasMapOptions>({ iova: checkU64, read: checkBoolean, write: checkBoolean });

function mapFlags({ iova, read = true, write = true }: IoasMapOptions): number {
  return (
    (iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA) |
    (read ? uapi.IOMMU_IOAS_MAP_READABLE : 0) |
    (write ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0)
  );
}

/** Where a mapping was asked to go, for messages. */
function place({ iova }: IoasMapOptions): { iova: number | bigint | string } {
  return { iova: iova ?? "any" };
}

function packRanges(ranges: readonly IovaRange[]): BigUint64Array {
  return BigUint64Array.from(
    ranges.flatMap(({ start, last }, i) => [toIova(`ranges[${i}].start`, start), toIova(`ranges[${i}].last`, last)]),
  );
}

/** An open `/dev/iommu`. It owns its descriptor; closing it ends everything in it that no device holds on to. */
export class Iommufd implements Disposable {
  readonly #fd: OwnedFd;
  #lock: ChangeLock | undefined;

  private constructor(fd: OwnedFd) {
    this.#fd = fd;
  }

  /** @throws VfioError where the kernel has no iommufd, or the process may not use it */
  static open(): Iommufd {
    return new Iommufd(
      openNode("/dev/iommu", (errno) =>
        errno === ENOENT || errno === ENODEV
          ? {
              why: "this kernel has no iommufd (it came with Linux 6.2, behind CONFIG_IOMMUFD)",
              fix: "use a legacy container (mode type1v2), or a kernel with CONFIG_IOMMUFD=y",
            }
          : {},
      ),
    );
  }

  /**
   * One that another process has opened.
   *
   * @param fd belongs to the object from here on
   * @internal
   */
  static inherit(fd: OwnedFd): Iommufd {
    return new Iommufd(fd);
  }

  /** The descriptor, to borrow. */
  get fd(): number {
    return this.#fd.number;
  }

  /** Refuses changes from now on, of its address spaces too; undefined ends that. @internal */
  lock(lock: ChangeLock | undefined): void {
    this.#lock = lock;
  }

  /** Refuses a change while the iommufd is between two processes. @internal */
  refuseLocked(): void {
    refuseChange(this.#lock, "the iommufd", "structure");
  }

  /** An address space that another process has made. @internal */
  inheritIoas(id: number): Ioas {
    return new Ioas(this, id);
  }

  /** A new, empty I/O address space. */
  allocIoas(): Ioas {
    this.refuseLocked();
    const id = check(native.iommufdIoasAlloc(this.fd), () => ({
      syscall: "ioctl",
      request: "IOMMU_IOAS_ALLOC",
      object: "iommufd",
    }));
    return new Ioas(this, id);
  }

  /**
   * Destroys an object by its id.
   *
   * @throws VfioError `EBUSY` while another object (an attached device, a nested page table) needs it, `ENOENT`
   */
  destroy(id: number): void {
    checkId("id", id);
    this.refuseLocked();
    check(native.iommufdDestroy(this.fd, id), (errno) => ({
      syscall: "ioctl",
      request: "IOMMU_DESTROY",
      args: { id },
      object: "iommufd",
      ...(errno === os.errno.EBUSY ? { why: "another object still needs it: a device is attached to it" } : {}),
    }));
  }

  /**
   * How pinned memory is accounted: per user (the default), or per process as type1 does. Only settable by root, and
   * while the file has no objects.
   */
  get accounting(): "user" | "process" {
    const mode = check(
      native.iommufdOption(this.fd, uapi.IOMMU_OPTION_RLIMIT_MODE, uapi.IOMMU_OPTION_OP_GET, 0, 0),
      () => ({ syscall: "ioctl", request: "IOMMU_OPTION", object: "iommufd" }),
    );
    return mode === 1 ? "process" : "user";
  }

  /** To be set right after opening. */
  set accounting(mode: "user" | "process") {
    checkAccounting("accounting", mode);
    this.refuseLocked();
    const value = mode === "process" ? 1 : 0;
    const option = uapi.IOMMU_OPTION_RLIMIT_MODE;
    check(native.iommufdOption(this.fd, option, uapi.IOMMU_OPTION_OP_SET, 0, value), (errno) => ({
      syscall: "ioctl",
      request: "IOMMU_OPTION",
      args: { option, value },
      object: "iommufd",
      ...(errno === os.errno.EPERM
        ? { why: "only root (CAP_SYS_RESOURCE on the host) may change the accounting" }
        : { why: "the file has objects already", fix: "set it right after opening" }),
    }));
  }

  /** The address space that legacy requests on this descriptor go to (its compatibility container), if there is one. */
  get compatIoas(): number | undefined {
    const id = native.iommufdVfioIoas(this.fd, uapi.IOMMU_VFIO_IOAS_GET, 0);
    if (id === -ENODEV) return undefined;
    return check(id, () => ({ syscall: "ioctl", request: "IOMMU_VFIO_IOAS", object: "iommufd" }));
  }

  /** Sets it, or clears it with `undefined`. */
  set compatIoas(ioas: number | undefined) {
    if (ioas !== undefined) checkId("compatIoas", ioas);
    this.refuseLocked();
    const operation = ioas === undefined ? uapi.IOMMU_VFIO_IOAS_CLEAR : uapi.IOMMU_VFIO_IOAS_SET;
    check(native.iommufdVfioIoas(this.fd, operation, ioas ?? 0), () => ({
      syscall: "ioctl",
      request: "IOMMU_VFIO_IOAS",
      args: { ioas: ioas ?? "none" },
      object: "iommufd",
    }));
  }

  /**
   * Makes this process the owner of everything that is mapped by file in this iommufd, for accounting and for later
   * faults. Changing nothing, it is also the probe for whether the kernel can.
   *
   * @throws VfioError `EINVAL` if anything is mapped by address or from a BAR, `ENOMEM` if it exceeds this process's limit,
   *   `ENOTTY` before Linux 6.14
   */
  changeProcess(): void {
    this.refuseLocked();
    this.becomeOwner();
  }

  /** {@link changeProcess} as a step of a hand-over, for which the iommufd is locked. @internal */
  becomeOwner(): void {
    check(native.iommufdIoasChangeProcess(this.fd), (errno) => ({
      syscall: "ioctl",
      request: "IOMMU_IOAS_CHANGE_PROCESS",
      object: "iommufd",
      ...(errno === os.errno.EINVAL
        ? {
            why: "some memory is mapped by address (or from a BAR) and not by file",
            fix: "map memory that has a descriptor (DmaBuffer's default), and unmap BARs first",
          }
        : errno === os.errno.ENOTTY
          ? { why: "this kernel is older than Linux 6.14" }
          : errno === os.errno.ENOMEM
            ? {
                why: "the pinned memory exceeds the locked-memory limit; with accounting per user it counts twice meanwhile",
                fix: "raise the limit (ulimit -l)",
              }
            : {}),
    }));
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#fd.closed;
  }

  /** An object that warns when it is forgotten owns it: one warning is enough. @internal */
  leaveWarningToOwner(): void {
    this.#fd.leaveWarningToOwner();
  }

  /** Closes the file; its objects go with its last descriptor. A second call does nothing. */
  close(): void {
    this.#fd.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** An I/O address space. It belongs to its {@link Iommufd}, and ends with it at the latest. */
export class Ioas implements Disposable {
  readonly iommufd: Iommufd;
  /** Its object id, which devices are attached to. */
  readonly id: number;
  #destroyed = false;

  /** @internal */
  constructor(iommufd: Iommufd, id: number) {
    this.iommufd = iommufd;
    this.id = id;
  }

  #context(request: string, args: Record<string, number | bigint | string>, meanings: Meanings = nothing) {
    return (errno: number) => ({
      syscall: "ioctl",
      request,
      args,
      object: `IOAS ${this.id}`,
      ...meanings.get(errno),
    });
  }

  /** The usable addresses. They shrink when a device is attached. */
  ranges(): IoasRanges {
    // The number of ranges can change between two calls, but not for ever.
    let room = 8;
    for (let attempt = 0; attempt < 8; attempt++) {
      const words = new BigUint64Array(2 * room);
      const { status, count, alignment } = native.iommufdIoasIovaRanges(this.iommufd.fd, this.id, words);
      if (status !== -EMSGSIZE) {
        check(status, this.#context("IOMMU_IOAS_IOVA_RANGES", {}));
        const ranges = Array.from({ length: count }, (_, i) => ({
          start: words[2 * i] ?? 0n,
          last: words[2 * i + 1] ?? 0n,
        }));
        return { ranges, alignment };
      }
      room = count;
    }
    throw new VfioError({
      errno: EMSGSIZE,
      ...this.#context("IOMMU_IOAS_IOVA_RANGES", { room })(EMSGSIZE),
      why: "the number of ranges kept growing",
    });
  }

  /**
   * Restricts the addresses that the kernel chooses from, and guarantees them: attaching a device that cannot use one of
   * them fails from then on. An empty list lifts it.
   *
   * @throws VfioError `EADDRINUSE` if a range is reserved already
   */
  allow(ranges: readonly IovaRange[]): void {
    checkArray("ranges", ranges);
    for (const [index, range] of ranges.entries()) checkObject(`ranges[${index}]`, range);
    this.iommufd.refuseLocked();
    check(
      native.iommufdIoasAllowIovas(this.iommufd.fd, this.id, packRanges(ranges)),
      this.#context("IOMMU_IOAS_ALLOW_IOVAS", { count: ranges.length }, ofAllow),
    );
  }

  /**
   * Maps memory of this process by its address. The caller keeps the memory in place for as long as it is mapped.
   *
   * Without a device nothing is pinned yet: memory that is not there is refused to the device that comes.
   *
   * @returns the IOVA
   * @throws VfioError `EEXIST`, `ENOSPC` (no IOVA left to choose), `EINVAL`, `EOVERFLOW`, `EFAULT`, `ENOMEM`
   */
  map(address: number, length: number | bigint, options: IoasMapOptions = {}): bigint {
    checkInteger("address", address);
    checkOptions("options", options, mapOptions);
    this.iommufd.refuseLocked();
    const iova = options.iova === undefined ? 0n : toIova("iova", options.iova);
    const [from, size] = [toIova("address", address), toIova("length", length)];
    const mapped = native.iommufdIoasMap(this.iommufd.fd, mapFlags(options), this.id, from, iova, size);
    return this.#mapped(mapped, "IOMMU_IOAS_MAP", { ...place(options), length, address }, ofMap);
  }

  /**
   * Maps a part of a file: a memfd, or a dma-buf. The descriptor is borrowed for the call.
   *
   * @param start where in the file, in bytes
   * @returns the IOVA
   * @throws VfioError as {@link map}; `ENODEV` for a dma-buf whose device is being reset
   */
  mapFile(fd: number, start: number | bigint, length: number | bigint, options: IoasMapOptions = {}): bigint {
    checkDescriptor("fd", fd);
    checkOptions("options", options, mapOptions);
    this.iommufd.refuseLocked();
    const iova = options.iova === undefined ? 0n : toIova("iova", options.iova);
    const [from, size] = [toIova("start", start), toIova("length", length)];
    const mapped = native.iommufdIoasMapFile(this.iommufd.fd, mapFlags(options), this.id, fd, from, iova, size);
    return this.#mapped(mapped, "IOMMU_IOAS_MAP_FILE", { fd, start, ...place(options), length }, ofMap);
  }

  /**
   * Maps what another address space (or another place in this one) has mapped, without pinning it again.
   *
   * @returns the IOVA here
   * @throws VfioError as {@link map}; `ENOENT` where the source is not mapped, `EPERM` for more rights than it has
   */
  copy(from: Ioas, fromIova: number | bigint, length: number | bigint, options: IoasMapOptions = {}): bigint {
    instanceOf(Ioas, "an Ioas")("from", from);
    checkOptions("options", options, mapOptions);
    this.iommufd.refuseLocked();
    if (from.iommufd !== this.iommufd) throw outOfRangeError("from", "an IOAS of the same iommufd", from.id);
    const iova = options.iova === undefined ? 0n : toIova("iova", options.iova);
    const [source, size] = [toIova("fromIova", fromIova), toIova("length", length)];
    const { fd } = this.iommufd;
    const copied = native.iommufdIoasCopy(fd, mapFlags(options), this.id, from.id, iova, source, size);
    return this.#mapped(copied, "IOMMU_IOAS_COPY", { from: from.id, fromIova, ...place(options), length }, ofCopy);
  }

  #mapped(
    result: number | bigint,
    request: string,
    args: Record<string, number | bigint | string>,
    meanings: Meanings,
  ): bigint {
    if (typeof result === "bigint") return result;
    return BigInt(check(result, this.#context(request, args, meanings)));
  }

  /**
   * Unmaps every mapping in a range.
   *
   * @returns how many bytes were removed; above 2^53, which only an IOAS without a device allows, to the nearest number
   * @throws VfioError `ENOENT` if nothing is there or a mapping would be cut: those before the cut are gone then
   */
  unmap(iova: number | bigint, length: number | bigint): number {
    this.iommufd.refuseLocked();
    const removed = native.iommufdIoasUnmap(this.iommufd.fd, this.id, toIova("iova", iova), toIova("length", length));
    return check(Number(removed), this.#context("IOMMU_IOAS_UNMAP", { iova, length }, ofUnmap));
  }

  /** Unmaps everything; 0 bytes if there was nothing. */
  unmapAll(): number {
    return this.unmap(0, (1n << 64n) - 1n);
  }

  /** Whether the kernel may use huge page table entries (default true). Off only for tests and measurements. */
  get hugePages(): boolean {
    const { fd } = this.iommufd;
    const { IOMMU_OPTION_HUGE_PAGES: option, IOMMU_OPTION_OP_GET: get } = uapi;
    return check(native.iommufdOption(fd, option, get, this.id, 0), this.#context("IOMMU_OPTION", { option })) === 1;
  }

  /** To be set before anything that larger pages could be used for is mapped. */
  set hugePages(on: boolean) {
    checkBoolean("hugePages", on);
    this.iommufd.refuseLocked();
    const { IOMMU_OPTION_HUGE_PAGES: option, IOMMU_OPTION_OP_SET: set } = uapi;
    const value = on ? 1 : 0;
    check(native.iommufdOption(this.iommufd.fd, option, set, this.id, value), this.#context("IOMMU_OPTION", { value }));
  }

  /**
   * Ends the address space. A second call does nothing.
   *
   * @throws VfioError `EBUSY` while a device is attached to it
   */
  destroy(): void {
    if (this.#destroyed) return;
    this.iommufd.destroy(this.id);
    this.#destroyed = true;
  }

  /** {@link destroy}, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }
}
