/**
 * A device's region: a BAR, the ROM, config space, or something of the device's own.
 *
 * @module
 */
import type { OwnedFd } from "../kernel/fd.js";
import { Ioeventfd, type IoeventfdOptions } from "./ioeventfd.js";
import { type RegionArea, type RegionType } from "./region-info.js";
import { RegionMap } from "./region-map.js";
import { type RegisterProgram, type Registers } from "./registers.js";
/**
 * A region, reached through system calls: one `pread` or `pwrite` for each register, of exactly its width, which the
 * kernel turns into one access of the device (older kernels: 64 bits into two of 32).
 *
 * It works for every region; where a region can be mapped, {@link map} is several times faster. It belongs to its device
 * and has nothing to close.
 *
 * The memory space of a device is reachable while bit 1 of its COMMAND register is set and it is awake; a read or write
 * meanwhile fails with EIO. (The same access through a mapping ends the process with SIGBUS.)
 */
export declare class Region implements Registers {
    #private;
    /** The index in `VFIO_DEVICE_GET_REGION_INFO`. */
    readonly index: number;
    /** `bar0` to `bar5`, `rom`, `config`, `vga`; `region 9` and so on for a device's own. */
    readonly name: string;
    readonly label: string;
    /** In bytes. */
    readonly size: number;
    /** The `VFIO_REGION_INFO_FLAG_*` as they are. */
    readonly flags: number;
    readonly readable: boolean;
    readonly writable: boolean;
    /** The parts that can be mapped, in order: all of it in one, or the areas of a sparse region, or none. */
    readonly mappableAreas: readonly RegionArea[];
    /** What it is, if it is a device-specific region. */
    readonly type: RegionType | undefined;
    /** Whether it holds the MSI-X table and can be mapped nevertheless. The kernel programs the table: do not write it. */
    readonly msixMappable: boolean;
    /** Where it begins in the device's descriptor, for a `pread`, `pwrite` or `mmap` of one's own. */
    readonly fileOffset: bigint;
    /** {@link size}, as {@link Registers} calls it. */
    get length(): number;
    /** Whether all of it can be mapped in one piece. */
    get mappable(): boolean;
    /** One read of 8 bits. */
    read8(offset: number): number;
    /** One read of 16 bits. */
    read16(offset: number): number;
    /** One read of 32 bits. */
    read32(offset: number): number;
    /** One read of 64 bits. */
    read64(offset: number): bigint;
    /** One write of 8 bits. */
    write8(offset: number, value: number): void;
    /** One write of 16 bits. */
    write16(offset: number, value: number): void;
    /** One write of 32 bits. */
    write32(offset: number, value: number): void;
    /** One write of 64 bits. */
    write64(offset: number, value: number | bigint): void;
    run(program: RegisterProgram): void;
    /**
     * Reads bytes, for what is memory rather than registers: a ROM, a frame buffer, a dump of config space. How wide the
     * accesses are is the kernel's choice.
     *
     * @throws RangeError if they are not within the region; VfioError
     */
    read(offset: number, length: number): Uint8Array;
    /**
     * Writes bytes, for what is memory rather than registers. How wide the accesses are is the kernel's choice.
     *
     * @throws RangeError if they are not within the region; VfioError
     */
    write(offset: number, bytes: Uint8Array): void;
    /**
     * Maps a part into this process (all of it, if nothing is said). The mapping belongs to the caller; closing the device
     * closes it too. It is placed so that the kernel can use huge pages for it.
     *
     * @param offset in bytes: a multiple of the page size
     * @param length in bytes: a multiple of the page size, or up to the end of the region
     * @throws RangeError if the part is misaligned or outside; VfioError EINVAL if it cannot be mapped, saying why
     */
    map(offset?: number, length?: number): RegionMap;
    /**
     * Its registers, the fastest way there is: a mapping, made at the first call and kept until the device closes, where
     * all of the region can be mapped; otherwise the region itself, with a system call for each access.
     */
    registers(): Registers;
    /**
     * Makes a dma-buf of a part of a BAR (`VFIO_DEVICE_FEATURE_DMA_BUF`), which iommufd and other drivers can map for their
     * devices. It outlives the device's descriptor only as an empty shell: a closed or reset device takes its memory back.
     *
     * @param offset in bytes: a multiple of the page size
     * @param length in bytes: a multiple of the page size
     * @returns a descriptor that belongs to the caller
     * @throws VfioError ENOTTY or EOPNOTSUPP where the kernel or the driver cannot
     */
    exportDmaBuf(offset?: number, length?: number): OwnedFd;
    /**
     * Has the kernel write a register whenever an eventfd is signalled (`VFIO_DEVICE_IOEVENTFD`), without this process.
     *
     * @throws VfioError EINVAL (not a BAR, or in the MSI-X table), EEXIST (the same write is set up already), ENOSPC (the
     *   kernel allows 1000 for a device)
     */
    ioeventfd(options: IoeventfdOptions): Ioeventfd;
    toString(): string;
}
