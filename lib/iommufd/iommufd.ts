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
import { outOfRangeError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import type { CallName } from "../kernel/calls.js";
import { type Attempt, withEnoughRoom } from "../kernel/enough-room.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { openNode } from "../kernel/open-node.js";
import { type About, ask, refusal } from "../kernel/refusal.js";
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

// Ranges that the first call has room for. The kernel says how many there are.
const RANGES_ROOM = 8;

/** The usable addresses of an address space. */
export interface IoasRanges {
  readonly ranges: readonly IovaRange[];
  /** What every IOVA and length must be a multiple of: 1 while no device is attached. */
  readonly alignment: bigint;
}

const { EMSGSIZE, ENODEV, ENOENT, EPERM } = os.errno;

/** The object of an {@link Iommufd}'s refusals. */
const self = { object: "iommufd" };

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
    return new Ioas(this, ask("iommufdIoasAlloc", self, this.fd));
  }

  /**
   * Destroys an object by its id.
   *
   * @throws VfioError `EBUSY` while another object (an attached device, a nested page table) needs it, `ENOENT`
   */
  destroy(id: number): void {
    checkId("id", id);
    this.refuseLocked();
    ask("iommufdDestroy", { ...self, args: { id } }, this.fd, id);
  }

  /**
   * How pinned memory is accounted: per user (the default), or per process as type1 does. Only settable by root, and
   * while the file has no objects.
   */
  get accounting(): "user" | "process" {
    const { IOMMU_OPTION_RLIMIT_MODE: option, IOMMU_OPTION_OP_GET: get } = uapi;
    const mode = ask("iommufdOption", self, this.fd, option, get, 0, 0);
    return mode === 1 ? "process" : "user";
  }

  /** To be set right after opening. */
  set accounting(mode: "user" | "process") {
    checkAccounting("accounting", mode);
    this.refuseLocked();
    const value = mode === "process" ? 1 : 0;
    const { IOMMU_OPTION_RLIMIT_MODE: option, IOMMU_OPTION_OP_SET: set } = uapi;
    const about = (errno: number): About => ({
      ...self,
      args: { option, value },
      ...(errno === EPERM
        ? { why: "only root (CAP_SYS_RESOURCE on the host) may change the accounting" }
        : { why: "the file has objects already", fix: "set it right after opening" }),
    });
    ask("iommufdOption", about, this.fd, option, set, 0, value);
  }

  /** The address space that legacy requests on this descriptor go to (its compatibility container), if there is one. */
  get compatIoas(): number | undefined {
    const id = native.iommufdVfioIoas(this.fd, uapi.IOMMU_VFIO_IOAS_GET, 0);
    if (id === -ENODEV) return undefined;
    if (id < 0) throw refusal("iommufdVfioIoas", id, self);
    return id;
  }

  /** Sets it, or clears it with `undefined`. */
  set compatIoas(ioas: number | undefined) {
    if (ioas !== undefined) checkId("compatIoas", ioas);
    this.refuseLocked();
    const operation = ioas === undefined ? uapi.IOMMU_VFIO_IOAS_CLEAR : uapi.IOMMU_VFIO_IOAS_SET;
    ask("iommufdVfioIoas", { ...self, args: { ioas: ioas ?? "none" } }, this.fd, operation, ioas ?? 0);
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
    ask("iommufdIoasChangeProcess", self, this.fd);
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

  #about(args: NonNullable<About["args"]>): About {
    return { args, object: `IOAS ${this.id}` };
  }

  /** The usable addresses. They shrink when a device is attached. */
  ranges(): IoasRanges {
    return withEnoughRoom(
      RANGES_ROOM,
      (room) => this.#rangesIn(new BigUint64Array(2 * room)),
      (room) => {
        const why = "the number of ranges kept growing";
        return refusal("iommufdIoasIovaRanges", EMSGSIZE, { ...this.#about({ room }), why });
      },
    );
  }

  #rangesIn(words: BigUint64Array): Attempt<IoasRanges> {
    const { status, count, alignment } = native.iommufdIoasIovaRanges(this.iommufd.fd, this.id, words);
    if (status === -EMSGSIZE) return { room: count };
    if (status < 0) throw refusal("iommufdIoasIovaRanges", status, this.#about({}));
    const ranges = Array.from({ length: count }, (_, i) => ({
      start: words[2 * i] ?? 0n,
      last: words[2 * i + 1] ?? 0n,
    }));
    return { answer: { ranges, alignment } };
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
    const about = this.#about({ count: ranges.length });
    ask("iommufdIoasAllowIovas", about, this.iommufd.fd, this.id, packRanges(ranges));
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
    return this.#mapped("iommufdIoasMap", mapped, { ...place(options), length, address });
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
    return this.#mapped("iommufdIoasMapFile", mapped, { fd, start, ...place(options), length });
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
    return this.#mapped("iommufdIoasCopy", copied, { from: from.id, fromIova, ...place(options), length });
  }

  #mapped(call: CallName, result: number | bigint, args: NonNullable<About["args"]>): bigint {
    if (result < 0) throw refusal(call, Number(result), this.#about(args));
    return BigInt(result);
  }

  /**
   * Unmaps every mapping in a range.
   *
   * @returns how many bytes were removed; above 2^53, which only an IOAS without a device allows, to the nearest number
   * @throws VfioError `ENOENT` if nothing is there or a mapping would be cut: those before the cut are gone then
   */
  unmap(iova: number | bigint, length: number | bigint): number {
    this.iommufd.refuseLocked();
    const removed = Number(
      native.iommufdIoasUnmap(this.iommufd.fd, this.id, toIova("iova", iova), toIova("length", length)),
    );
    if (removed < 0) throw refusal("iommufdIoasUnmap", removed, this.#about({ iova, length }));
    return removed;
  }

  /** Unmaps everything; 0 bytes if there was nothing. */
  unmapAll(): number {
    return this.unmap(0, (1n << 64n) - 1n);
  }

  /** Whether the kernel may use huge page table entries (default true). Off only for tests and measurements. */
  get hugePages(): boolean {
    const { fd } = this.iommufd;
    const { IOMMU_OPTION_HUGE_PAGES: option, IOMMU_OPTION_OP_GET: get } = uapi;
    return ask("iommufdOption", this.#about({ option }), fd, option, get, this.id, 0) === 1;
  }

  /** To be set before anything that larger pages could be used for is mapped. */
  set hugePages(on: boolean) {
    checkBoolean("hugePages", on);
    this.iommufd.refuseLocked();
    const { IOMMU_OPTION_HUGE_PAGES: option, IOMMU_OPTION_OP_SET: set } = uapi;
    const value = on ? 1 : 0;
    ask("iommufdOption", this.#about({ value }), this.iommufd.fd, option, set, this.id, value);
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

showAs(Iommufd, (iommufd) => (iommufd.closed ? "closed" : `descriptor ${iommufd.fd}`));

showAs(Ioas, (ioas) => `id ${ioas.id}`);
