/**
 * Names of flags and numbers, as the kernel's headers have them without what they all begin with.
 *
 * @module
 */
import { constants } from "node:fs";
import * as uapi from "./uapi.js";

/** Which name a number has. Found out when it is asked for: most programs never are. */
export type Names = () => ReadonlyMap<number, string>;

function lazy(make: () => ReadonlyMap<number, string>): Names {
  let made: ReadonlyMap<number, string> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The constants of `uapi.ts` that a pattern matches; what it captures is the name. */
function matching(pattern: RegExp): Names {
  return lazy(() => {
    const names = new Map<number, string>();
    for (const [key, value] of Object.entries(uapi)) {
      const name = pattern.exec(key)?.[1];
      if (name !== undefined) names.set(value, name);
    }
    return names;
  });
}

function named(names: Readonly<Record<string, number>>): Names {
  return lazy(() => new Map(Object.entries(names).map(([name, value]) => [value, name])));
}

export const none: Names = lazy(() => new Map());

export const dmaMapFlags = matching(/^VFIO_DMA_MAP_FLAG_(.+)$/);
export const dmaUnmapFlags = matching(/^VFIO_DMA_UNMAP_FLAG_(.+)$/);
export const dirtyPagesFlags = matching(/^VFIO_IOMMU_DIRTY_PAGES_FLAG_(.+)$/);
export const vfioExtensions = matching(/^VFIO_(TYPE1(?:v2)?_IOMMU|UNMAP_ALL|UPDATE_VADDR)$/);
export const iommuInfoFlags = matching(/^VFIO_IOMMU_INFO_(.+)$/);
export const deviceFlags = matching(/^VFIO_DEVICE_FLAGS_(.+)$/);
export const regionFlags = matching(/^VFIO_REGION_INFO_FLAG_(.+)$/);
export const irqInfoFlags = matching(/^VFIO_IRQ_INFO_(.+)$/);
export const hotResetFlags = matching(/^VFIO_PCI_HOT_RESET_FLAG_(.+)$/);
export const irqSetFlags = matching(/^VFIO_IRQ_SET_(.+)$/);
export const irqIndexes = matching(/^VFIO_PCI_(.+)_IRQ_INDEX$/);
export const groupFlags = matching(/^VFIO_GROUP_FLAGS_(.+)$/);
export const features = matching(/^VFIO_DEVICE_FEATURE_((?:PCI|MIG|DMA)_.+)$/);
export const featureFlags = matching(/^VFIO_DEVICE_FEATURE_(GET|SET|PROBE)$/);
export const ioasMapFlags = matching(/^IOMMU_IOAS_MAP_(.+)$/);
export const iommuOptions = matching(/^IOMMU_OPTION_((?:RLIMIT|HUGE)_.+)$/);
export const iommuOptionOperations = matching(/^IOMMU_OPTION_OP_(.+)$/);
export const vfioIoasOperations = matching(/^IOMMU_VFIO_IOAS_(.+)$/);
export const kvmCapabilities = matching(/^KVM_CAP_(.+)$/);
export const irqfdFlags = matching(/^KVM_IRQFD_FLAG_(.+)$/);
export const ioeventfdFlags = matching(/^KVM_IOEVENTFD_FLAG_(.+)$/);
export const kvmDeviceTypes = matching(/^KVM_(DEV_TYPE_.+)$/);

/** BAR0 to BAR5 are in a row; the constants are its ends. */
export const regionIndexes: Names = lazy(
  () =>
    new Map([
      ...matching(/^VFIO_PCI_(.+)_REGION_INDEX$/)(),
      ...[1, 2, 3, 4].map((bar) => [uapi.VFIO_PCI_BAR0_REGION_INDEX + bar, `BAR${bar}`] as const),
    ]),
);

// The numbers below are Linux's on x86-64 and arm64.
const { O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_SYNC } = constants;
export const openFlags = named({ O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_SYNC });
export const lockOperations = named({ LOCK_SH: 1, LOCK_EX: 2, LOCK_NB: 4, LOCK_UN: 8 });
export const protections = named({ PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 });
export const mmapFlags = named({
  MAP_SHARED: 0x1,
  MAP_PRIVATE: 0x2,
  MAP_ANONYMOUS: 0x20,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_HUGETLB: 0x4_0000,
});
export const advices = named({ MADV_DONTFORK: 10, MADV_HUGEPAGE: 14 });
export const memfdFlags = named({ MFD_CLOEXEC: 1, MFD_ALLOW_SEALING: 2, MFD_HUGETLB: 4 });
export const seals = named({
  F_SEAL_SEAL: 1,
  F_SEAL_SHRINK: 2,
  F_SEAL_GROW: 4,
  F_SEAL_WRITE: 8,
  F_SEAL_FUTURE_WRITE: 16,
  F_SEAL_EXEC: 32,
});
export const socketTypes = named({ SOCK_STREAM: 1, SOCK_DGRAM: 2, SOCK_SEQPACKET: 5 });
export const socketOptions = named({ SO_TYPE: 3, SO_ERROR: 4, SO_SNDBUF: 7, SO_RCVBUF: 8, SO_DOMAIN: 39 });
export const shutdowns = named({ SHUT_RD: 0, SHUT_WR: 1, SHUT_RDWR: 2 });
export const messageFlags = named({ MSG_PEEK: 0x2, MSG_CTRUNC: 0x8, MSG_TRUNC: 0x20, MSG_DONTWAIT: 0x40 });
/** The addon's own numbers, which are libuv's. */
export const pollEvents = named({ POLLIN: 1, POLLOUT: 2 });
