import type { DevicePort, PortRegion, RegionFile, WhyUnmappable } from "../../device/port.js";
import type { ProgramStep } from "../../device/registers.js";
import type { OwnedFd } from "../../kernel/fd.js";
import type { RawDeviceInfo, RawIrqInfo, RawRegionInfo } from "../../kernel/native.js";
import type { ClientConnection } from "./connection.js";
import type { PortState } from "./state.js";
/** How far a client goes with its server. */
export interface PortOptions {
    /**
     * Whether writes to the device's memory are sent without waiting for an answer, as a processor's are. Where one of the device's
     * regions can be mapped they are not: a write through a mapping could overtake them.
     */
    readonly postedWrites: boolean;
    /** Whether a region's file is mapped although the server could cut or empty it, which would end this process with SIGBUS. */
    readonly trustServer: boolean;
}
/**
 * What a server says does not change: it is asked once, and its answer is remembered. A refusal may pass: the server is asked again,
 * and the refusal stands only where it cannot be asked.
 */
export declare class UserPort implements DevicePort {
    #private;
    readonly calls: {
        request: string;
        read: string;
        write: string;
    };
    /** @param connection belongs to the port from here on */
    constructor(connection: ClientConnection, options: PortOptions);
    /**
     * Goes on with what another process was told. Nothing is asked.
     *
     * @param connection belongs to the port from here on, and so do the descriptors
     * @throws ProtocolError for a region's file that an access could end this process by
     */
    static inherit(connection: ClientConnection, options: PortOptions, state: PortState<OwnedFd>): UserPort;
    /**
     * All that a successor must know, asked for where it is not known yet. The descriptors are borrowed.
     *
     * @throws VfioError
     */
    readState(): PortState<number>;
    get fd(): number;
    getInfo(): RawDeviceInfo | number;
    getRegionInfo(index: number, argsz: number): RawRegionInfo | number;
    whyUnmappable(index: number): WhyUnmappable;
    getIrqInfo(index: number): RawIrqInfo | number;
    setIrqs(flags: number, index: number, start: number, count: number, data?: Int32Array | Uint8Array): number;
    read({ index }: PortRegion, offset: number, bytes: Uint8Array): number;
    write({ index }: PortRegion, offset: number, bytes: Uint8Array): number;
    run(region: PortRegion, steps: readonly ProgramStep[], answer: (index: number, value: bigint) => void): {
        done: number;
        status: number;
    };
    regionFile(region: PortRegion): RegionFile | number;
    sharedFile({ index, fileOffset }: PortRegion): RegionFile | undefined;
    feature(flags: number, data?: Uint8Array): number;
    /** A number in a server's answer is no descriptor of this process. */
    adoptAnsweredFd(): undefined;
    reset(): number;
    resetAsync(): Promise<number>;
    /** There is neither a slot nor a bus. */
    hotResetInfo(): number;
    hotReset(): number;
    ioeventfd(): number;
    close(): void;
}
