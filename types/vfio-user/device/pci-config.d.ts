/**
 * The config space of a device that is written here: the header, the BARs' registers and the capabilities, with what the
 * client may write of each.
 *
 * @module
 */
/** Who a device is. */
export interface PciIdentity {
    /** 16 bits. */
    readonly vendorId: number;
    /** 16 bits. */
    readonly deviceId: number;
    /** 24 bits: base class, subclass, programming interface. 0x018000 is a storage controller of no common kind. */
    readonly classCode: number;
    /** 8 bits. Default 0. */
    readonly revision?: number;
    /** 16 bits. Default: the vendor. */
    readonly subsystemVendorId?: number;
    /** 16 bits. Default: the device. */
    readonly subsystemId?: number;
}
/** A capability in the list of config space. */
export interface CapabilityImage {
    /** Its number, as in `linux/pci_regs.h`: 0x01 power management, 0x09 vendor-specific, 0x10 PCI Express. */
    readonly id: number;
    /** What follows its two first bytes (number and next). */
    readonly body: Uint8Array;
    /** Which bits of the body the client may write; none, if it is left out. */
    readonly writable?: Uint8Array;
}
/** An extended capability of a PCI Express device, in config space from 0x100 on. */
export interface ExtendedCapabilityImage {
    /** Its number, as in `linux/pci_regs.h`: 0x0001 advanced error reporting, 0x0003 serial number, 0x000b vendor-specific. 16 bits. */
    readonly id: number;
    /** The version of its layout. 4 bits. Default 1. */
    readonly version?: number;
    /** What follows its four first bytes (number, version and next). */
    readonly body: Uint8Array;
    /** Which bits of the body the client may write; none, if it is left out. */
    readonly writable?: Uint8Array;
}
/** What a BAR's register says. */
export interface BarRegister {
    readonly index: number;
    /** A power of two. */
    readonly size: number;
    readonly space: "memory" | "io";
    readonly wide: boolean;
    readonly prefetchable: boolean;
}
/** Power management with the states D0 and D3hot, which Linux puts an idle device into. */
export declare function powerManagement(): CapabilityImage;
/**
 * A vendor-specific capability, as virtio has them.
 *
 * @param data what follows the length byte
 */
export declare function vendorSpecific(data: Uint8Array, writable?: Uint8Array): CapabilityImage;
/** @throws TypeError, RangeError */
export declare function checkBits(name: string, value: number, bits: number): number;
/** The config space of a {@link PciDevice}. The device's own program may read and write all of it. */
export declare class PciConfig {
    #private;
    /**
     * All of it. The device's program may store anything here, also where the client may not write.
     *
     * A reset restores the bytes of the moment at which the device was first served (`VfioUserServer.listen` or `serve`). Bytes that
     * the device's program stores later are state and are lost at a reset: store them again in {@link PciDeviceOptions.reset}.
     */
    readonly bytes: Uint8Array;
    /** Whether the client lets the device do DMA and send MSI. */
    get busMaster(): boolean;
}
/** The vendor and the device, as `lspci` writes them: `1234:11e8`. */
export declare function idsOf({ bytes }: PciConfig): string;
