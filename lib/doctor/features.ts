/**
 * What this kernel can do, asked of the kernel itself and not guessed from its version: distributions add and leave out.
 *
 * @module
 */

import { constants } from "node:os";
import { checkString } from "../base/arguments.js";
import { OwnedFd } from "../kernel/fd.js";
import { native, support } from "../kernel/native.js";
import { VFIO_UNMAP_ALL } from "../kernel/uapi.js";

/** Abilities of the kernel that not every version has. */
export interface KernelFeatures {
  /** iommufd maps files (`IOMMU_IOAS_MAP_FILE`, Linux 6.13). Undefined without the native addon or its node. */
  readonly mapFile: boolean | undefined;
  /** iommufd passes memory to another process (`IOMMU_IOAS_CHANGE_PROCESS`, Linux 6.14). */
  readonly changeProcess: boolean | undefined;
  /** A legacy container unmaps everything at once (`VFIO_UNMAP_ALL`, Linux 5.12). */
  readonly unmapAll: boolean | undefined;
  /** A legacy container gives memory new addresses (`VFIO_UPDATE_VADDR`, Linux 5.12). */
  readonly updateVaddr: boolean | undefined;
}

/** What each is called, and when it came. */
export const featureNames: Readonly<Record<keyof KernelFeatures, readonly [name: string, since: string]>> = {
  mapFile: ["MAP_FILE", "Linux 6.13"],
  changeProcess: ["CHANGE_PROCESS", "Linux 6.14"],
  unmapAll: ["UNMAP_ALL", "Linux 5.12"],
  updateVaddr: ["UPDATE_VADDR", "Linux 5.12"],
};

const { ENOTTY } = constants.errno;

function ask<T>(path: string, question: (fd: number) => T): T | undefined {
  if (!support.supported) return undefined;
  const fd = native.open(path, 2);
  if (fd < 0) return undefined;
  using node = new OwnedFd(fd, path);
  return question(node.number);
}

/**
 * Asks the kernel what it can do.
 *
 * @param dev where the device nodes are
 */
export function readKernelFeatures(dev = "/dev"): KernelFeatures {
  checkString("dev", dev);
  const iommufd = ask(`${dev}/iommu`, (fd) => ({
    // There is no such address space and no such file: what knows the request says ENOENT or EBADF.
    mapFile: native.iommufdIoasMapFile(fd, 0, 0, -1, 0, 0, 4096) !== -ENOTTY,
    changeProcess: native.iommufdIoasChangeProcess(fd) !== -ENOTTY,
  }));
  // UPDATE_VADDR is answered only once a device is there. Both came with the same version, so one answers for the other.
  const unmapAll = ask(`${dev}/vfio/vfio`, (fd) => native.vfioCheckExtension(fd, VFIO_UNMAP_ALL) > 0);
  return {
    mapFile: iommufd?.mapFile,
    changeProcess: iommufd?.changeProcess,
    unmapAll,
    updateVaddr: unmapAll,
  };
}
