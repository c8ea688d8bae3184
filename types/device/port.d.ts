/**
 * Where a device is asked: the kernel's descriptor of it, or a socket to a process that emulates one. Everything above this
 * (regions, interrupts, resets) is the same for both.
 *
 * @module
 */
import { OwnedFd } from "../kernel/fd.js";
import { type RawDeviceInfo, type RawHotResetInfo, type RawIrqInfo, type RawRegionInfo } from "../kernel/native.js";
import type { ProgramStep } from "./registers.js";
/** What a port must know of a region. */
export interface PortRegion {
    readonly index: number;
    /** Where it begins in the device's file. */
    readonly fileOffset: bigint;
}
/** A file with a region's memory, and where in it something begins. */
export interface RegionFile {
    /** Borrowed. */
    readonly fd: number;
    readonly offset: bigint;
}
/** Why nothing of a region can be mapped, and what to do about it, if anything. */
export interface WhyUnmappable {
    readonly why: string;
    readonly fix?: string;
}
/**
 * The requests of `linux/vfio.h` to one device, with its flags and its layouts.
 *
 * A method returns a value >= 0, or `-errno` if the device refuses. It throws only if the device could not be asked at all.
 */
export interface DevicePort {
    /** What is called for a request, a read and a write, for errors. */
    readonly calls: {
        readonly request: string;
        readonly read: string;
        readonly write: string;
    };
    /** The descriptor that the device is reached through, borrowed. */
    readonly fd: number;
    getInfo(argsz: number): RawDeviceInfo | number;
    getRegionInfo(index: number, argsz: number): RawRegionInfo | number;
    getIrqInfo(index: number): RawIrqInfo | number;
    /** @param data eventfds (an `Int32Array`, -1 for none), or one byte for each interrupt */
    setIrqs(flags: number, index: number, start: number, count: number, data?: Int32Array | Uint8Array): number;
    /** Reads from a region. How many bytes, or `-errno`. */
    read(region: PortRegion, offset: number, bytes: Uint8Array): number;
    /** Writes to a region. How many bytes, or `-errno`. */
    write(region: PortRegion, offset: number, bytes: Uint8Array): number;
    /**
     * Many accesses to a region, in order; undefined where there is nothing better than one after the other.
     *
     * @returns how many were made, and the `-errno` of the one that was not
     */
    run(region: PortRegion, steps: readonly ProgramStep[], answer: (index: number, value: bigint) => void): {
        readonly done: number;
        readonly status: number;
    } | undefined;
    /** The file that a mapping of the region is made of, or `-errno`. */
    regionFile(region: PortRegion): RegionFile | number;
    /** A file of a region's memory that others can be given, where {@link regionFile} is one; undefined if it takes a dma-buf. */
    sharedFile(region: PortRegion): RegionFile | undefined;
    /** Why nothing of a region can be mapped, where the port knows more than {@link regionFile} says. */
    whyUnmappable(index: number): WhyUnmappable | undefined;
    /** @param data the feature's structure; the answer is written over it, whether the feature is got or set */
    feature(flags: number, data?: Uint8Array): number;
    /** Takes the descriptor out of the answer to a set, if it holds one. It belongs to the caller. */
    adoptAnsweredFd(feature: number, answer: Uint8Array): OwnedFd | undefined;
    reset(): number;
    resetAsync(): Promise<number>;
    hotResetInfo(room: number): RawHotResetInfo | number;
    hotReset(files: Int32Array): number;
    ioeventfd(region: PortRegion, width: number, offset: number, value: bigint, eventfd: number): number;
    /** Gives the descriptor back, and asks the device for nothing. A second call does nothing. */
    close(): void;
}
/** A device's descriptor from the kernel. */
export declare class KernelPort implements DevicePort {
    #private;
    readonly calls: {
        request: string;
        read: string;
        write: string;
    };
    /** @param fd belongs to the port from here on, and the port to a device, which warns when it is forgotten */
    constructor(fd: OwnedFd);
    get fd(): number;
    getInfo(argsz: number): RawDeviceInfo | number;
    getRegionInfo(index: number, argsz: number): RawRegionInfo | number;
    getIrqInfo(index: number): RawIrqInfo | number;
    setIrqs(flags: number, index: number, start: number, count: number, data?: Int32Array | Uint8Array): number;
    read(region: PortRegion, offset: number, bytes: Uint8Array): number;
    write(region: PortRegion, offset: number, bytes: Uint8Array): number;
    run(): undefined;
    regionFile({ fileOffset }: PortRegion): RegionFile;
    sharedFile(): undefined;
    whyUnmappable(): undefined;
    feature(flags: number, data?: Uint8Array): number;
    adoptAnsweredFd(feature: number, answer: Uint8Array): OwnedFd | undefined;
    reset(): number;
    resetAsync(): Promise<number>;
    hotResetInfo(room: number): RawHotResetInfo | number;
    hotReset(files: Int32Array): number;
    ioeventfd({ fileOffset }: PortRegion, width: number, offset: number, value: bigint, eventfd: number): number;
    close(): void;
}
