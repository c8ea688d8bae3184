/**
 * Every function of the addon: which call into the kernel it makes, and what its arguments are.
 *
 * @module
 */
import type { Native } from "./contract.js";
import * as errnos from "./errnos.js";
import { type Show } from "./values.js";
/**
 * An argument: its name and how it is shown. The call only fills a `filled` one in; the addon adds a `constant` one, which is no
 * argument of its function.
 */
export type ArgumentSpec = readonly [name: string, show: Show, kind?: "filled" | "constant"];
/** A function that is one call into the kernel, or (`register`) one access to registers. */
export interface CallSpec {
    readonly of: "kernel" | "register";
    readonly syscall: string;
    readonly request?: string | ((args: readonly unknown[]) => string);
    readonly args: readonly ArgumentSpec[];
    /** Whether the arguments behind the first are those of a structure. */
    readonly structure: boolean;
    /** How a result is shown that is no refusal; "" for a function without one. */
    readonly result: Show;
    /** Meanings of errnos, by name, that are the same for every caller. */
    readonly errnos?: errnos.Errnos;
    /** The program ends with it, unless it is refused: it is told before. */
    readonly ends?: true;
}
/** A function that makes many calls, each of which is told as if it were on its own. */
export interface BatchSpec {
    readonly of: "batch";
    /** The calls, from the addon's arguments. */
    split(args: readonly unknown[]): readonly {
        readonly name: keyof Native;
        readonly args: readonly unknown[];
    }[];
    /** The errno of the call that failed, once it has. */
    failure(args: readonly unknown[]): number;
    /** What such a call answers when it is made on its own. */
    answer(args: readonly unknown[]): number | bigint;
}
/** A function that does not ask the kernel for anything: it reads what the addon or libuv has. */
export interface LocalSpec {
    readonly of: "process";
}
declare const table: {
    open: CallSpec;
    close: CallSpec;
    dup: CallSpec;
    adopt: CallSpec;
    pread: CallSpec;
    pwrite: CallSpec;
    ftruncate: CallSpec;
    flock: CallSpec;
    ioctl: {
        of: "kernel" | "register";
        syscall: string;
        args: readonly ArgumentSpec[];
        structure: boolean;
        result: Show;
        errnos?: errnos.Errnos;
        ends?: true;
        request: ([, request]: readonly unknown[]) => string;
    };
    mmap: CallSpec;
    munmap: CallSpec;
    mappingAddress: LocalSpec;
    mappingArrayBuffer: LocalSpec;
    detachArrayBuffer: LocalSpec;
    madvise: CallSpec;
    mlock: CallSpec;
    memfdCreate: CallSpec;
    pageSize: LocalSpec;
    mmioRead8: CallSpec;
    mmioRead16: CallSpec;
    mmioRead32: CallSpec;
    mmioRead64: CallSpec;
    mmioWrite8: CallSpec;
    mmioWrite16: CallSpec;
    mmioWrite32: CallSpec;
    mmioWrite64: CallSpec;
    mmioRun: CallSpec;
    watchStart: LocalSpec;
    watchSetEvents: LocalSpec;
    pollStop: LocalSpec;
    pollSetRef: LocalSpec;
    pollStart: LocalSpec;
    pollFd: CallSpec;
    pollFds: CallSpec;
    eventfd: CallSpec;
    eventfdRead: CallSpec;
    eventfdReadNow: CallSpec;
    eventfdPending: CallSpec;
    eventfdWrite: CallSpec;
    eventfdWait: CallSpec;
    socket: CallSpec;
    socketpair: CallSpec;
    socketBind: CallSpec;
    socketListen: CallSpec;
    socketAccept: CallSpec;
    socketConnect: CallSpec;
    socketShutdown: CallSpec;
    socketGetOption: CallSpec;
    socketSetOption: CallSpec;
    socketPeerCredentials: CallSpec;
    sendmsg: CallSpec;
    recvmsg: CallSpec;
    setCloseOnExec: CallSpec;
    execve: {
        of: "kernel" | "register";
        syscall: string;
        request?: string | ((args: readonly unknown[]) => string);
        args: readonly ArgumentSpec[];
        structure: boolean;
        result: Show;
        errnos?: errnos.Errnos;
        ends: true;
    };
    kcmpFile: CallSpec;
    pidfdOpen: CallSpec;
    addSeals: CallSpec;
    getSeals: CallSpec;
    vfioGetApiVersion: CallSpec;
    vfioCheckExtension: CallSpec;
    vfioSetIommu: CallSpec;
    vfioIommuGetInfo: CallSpec;
    vfioIommuMapDma: CallSpec;
    vfioIommuMapDmaAsync: CallSpec;
    vfioIommuMapDmaBatch: {
        of: "batch";
        split: ([container, batch, count]: readonly unknown[]) => {
            name: "vfioIommuMapDma";
            args: unknown[];
        }[];
        failure: ([, batch]: readonly unknown[]) => number;
        answer: () => number;
    };
    vfioIommuUnmapDma: CallSpec;
    vfioIommuUnmapDmaAsync: CallSpec;
    vfioIommuUnmapDmaDirty: CallSpec;
    vfioIommuDirtyPages: CallSpec;
    vfioIommuDirtyPagesGet: CallSpec;
    vfioGroupGetStatus: CallSpec;
    vfioGroupSetContainer: CallSpec;
    vfioGroupUnsetContainer: CallSpec;
    vfioGroupGetDeviceFd: CallSpec;
    vfioDeviceGetInfo: CallSpec;
    vfioDeviceGetRegionInfo: CallSpec;
    vfioDeviceGetIrqInfo: CallSpec;
    vfioDeviceSetIrqs: CallSpec;
    vfioDeviceReset: CallSpec;
    vfioDeviceResetAsync: CallSpec;
    vfioDeviceGetPciHotResetInfo: CallSpec;
    vfioDevicePciHotReset: CallSpec;
    vfioDeviceIoeventfd: CallSpec;
    vfioDeviceFeature: CallSpec;
    vfioDeviceBindIommufd: CallSpec;
    vfioDeviceAttachIommufdPt: CallSpec;
    vfioDeviceDetachIommufdPt: CallSpec;
    iommufdDestroy: CallSpec;
    iommufdIoasAlloc: CallSpec;
    iommufdIoasIovaRanges: CallSpec;
    iommufdIoasAllowIovas: CallSpec;
    iommufdIoasMap: CallSpec;
    iommufdIoasMapFixedAsync: CallSpec;
    iommufdIoasMapFile: CallSpec;
    iommufdIoasMapFileFixedAsync: CallSpec;
    iommufdIoasMapBatch: {
        of: "batch";
        split: ([iommufd, id, batch, count]: readonly unknown[]) => ({
            name: "iommufdIoasMap";
            args: unknown[];
        } | {
            name: "iommufdIoasMapFile";
            args: unknown[];
        })[];
        failure: ([, , batch]: readonly unknown[]) => number;
        answer: (args: readonly unknown[]) => bigint | 0;
    };
    iommufdIoasCopy: CallSpec;
    iommufdIoasUnmap: CallSpec;
    iommufdIoasUnmapAsync: CallSpec;
    iommufdOption: CallSpec;
    iommufdVfioIoas: CallSpec;
    iommufdIoasChangeProcess: CallSpec;
    kvmGetApiVersion: CallSpec;
    kvmCheckExtension: CallSpec;
    kvmCreateVm: CallSpec;
    kvmEnableCap: CallSpec;
    kvmCreateIrqchip: CallSpec;
    kvmCreateVcpu: CallSpec;
    kvmGetLapic: CallSpec;
    kvmSetLapic: CallSpec;
    kvmIrqLine: CallSpec;
    kvmSetGsiRouting: CallSpec;
    kvmSignalMsi: CallSpec;
    kvmIrqfd: CallSpec;
    kvmIoeventfd: CallSpec;
    kvmCreateDevice: CallSpec;
    kvmHasDeviceAttr: CallSpec;
    kvmSetDeviceAttrFd: CallSpec;
};
/** The functions that make one call into the kernel, which may refuse it. */
export type CallName = Exclude<{
    [K in keyof typeof table]: (typeof table)[K] extends CallSpec ? K : never;
}[keyof typeof table], "ioctl">;
/** Every function of the addon. */
export declare const nativeCalls: Readonly<Record<CallName, CallSpec>> & Readonly<Record<keyof Native, CallSpec | BatchSpec | LocalSpec>>;
export {};
