/**
 * The vfio-user container: a device that another process emulates, at the other end of a Unix socket. It needs no kernel
 * driver, no IOMMU and no privileges.
 *
 * The server is the IOMMU here: it learns every range of memory, with the memory's descriptor where there is one that it may
 * have, and keeps to the ranges and their permissions as far as it is honest. Memory that it has a descriptor of is its own from then on, as far as
 * the file goes: share with a server what it may see.
 *
 * @module
 */
import { VfioError } from "../../base/errors.js";
import { Container } from "../../container/container.js";
import type { DmaMapping } from "../../container/mapping.js";
import type { AttachOptions, SpaceInfo } from "../../container/options.js";
import type { Attachment } from "../../device/attachment.js";
import type { Device } from "../../device/device.js";
import { type DeviceState } from "../../device/state.js";
import { type PortOptions } from "./port.js";
import type { ConnectionState, PortState } from "./state.js";
/** How a vfio-user container is opened. */
export interface UserContainerOptions {
    /**
     * Where the server listens: a path, or a name in the abstract namespace (which begins with NUL). Or the descriptor of a
     * stream socket that is connected already, which belongs to the container from here on and serves one attach.
     */
    readonly socket: string | number;
    /** How long the server may take for an answer, in milliseconds. Default 5000, as QEMU's. */
    readonly timeout?: number;
    /**
     * Whether writes to the device's memory are sent without waiting for an answer, as a processor's are: several times faster, and
     * a write that the device refuses is lost. Done for devices of which no region is mapped. Default true.
     */
    readonly postedWrites?: boolean;
    /**
     * Whether the server is trusted not to end this process: a server that cuts or empties a file whose memory is mapped here does
     * so, with SIGBUS. Default false.
     *
     * Without it, a region is mapped only if its file is a sealed memfd without huge pages (`F_SEAL_SHRINK`), and is reached by
     * messages otherwise. And the server gets the file of memory that is mapped for the device only if that is such a memfd, as
     * that of a `DmaBuffer` without huge pages; it reaches other memory by messages.
     */
    readonly trustServer?: boolean;
}
/** What a successor must know of a container, its connection and its device. */
export interface UserContainerState<Fd> extends ConnectionState<Fd>, PortOptions {
    /** Where the server listens; undefined if the socket came as a descriptor. */
    readonly path: string | undefined;
    readonly timeout: number;
    /** What the device is called. */
    readonly address: string;
    /** What the server has said of the device. */
    readonly port: PortState<Fd>;
    /** Its interrupts. */
    readonly device: DeviceState<Fd>;
}
declare module "../../container/hand-over.js" {
    interface PreservedContainers {
        readonly sockets: UserContainerState<number>;
    }
}
/** The same state with other descriptors: borrowed ones sent, or received ones owned. */
export declare function withDescriptors<From, To>(state: UserContainerState<From>, convert: (fd: From) => To): UserContainerState<To>;
/** What a container tells of. */
export interface UserContainerEvents {
    /** The server is gone. The device is to be closed; then it can be attached again. */
    lost: [error: VfioError];
}
/**
 * A container with the device of one vfio-user server. Made by {@link UserContainer.open}.
 *
 * Calls block until the server has answered, as system calls do; what the server asks meanwhile is answered too. So the server runs
 * in another process, or at least on another thread.
 *
 * When the server goes away, everything that asks it throws `ENOTCONN`, and says when and during what it happened. What only gives
 * back (`close`, `unmap`, `disable`) works nevertheless.
 */
export declare class UserContainer extends Container {
    #private;
    readonly mode: "vfio-user";
    protected readonly requests: {
        map: string;
        unmap: string;
    };
    protected readonly syscall = "vfio-user";
    protected readonly counterpart = "the server";
    /**
     * Opens an empty container. The first attach connects to the server.
     *
     * @param options.socket where the server listens, or a connected socket, which belongs to the container from here on
     * @throws TypeError, RangeError for wrong options
     */
    static open(options: UserContainerOptions): UserContainer;
    private constructor();
    /** What the socket is called: its path, `@name` for one in the abstract namespace. */
    get socket(): string;
    /**
     * Connects to the server and attaches its device. One at a time; once it is closed, it can be attached again.
     *
     * @param address what the device is called here. Default: {@link socket}
     * @param options mean nothing here: there is neither a VFIO file nor a virtual function
     * @throws VfioError that says what stands in the way; nothing is left open
     */
    attach(address?: string, options?: AttachOptions): Device;
    protected open(address: string, options: AttachOptions): Attachment;
    /** Why and when the server was lost; undefined while it is there, or nothing is attached. */
    get lost(): VfioError | undefined;
    /** Listens to an event: see {@link UserContainerEvents}. */
    on<Event extends keyof UserContainerEvents>(event: Event, listener: (...args: UserContainerEvents[Event]) => void): this;
    /** Listens to an event once. */
    once<Event extends keyof UserContainerEvents>(event: Event, listener: (...args: UserContainerEvents[Event]) => void): this;
    /** Listens no more. */
    off<Event extends keyof UserContainerEvents>(event: Event, listener: (...args: UserContainerEvents[Event]) => void): this;
    protected readSpace(): SpaceInfo;
    protected kernelMap(mapping: DmaMapping): number;
    protected kernelMapAsync(mapping: DmaMapping): Promise<number>;
    protected kernelMapMany(mappings: readonly DmaMapping[]): {
        done: number;
        errno: number;
    };
    protected kernelUnmap(iova: bigint, length: number | bigint): number;
    /** The server has answered for each. Asking again could take as long as it may take to answer, each time. */
    protected isKept(mapping: DmaMapping): boolean;
    protected kernelUnmapMany(mappings: readonly DmaMapping[]): readonly number[];
    protected kernelUnmapAsync(mapping: DmaMapping): Promise<number>;
    protected get callsGoOn(): boolean;
    protected kernelUnmapAll(): number;
    protected explainMap(errno: number, mapping: DmaMapping): {
        why: string;
        fix?: string;
    } | undefined;
    protected closeSelf(): void;
    protected disownSelf(): void;
    toString(): string;
}
