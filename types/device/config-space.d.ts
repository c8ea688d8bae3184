/**
 * PCI config space.
 *
 * @module
 */
import { type PciCapability, type PciCapabilityName, type PciExtendedCapabilityName } from "./pci-capabilities.js";
/** The bits of {@link ConfigSpace.command}. */
export declare const PciCommand: {
    /** The device answers at its I/O ports. */
    readonly io: 1;
    /** The device answers at its memory BARs. Off, a mapped BAR cannot be touched. */
    readonly memory: 2;
    /** The device may do DMA and send MSI. */
    readonly busMaster: 4;
    /** The device may not raise INTx. */
    readonly intxDisable: 1024;
};
/** The bits of {@link ConfigSpace.status}. */
export declare const PciStatus: {
    /** The device is raising INTx, seen or not. */
    readonly interrupt: 8;
    /** There is a list of capabilities. */
    readonly capabilities: 16;
};
/** A base address register. */
export interface PciBar {
    /** 0 to 5. */
    readonly index: number;
    readonly space: "memory" | "io";
    /** Whether it is a 64-bit memory BAR, which takes the place of the next one too. */
    readonly wide: boolean;
    readonly prefetchable: boolean;
    /** What the register holds, without its flag bits. The kernel keeps it for the program and does not move the device. */
    readonly address: bigint;
}
/**
 * A PCI device's config space, as VFIO shows it: the kernel passes harmless fields through, keeps others (BARs, interrupt
 * enables) for the program only, and hides what is not safe, such as a bridge's or an unknown capability.
 *
 * Each access is one access of its width, at an offset that is a multiple of the width; RangeError otherwise.
 */
export declare class ConfigSpace {
    #private;
    /** For messages. */
    get label(): string;
    /** In bytes: 256, or 4096 for PCI Express; a mediated device may have less. */
    get size(): number;
    /** One read of 8 bits. */
    read8(offset: number): number;
    /** One read of 16 bits. */
    read16(offset: number): number;
    /** One read of 32 bits. */
    read32(offset: number): number;
    /** One write of 8 bits. */
    write8(offset: number, value: number): void;
    /** One write of 16 bits. */
    write16(offset: number, value: number): void;
    /** One write of 32 bits. */
    write32(offset: number, value: number): void;
    /** Bytes of it, for a dump. */
    read(offset?: number, length?: number): Uint8Array;
    /** Who made it. */
    get vendorId(): number;
    /** What its maker calls it. */
    get deviceId(): number;
    /** See {@link PciCommand}. */
    get command(): number;
    /** One write of all its bits. */
    set command(value: number);
    /** See {@link PciStatus}. */
    get status(): number;
    /** Its maker's count. */
    get revision(): number;
    /** 24 bits: base class, subclass, programming interface. 0x010802 is an NVMe controller. */
    get classCode(): number;
    /** 0 for a device, 1 for a bridge; without the bit that says that it has several functions. */
    get headerType(): number;
    /** Whether the device in its slot has several functions. */
    get multifunction(): boolean;
    /** Who made the card that it is on. */
    get subsystemVendorId(): number;
    /** What the card's maker calls it. */
    get subsystemId(): number;
    /** What firmware wrote there; VFIO and Linux do not look at it. */
    get interruptLine(): number;
    /** 1 to 4 for INTA to INTD; 0 for a device without INTx. */
    get interruptPin(): number;
    /** The BARs. A 64-bit one takes two registers and is listed once; an empty register is listed as memory at 0. */
    get bars(): readonly PciBar[];
    /**
     * All capabilities that the kernel shows: the conventional ones, then the extended ones.
     *
     * @throws VfioError ELOOP if a list leads back to itself
     */
    get capabilities(): readonly PciCapability[];
    /**
     * The first conventional capability of a kind, or undefined.
     *
     * @param which its name or number
     */
    capability(which: PciCapabilityName | number): PciCapability | undefined;
    /**
     * The first extended capability of a kind, or undefined.
     *
     * @param which its name or number
     */
    extendedCapability(which: PciExtendedCapabilityName | number): PciCapability | undefined;
    /** {@link label} */
    toString(): string;
}
