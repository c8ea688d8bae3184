/**
 * PCI discovery and driver binding, by sysfs alone.
 *
 * @module
 */
export { formatPciAddress, type PciAddress, type PciAddressParts, parsePciAddress, pciAddress } from "./address.js";
export {
  Binding,
  type BindingPlan,
  type BindingStep,
  type BindOptions,
  bindDriver,
  type PlanOptions,
  planBinding,
  type SysfsWrite,
} from "./bind.js";
export { readPciConfig } from "./config.js";
export type { HostPaths } from "./files.js";
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
export {
  listPciDevices,
  type PciDevice,
  type PciResource,
  type PciResourceKind,
  type PciSriov,
  readPciDevice,
} from "./pci.js";
export { PciNames } from "./pci-names.js";
export {
  type FormerDriver,
  formerDriver,
  type NotePaths,
  noteFormerDriver,
  planRelease,
  type ReleaseOptions,
  type ReleasePlan,
  releaseDevice,
} from "./release.js";
export { type NumVfsOptions, setNumVfs } from "./sriov.js";
export { type DeviceUse, findDeviceUses } from "./uses.js";
