/**
 * The iommufd container: one I/O address space, and devices that come by their own nodes (`/dev/vfio/devices/vfioN`).
 *
 * @module
 */
import { constants as os } from "node:os";
import type { ChangeLock } from "../base/change-lock.js";
import { check, type Meaning, VfioError } from "../base/errors.js";
import type { AddDescriptor } from "../base/preserve.js";
import type { Attachment } from "../device/attachment.js";
import { KernelPort } from "../device/port.js";
import { vfTokenBytes } from "../device/vf-token.js";
import { type Ioas, Iommufd } from "../iommufd/iommufd.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { openNode } from "../kernel/open-node.js";
import * as uapi from "../kernel/uapi.js";
import { groupHolders, whyUnseen } from "../pci/holders.js";
import { vfioCdevPath } from "../pci/index.js";
import { deviceName, explainBusy, explainNotOwned, explainVfToken } from "./attaching.js";
import { BatchWriter } from "./batch-writer.js";
import { Container } from "./container.js";
import type { HandOver, PreservedContainer } from "./hand-over.js";
import { IommufdHandOver } from "./iommufd-hand-over.js";
import type { DmaMapping } from "./mapping.js";
import type { AttachOptions, SpaceInfo } from "./options.js";

const { EACCES, EBUSY, EINVAL, ENOENT, EPERM } = os.errno;

/** The words in each batch entry: flags and descriptor, address or offset, IOVA, length; one word for the errno first. */
const BATCH_WORDS = 4;

/** A container of iommufd. Made by {@link openContainer}. */
export class IommufdContainer extends Container {
  declare readonly mode: "iommufd";
  protected readonly requests = { map: "IOMMU_IOAS_MAP", unmap: "IOMMU_IOAS_UNMAP" };
  /** The iommufd, which belongs to this container. */
  readonly iommufd: Iommufd;
  /** The address space that devices are attached to. */
  readonly ioas: Ioas;

  /** @internal */
  readonly handOver: HandOver;

  /** @internal */
  static open(): IommufdContainer {
    const iommufd = Iommufd.open();
    try {
      return new IommufdContainer(iommufd, iommufd.allocIoas());
    } catch (error) {
      iommufd.close();
      throw error;
    }
  }

  /**
   * A container that another process has made.
   *
   * @param fd belongs to the container from here on; if this throws, it is still the caller's
   * @param ioas the id of its address space
   * @internal
   */
  static retrieve(fd: OwnedFd, ioas: number): IommufdContainer {
    const iommufd = Iommufd.inherit(fd);
    return new IommufdContainer(iommufd, iommufd.inheritIoas(ioas));
  }

  private constructor(iommufd: Iommufd, ioas: Ioas) {
    super("iommufd");
    iommufd.leaveWarningToOwner();
    this.iommufd = iommufd;
    this.ioas = ioas;
    this.handOver = new IommufdHandOver(iommufd, this.toString(), () =>
      [...this.mappings].filter(({ memory }) => memory.kind === "bar").map(({ memory }) => memory.label),
    );
  }

  protected open(address: string, options: AttachOptions): Attachment {
    const name = deviceName(address);
    this.refuseAttached(name);
    const token = options.vfToken === undefined ? undefined : vfTokenBytes(options.vfToken);
    const fd = openNode(vfioCdevPath(name), (errno) => (errno === EBUSY ? explainBusy(name, oneUser) : {}));
    try {
      options.beforeOpen?.(fd.number);
      const iommufdId = native.vfioDeviceBindIommufd(fd.number, this.iommufd.fd, token);
      if (iommufdId < 0) {
        // This open of the device is of no use any more, and must not count among those who hold it.
        fd.close();
        throw bindRefusal(-iommufdId, name, options);
      }
      // The answer is the page table that the kernel has made of the address space, or chosen among those that fit.
      const pageTableId = check(native.vfioDeviceAttachIommufdPt(fd.number, this.ioas.id), (errno) => ({
        syscall: "ioctl",
        request: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
        args: { ioas: this.ioas.id },
        object: name,
        ...explainAttach(errno, name),
      }));
      return this.inheritedTie(name, fd, { iommufdId, pageTableId });
    } catch (error) {
      // Closing the device also unbinds it.
      fd.close();
      throw error;
    }
  }

  /** How a device is tied to this container that is bound and attached. @internal */
  inheritedTie(
    address: string,
    fd: OwnedFd,
    ids: { readonly iommufdId: number; readonly pageTableId: number },
  ): Attachment {
    return {
      address,
      port: new KernelPort(fd),
      door: "cdev",
      ...ids,
      group: undefined,
      groupFds: () => new Map(),
      beforeClose: () => {
        check(native.vfioDeviceDetachIommufdPt(fd.number), () => ({
          syscall: "ioctl",
          request: "VFIO_DEVICE_DETACH_IOMMUFD_PT",
          object: address,
        }));
      },
      afterClose: () => {},
    };
  }

  /** @internal */
  override lock(lock: ChangeLock | undefined): void {
    super.lock(lock);
    this.iommufd.lock(lock);
  }

  /** @internal */
  preserve(add: AddDescriptor): PreservedContainer {
    const descriptor = add(this.iommufd.fd);
    return { record: "containers", state: { mode: this.mode, descriptor, ioas: this.ioas.id, groups: [] } };
  }

  protected readSpace(): SpaceInfo {
    const { ranges, alignment } = this.ioas.ranges();
    // iommufd says the smallest page only; larger entries are used by themselves where memory and IOVA allow.
    return { ranges, pageSizes: alignment, entriesLeft: Number.POSITIVE_INFINITY };
  }

