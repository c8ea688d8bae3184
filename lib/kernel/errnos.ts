/**
 * Meanings of errnos that are the same for every caller of a request.
 *
 * @module
 */
import type { Meaning } from "../base/errors.js";

/** What errnos mean for one call, by their names. */
export type Errnos = Readonly<Partial<Record<string, Meaning>>>;

export const destroy: Errnos = {
  EBUSY: { why: "another object still needs it: a device is attached to it" },
};

/** `IOMMU_IOAS_MAP`, `IOMMU_IOAS_MAP_FILE` */
export const ioasMap: Errnos = {
  EEXIST: {
    reason: "overlap",
    why: "a part of the range is mapped already",
    fix: "unmap it first, or leave the IOVA to the kernel",
  },
  EINVAL: {
    why: "the range is not usable, nothing may be done with it, or something is not a multiple of the alignment or ends too early",
    fix: "compare with ranges(), and with the length of the file or the dma-buf",
  },
  EOVERFLOW: { why: "the range, or the memory, goes beyond the last address" },
  EFAULT: { why: "the memory is not there, or this process may not access it in that way" },
  ENOSPC: { why: "no range that is free (and allowed) is large enough" },
  ENOMEM: {
    why: "it would exceed the locked-memory limit, or the kernel has no memory left",
    fix: "raise the limit (ulimit -l), or run with the host's CAP_IPC_LOCK",
  },
  ENODEV: { why: "the dma-buf was revoked by its exporter", fix: "map it again when its device works again" },
};

export const ioasCopy: Errnos = {
  ...ioasMap,
  ENOENT: { reason: "not-mapped", why: "a part of the source is not mapped" },
  EPERM: { why: "the source is mapped for reading only", fix: "copy it with write: false" },
};

export const ioasUnmap: Errnos = {
  ENOENT: {
    reason: "not-mapped",
    why: "nothing is mapped there, or a mapping would be cut (those before it are gone then)",
    fix: "unmap whole mappings",
  },
  EBUSY: { why: "hardware has a queue in it", fix: "destroy the queue first" },
  EOVERFLOW: { why: "the range goes beyond the last address" },
};

export const allowIovas: Errnos = {
  EADDRINUSE: { why: "a device needs a part of a range for itself", fix: "leave out what ranges() leaves out" },
  EINVAL: { why: "a range has less than two addresses, or overlaps another" },
};

export const changeProcess: Errnos = {
  EINVAL: {
    why: "some memory is mapped by address (or from a BAR) and not by file",
    fix: "map memory that has a descriptor (DmaBuffer's default), and unmap BARs first",
  },
  ENOTTY: { why: "this kernel is older than Linux 6.14" },
  ENOMEM: {
    reason: "locked-memory-limit",
    why: "the pinned memory exceeds the locked-memory limit; with accounting per user it counts twice meanwhile",
    fix: "raise the limit (ulimit -l)",
  },
};
