/**
 * What `VFIO_IOMMU_GET_INFO` says, with its capability chain.
 *
 * @module
 */
import { walkCapabilities } from "../caps.js";
import type { IovaRange } from "../iova.js";
import { native, type RawIommuInfo } from "../native.js";
import * as uapi from "../uapi.js";
import type { SpaceInfo } from "./container.js";

/** Without the capability, a container takes 65,535 mappings: the kernel's default before it was told. */
const DEFAULT_ENTRIES = 65535;
/** iommufd's emulation has no limit, and says so with the largest number there is. */
const NO_LIMIT = 0xffff_ffff;

function parseRanges(bytes: Uint8Array): IovaRange[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // { header 8, u32 nr_iovas, u32 reserved, { u64 start, u64 end } [nr_iovas] }
  const count = view.getUint32(8, true);
  const room = Math.floor((bytes.length - 16) / 16);
  return Array.from({ length: Math.min(count, room) }, (_, i) => ({
    start: view.getBigUint64(16 + 16 * i, true),
    last: view.getBigUint64(24 + 16 * i, true),
  }));
}

/** @internal */
export function parseType1Info(info: RawIommuInfo): SpaceInfo {
  let ranges: IovaRange[] = [{ start: 0n, last: (1n << 64n) - 1n }];
  let entriesLeft = DEFAULT_ENTRIES;
  if ((info.flags & uapi.VFIO_IOMMU_INFO_CAPS) !== 0 && info.capOffset !== 0) {
    for (const capability of walkCapabilities(info.bytes, info.capOffset)) {
      if (capability.id === uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) ranges = parseRanges(capability.bytes);
      if (capability.id === uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
        entriesLeft = new DataView(capability.bytes.buffer, capability.bytes.byteOffset).getUint32(8, true);
      }
    }
  }
  return {
    ranges,
    pageSizes: (info.flags & uapi.VFIO_IOMMU_INFO_PGSIZES) !== 0 ? info.iovaPgsizes : BigInt(native.pageSize()),
    entriesLeft: entriesLeft === NO_LIMIT ? Number.POSITIVE_INFINITY : entriesLeft,
  };
}
