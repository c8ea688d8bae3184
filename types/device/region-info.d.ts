import type { RawRegionInfo } from "../kernel/native.js";
/** The fixed regions of a PCI device. */
export type RegionName = "bar0" | "bar1" | "bar2" | "bar3" | "bar4" | "bar5" | "rom" | "config" | "vga";
/** What a device-specific region is: `VFIO_REGION_TYPE_*` and the subtype within it. */
export interface RegionType {
    /** For a vendor's own region `0x80000000 | vendor id`. */
    readonly type: number;
    readonly subtype: number;
}
/** A part of a region. */
export interface RegionArea {
    /** From the start of the region, in bytes. */
    readonly offset: number;
    /** In bytes. */
    readonly length: number;
}
/** What the kernel says of a region. */
export interface RegionInfo {
    readonly index: number;
    /** The `VFIO_REGION_INFO_FLAG_*` as they are. */
    readonly flags: number;
    /** In bytes; 0 for a region that the device does not have. */
    readonly size: number;
    /** Where it begins in the device's file, for `pread`, `pwrite` and `mmap`. */
    readonly fileOffset: bigint;
    readonly readable: boolean;
    readonly writable: boolean;
    /** The parts that may be mapped into this process: all of it, the areas of a sparse region, or none. */
    readonly mappableAreas: readonly RegionArea[];
    /** What it is, if it is device-specific. */
    readonly type: RegionType | undefined;
    /** Whether it holds the MSI-X table and may be mapped nevertheless. The kernel programs the table: do not write it. */
    readonly msixMappable: boolean;
}
/** The name of a region of a PCI device, or a made-up one. */
export declare function regionName(index: number, isPci: boolean): string;
/** The index of a named region. */
export declare function regionIndex(name: RegionName): number;
/** Whether a PCI device's region is a BAR. */
export declare function isBar(index: number): boolean;
/**
 * Reads an answer of the kernel or of a vfio-user server.
 *
 * @param object for errors
 * @throws VfioError EPROTO if it contradicts itself
 */
export declare function parseRegionInfo(index: number, raw: RawRegionInfo, object: string): RegionInfo;
