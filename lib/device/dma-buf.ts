/**
 * `VFIO_DEVICE_FEATURE_DMA_BUF`: a BAR's memory as a dma-buf.
 *
 * @module
 */
import { constants as fs } from "node:fs";
import { constants } from "node:os";
import { VfioError } from "../base/errors.js";
import { OwnedFd } from "../kernel/fd.js";
import { VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_GET } from "../kernel/uapi.js";
import type { OpenDevice } from "./open-device.js";

const { EINVAL, ENODEV, ENOTTY, EOPNOTSUPP } = constants.errno;

// asm-generic/fcntl.h; node:fs does not have it.
const O_CLOEXEC = 0o2000000;

// linux/vfio.h: struct vfio_device_feature_dma_buf with one struct vfio_region_dma_range behind it.
function request(index: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, index, true);
  view.setUint32(4, fs.O_RDWR | O_CLOEXEC, true);
  view.setUint32(12, 1, true);
  view.setBigUint64(16, BigInt(offset), true);
  view.setBigUint64(24, BigInt(length), true);
  return bytes;
}

function explain(errno: number): { why?: string; fix?: string } {
  switch (errno) {
    case ENOTTY:
      return {
        why: "this kernel makes no dma-buf of a device's memory",
        fix: "use Linux 6.19 or newer with CONFIG_VFIO_PCI_DMABUF; a type1 container maps a BAR without it",
      };
    case EOPNOTSUPP:
      return { why: "the device's VFIO driver makes no dma-buf of its memory" };
    case ENODEV:
      return { why: "it is not a BAR, or the BAR's addresses are not the device's own" };
    case EINVAL:
      return { why: "offset and length are not multiples of the page size, or it is a range of I/O ports" };
    default:
      return {};
  }
}

/** @throws VfioError */
export function exportDmaBuf(
  device: OpenDevice,
  region: { readonly index: number; readonly label: string },
  offset: number,
  length: number,
): OwnedFd {
  const flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
  const fd = device.port.feature(flags, request(region.index, offset, length));
  if (fd >= 0) return OwnedFd.adopt(fd, `dma-buf of ${region.label}`);
  throw new VfioError({
    errno: fd,
    syscall: device.port.calls.request,
    request: "VFIO_DEVICE_FEATURE",
    args: { feature: "GET DMA_BUF", offset, length },
    object: region.label,
    ...explain(-fd),
  });
}
