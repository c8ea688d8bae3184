/**
 * vfio-user: devices over a Unix socket.
 *
 * @module
 */
import "./inspection.js";

export type { AccessWidth, BarArea, BarOptions, DeviceBar, Doorbell } from "./bar.js";
export type { DeviceClient } from "./device-client.js";
export { type EduDeviceOptions, eduDevice } from "./devices/edu.js";
export { type BlockDeviceOptions, type Disk, fileDisk, memoryDisk, virtioBlockDevice } from "./devices/virtio-blk.js";
export { VIRTIO_F_INDIRECT_DESC, type VirtioDevice, virtioPciDevice } from "./devices/virtio-pci.js";
export { DriverError, type QueueBuffer, type QueueRequest } from "./devices/virtio-queue.js";
export type { ClientMemory, ClientRange } from "./dma.js";
export type { InterruptKind, IntxSource, MessageSource, NoticeSource } from "./interrupts.js";
export type { Migration } from "./migration.js";
export {
  type BarRegister,
  type CapabilityImage,
  type ExtendedCapabilityImage,
  type PciConfig,
  type PciIdentity,
  powerManagement,
  vendorSpecific,
} from "./pci-config.js";
export { type InterruptOptions, type MsixOptions, PciDevice, type PciDeviceOptions } from "./pci-device.js";
export { type ServerEvents, type ServerOptions, VfioUserServer } from "./server.js";
