/**
 * The contract of a container: devices, and the memory that they can reach.
 *
 * There are five kernel modes behind it, which differ in what they accept, what they answer and what they undo
 * (`docs/modes.md`). Here they behave as one:
 *
 * - Memory is mapped while a device is attached: before, nobody knows which addresses are usable. Detaching the last
 *   device ends every mapping, also where it is detached because its driver is being unbound.
 * - A map never overlaps another one and never lies outside the usable ranges: both are refused before the kernel is asked.
 * - An unmap removes whole mappings and says how many bytes they were; nothing to remove is an answer, not an error; a
 *   range that would cut a mapping is refused before the kernel is asked, because native iommufd would remove the
 *   mappings before the cut and then fail without saying how far it got.
 * - What fails leaves everything as it was.
 *
 * @module
 */

import { constants as os } from "node:os";
import { checkInteger, checkOptions, checkPart, checkString, instanceOf } from "../base/arguments.js";
import { type ChangeKind, type ChangeLock, refuseChange } from "../base/change-lock.js";
import { invalidStateError, type Meaning, VfioError } from "../base/errors.js";
import { counted, listed, openOrClosed, showAs } from "../base/inspect.js";
import { watchForLeak } from "../base/leak.js";
import type { AddDescriptor } from "../base/preserve.js";
import type { Reason } from "../base/reasons.js";
import { failuresOf, runAll } from "../base/run-all.js";
import type { Attachment } from "../device/attachment.js";
import { Device } from "../device/device.js";
import { RegionMap } from "../device/region-map.js";
import type { DeviceState } from "../device/state.js";
import type { OwnedFd } from "../kernel/fd.js";
import { lockedMemory } from "../kernel/memlock.js";
import { native } from "../kernel/native.js";
import { AddressSpace, type Subscription } from "../memory/address-space.js";
import { checkMemory, type DmaMemory } from "../memory/dma-buffer.js";
import { IovaAllocator, type IovaRange, showRanges, toIova } from "../memory/iova.js";
import { MappingTable } from "../memory/mapping-table.js";
import type { HandOver, PreservedContainer } from "./hand-over.js";
import { DmaMapping } from "./mapping.js";
import { ContainerMirror, type MemoryPart } from "./mirror.js";
import type { AnyContainerMode } from "./modes.js";
import {
  type AttachOptions,
  attachOptions,
  type ContainerLimits,
  checkRequests,
  type MapOptions,
  type MapRequest,
  mapAsyncOptions,
  mapOptions,
  type SpaceInfo,
  type UnmapResult,
} from "./options.js";

const { EBUSY, ECANCELED, EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENOMEM, ENOSPC, EOVERFLOW } = os.errno;
const END = 1n << 64n;

const checkSpace = instanceOf(AddressSpace, "an AddressSpace");

/** Where a map is wanted; without an IOVA, anywhere. */
interface WantedRange {
  readonly iova: bigint | undefined;
  readonly length: number;
  readonly offset: number;
}

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/**
 * A container: a set of devices that share one I/O address space.
 *
 * Closing it closes its devices, ends its mappings and gives its descriptors back, in that order.
 */
export abstract class Container implements Disposable {
  /** The kernel's mode, or `vfio-user`. */
  readonly mode: AnyContainerMode;
  readonly #devices = new Map<string, Device>();
  readonly #table = new MappingTable<DmaMapping>();
  /** What another thread is doing. Such a mapping is not in the table, and its addresses are taken. */
  readonly #pending = new Map<DmaMapping, "map" | "unmap">();
  readonly #mirrors = new Map<Subscription, ContainerMirror>();
  #space: SpaceInfo | undefined;
  #iovas: IovaAllocator | undefined;
  #granularity = native.pageSize();
  /** What a former process had mapped, and nobody here has asked for yet. */
  readonly #inherited = new Set<DmaMapping>();
  #lock: ChangeLock | undefined;
  #closed = false;
  readonly #forget: () => void;

  protected constructor(mode: AnyContainerMode) {
    this.mode = mode;
    this.#forget = watchForLeak(this, `a container (${mode})`, "close()");
  }

  // ---- what each mode does in its own way --------------------------------------------------------------------------

