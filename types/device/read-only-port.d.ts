/**
 * A device that still belongs to another process: it may be read, and nothing that changes it gets through.
 *
 * @module
 */
import type { RawDeviceInfo, RawHotResetInfo, RawIrqInfo, RawRegionInfo } from "../kernel/native.js";
import type { DevicePort, PortRegion, RegionFile, WhyUnmappable } from "./port.js";
import type { ProgramStep } from "./registers.js";
/**
 * Another port, for reading only. Every request to the device goes through its port, so this is the one place that decides what
 * a process may do to a device that it does not own yet. Registers of a BAR that is mapped do not go through a port.
 */
export declare class ReadOnlyPort implements DevicePort {
    #private;
    /** @param refusal what a change is refused with */
    constructor(port: DevicePort, refusal: () => Error);
    get calls(): DevicePort["calls"];
    get fd(): number;
    getInfo(argsz: number): RawDeviceInfo | number;
    getRegionInfo(index: number, argsz: number): RawRegionInfo | number;
    getIrqInfo(index: number): RawIrqInfo | number;
    read(region: PortRegion, offset: number, bytes: Uint8Array): number;
    regionFile(region: PortRegion): RegionFile | number;
    sharedFile(region: PortRegion): RegionFile | undefined;
    whyUnmappable(index: number): WhyUnmappable | undefined;
    hotResetInfo(room: number): RawHotResetInfo | number;
    run(region: PortRegion, steps: readonly ProgramStep[], answer: (index: number, value: bigint) => void): {
        readonly done: number;
        readonly status: number;
    } | undefined;
    feature(flags: number, data?: Uint8Array): number;
    setIrqs(): never;
    write(): never;
    /** No set gets through, and so there is no answer to one. */
    adoptAnsweredFd(): never;
    reset(): never;
    resetAsync(): Promise<never>;
    hotReset(): never;
    ioeventfd(): never;
    /** The descriptor is this process's own, and closing it changes nothing for the owner of the device. */
    close(): void;
}
