/**
 * PCI discovery and driver binding, by sysfs alone.
 *
 * @module
 */

export type { HostPaths } from "../kernel/files.js";
export { formatPciAddress, type PciAddress, type PciAddressParts, parsePciAddress, pciAddress } from "./address.js";
export {
  Binding,
  type BindingPlan,
  type BindOptions,
  bindDriver,
  type PlanOptions,
  planBinding,
} from "./bind.js";
export { readPciConfig } from "./config.js";
export {
  type GroupBlocker,
  type GroupViability,
  groupViability,
  type IommuGroup,
  type IommuGroupMember,
  leavesDmaAlone,
  listIommuGroups,
  type ReservedRegion,
  readIommuGroup,
} from "./group.js";
export { listMdevDevices, type MdevDevice, readMdevDevice } from "./mdev.js";
export { readVfioNodes, type VfioNodes, vfioCdevPath, vfioGroupPath } from "./node.js";
export { type FormerDriver, formerDriver, type NotePaths } from "./note.js";
export {
  listPciDevices,
  type PciDevice,
  type PciResource,
  type PciResourceKind,
  type PciSriov,
  readPciDevice,
} from "./pci.js";
export { PciNames } from "./pci-names.js";
export type { BindingStep, SysfsWrite } from "./rebind.js";
export { planRelease, type ReleaseOptions, type ReleasePlan, releaseDevice } from "./release.js";
export { type NumVfsOptions, setNumVfs } from "./sriov.js";
export type { DeviceUse } from "./use.js";
export { findDeviceUses } from "./uses.js";
