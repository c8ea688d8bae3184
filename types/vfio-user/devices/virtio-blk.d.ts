/**
 * A virtio disk (virtio 1.2, section 5.2): Linux drives it with virtio_blk.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import type { PciDevice } from "../device/pci-device.js";
/**
 * What a disk is made of. Offsets and lengths are multiples of 512, within the disk. What a method throws is an I/O error for
 * the driver.
 */
export interface Disk {
    /** In bytes. */
    readonly size: number;
    /** Fills `into` with what is at `offset`. */
    read(offset: number, into: Uint8Array): void | Promise<void>;
    /** Writes bytes at `offset`. */
    write(offset: number, bytes: Uint8Array): void | Promise<void>;
    /** What was written stays written, whatever happens to the machine. Left out, the disk has no cache of its own. */
    flush?(): void | Promise<void>;
}
/** What a disk can be told. */
export interface BlockDeviceOptions {
    readonly readOnly?: boolean;
    /** Up to 20 characters: `/sys/block/vda/serial`. */
    readonly serial?: string;
}
/** A disk in this process's memory. */
export declare function memoryDisk(bytes: Uint8Array): Disk;
/**
 * A disk in a file.
 *
 * @param file stays the caller's, who closes it when the device is closed
 */
export declare function fileDisk(file: FileHandle): Promise<Disk>;
/** Makes a disk: 1af4:1042, with one queue, MSI-X and INTx. */
export declare function virtioBlockDevice(disk: Disk, options?: BlockDeviceOptions): PciDevice;
