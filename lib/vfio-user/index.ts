/**
 * vfio-user: devices over a Unix socket.
 *
 * @module
 */
export { UserContainer, type UserContainerEvents, type UserContainerOptions } from "./client/container.js";
export type { AccessWidth, BarArea, BarOptions, DeviceBar, Doorbell } from "./device/bar.js";
export type { DeviceClient } from "./device/device-client.js";
export type { ClientMemory, ClientRange } from "./device/dma.js";
export type { InterruptKind, IntxSource, MessageSource, NoticeSource } from "./device/interrupts.js";
export type { Migration } from "./device/migration.js";
export {
  type BarRegister,
  type CapabilityImage,
  type ExtendedCapabilityImage,
  type PciConfig,
  type PciIdentity,
  powerManagement,
  vendorSpecific,
} from "./device/pci-config.js";
export { type InterruptOptions, type MsixOptions, PciDevice, type PciDeviceOptions } from "./device/pci-device.js";
export { type EduDeviceOptions, eduDevice } from "./devices/edu.js";
export { type BlockDeviceOptions, type Disk, fileDisk, memoryDisk, virtioBlockDevice } from "./devices/virtio-blk.js";
export { VIRTIO_F_INDIRECT_DESC, type VirtioDevice, virtioPciDevice } from "./devices/virtio-pci.js";
export { DriverError, type QueueBuffer, type QueueRequest } from "./devices/virtio-queue.js";
export { type ServerEvents, type ServerOptions, VfioUserServer } from "./server/server.js";
