/**
 * The legacy container: a type1 IOMMU behind `/dev/vfio/vfio`, or iommufd's emulation of one behind `/dev/iommu`, with
 * devices that come by way of their groups (`/dev/vfio/N`).
 *
 * The order of the calls is the kernel's: a group must be viable before it joins, the first group must have joined before
 * the IOMMU's type can be set, and only then does the container know its addresses. See `Documentation/driver-api/vfio.rst`.
 *
 * @module
 */

import { constants as os } from "node:os";
import { instanceOf } from "../base/arguments.js";
import { check, errnoName, type Meaning, outOfRangeError, VfioError } from "../base/errors.js";
import type { AddDescriptor } from "../base/preserve.js";
import type { Attachment } from "../device/attachment.js";
import { KernelPort } from "../device/port.js";
import { vfTokenBytes } from "../device/vf-token.js";
import { growingInfo } from "../kernel/enough-room.js";
import { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { openNode } from "../kernel/open-node.js";
import { refusal } from "../kernel/refusal.js";
import * as uapi from "../kernel/uapi.js";
import { DmaBuffer } from "../memory/dma-buffer.js";
import { groupViability, vfioGroupPath } from "../pci/index.js";
import { deviceName, explainBusy, explainVfToken, isMediated, noRemapping, unsafeInterrupts } from "./attaching.js";
import { Container } from "./container.js";
import type { HandOver, PreservedContainer } from "./hand-over.js";
import { LegacyHandOver } from "./legacy-hand-over.js";
import { DmaMapping } from "./mapping.js";
import type { LegacyMode } from "./modes.js";
import type { AttachOptions, SpaceInfo } from "./options.js";
import { mapFrom, packMaps } from "./type1-batch.js";
import { parseType1Info } from "./type1-info.js";

// Bytes that the first VFIO_IOMMU_GET_INFO has room for: the struct and some capabilities. The kernel says how much it needs.
const INFO_ROOM = 256;

const ONLY_TYPE1V2 = "only the mode type1v2 notes dirty pages";

const iommuTypes: Record<LegacyMode, number> = {
  type1: uapi.VFIO_TYPE1_IOMMU,
  type1v2: uapi.VFIO_TYPE1v2_IOMMU,
  "compat-type1": uapi.VFIO_TYPE1_IOMMU,
  "compat-type1v2": uapi.VFIO_TYPE1v2_IOMMU,
};

const { EACCES, EBUSY, EFAULT, EINVAL, ENODEV, ENOENT, ENOSPC, EPERM } = os.errno;

/** A group of this container, shared by its devices here. */
interface JoinedGroup {
  readonly id: number;
  readonly fd: OwnedFd;
  users: number;
}

const checkMapping = instanceOf(DmaMapping, "a mapping (DmaMapping)");

/** A container of type1, real or emulated. Made by {@link openContainer}. */
export class LegacyContainer extends Container {
  declare readonly mode: LegacyMode;
  protected readonly requests = { map: "VFIO_IOMMU_MAP_DMA", unmap: "VFIO_IOMMU_UNMAP_DMA" };
  readonly #fd: OwnedFd;
  readonly #groups = new Map<number, JoinedGroup>();
  #iommuSet = false;
  #canUnmapAll: boolean | undefined;

  /** @internal */
  readonly handOver: HandOver = new LegacyHandOver(this);

  /** @internal */
  static open(mode: LegacyMode): LegacyContainer {
    const fd = openContainerNode(mode);
    try {
      checkInterface(fd, mode);
      return new LegacyContainer(mode, fd);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * A container that another process has opened, with groups that have joined it and a type that is set.
   *
   * @param fd belongs to the container from here on, and so do the groups'; if this throws, they are still the caller's
   * @throws VfioError if the descriptor is no such container
   * @internal
   */
  static retrieve(mode: LegacyMode, fd: OwnedFd, groups: Iterable<{ id: number; fd: OwnedFd }>): LegacyContainer {
    checkInterface(fd, mode);
    const container = new LegacyContainer(mode, fd);
    for (const group of groups) {
      group.fd.leaveWarningToOwner();
      container.#groups.set(group.id, { ...group, users: 0 });
      container.#iommuSet = true;
    }
    return container;
  }

  private constructor(mode: LegacyMode, fd: OwnedFd) {
    super(mode);
    fd.leaveWarningToOwner();
    this.#fd = fd;
  }

  /** The container's descriptor, to borrow: for a request that this class does not make. */
  get fd(): number {
    return this.#fd.number;
  }

  // ---- devices -----------------------------------------------------------------------------------------------------

  protected open(address: string, options: AttachOptions): Attachment {
    const name = deviceName(address);
    this.refuseAttached(name);
    if (options.vfToken !== undefined) vfTokenBytes(options.vfToken);
    const group = this.#join(name);
    try {
      if (group.users === 1) options.beforeOpen?.(group.fd.number);
      const wanted = options.vfToken === undefined ? name : `${name} vf_token=${options.vfToken}`;
      const fd = new OwnedFd(
        check(native.vfioGroupGetDeviceFd(group.fd.number, wanted), (errno) => ({
          syscall: "ioctl",
          request: "VFIO_GROUP_GET_DEVICE_FD",
          object: name,
          ...explainDeviceFd(errno, name, options, this.mode),
        })),
        name,
      );
      return this.#tie(name, fd, group);
    } catch (error) {
      this.#leave(group);
      throw error;
    }
  }

  #tie(name: string, fd: OwnedFd, group: JoinedGroup): Attachment {
    return {
      address: name,
      port: new KernelPort(fd),
      door: "group",
      iommufdId: undefined,
      pageTableId: undefined,
      group: group.id,
      groupFds: () => this.#groupFds(),
      beforeClose: () => {},
      afterClose: () => this.#leave(group),
    };
  }

  #groupFds(): ReadonlyMap<number, number> {
    return new Map([...this.#groups.values()].map(({ id, fd }) => [id, fd.number]));
  }

  /** How a device that another process has opened is tied to its group here. @internal */
  inheritedTie(address: string, fd: OwnedFd, groupId: number): Attachment {
    const group = this.#groups.get(groupId);
    if (group === undefined) throw outOfRangeError("group", `one of ${this}`, groupId);
    group.users++;
    return this.#tie(address, fd, group);
  }

  /** @internal */
  preserve(add: AddDescriptor): PreservedContainer {
    const descriptor = add(this.fd);
    const groups = [...this.#groups.values()].map(({ id, fd }) => ({ id, descriptor: add(fd.number) }));
    return { record: "containers", state: { mode: this.mode, descriptor, ioas: undefined, groups } };
  }

  /** The groups: a virtual machine may have to know them. @internal */
  override get files(): readonly number[] {
    return [...this.#groupFds().values()];
  }

  /** Whether a group has joined, so that the type is set. @internal */
  get iommuSet(): boolean {
    return this.#iommuSet;
  }

  /** The mediated devices in it. @internal */
  get mediated(): readonly string[] {
    return [...this.devices.keys()].filter(isMediated);
  }

  /** Opens a device's group and lets it join, or counts one more device of a group that has joined. */
  #join(name: string): JoinedGroup {
    const path = vfioGroupPath(name);
    const id = Number(/(\d+)$/.exec(path)?.[1]);
    const joined = this.#groups.get(id);
    if (joined !== undefined) {
      joined.users++;
      return joined;
    }
    const fd = openNode(path, (errno) => (errno === EBUSY ? explainBusy(name, oneUser) : {}));
    try {
      requireViable(fd, id);
      check(native.vfioGroupSetContainer(fd.number, this.#fd.number), (errno) => ({
        syscall: "ioctl",
        request: "VFIO_GROUP_SET_CONTAINER",
        object: `group ${id} (${name})`,
        ...explainSetContainer(errno),
      }));
    } catch (error) {
      fd.close();
      throw error;
    }
    fd.leaveWarningToOwner();
    const group = { id, fd, users: 1 };
    this.#groups.set(id, group);
    try {
      this.#setIommu();
    } catch (error) {
      this.#leave(group);
      throw error;
    }
    return group;
  }

  /** The type can be set once, when the first group has joined; leaving with the last group unsets it. */
  #setIommu(): void {
    if (this.#iommuSet) return;
    const type = iommuTypes[this.mode];
    check(native.vfioSetIommu(this.#fd.number, type), (errno) => ({
      syscall: "ioctl",
      request: "VFIO_SET_IOMMU",
      args: { type },
      object: this.toString(),
      ...(errno === EPERM
        ? {
            reason: "interrupts-not-remapped" as const,
            why: noRemapping,
            fix: unsafeInterrupts(this.mode.startsWith("compat") ? "iommufd" : "vfio_iommu_type1"),
          }
        : {
            why: "the group's IOMMU cannot be driven in this mode",
            fix: "choose another mode: openContainer() without one chooses what the kernel has",
          }),
    }));
    this.#iommuSet = true;
  }

  #leave(group: JoinedGroup): void {
    if (--group.users > 0) return;
    this.#groups.delete(group.id);
    // Closing the group's descriptor would do the same, and report no refusal.
    const status = native.vfioGroupUnsetContainer(group.fd.number);
    group.fd.close();
    if (this.#groups.size === 0) this.#iommuSet = false;
    // EINVAL: it is in no container. The kernel takes a group out itself when its last device is unbound or removed.
    if (status === -EINVAL) return;
    check(status, () => ({
      syscall: "ioctl",
      request: "VFIO_GROUP_UNSET_CONTAINER",
      object: `group ${group.id}`,
      why: "a device of the group is still open elsewhere",
    }));
  }

  // ---- memory ------------------------------------------------------------------------------------------------------

  protected readSpace(): SpaceInfo {
    return parseType1Info(this.#getInfo());
  }

  #getInfo() {
    const about = { syscall: "ioctl", request: "VFIO_IOMMU_GET_INFO", object: this.toString() };
    const info = growingInfo(INFO_ROOM, (argsz) => native.vfioIommuGetInfo(this.#fd.number, argsz), about);
    if (typeof info === "number") throw refusal("vfioIommuGetInfo", info, { object: this.toString() });
    return info;
  }

  protected kernelMap(mapping: DmaMapping): number {
    return native.vfioIommuMapDma(this.#fd.number, mapFlags(mapping), mapping.address, mapping.iova, mapping.length);
  }

  protected kernelMapAsync(mapping: DmaMapping): Promise<number> {
    const { address, iova, length } = mapping;
    return native.vfioIommuMapDmaAsync(this.#fd.number, mapFlags(mapping), address, iova, length);
  }

  protected kernelMapMany(mappings: readonly DmaMapping[]): { done: number; errno: number } {
    return mapFrom(this.#fd.number, packMaps(mappings, mapFlags), 0);
  }

  protected kernelUnmap(iova: bigint, length: number | bigint): number | bigint {
    return native.vfioIommuUnmapDma(this.#fd.number, 0, iova, length);
  }

  protected kernelUnmapAsync({ iova, length }: DmaMapping): Promise<number> {
    return native.vfioIommuUnmapDmaAsync(this.#fd.number, iova, length);
  }

  /** type1's address space goes with the last group that leaves. iommufd's stays, behind its emulation too. */
  protected override get mappingsEndWithDevices(): boolean {
    return !this.mode.startsWith("compat");
  }

  /** Linux before 5.12 knows no flag for it. */
  protected override get canUnmapAll(): boolean {
    this.#canUnmapAll ??= native.vfioCheckExtension(this.#fd.number, uapi.VFIO_UNMAP_ALL) > 0;
    return this.#canUnmapAll;
  }

  protected kernelUnmapAll(): number | bigint {
    return native.vfioIommuUnmapDma(this.#fd.number, uapi.VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
  }

  // ---- dirty pages -------------------------------------------------------------------------------------------------

  /**
   * Begins to note which mapped pages the devices may have written (`VFIO_IOMMU_DIRTY_PAGES`). Without help of the IOMMU
   * every pinned page counts as written.
   *
   * @throws VfioError `EACCES` in mode `type1`, `ENOTTY` in the compatibility modes, which cannot
   */
  startDirtyTracking(): void {
    this.#dirtyTracking(uapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
  }

  /** Ends it, and forgets what was noted. */
  stopDirtyTracking(): void {
    this.#dirtyTracking(uapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
  }

  #dirtyTracking(flags: number): void {
    this.refuseLocked("use");
    check(native.vfioIommuDirtyPages(this.#fd.number, flags), () => ({
      syscall: "ioctl",
      request: "VFIO_IOMMU_DIRTY_PAGES",
      args: { flags },
      object: this.toString(),
      ...(this.mode === "type1v2" ? {} : { why: ONLY_TYPE1V2 }),
    }));
  }

  /**
   * The pages of a mapping that were written since the last time, one bit a page of {@link pageSize}, lowest first.
   * `dirtyRanges()` goes through them.
   *
   * @throws VfioError `EINVAL` while nothing is noted
   */
  dirtyPages(mapping: DmaMapping): BigUint64Array {
    checkMapping("mapping", mapping);
    // The kernel forgets what it reports: the process that owns the container would miss it.
    this.refuseLocked("use");
    const bitmap = this.#bitmapOf(mapping);
    const { iova, length } = mapping;
    check(native.vfioIommuDirtyPagesGet(this.#fd.number, iova, length, this.pageSize, bitmap), () => ({
      syscall: "ioctl",
      request: "VFIO_IOMMU_DIRTY_PAGES",
      args: { iova, length },
      object: this.toString(),
      why: "dirty pages are not being noted",
      fix: "call startDirtyTracking() first",
    }));
    return bitmap;
  }

  /**
   * Unmaps a mapping, and says which of its pages were written since the last time: also those that a device writes at the last moment,
   * which would be lost between {@link dirtyPages} and `unmap()` (`VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP`).
   *
   * @returns what {@link dirtyPages} returns
   * @throws VfioError `EINVAL` while nothing is noted, `EBUSY` while it is being unmapped; it is still mapped then. An error with
   *   `code` `ERR_INVALID_STATE` for a mapping that is not in this container, or not any more
   */
  unmapDirty(mapping: DmaMapping): BigUint64Array {
    checkMapping("mapping", mapping);
    const bitmap = this.#bitmapOf(mapping);
    const { iova, length } = mapping;
    this.unmapBy(
      mapping,
      () => native.vfioIommuUnmapDmaDirty(this.#fd.number, iova, length, this.pageSize, bitmap),
      this.mode === "type1v2" ? "dirty pages are not being noted: call startDirtyTracking() first" : ONLY_TYPE1V2,
    );
    return bitmap;
  }

  #bitmapOf({ length }: DmaMapping): BigUint64Array {
    return new BigUint64Array(Math.ceil(length / this.pageSize / 64));
  }

  protected override explainMap(errno: number, mapping: DmaMapping): { why: string; fix?: string } | undefined {
    // iommufd's emulation has no entry limit, and its ENOSPC is about something else.
    if (errno === ENOSPC && this.mode.startsWith("compat")) return { why: "the kernel has no room for it" };
    if (errno === EFAULT && mapping.memory instanceof DmaBuffer && mapping.memory.closed) {
      return { why: `${mapping.memory.label} was closed meanwhile` };
    }
    return undefined;
  }

  protected closeSelf(): void {
    this.#fd.close();
  }

  protected disownSelf(): void {
    for (const { fd } of this.#groups.values()) fd.close();
    this.#groups.clear();
    this.#fd.close();
  }
}

function mapFlags({ read, write }: DmaMapping): number {
  return (read ? uapi.VFIO_DMA_MAP_FLAG_READ : 0) | (write ? uapi.VFIO_DMA_MAP_FLAG_WRITE : 0);
}

function openContainerNode(mode: LegacyMode): OwnedFd {
  const compat = mode.startsWith("compat");
  const path = compat ? "/dev/iommu" : "/dev/vfio/vfio";
  return openNode(path, (errno) =>
    errno === ENOENT || errno === ENODEV
      ? {
          why: compat
            ? "this kernel has no iommufd (CONFIG_IOMMUFD)"
            : "the vfio module is not loaded, or this kernel has no legacy containers (CONFIG_VFIO_CONTAINER)",
          fix: compat ? "use a type1 mode" : "modprobe vfio-pci; or use the iommufd mode",
        }
      : {},
  );
}

/** Refuses a container of another API version, and a type that the kernel does not have. */
function checkInterface(fd: OwnedFd, mode: LegacyMode): void {
  const version = native.vfioGetApiVersion(fd.number);
  if (version !== uapi.VFIO_API_VERSION) {
    throw new VfioError({
      errno: version < 0 ? version : EINVAL,
      syscall: "ioctl",
      request: "VFIO_GET_API_VERSION",
      object: fd.label,
      why: version < 0 ? "it is not a VFIO container" : `it speaks version ${version}, this package version 0`,
    });
  }
  // The emulation answers for both of its types before a device is there; type1 itself does too.
  const type = iommuTypes[mode];
  const has = check(native.vfioCheckExtension(fd.number, type), () => ({
    syscall: "ioctl",
    request: "VFIO_CHECK_EXTENSION",
    args: { extension: type },
    object: fd.label,
  }));
  if (has > 0) return;
  throw new VfioError({
    errno: ENODEV,
    syscall: "ioctl",
    request: "VFIO_CHECK_EXTENSION",
    args: { extension: type },
    object: fd.label,
    why: `the kernel has no IOMMU driver for the mode ${mode}`,
    fix: "modprobe vfio_iommu_type1; or use the iommufd mode",
  });
}

function requireViable(fd: OwnedFd, id: number): void {
  const flags = check(native.vfioGroupGetStatus(fd.number), () => ({
    syscall: "ioctl",
    request: "VFIO_GROUP_GET_STATUS",
    object: fd.label,
  }));
  if ((flags & uapi.VFIO_GROUP_FLAGS_VIABLE) !== 0) return;
  const answer = groupViability(id);
  const blockers = answer.viable ? [] : answer.blockers;
  throw new VfioError({
    errno: -1,
    syscall: "ioctl",
    request: "VFIO_GROUP_GET_STATUS",
    object: `group ${id}`,
    reason: "group-not-viable",
    why: `the group is not viable: ${blockers.map(({ why }) => why).join("; ") || "a device of it is with a kernel driver"}`,
    fix: blockers.map(({ fix }) => fix).join("; ") || "bind every device of the group to vfio-pci, or to no driver",
  });
}

const oneUser = "a group has one user: attach the device to that container, or close it there first";

function explainSetContainer(errno: number): { why: string; fix?: string } {
  switch (errno) {
    case EINVAL:
      return { why: "the group is in a container already, or shares too little with the devices in this one" };
    case EBUSY:
      return { why: "the container is being handed over, and takes no group meanwhile", fix: "try again afterwards" };
    default:
      return { why: `the kernel's IOMMU driver refused the group (${errnoName(errno)})` };
  }
}

function explainDeviceFd(errno: number, name: string, { vfToken }: AttachOptions, mode: LegacyMode): Meaning {
  // iommufd's emulation looks at interrupts here; a type1 container did when its type was set. The group is this container's, and
  // viable: nobody else's use can be the reason.
  if (errno === EPERM && mode.startsWith("compat")) {
    return { reason: "interrupts-not-remapped", why: noRemapping, fix: unsafeInterrupts("iommufd") };
  }
  switch (errno) {
    case ENODEV:
      return { why: `${name} is not in the group any more: it was unbound or unplugged` };
    case EACCES:
      return explainVfToken(name, vfToken);
    case EBUSY:
      return { why: "it is open elsewhere" };
    default:
      return vfToken === undefined
        ? { why: "the driver could not open the device" }
        : { why: "the driver could not open the device; a VF token is only for a virtual or physical function" };
  }
}