  protected kernelMap(mapping: DmaMapping): number {
    const { iova, length, offset, memory } = mapping;
    const file = memory.backing();
    const flags = mapFlags(mapping);
    const mapped =
      file === undefined
        ? native.iommufdIoasMap(this.iommufd.fd, flags, this.ioas.id, mapping.address, iova, length)
        : native.iommufdIoasMapFile(this.iommufd.fd, flags, this.ioas.id, file.fd, file.offset + offset, iova, length);
    return typeof mapped === "number" && mapped < 0 ? mapped : 0;
  }

  protected kernelMapAsync(mapping: DmaMapping): Promise<number> {
    const { iova, length, offset, memory } = mapping;
    const { fd } = this.iommufd;
    const { id } = this.ioas;
    const file = memory.backing();
    const flags = mapFlags(mapping);
    return file === undefined
      ? native.iommufdIoasMapFixedAsync(fd, flags, id, mapping.address, iova, length)
      : native.iommufdIoasMapFileFixedAsync(fd, flags, id, file.fd, file.offset + offset, iova, length);
  }

  protected kernelMapMany(mappings: readonly DmaMapping[]): { done: number; errno: number } {
    const batch = new BatchWriter(1 + BATCH_WORDS * mappings.length);
    for (const mapping of mappings) {
      const file = mapping.memory.backing();
      batch.addHalves(mapFlags(mapping), file === undefined ? 0 : file.fd + 1);
      batch.add(file === undefined ? mapping.address : file.offset + mapping.offset);
      batch.addIova(mapping.iova);
      batch.add(mapping.length);
    }
    const { words } = batch;
    const done = native.iommufdIoasMapBatch(this.iommufd.fd, this.ioas.id, words, mappings.length);
    return { done, errno: Number(words[0]) };
  }

  protected kernelUnmap(iova: bigint, length: number | bigint): number | bigint {
    return zeroIfNothing(native.iommufdIoasUnmap(this.iommufd.fd, this.ioas.id, iova, length));
  }

  protected async kernelUnmapAsync({ iova, length }: DmaMapping): Promise<number> {
    return zeroIfNothing(await native.iommufdIoasUnmapAsync(this.iommufd.fd, this.ioas.id, iova, length));
  }

  protected kernelUnmapAll(): number | bigint {
    return native.iommufdIoasUnmap(this.iommufd.fd, this.ioas.id, 0, (1n << 64n) - 1n);
  }

  protected override mapRequest({ memory }: DmaMapping): string {
    return memory.backing() === undefined ? this.requests.map : "IOMMU_IOAS_MAP_FILE";
  }

  protected override explainMap(errno: number, mapping: DmaMapping): { why: string; fix?: string } | undefined {
    if (errno === EINVAL && mapping.memory.backing() !== undefined) {
      return {
        why: "the range ends beyond the end of the memory's file, or the file is of a kind that cannot be mapped",
      };
    }
    return undefined;
  }

  protected closeSelf(): void {
    try {
      this.ioas.destroy();
    } finally {
      this.iommufd.close();
    }
  }

  protected disownSelf(): void {
    this.iommufd.close();
  }
}

/** Where nothing is mapped, type1 answers 0 bytes, and iommufd ENOENT. */
function zeroIfNothing<T extends number | bigint>(removed: T): T | 0 {
  return removed === -ENOENT ? 0 : removed;
}

function mapFlags({ read, write }: DmaMapping): number {
  return (
    uapi.IOMMU_IOAS_MAP_FIXED_IOVA |
    (read ? uapi.IOMMU_IOAS_MAP_READABLE : 0) |
    (write ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0)
  );
}

const oneUser = "a device has one user: close it there first";

function bindRefusal(errno: number, name: string, options: AttachOptions): VfioError {
  const call = { syscall: "ioctl", request: "VFIO_DEVICE_BIND_IOMMUFD", object: name };
  // A device's node can be opened twice, and it is the second bind that is refused: as EINVAL, like other mistakes.
  if (errno === EINVAL && groupHolders(name).length > 0)
    return new VfioError({ errno: EBUSY, ...call, ...explainBusy(name, oneUser) });
  return new VfioError({ errno, ...call, ...explainBind(errno, name, options) });
}

function explainBind(errno: number, name: string, { vfToken }: AttachOptions): Meaning {
  // Its group is open, for a legacy container.
  if (errno === EBUSY) return explainBusy(name, oneUser);
  if (errno === EPERM) return explainNotOwned(name, "iommufd");
  if (errno === EINVAL) {
    const unseen = whyUnseen();
    const hidden = unseen === undefined ? "" : `, or it is open in a process that cannot be seen from here (${unseen})`;
    return vfToken === undefined
      ? { why: `its IOMMU cannot isolate it${hidden}` }
      : { why: "the VF token is malformed, or the device is neither a virtual nor a physical function" };
  }
  if (errno === EACCES) return explainVfToken(name, vfToken);
  return { why: "the driver could not open the device" };
}

function explainAttach(errno: number, name: string): { why: string; fix?: string } {
  if (errno === os.errno.EADDRINUSE) {
    return {
      why: `a mapping, or an allowed range, lies where ${name} has reserved addresses`,
      fix: "attach the device before mapping, or unmap what lies there",
    };
  }
  if (errno === EBUSY) return { why: "another device of its group is attached to another address space" };
  return { why: "the IOMMU cannot use this address space for the device" };
}