  /** Opens and ties a device, undoing every step when a later one fails. */
  protected abstract open(address: string, options: AttachOptions): Attachment;
  /** Asks the kernel for ranges, page sizes and limits. Only while a device is attached. */
  protected abstract readSpace(): SpaceInfo;
  /** 0 or -errno. */
  protected abstract kernelMap(mapping: DmaMapping): number;
  /** 0 or -errno, on another thread. */
  protected abstract kernelMapAsync(mapping: DmaMapping): Promise<number>;
  /** Maps in order and stops at the first refusal. */
  protected abstract kernelMapMany(mappings: readonly DmaMapping[]): { readonly done: number; readonly errno: number };
  /** Bytes removed (0 for nothing), or -errno. */
  protected abstract kernelUnmap(iova: bigint, length: number | bigint): number | bigint;
  /** The same for one mapping, on another thread. */
  protected abstract kernelUnmapAsync(mapping: DmaMapping): Promise<number>;
  /** Whether a map or unmap that is under way would go on behind the last device's end. Then one or the other has to wait. */
  protected get callsGoOn(): boolean {
    return true;
  }
  /**
   * Whether the kernel drops every mapping by itself when the last device leaves. It must not be asked for anything then: the
   * device may be leaving because its driver is being unbound, and the kernel takes the address space down meanwhile.
   */
  protected get mappingsEndWithDevices(): boolean {
    return false;
  }
  /** Whether the kernel has {@link kernelUnmapAll}. */
  protected get canUnmapAll(): boolean {
    return true;
  }
  /** The same as {@link kernelUnmap} for everything. */
  protected abstract kernelUnmapAll(): number | bigint;
  /**
   * Whether a mapping is still there after an unmap of several that has failed. The kernel does not say which it has removed: it is
   * asked to remove each, where "nothing there" is an answer too.
   */
  protected isKept(mapping: DmaMapping): boolean {
    return this.kernelUnmap(mapping.iova, mapping.length) < 0;
  }
  /** The same as {@link kernelUnmap} for several mappings, one by one, up to the first that is refused. */
  protected kernelUnmapMany(mappings: readonly DmaMapping[]): readonly (number | bigint)[] {
    const removed: (number | bigint)[] = [];
    for (const { iova, length } of mappings) {
      const bytes = this.kernelUnmap(iova, length);
      removed.push(bytes);
      if (bytes !== length) break;
    }
    return removed;
  }
  /** What is called for a request, for errors. */
  protected readonly syscall: string = "ioctl";
  /** Which side answers requests, for errors. */
  protected readonly counterpart: string = "the kernel";
  /** The ioctls' names, for errors. */
  protected abstract readonly requests: { readonly map: string; readonly unmap: string };
  /** The ioctl that a mapping takes, for errors. */
  protected mapRequest(_mapping: DmaMapping): string {
    return this.requests.map;
  }
  /** Why the kernel of this mode refused a map, where only the mode knows. */
  protected explainMap(_errno: number, _mapping: DmaMapping): { why: string; fix?: string } | undefined {
    return undefined;
  }
  /** Gives the container's own descriptors back. Devices and mappings are gone by then. */
  protected abstract closeSelf(): void;
  /** The same when the container goes on in another process: closes, and asks the kernel for nothing. */
  protected abstract disownSelf(): void;
  /** How it passes to another process. @internal */
  abstract readonly handOver: HandOver;

  /** What a successor must know of it, besides its devices and mappings. @internal */
  abstract preserve(add: AddDescriptor): PreservedContainer;

  /** The descriptors of VFIO's files that it has, besides its devices'. @internal */
  get files(): readonly number[] {
    return [];
  }

  // ---- devices -----------------------------------------------------------------------------------------------------

  /** The attached devices, by address. */
  get devices(): ReadonlyMap<string, Device> {
    return this.#devices;
  }

