/**
 * Devices: registers, config space, interrupts, resets.
 *
 * @module
 */
export { type CapabilityFields, decodeCapability } from "./config-decode.js";
export { ConfigSpace, type PciBar, PciCommand, PciStatus } from "./config-space.js";
export { Device } from "./device.js";
export { DeviceFeatures, type FeatureAnswer } from "./feature.js";
export type { DeviceInfo } from "./info.js";
export { Interrupt, type WaitOptions } from "./interrupt.js";
export { Intx, IntxLine } from "./intx.js";
export { Ioeventfd, type IoeventfdOptions } from "./ioeventfd.js";
export { IrqIndex, type IrqInfo } from "./irq-index.js";
export type { IrqName } from "./irq-name.js";
export { MessageInterrupts } from "./msi.js";
export { Notification } from "./notification.js";
export {
  type ConfigReader,
  type PciCapability,
  type PciCapabilityName,
  type PciExtendedCapabilityName,
  pciCapabilityIds,
  pciExtendedCapabilityIds,
} from "./pci-capabilities.js";
export { Region } from "./region.js";
export type { RegionArea, RegionName, RegionType } from "./region-info.js";
export { type MappedRegion, RegionMap } from "./region-map.js";
export { type ProgramRead, RegisterProgram, type Registers, type Width } from "./registers.js";
export type { HotResetDevice, HotResetInfo } from "./reset.js";
