/**
 * The successor's side of a live update.
 *
 * Everything is put together from what the old process has opened, bound, attached, mapped and switched on. No call here changes
 * anything that the devices could notice: no reset, no attach, no map, no `VFIO_DEVICE_SET_IRQS`.
 *
 * @module
 */
import type { Container } from "../container/container.js";
import type { OwnedFd } from "../kernel/fd.js";
import type { IntxConnection } from "../kvm/intx-connection.js";
import type { MessageConnection } from "../kvm/message-connection.js";
import type { Vm } from "../kvm/vm.js";
import type { DmaBuffer } from "../memory/dma-buffer.js";
import type { IncomingCarrier } from "./carrier.js";
import { type LiveUpdateReport } from "./timeline.js";
/** How a successor waits for what it gets. */
export interface ReceiveOptions {
    readonly signal?: AbortSignal;
    /** How long until manifest and descriptors are there, in milliseconds. Default 60,000; `Infinity` for ever. */
    readonly timeout?: number;
}
/** How a successor takes over. */
export interface TakeOverOptions {
    /** A virtual machine of this process for each one of the manifest ({@link IncomingUpdate.machines}), by its name. Borrowed. */
    readonly machines?: Readonly<Record<string, Vm>>;
    /** Raises and lowers a device's line in a machine whose interrupt controllers are in user space. */
    readonly setLevel?: (device: string, level: boolean) => void;
    readonly signal?: AbortSignal;
    /** How long each wait may take, in milliseconds: until everything is frozen, and for the commit. Default 60,000. */
    readonly timeout?: number;
}
/**
 * Receives what the old process hands over with {@link LiveUpdate.handOver}, and puts it together. The old process still works with
 * the devices: they can be read, and not changed, until {@link IncomingUpdate.takeOver}.
 *
 * @param carrier used up: closed when the hand-over is over, whatever comes
 * @throws VfioError `ETIMEDOUT` if nothing comes in time; VfioError for a manifest or a descriptor that is refused, after everything that came was closed and the
 *   old process got the reason
 */
export declare function receiveLiveUpdate(carrier: IncomingCarrier, options?: ReceiveOptions): Promise<IncomingUpdate>;
/**
 * The old process's objects in this process. Made by {@link receiveLiveUpdate}.
 *
 * Until {@link takeOver} the old process owns the devices and works with them. Registers, config space and memory can be read, and
 * BARs mapped. Every method that would change a device, a container or an address space throws an error with `code`
 * `ERR_INVALID_STATE`. The library cannot refuse three things: writes to memory, writes through `unsafeArrayBuffer()` of a
 * mapped BAR, and what the program does with a descriptor's number (`container.fd`, `interrupt.eventfd` and so on). A read of a
 * register that the device acts on counts as a change, too.
 */
export declare class IncomingUpdate implements Disposable {
    #private;
    /** The versions and the pid of the process that wrote it. */
    readonly writer: {
        readonly version: string;
        readonly node: string;
        readonly pid: number;
    };
    /** By the names that the old process gave them. From {@link takeOver} on the program's; until then this object's. */
    readonly containers: ReadonlyMap<string, Container>;
    /** The memory that has a name, in the same way. What is mapped without a name is found by its mapping. */
    readonly memory: ReadonlyMap<string, DmaBuffer>;
    /** The old program's own descriptors, in the same way. */
    readonly descriptors: ReadonlyMap<string, OwnedFd>;
    /** The names of the machines that {@link takeOver} is to be given. */
    get machines(): ReadonlySet<string>;
    /**
     * The descriptors (borrowed) of VFIO's files: the groups', and the devices' that have nodes of their own. A driver that needs
     * to know its machine learns it from KVM: `vm.createVfioDevice().addFile(file)`.
     *
     * @throws an error with `code` `ERR_INVALID_STATE` before {@link takeOver} has succeeded: a file has one machine, and until then
     *   that is the old process's
     */
    get files(): readonly number[];
    /** The container of a name. @throws RangeError if there is none */
    container(name: string): Container;
    /** The old program's own state. @throws an error with `code` `ERR_INVALID_STATE` before everything was frozen */
    get state(): Uint8Array;
    /** The interrupts' connections to guests, from {@link takeOver} on, in the order in which they were made. The program's. */
    get connections(): readonly (MessageConnection | IntxConnection)[];
    /** Whether the devices are this process's. */
    get committed(): boolean;
    /**
     * Makes the old process stop, takes the memory over, waits for the commit, and delivers interrupts again: those that came
     * meanwhile are raised at once.
     *
     * @returns what it took
     * @throws before the commit, after everything here was closed and the old process got the reason, so that it goes on. (A wrong
     *   argument leaves everything open.) Where {@link committed} is true, the devices are this process's, and the error is about
     *   connections to guests that could not be made; those interrupts are counted.
     */
    takeOver(options?: TakeOverOptions): Promise<LiveUpdateReport>;
    /**
     * Closes everything and gives the old process the reason; it goes on. Does nothing once the devices are this process's, or if it was
     * called before.
     */
    abandon(reason?: string): void;
    /** As {@link abandon}. */
    [Symbol.dispose](): void;
}