  /**
   * Opens a device that is bound to a VFIO driver and ties it to this container.
   *
   * @param address a PCI address (`0000:01:00.0`, `01:00.0`), or a mediated device's UUID
   * @throws VfioError that says what stands in the way; nothing is left open. `EBUSY` also while a {@link mapAsync} for devices that
   *   have left is under way
   */
  attach(address: string, options: AttachOptions = {}): Device {
    checkString("address", address);
    checkOptions("options", options, attachOptions);
    this.#live();
    this.refuseLocked();
    this.#refuseEarlierMaps(address);
    const tie = this.open(address, options);
    const attachment = this.#registered(tie);
    try {
      this.#refresh();
      const device = new Device(attachment);
      this.#devices.set(tie.address, device);
      return device;
    } catch (error) {
      failuresOf([() => tie.beforeClose(), () => tie.port.close(), () => this.#left(tie)]);
      throw error;
    }
  }

  /** Its thread would map, for a device that has left, what may be given to another one by then. */
  #refuseEarlierMaps(address: string): void {
    if (this.#space !== undefined || !this.callsGoOn) return;
    for (const mapping of this.#pending.keys()) {
      throw new VfioError({
        errno: EBUSY,
        syscall: "open",
        object: address,
        why: `${mapping} is still being mapped on another thread, although the last device has left`,
        fix: "await what mapAsync() has returned, and attach it then",
      });
    }
  }

  #registered(tie: Attachment): Attachment {
    return {
      ...tie,
      refuseClose: () => {
        if (this.#devices.size === 1) this.#refuseEnd();
      },
      beforeClose: () => tie.beforeClose(),
      afterClose: () => {
        this.#devices.delete(tie.address);
        this.#left(tie);
      },
    };
  }

  /** A device's port is closed: it leaves, and the last one takes every mapping along. */
  #left(tie: Attachment): void {
    const leave = () => tie.afterClose();
    const end = () => this.#endSpace();
    const what = `detaching ${tie.address}`;
    if (this.#devices.size > 0) {
      // What the device could not reach may be usable again.
      runAll(what, [leave, () => this.#refresh()]);
    } else if (this.mappingsEndWithDevices) {
      const leaveAndForget = () => {
        leave();
        for (const mapping of this.#table) this.#remove(mapping);
      };
      runAll(what, [leaveAndForget, end]);
    } else {
      runAll(what, [end, leave]);
    }
  }

  /** Refuses an address that is attached here already; for `open`. */
  protected refuseAttached(address: string): void {
    if (!this.#devices.has(address)) return;
    throw new VfioError({
      errno: EBUSY,
      syscall: "open",
      object: address,
      why: `it is attached to this container (${this.mode}) already`,
      fix: `use container.devices.get("${address}"), or close it first`,
    });
  }

  #refresh(): void {
    const space = this.readSpace();
    this.#space = space;
    const lowest = Number(space.pageSizes & -space.pageSizes);
    this.#granularity = Math.max(native.pageSize(), lowest);
    const { ranges } = space;
    if (this.#iovas !== undefined) this.#iovas.setRanges(ranges, this.#granularity);
    else this.#iovas = new IovaAllocator(ranges, { granularity: this.#granularity, object: this.toString() });
  }

  #endSpace(): void {
    if (this.#space === undefined) return;
    this.#space = undefined;
    for (const subscription of this.#mirrors.keys()) subscription.detach();
    this.#mirrors.clear();
    for (const [mapping, what] of this.#pending) {
      if (what !== "unmap") continue;
      this.#pending.delete(mapping);
      this.#remove(mapping);
    }
    this.unmapAll();
    // Where that was refused, what is still mapped keeps its addresses.
    this.#iovas = undefined;
  }

  // ---- what can be mapped ------------------------------------------------------------------------------------------

  #live(): void {
    if (this.#closed) throw invalidStateError(`the container (${this.mode}) is closed`);
  }

  /** Refuses a change while the container is between two processes. */
  protected refuseLocked(change: ChangeKind = "structure"): void {
    refuseChange(this.#lock, `the container (${this.mode})`, change);
  }

  #attached(request: string): { space: SpaceInfo; iovas: IovaAllocator } {
    this.#live();
    if (this.#space !== undefined && this.#iovas !== undefined) return { space: this.#space, iovas: this.#iovas };
    throw new VfioError({
      errno: ENODEV,
      syscall: this.syscall,
      request,
      object: this.toString(),
      why: "no device is attached, so the usable I/O addresses are not known yet",
      fix: "attach a device first: container.attach(address)",
    });
  }

  #allocator(): IovaAllocator {
    // What attached() would check and say, without an object for the answer: every map asks.
    const usable = this.#space === undefined ? undefined : this.#iovas;
    return usable ?? this.#attached(this.requests.map).iovas;
  }

  /** The I/O addresses that every attached device can use, in order. Reserved parts (interrupts) are left out. */
  get iovaRanges(): readonly IovaRange[] {
    return this.#attached("IOVA ranges").space.ranges;
  }

  /** The granularity of maps and unmaps, in bytes: every IOVA, offset and length is a multiple of it. */
  get pageSize(): number {
    return this.#granularity;
  }

  /** The page sizes of the IOMMU, ascending: memory in larger pages that is aligned to them takes fewer entries. */
  get pageSizes(): readonly bigint[] {
    const bitmap = this.#attached("page sizes").space.pageSizes;
    return Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).filter((size) => (bitmap & size) !== 0n);
  }

  /** What the container can still take. Asks the kernel. */
  limits(): ContainerLimits {
    this.#attached("limits");
    return { entriesLeft: this.readSpace().entriesLeft, lockedMemory: lockedMemory() };
  }

  // ---- map ---------------------------------------------------------------------------------------------------------

  /**
   * Lets the attached devices reach memory.
   *
   * Pinning takes time in proportion to the length: for more than a few MiB prefer {@link mapAsync}.
   *
   * @returns the mapping; disposing it unmaps
   * @throws VfioError `EINVAL` (misaligned, empty, outside the usable ranges, neither read nor write), `EOVERFLOW` (wraps),
   *   `EEXIST` (overlaps), `ENOSPC` (no room, or no entries left), `ENOMEM` (locked-memory limit), `EFAULT` (a BAR, where
   *   the mode cannot map one), `ENODEV` (no device attached)
   */
  map(memory: DmaMemory, options: MapOptions = {}): DmaMapping {
    checkOptions("options", options, mapOptions);
    const mapping = this.#plan(memory, options);
    let status: number;
    try {
      status = this.kernelMap(mapping);
    } catch (error) {
      this.#abandon(mapping);
      throw error;
    }
    if (status < 0) {
      this.#abandon(mapping);
      throw this.#mapError(-status, mapping);
    }
    this.#table.insert(mapping);
    return mapping;
  }

  /**
   * {@link map} on another thread: the event loop goes on while a large buffer is pinned.
   *
   * @param options.signal ends the wait; the kernel cannot be interrupted, so what it maps nevertheless is unmapped then
   * @throws what {@link map} throws, or the signal's reason; `ECANCELED` if the last device left meanwhile
   */
  async mapAsync(memory: DmaMemory, options: MapOptions & { readonly signal?: AbortSignal } = {}): Promise<DmaMapping> {
    checkOptions("options", options, mapAsyncOptions);
    options.signal?.throwIfAborted();
    const mapping = this.#plan(memory, options);
    const space = this.#iovas;
    this.#pending.set(mapping, "map");
    let status: number;
    try {
      status = await this.kernelMapAsync(mapping);
    } catch (error) {
      this.#pending.delete(mapping);
      this.#abandon(mapping);
      throw error;
    }
    this.#pending.delete(mapping);
    if (this.#closed) {
      // The descriptor that the work used was the last one: the kernel has dropped the mapping with it.
      this.#abandon(mapping);
      throw invalidStateError(`the container (${this.mode}) was closed while it mapped`);
    }
    if (this.#iovas !== space) {
      // The kernel may have mapped it before or after the device left. Nothing else can be there: no device was attached since.
      if (status >= 0) this.kernelUnmap(mapping.iova, mapping.length);
      this.#abandon(mapping);
      throw this.#mapError(ECANCELED, mapping, "the last device left while it was being mapped");
    }
    if (status < 0) {
      this.#abandon(mapping);
      throw this.#mapError(-status, mapping);
    }
    this.#table.insert(mapping);
    if (options.signal?.aborted === true) {
      mapping.unmap();
      options.signal.throwIfAborted();
    }
    return mapping;
  }

  /**
   * Many maps in one call into the kernel's door: all of them, or none.
   *
   * @throws VfioError for the first that is refused, after the others were unmapped again
   */
  mapMany(requests: readonly MapRequest[]): DmaMapping[] {
    const planned: DmaMapping[] = [];
    let made = 0;
    try {
      for (const request of checkRequests(requests)) planned.push(this.#plan(request.memory, request));
      const { done, errno } = this.kernelMapMany(planned);
      made = done;
      const failed = planned[done];
      if (failed !== undefined) throw this.#mapError(errno, failed);
    } catch (error) {
      for (const [index, mapping] of planned.entries()) {
        if (index < made) this.kernelUnmap(mapping.iova, mapping.length);
        this.#abandon(mapping);
      }
      throw error;
    }
    for (const mapping of planned) this.#table.insert(mapping);
    return planned;
  }

  /**
   * Maps what stands in an address space, and follows its changes: each section is one mapping at its address, and a
   * transaction is all of its maps and unmaps or none (a refusal here refuses the transaction).
   *
   * Ends when it is disposed of, which unmaps the sections, or with the last device.
   *
   * In the successor of a live update a section that stands for exactly one mapping of the former process takes that one,
   * and nothing is mapped.
   *
   * @throws SectionError for a section that cannot be mapped; nothing of the address space is mapped then
   */
  mirror(space: AddressSpace<MemoryPart>): Subscription {
    checkSpace("space", space);
    this.#attached(this.requests.map);
    const mirror = new ContainerMirror(this);
    const subscription = space.attachListener(mirror);
    this.#mirrors.set(subscription, mirror);
    const detach = () => {
      subscription.detach();
      this.#mirrors.delete(subscription);
    };
    return { detach, [Symbol.dispose]: detach };
  }

  /** The mapping that a former process has left for a request, if nobody has claimed it yet. @internal */
  inherited({ memory, iova, offset = 0, length, read = true, write = true }: MapRequest): DmaMapping | undefined {
    const mapping = iova === undefined || this.#inherited.size === 0 ? undefined : this.#table.at(iova);
    if (mapping === undefined || mapping.memory !== memory || mapping.iova !== iova) return undefined;
    const same = mapping.offset === offset && mapping.length === length;
    if (!same || mapping.read !== read || mapping.write !== write) return undefined;
    return this.#inherited.has(mapping) ? mapping : undefined;
  }

  /** The mapping is the claimer's from here on. @internal */
  claim(mapping: DmaMapping): void {
    this.#inherited.delete(mapping);
  }

  /** Checks a request, chooses its IOVA, reserves it, and holds the memory. */
  #plan(memory: DmaMemory, options: MapOptions): DmaMapping {
    checkMemory("memory", memory);
    this.refuseLocked();
    const iovas = this.#allocator();
    const { offset = 0, length = memory.length - offset, read = true, write = true } = options;
    checkPart(memory.label, memory.length, offset, length);
    const wanted = options.iova === undefined ? undefined : toIova("iova", options.iova);
    if (length === 0 || (!read && !write) || !this.#isAligned(offset) || !this.#isAligned(length)) {
      throw this.#unfit({ iova: wanted, length, offset }, read || write);
    }
    const iova = wanted === undefined ? this.#choose(iovas, length, options) : wanted;
    if (wanted !== undefined) this.#reserve(iovas, wanted, { offset, length }, options);
    const mapping = new DmaMapping(this, { iova, length, read, write, memory, offset });
    try {
      memory.hold(mapping);
    } catch (error) {
      iovas.free(iova, length);
      throw error;
    }
    return mapping;
  }

  #choose(iovas: IovaAllocator, length: number, { mask, alignment }: MapOptions): bigint {
    if (mask === undefined && alignment === undefined) return iovas.allocate(length);
    return iovas.allocate(length, {
      ...(mask === undefined ? {} : { max: mask }),
      ...(alignment === undefined ? {} : { alignment }),
    });
  }

  /** Says what a request for a map is refused with. */
  #refuser({
    iova,
    length,
    offset,
  }: WantedRange): (errno: number, why: string, fix?: string, reason?: Reason) => VfioError {
    return (errno, why, fix, reason) =>
      this.#refusal(this.requests.map, errno, { iova: iova ?? "automatic", length, offset }, why, fix, reason);
  }

  /** Why a request cannot be met, wherever it is to be. */
  #unfit(wanted: WantedRange, reachable: boolean): VfioError {
    const { iova, length, offset } = wanted;
    const refuse = this.#refuser(wanted);
    if (length === 0) return refuse(EINVAL, "the length is 0");
    if (!reachable) return refuse(EINVAL, "devices could neither read nor write it", "set read, write or both");
    return this.#misaligned(refuse, { offset, length, ...(iova === undefined ? {} : { iova }) });
  }

  #reserve(
    iovas: IovaAllocator,
    iova: bigint,
    { offset, length }: { readonly offset: number; readonly length: number },
    options: MapOptions,
  ): void {
    const refuse = this.#refuser({ iova, offset, length });
    if (!this.#isAligned(iova)) throw this.#misaligned(refuse, { iova });
    if (iova + BigInt(length) > END) throw refuse(EOVERFLOW, "the range ends beyond the last 64-bit address");
    const last = iova + BigInt(length) - 1n;
    if (options.mask !== undefined && last > toIova("mask", options.mask)) {
      throw refuse(EINVAL, `it ends at ${hex(last)}, above the device's address mask ${hex(options.mask)}`);
    }
    const overlapped = this.#overlapping(iova, length);
    if (overlapped !== undefined) throw refuse(EEXIST, `it overlaps ${overlapped}`, "unmap that first", "overlap");
    if (!iovas.isUsable(iova, length)) {
      throw refuse(EINVAL, `it is not within the usable ranges: ${showRanges(this.iovaRanges)}`);
    }
    iovas.reserve(iova, length);
  }

  #overlapping(iova: bigint, length: number): DmaMapping | undefined {
    const overlapped = this.#table.firstOverlap(iova, length);
    if (overlapped !== undefined) return overlapped;
    const last = iova + BigInt(length) - 1n;
    for (const mapping of this.#pending.keys()) if (mapping.iova <= last && iova <= mapping.last) return mapping;
    return undefined;
  }

  #isAligned(value: number | bigint): boolean {
    // A number's remainder takes a tenth of a bigint's time, and every map asks for two.
    return typeof value === "number" ? value % this.#granularity === 0 : value % BigInt(this.#granularity) === 0n;
  }

