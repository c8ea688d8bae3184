/**
 * What `VFIO_IOMMU_GET_INFO` says, with its capability chain.
 *
 * @module
 */
import { walkCapabilities } from "../kernel/caps.js";
import { native, type RawIommuInfo } from "../kernel/native.js";
import * as uapi from "../kernel/uapi.js";
import { type IovaRange, MAX_IOVA } from "../memory/iova.js";
import type { SpaceInfo } from "./options.js";

/** Without the capability, a container takes 65,535 mappings: the kernel's default before it was told. */
const DEFAULT_ENTRIES = 65535;
/** iommufd's emulation has no limit, and says so with the largest number there is. */
const NO_LIMIT = 0xffff_ffff;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `struct vfio_iommu_type1_info_cap_iova_range`: header 8, u32 nr_iovas, u32 reserved, { u64 start, u64 end } each. */
function parseRanges(bytes: Uint8Array): IovaRange[] {
  const view = viewOf(bytes);
  // A count that the capability's bytes do not bear out is a broken kernel's; what is there is taken.
  const room = Math.max(0, Math.floor((bytes.length - 16) / 16));
  const count = room === 0 ? 0 : Math.min(room, view.getUint32(8, true));
  return Array.from({ length: count }, (_, i) => ({
    start: view.getBigUint64(16 + 16 * i, true),
    last: view.getBigUint64(24 + 16 * i, true),
  }));
}

/** @internal */
export function parseType1Info(info: RawIommuInfo): SpaceInfo {
  let ranges: IovaRange[] = [{ start: 0n, last: MAX_IOVA }];
  let entriesLeft = DEFAULT_ENTRIES;
  if ((info.flags & uapi.VFIO_IOMMU_INFO_CAPS) !== 0 && info.capOffset !== 0) {
    for (const { id, bytes } of walkCapabilities(info.bytes, info.capOffset)) {
      if (id === uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) ranges = parseRanges(bytes);
      // struct vfio_iommu_type1_info_dma_avail: header 8, u32 avail
      if (id === uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL && bytes.length >= 12) {
        entriesLeft = viewOf(bytes).getUint32(8, true);
      }
    }
  }
  return {
    ranges,
    pageSizes: (info.flags & uapi.VFIO_IOMMU_INFO_PGSIZES) !== 0 ? info.iovaPgsizes : BigInt(native.pageSize()),
    entriesLeft: entriesLeft === NO_LIMIT ? Number.POSITIVE_INFINITY : entriesLeft,
  };
}
