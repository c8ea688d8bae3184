/**
 * A legacy container passes from one process to another: `VFIO_DMA_UNMAP_FLAG_VADDR` takes every mapping's address away,
 * `VFIO_DMA_MAP_FLAG_VADDR` gives each one a new one.
 *
 * The rules are in `linux/vfio.h` and in the kernel's type1 driver: an address is given for exactly the range that was mapped; it
 * is refused where one is valid; and while any is invalid, no group can join.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import type { Blocker } from "../base/preserve.js";
import { native } from "../kernel/native.js";
import * as uapi from "../kernel/uapi.js";
import type { HandOver } from "./hand-over.js";
import type { DmaMapping } from "./mapping.js";
import type { LegacyMode } from "./modes.js";
import { mapFrom, packMaps } from "./type1-batch.js";

const { EBUSY, EINTR, EINVAL, ENOENT, ENOMEM } = constants.errno;

/** How often an address is taken back from a successor that takes it at the same time. It asks once for each. */
const ATTEMPTS = 3;

/** What it needs of the container. */
export interface LegacyHandOverOwner {
  readonly fd: number;
  readonly mode: LegacyMode;
  /** Whether a group has joined, and so the type is set. Before, the kernel has no answers. */
  readonly iommuSet: boolean;
  /** The mediated devices in it. */
  readonly mediated: readonly string[];
  readonly mappings: Iterable<DmaMapping>;
  toString(): string;
}

export class LegacyHandOver implements HandOver {
  readonly #owner: LegacyHandOverOwner;
  #mappings: readonly DmaMapping[] = [];
  #batch: BigUint64Array = new BigUint64Array(1);
  #invalid = false;

  constructor(owner: LegacyHandOverOwner) {
    this.#owner = owner;
  }

  blockers(): readonly Blocker[] {
    const { mode, iommuSet, mediated } = this.#owner;
    const object = String(this.#owner);
    if (mode.startsWith("compat")) {
      return [
        {
          device: undefined,
          object,
          why: "iommufd's emulation of a legacy container cannot give memory a new address",
          fix: "use the iommufd mode, or a real legacy container (type1v2)",
        },
      ];
    }
    if (mediated.length > 0) {
      // The kernel answers 0 to the extension too; this says which device it is.
      return mediated.map((device) => ({
        device,
        object: device,
        why: "a mediated device's driver may pin memory by its address at any time, so the kernel keeps addresses as they are",
        fix: "attach mediated devices to a container of the iommufd mode, or close this one first",
      }));
    }
    // Before the type is set, the kernel says no to VFIO_UPDATE_VADDR whatever it can.
    if (!iommuSet) return [];
    const lacking = [
      ["VFIO_UPDATE_VADDR", uapi.VFIO_UPDATE_VADDR],
      ["VFIO_UNMAP_ALL", uapi.VFIO_UNMAP_ALL],
    ] as const;
    return lacking
      .filter(([, extension]) => native.vfioCheckExtension(this.#owner.fd, extension) <= 0)
      .map(([name]) => ({
        device: undefined,
        object,
        why: `the kernel has no ${name}, which came with Linux 5.12`,
        fix: "use a newer kernel, or the iommufd mode",
      }));
  }

  prepare(): void {
    this.#mappings = [...this.#owner.mappings];
    this.#batch = packMaps(this.#mappings, () => uapi.VFIO_DMA_MAP_FLAG_VADDR);
  }

  freeze(): void {
    if (!this.#owner.iommuSet) return;
    const { VFIO_DMA_UNMAP_FLAG_ALL: all, VFIO_DMA_UNMAP_FLAG_VADDR: vaddr } = uapi;
    // A hand-over before this one could not be undone entirely.
    if (this.#invalid) this.thaw();
    const status = native.vfioIommuUnmapDma(this.#owner.fd, all | vaddr, 0, 0);
    if (status >= 0) {
      this.#invalid = true;
      return;
    }
    const errno = -Number(status);
    const why = new Map([
      [EINVAL, "an address in it is invalid already: another hand-over of it was left unfinished"],
      [EBUSY, "a mediated device has joined it"],
    ]).get(errno);
    throw new VfioError({
      errno,
      syscall: "ioctl",
      request: "VFIO_IOMMU_UNMAP_DMA",
      args: { flags: all | vaddr },
      object: String(this.#owner),
      ...(why === undefined ? {} : { why }),
    });
  }

  takeOver(): void {
    if (!this.#owner.iommuSet) return;
    const { done, errno } = mapFrom(this.#owner.fd, this.#batch, 0);
    if (done < this.#mappings.length) throw this.#refusal(errno, done);
  }

  finish(): void {}

  thaw(): void {
    // A mapping whose address could not be invalidated is as it was, and the kernel refuses an address that it has.
    if (!this.#invalid) return;
    let failure: VfioError | undefined;
    for (let next = 0; next < this.#mappings.length; ) {
      const { done, errno } = mapFrom(this.#owner.fd, this.#batch, next);
      if (done === this.#mappings.length) break;
      const final = this.#takeBack(done, errno);
      if (final !== 0) failure ??= this.#refusal(final, done);
      next = done + 1;
    }
    if (failure !== undefined) throw failure;
    this.#invalid = false;
  }

  /** A successor has given this one an address already: it is taken away again. Returns 0, or why not. */
  #takeBack(index: number, refused: number): number {
    const mapping = this.#mappings[index];
    let errno = refused;
    for (let attempt = 0; errno === EINVAL && attempt < ATTEMPTS && mapping !== undefined; attempt++) {
      const { iova, length, address } = mapping;
      native.vfioIommuUnmapDma(this.#owner.fd, uapi.VFIO_DMA_UNMAP_FLAG_VADDR, iova, length);
      errno = -native.vfioIommuMapDma(this.#owner.fd, uapi.VFIO_DMA_MAP_FLAG_VADDR, address, iova, length);
    }
    return errno;
  }

  #refusal(errno: number, index: number): VfioError {
    const mapping = this.#mappings[index];
    const why = new Map([
      [
        ENOMEM,
        {
          why: `the locked pages of all ${this.#mappings.length} mappings move to this process, and exceed its limit of locked memory`,
          fix: "raise it (ulimit -l, LimitMEMLOCK= in systemd) or run with the host's CAP_IPC_LOCK, and try again: nothing is lost",
        },
      ],
      [ENOENT, { why: "nothing is mapped there" }],
      [EINVAL, { why: "the address there is valid, so it belongs to another process; or the mapping is another one" }],
      [EINTR, { why: "the process is being killed" }],
    ]).get(errno);
    return new VfioError({
      errno,
      syscall: "ioctl",
      request: "VFIO_IOMMU_MAP_DMA",
      args: {
        flags: uapi.VFIO_DMA_MAP_FLAG_VADDR,
        ...(mapping === undefined ? {} : { iova: mapping.iova, length: mapping.length, address: mapping.address }),
      },
      object: String(this.#owner),
      ...why,
    });
  }
}