  /** Which of several values is the misaligned one. */
  #misaligned(refuse: (errno: number, why: string) => VfioError, values: Record<string, number | bigint>): VfioError {
    const [name, value] = Object.entries(values).find(([, each]) => !this.#isAligned(each)) ?? ["length", 0];
    return refuse(EINVAL, `${name} ${hex(value)} is not a multiple of the page size ${hex(this.#granularity)}`);
  }

  /** Undoes {@link #plan}. */
  #abandon(mapping: DmaMapping): void {
    this.#iovas?.free(mapping.iova, mapping.length);
    mapping.memory.release(mapping);
    mapping.ended();
  }

  #mapError(errno: number, mapping: DmaMapping, known?: string): VfioError {
    const explain = () => this.explainMap(errno, mapping) ?? this.#explainMap(errno, mapping);
    const { why, fix, reason }: Meaning = known === undefined ? explain() : { why: known };
    const { iova, length, address } = mapping;
    return this.#refusal(this.mapRequest(mapping), errno, { iova, length, address }, why, fix, reason);
  }

  #explainMap(errno: number, mapping: DmaMapping): Meaning {
    switch (errno) {
      case EEXIST:
        return {
          reason: "overlap",
          why: "something that this object did not map is there",
          fix: "map through one container object only, or choose another IOVA",
        };
      case ENOMEM: {
        const { limit, binding, locked, pinned } = lockedMemory();
        if (!binding) return { why: "the kernel has no memory left for it" };
        return {
          reason: "locked-memory-limit",
          why:
            `it would exceed the locked-memory limit: ${limit} bytes, of which ${locked} are locked and ${pinned} pinned ` +
            `by this process (iommufd counts per user), and ${mapping.length} more are asked for`,
          fix: "raise it (ulimit -l, LimitMEMLOCK= in systemd), or run with the host's CAP_IPC_LOCK",
        };
      }
      case ENOSPC:
        return {
          reason: "limit-exceeded",
          why: "the kernel's limit of mappings a container is reached",
          fix: "map fewer, larger pieces; use the iommufd mode, which has no such limit; or raise vfio_iommu_type1.dma_entry_limit",
        };
      case EFAULT:
        return mapping.memory instanceof RegionMap
          ? this.#explainBar(mapping.memory)
          : { why: "the memory is not there: it was unmapped from this process, or its file was cut short" };
      case ENODEV:
        return mapping.memory instanceof RegionMap
          ? this.#explainBar(mapping.memory)
          : { why: "the exporter of the dma-buf has revoked it", fix: "map it again when its device works again" };
      case EINVAL:
        return { why: "the kernel refuses the range, although it lies within what it said to be usable" };
      case ECANCELED:
        return { why: "the thread is ending" };
      default:
        return { why: "the kernel refused it" };
    }
  }

  #explainBar(bar: RegionMap): { why: string; fix?: string } {
    const { obstacle } = bar;
    if (obstacle !== undefined) return obstacle;
    if (this.mode.startsWith("compat")) {
      return {
        why: `${bar.label} is a device's memory, which this mode (${this.mode}) cannot map by address`,
        fix: "use the iommufd mode, which maps it by dma-buf, or a type1 mode",
      };
    }
    return { why: `the kernel finds no memory of a device at the address of ${bar.label}` };
  }

  #refusal(
    request: string,
    errno: number,
    args: Record<string, number | bigint | string>,
    why: string | undefined,
    fix: string | undefined,
    reason?: Reason,
  ): VfioError {
    return new VfioError({
      errno,
      syscall: this.syscall,
      request,
      args,
      object: this.toString(),
      ...(why === undefined ? {} : { why }),
      ...(fix === undefined ? {} : { fix }),
      ...(reason === undefined ? {} : { reason }),
    });
  }

  // ---- unmap -------------------------------------------------------------------------------------------------------

  /**
   * Takes every mapping in a range away from the devices.
   *
   * @param iova the first address: a multiple of {@link pageSize}
   * @param length in bytes: a multiple of {@link pageSize}, not 0
   * @returns what was removed; nothing there is `{ bytes: 0n, mappings: [] }`
   * @throws VfioError `EINVAL` if it is misaligned or would cut a mapping (nothing is removed then), `EOVERFLOW` if it wraps,
   *   `EBUSY` if an asynchronous map or unmap is under way in it
   */
  unmap(iova: number | bigint, length: number | bigint): UnmapResult {
    const start = toIova("iova", iova);
    const size = toIova("length", length);
    this.#live();
    this.refuseLocked();
    const refuse = (errno: number, why: string, fix?: string) =>
      this.#refusal(this.requests.unmap, errno, { iova: start, length: size }, why, fix);
    if (size === 0n) throw refuse(EINVAL, "the length is 0", "unmapAll() removes everything");
    if (!this.#isAligned(start) || !this.#isAligned(size)) {
      throw this.#misaligned(refuse, { iova: start, length: size });
    }
    if (start + size > END) throw refuse(EOVERFLOW, "the range ends beyond the last 64-bit address");
    for (const [mapping, what] of this.#pending) {
      if (mapping.iova < start + size && start <= mapping.last) throw refuse(EBUSY, `${mapping} is being ${what}ped`);
    }
    const [cut] = this.#table.cut(start, size);
    if (cut !== undefined) {
      throw refuse(EINVAL, `it would cut the mapping ${cut}`, "unmap whole mappings, or map in smaller pieces");
    }
    const mappings = this.#table.overlapping(start, size);
    if (mappings.length === 0) return { bytes: 0n, mappings };
    const removed = this.kernelUnmap(start, size);
    return this.#settle(mappings, removed, refuse);
  }

  /** Takes everything away from the devices, but for what an asynchronous map or unmap is under way for. */
  unmapAll(): UnmapResult {
    this.#live();
    this.refuseLocked();
    const mappings = [...this.#table];
    if (mappings.length === 0) return { bytes: 0n, mappings };
    // The kernel would count, and take, what another thread is at.
    if (this.#pending.size > 0 || !this.canUnmapAll) {
      this.unmapMany(mappings);
      return { bytes: mappings.reduce((sum, { length }) => sum + BigInt(length), 0n), mappings };
    }
    const refuse = (errno: number, why: string) =>
      this.#refusal(this.requests.unmap, errno, { all: "yes" }, why, undefined);
    return this.#settle(mappings, this.kernelUnmapAll(), refuse);
  }

  /** @internal */
  unmapOne(mapping: DmaMapping): void {
    this.refuseLocked();
    this.#refusePending(mapping);
    this.#unmapped(mapping, this.kernelUnmap(mapping.iova, mapping.length));
  }

  /**
   * Unmaps one of this container's mappings in another way. A refusal is final.
   *
   * @internal
   */
  protected unmapBy(mapping: DmaMapping, unmap: () => number | bigint, why: string): void {
    this.refuseLocked();
    this.#refusePending(mapping);
    if (this.mappingAt(mapping.iova) !== mapping) throw invalidStateError(`${mapping} is no mapping of ${this}`);
    const removed = unmap();
    if (removed < 0) throw this.#unmapRefusal(-Number(removed), mapping, `${why}; still mapped: ${mapping}`);
    this.#unmapped(mapping, removed);
  }

  /** @internal */
  async unmapOneAsync(mapping: DmaMapping): Promise<void> {
    this.refuseLocked();
    this.#refusePending(mapping);
    this.#table.remove(mapping);
    this.#pending.set(mapping, "unmap");
    let removed: number;
    try {
      removed = await this.kernelUnmapAsync(mapping);
    } catch (error) {
      if (this.#pending.delete(mapping)) this.#table.insert(mapping);
      throw error;
    }
    // It may have ended meanwhile with the last device.
    if (!this.#pending.delete(mapping)) return;
    this.#table.insert(mapping);
    if (removed < 0) throw this.#unmapRefusal(-removed, mapping, `it was refused; still mapped: ${mapping}`);
    this.#unmapped(mapping, removed);
  }

  #refusePending(mapping: DmaMapping): void {
    const what = this.#pending.get(mapping);
    if (what !== undefined) throw this.#unmapRefusal(EBUSY, mapping, `${mapping} is being ${what}ped`);
  }

  #unmapRefusal(errno: number, { iova, length }: DmaMapping, why: string): VfioError {
    return this.#refusal(this.requests.unmap, errno, { iova, length }, why, undefined);
  }

  /**
   * Many unmaps, where the mode can in one go. What is still mapped when this throws is still mapped.
   *
   * @internal
   */
  unmapMany(mappings: readonly DmaMapping[]): void {
    this.refuseLocked();
    const standing = mappings.filter(({ mapped }) => mapped);
    for (const mapping of standing) this.#refusePending(mapping);
    const removed = this.kernelUnmapMany(standing);
    const failures = failuresOf(
      removed.map((bytes, index) => () => {
        const mapping = standing[index];
        if (mapping !== undefined) this.#unmapped(mapping, bytes);
      }),
    );
    if (failures.length > 0) throw failures[0];
  }

  #unmapped(mapping: DmaMapping, removed: number | bigint): void {
    if (removed === mapping.length) {
      this.#remove(mapping);
      return;
    }
    this.#settle([mapping], removed, (errno, why) => this.#unmapRefusal(errno, mapping, why));
  }

  /** Brings the table in line with what the kernel answered. */
  #settle(
    mappings: readonly DmaMapping[],
    removed: number | bigint,
    refuse: (errno: number, why: string) => VfioError,
  ): UnmapResult {
    const expected = mappings.reduce((sum, mapping) => sum + mapping.length, 0);
    if (removed === expected) {
      for (const mapping of mappings) this.#remove(mapping);
      return { bytes: BigInt(expected), mappings };
    }
    if (removed === 0) {
      // Somebody else unmapped them, or the kernel could not look. Who cannot know keeps the memory in place.
      throw refuse(
        EIO,
        `${this.counterpart} says that nothing is mapped where it mapped ${mappings.join(", ")} before`,
      );
    }
    // Some of them may have been removed.
    const kept = mappings.filter((mapping) => {
      if (this.isKept(mapping)) return true;
      this.#remove(mapping);
      return false;
    });
    const left = kept.length === 0 ? "they are all gone now" : `still mapped: ${kept.join(", ")}`;
    throw removed < 0
      ? refuse(-Number(removed), `${this.counterpart} refused; ${left}`)
      : refuse(EIO, `${this.counterpart} removed ${removed} bytes where ${expected} were mapped; ${left}`);
  }

  #remove(mapping: DmaMapping): void {
    this.#table.remove(mapping);
    if (this.#inherited.size > 0) this.#inherited.delete(mapping);
    this.#abandon(mapping);
  }

  // ---- lookups -----------------------------------------------------------------------------------------------------

  /** The mappings, in the order of their IOVAs. */
  get mappings(): Iterable<DmaMapping> {
    return this.#table;
  }

  /** How many mappings there are. */
  get mappingCount(): number {
    return this.#table.size;
  }

  /** The mapping that an IOVA lies in. */
  mappingAt(iova: number | bigint): DmaMapping | undefined {
    return this.#table.at(toIova("iova", iova));
  }

  /** The address in this process of what devices see at an IOVA. */
  addressOf(iova: number | bigint): number | undefined {
    const at = toIova("iova", iova);
    const mapping = this.#table.at(at);
    return mapping === undefined ? undefined : mapping.address + Number(at - mapping.iova);
  }

  /** Where devices see an address of this process: the lowest IOVA, if it is mapped more than once. */
  iovaOf(address: number): bigint | undefined {
    checkInteger("address", address);
    const [mapping] = this.#table.byAddress(address);
    return mapping?.at(address - mapping.address);
  }

  // ---- between two processes ---------------------------------------------------------------------------------------

  /** Refuses changes of the container and of its devices from now on; undefined ends that. @internal */
  lock(lock: ChangeLock | undefined): void {
    this.#lock = lock;
    for (const device of this.#devices.values()) device.lock(lock);
  }

  /** What is under way, and so not to be described: each ends a sentence that begins with what it is about. @internal */
  get underWay(): readonly { readonly device: string | undefined; readonly what: string }[] {
    return [
      ...(this.#lock === undefined ? [] : [{ device: undefined, what: this.#lock.why }]),
      ...[...this.#pending].map(([mapping, what]) => ({
        device: undefined,
        what: `is ${what}ping ${mapping} on another thread`,
      })),
      ...[...this.#mirrors.values()]
        .filter(({ open }) => open)
        .map(() => ({ device: undefined, what: "is in a transaction of an address space" })),
      ...[...this.#devices.values()].flatMap(({ address, underWay }) =>
        underWay === undefined ? [] : [{ device: address, what: `has ${underWay} under way` }],
      ),
    ];
  }

  /**
   * Devices that another process has attached and opened. The kernel is asked about them, and told nothing.
   *
   * @param ties belong to the container from here on; if this throws, what has no device yet is still the caller's
   * @internal
   */
  inheritDevices(ties: Iterable<{ readonly tie: Attachment; readonly state: DeviceState<OwnedFd> }>): void {
    for (const { tie, state } of ties) {
      if (this.#space === undefined) this.#refresh();
      const device = new Device(this.#registered(tie), state);
      // Until the old process gives it up.
      device.freeze();
      this.#devices.set(tie.address, device);
    }
  }

  /**
   * What another process has mapped. The kernel is told nothing.
   *
   * @throws VfioError for what this container could not have mapped; it is to be disowned then
   * @internal
   */
  inheritMappings(
    parts: readonly Pick<DmaMapping, "iova" | "length" | "read" | "write" | "memory" | "offset">[],
  ): void {
    if (parts.length === 0) return;
    const { iovas } = this.#attached(this.requests.map);
    for (const part of parts) {
      iovas.reserve(part.iova, part.length);
      const mapping = new DmaMapping(this, part);
      part.memory.hold(mapping);
      this.#table.insert(mapping);
      this.#inherited.add(mapping);
    }
  }

  /**
   * Closes what is this process's of it and leaves the rest to another one: nothing is unmapped, detached, switched off or
   * reset. Everything of it is closed then.
   *
   * @internal
   */
  disown(): void {
    if (this.#closed) return;
    this.#lock = undefined;
    for (const [subscription, mirror] of this.#mirrors) {
      mirror.disown();
      subscription.detach();
    }
    this.#mirrors.clear();
    // A BAR that is mapped keeps its device from closing: mappings first.
    for (const mapping of this.#table) {
      mapping.memory.release(mapping);
      mapping.ended();
    }
    this.#table.clear();
    this.#inherited.clear();
    for (const device of this.#devices.values()) device.disown();
    this.#devices.clear();
    this.#space = undefined;
    this.#iovas = undefined;
    this.#closed = true;
    this.#forget();
    this.disownSelf();
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Closes the devices, ends the mappings, gives the descriptors back. A second call does nothing.
   *
   * What fails on the way does not keep the rest from being done; the first failure is thrown at the end.
   *
   * @throws VfioError `EBUSY` while an asynchronous unmap is under way: then nothing was done
   */
  close(): void {
    if (this.#closed) return;
    this.refuseLocked();
    this.#refuseEnd();
    // A device refuses to close while its BAR is mapped: the mapping keeps it open in the kernel.
    const bars = [...this.#table].filter(({ memory }) => memory.kind === "bar");
    runAll(`closing the container (${this.mode})`, [
      ...bars.map((mapping) => () => mapping.unmap()),
      ...[...this.#devices.values()].reverse().map((device) => () => device.close()),
      () => this.#endSpace(),
      () => {
        this.#closed = true;
        this.#forget();
      },
      () => this.closeSelf(),
      () => {
        // With its last descriptor the kernel has dropped every mapping, also one that it refused to unmap.
        for (const mapping of this.#table) this.#remove(mapping);
      },
    ]);
  }

  /** The other thread would give memory back that is not held any more, or remove what is mapped there later. */
  #refuseEnd(): void {
    if (!this.callsGoOn) return;
    for (const [mapping, what] of this.#pending) {
      if (what === "map") continue;
      throw new VfioError({
        errno: EBUSY,
        syscall: "close",
        object: this.toString(),
        why: `${mapping} is being unmapped`,
        fix: "await what unmapAsync() has returned, and close it then",
      });
    }
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    return `container (${this.mode})`;
  }
}

showAs(Container, (container) => {
  const devices = `devices: ${listed(container.devices.keys())}`;
  return `${container.mode}, ${devices}, ${counted(container.mappingCount, "mapping")}, ${openOrClosed(container)}`;
});
