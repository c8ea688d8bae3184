/**
 * Names of vendors, devices and classes, from the list that most systems carry (`pci.ids`, of the package hwdata or
 * pciutils).
 *
 * @module
 */
/** Names of PCI's numbers. What has no name is undefined, except classes, whose base class always has one. */
export declare class PciNames {
    #private;
    /** @param text a `pci.ids`; empty for a system without one */
    constructor(text: string);
    /**
     * Reads the system's list.
     *
     * @param path of a list of one's own
     * @returns without names if the system has no list
     * @throws Node's own error if the file that was named cannot be read
     */
    static read(path?: string): PciNames;
    /** A vendor's name, if the list has it. */
    vendor(vendorId: number): string | undefined;
    /** A device's name, if the list has it. */
    device(vendorId: number, deviceId: number): string | undefined;
    /**
     * The most exact name that is known for a class of devices.
     *
     * @param classCode 24 bits, as in {@link PciDevice.classCode}
     */
    class(classCode: number): string;
    /**
     * The name of the base class, which several classes share: "Network controller" for Ethernet and InfiniBand.
     *
     * @param classCode 24 bits, as in {@link PciDevice.classCode}
     */
    baseClass(classCode: number): string;
}
