/** Names of conventional capabilities, by their number (PCI Code and ID Assignment, `linux/pci_regs.h`). */
export declare const pciCapabilityIds: {
    readonly pm: 1;
    readonly agp: 2;
    readonly vpd: 3;
    readonly "slot-id": 4;
    readonly msi: 5;
    readonly "compact-hotswap": 6;
    readonly "pci-x": 7;
    readonly hypertransport: 8;
    readonly vendor: 9;
    readonly "debug-port": 10;
    readonly "compact-pci": 11;
    readonly "hotplug-controller": 12;
    readonly "subsystem-ids": 13;
    readonly agp3: 14;
    readonly "secure-device": 15;
    readonly express: 16;
    readonly msix: 17;
    readonly sata: 18;
    readonly "advanced-features": 19;
    readonly "enhanced-allocation": 20;
};
/** Names of PCI Express extended capabilities, by their number. */
export declare const pciExtendedCapabilityIds: {
    readonly aer: 1;
    readonly vc: 2;
    readonly "serial-number": 3;
    readonly "power-budgeting": 4;
    readonly rcrb: 10;
    readonly vendor: 11;
    readonly acs: 13;
    readonly ari: 14;
    readonly ats: 15;
    readonly sriov: 16;
    readonly mriov: 17;
    readonly multicast: 18;
    readonly pri: 19;
    readonly "resizable-bar": 21;
    readonly "dynamic-power-allocation": 22;
    readonly "tph-requester": 23;
    readonly ltr: 24;
    readonly "secondary-express": 25;
    readonly pasid: 27;
    readonly dpc: 29;
    readonly "l1-substates": 30;
    readonly ptm: 31;
    readonly "designated-vendor": 35;
    readonly "vf-resizable-bar": 36;
    readonly "data-link-feature": 37;
    readonly "physical-layer-16gt": 38;
    readonly "lane-margining": 39;
    readonly "native-enclosure": 41;
    readonly "physical-layer-32gt": 42;
    readonly doe: 46;
    readonly ide: 48;
    readonly "physical-layer-64gt": 49;
};
/** The name of a conventional capability. */
export type PciCapabilityName = keyof typeof pciCapabilityIds;
/** The name of an extended capability. */
export type PciExtendedCapabilityName = keyof typeof pciExtendedCapabilityIds;
/** A capability in config space. */
export interface PciCapability {
    readonly id: number;
    /** Its name, or `capability 0x..` if it has none here. */
    readonly name: string;
    /** Where it begins in config space. */
    readonly offset: number;
    /** Whether it is one of PCI Express's extended capabilities, whose numbers are their own. */
    readonly extended: boolean;
    /** An extended capability's version; 0 for a conventional one, which has none. */
    readonly version: number;
}
/** Config space, as the walk sees it. */
export interface ConfigReader {
    /** For errors. */
    readonly label: string;
    /** In bytes: 256, or 4096 for PCI Express; a mediated device may have less. */
    readonly size: number;
    /** One read of 8 bits. */
    read8(offset: number): number;
    /** One read of 16 bits. */
    read16(offset: number): number;
    /** One read of 32 bits. */
    read32(offset: number): number;
}
/**
 * Walks the conventional list.
 *
 * @throws VfioError ELOOP where it leads back to an offset; what came before was yielded
 */
export declare function walkPciCapabilities(config: ConfigReader): Generator<PciCapability, void, undefined>;
/**
 * Walks the extended list.
 *
 * @throws VfioError ELOOP where it leads back to an offset; what came before was yielded
 */
export declare function walkPciExtendedCapabilities(config: ConfigReader): Generator<PciCapability, void, undefined>;
