/**
 * An iommufd passes from one process to another: `IOMMU_IOAS_CHANGE_PROCESS`, once for all of its address spaces, and only if
 * everything in them is mapped by file. Nothing has to be taken away from the old process.
 *
 * @module
 */
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import type { Blocker } from "../base/preserve.js";
import type { Iommufd } from "../iommufd/iommufd.js";
import type { HandOver } from "./hand-over.js";

const { EINVAL } = constants.errno;

export class IommufdHandOver implements HandOver {
  readonly #iommufd: Iommufd;
  readonly #object: string;
  /** The parts of BARs that are mapped. */
  readonly #bars: () => readonly string[];

  constructor(iommufd: Iommufd, object: string, bars: () => readonly string[]) {
    this.#iommufd = iommufd;
    this.#object = object;
    this.#bars = bars;
  }

  blockers(): readonly Blocker[] {
    const bars = this.#bars().map((bar) => ({
      device: undefined,
      object: this.#object,
      why: `${bar} is mapped: a BAR comes by dma-buf, and iommufd passes on what is mapped by file only`,
      fix: "unmap it before, and map it again afterwards",
    }));
    if (bars.length > 0) return bars;
    try {
      // Called by the owner it changes nothing, and is refused for the reasons for which it would be refused to another.
      this.#iommufd.changeProcess();
      return [];
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
      return [
        {
          device: undefined,
          object: this.#object,
          why: error.why ?? error.message,
          fix: error.fix ?? "use a kernel that has it (Linux 6.14), or a legacy container",
        },
      ];
    }
  }

  prepare(): void {}

  freeze(): void {}

  thaw(): void {
    this.#iommufd.becomeOwner();
  }

  takeOver(): void {
    try {
      this.#iommufd.becomeOwner();
    } catch (error) {
      // Accounted per process, the memory of one that is gone (replaced by an exec, or dead) cannot be uncounted: the kernel says
      // EINVAL, but has counted it here and handed it over. Asked again, it finds nothing left to do, or the true reason.
      if (!(error instanceof VfioError) || error.errno !== -EINVAL) throw error;
      this.#iommufd.becomeOwner();
    }
  }

  finish(): void {}
}
