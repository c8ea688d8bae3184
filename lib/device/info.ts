/**
 * `VFIO_DEVICE_GET_INFO`: what a device is and how many regions and interrupt kinds it has.
 *
 * @module
 */
import { VfioError } from "../base/errors.js";
import { growingInfo } from "../kernel/enough-room.js";
import { VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET } from "../kernel/uapi.js";
import type { OpenDevice } from "./open-device.js";

/** What the kernel says of a device. */
export interface DeviceInfo {
  /** The `VFIO_DEVICE_FLAGS_*` as they are. */
  readonly flags: number;
  /** Whether `reset()` works. A mediated device may accept a reset without saying so here. */
  readonly canReset: boolean;
  /** Whether it is a PCI device, so that its regions and interrupts have the fixed indexes of PCI. */
  readonly isPci: boolean;
  /** How many regions there are, empty ones included. */
  readonly regionCount: number;
  /** How many kinds of interrupt (not: how many interrupts) there are, empty ones included. */
  readonly irqCount: number;
}

// linux/vfio.h: sizeof(struct vfio_device_info)
const INFO_SIZE = 24;

/** @internal */
export function readDeviceInfo(device: OpenDevice): DeviceInfo {
  const { port } = device;
  const about = { syscall: port.calls.request, request: "VFIO_DEVICE_GET_INFO", object: device.address };
  const info = growingInfo(INFO_SIZE, (argsz) => port.getInfo(argsz), about);
  if (typeof info === "number") throw new VfioError({ ...about, errno: info });
  return {
    flags: info.flags,
    canReset: (info.flags & VFIO_DEVICE_FLAGS_RESET) !== 0,
    isPci: (info.flags & VFIO_DEVICE_FLAGS_PCI) !== 0,
    regionCount: info.numRegions,
    irqCount: info.numIrqs,
  };
}
