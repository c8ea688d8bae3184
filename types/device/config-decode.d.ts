import type { ConfigReader, PciCapability } from "./pci-capabilities.js";
/** The fields of a capability by name; numbers where they count something. */
export type CapabilityFields = Readonly<Record<string, string | number | boolean>>;
/**
 * What a capability says: its main fields, or none where this package does not know it, or where it is cut off.
 *
 * @param config a device's config space
 */
export declare function decodeCapability(config: ConfigReader, capability: PciCapability): CapabilityFields;
