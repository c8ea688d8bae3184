import type { UpdateScope } from "../base/preserve.js";
import { Container } from "../container/container.js";
import type { Device } from "../device/device.js";
import type { GuestConnection } from "../kvm/part.js";
import { Vm } from "../kvm/vm.js";
import { DmaBuffer } from "../memory/dma-buffer.js";
/** What a program hands over. Names are what the successor finds things by. */
export interface LiveUpdateOptions {
    /** Containers, with their devices and everything that is mapped in them. */
    readonly containers: Readonly<Record<string, Container>>;
    /**
     * Virtual machines that interrupts of the devices go to. A machine does not travel (KVM ties it to its process): the successor
     * has one of its own by each name, and the interrupts go on there.
     */
    readonly machines?: Readonly<Record<string, Vm>>;
    /** Memory to be found by name. What is mapped travels also without a name; what is named need not be mapped. */
    readonly memory?: Readonly<Record<string, DmaBuffer>>;
    /** Descriptors of the program's own, borrowed: sockets, files. */
    readonly descriptors?: Readonly<Record<string, number>>;
    /**
     * Called first, while everything still works: the program stops what it does with the devices (vCPUs, submissions). The devices
     * go on with what they have.
     *
     * @param signal aborted if the hand-over ends meanwhile: by the signal of {@link HandOverOptions}, or because the successor gives
     *   up or dies. Nobody waits for the function any more then, and {@link resume} is called while it may still run
     */
    readonly stop?: (signal: AbortSignal) => void | Promise<void>;
    /**
     * Called when everything is frozen: interrupts are counted, and none is delivered.
     *
     * @param signal as that of {@link stop}
     * @returns the program's own state
     */
    readonly save?: (signal: AbortSignal) => Uint8Array | Promise<Uint8Array>;
    /** Called after a roll-back, when all works again as before: the program goes on. Not called if {@link stop} was not. */
    readonly resume?: () => void;
}
/** A device, and the name of the container that it is in. */
export interface PlannedDevice {
    readonly container: string;
    readonly device: Device;
}
/** An interrupt that goes to a guest, with the machine's name. */
export interface PlannedConnection {
    readonly machine: string;
    readonly connection: GuestConnection;
}
/** The program's objects. Everything is looked up when it is asked for: a device that came meanwhile is there. */
export declare class Plan {
    readonly options: LiveUpdateOptions;
    readonly containers: ReadonlyMap<string, Container>;
    readonly machines: ReadonlyMap<string, Vm>;
    readonly memory: ReadonlyMap<string, DmaBuffer>;
    readonly descriptors: ReadonlyMap<string, number>;
    constructor(options: LiveUpdateOptions);
    get devices(): readonly PlannedDevice[];
    /** In the order in which they were made. */
    get connections(): readonly PlannedConnection[];
    /** All objects of the plan, as they are now. */
    get scope(): Scope;
}
/** The objects that are handed over. An object that depends on others asks for them here. */
export declare class Scope implements UpdateScope {
    #private;
    constructor({ containers, machines, devices }: Pick<Plan, "containers" | "machines" | "devices">);
    includes(object: object): boolean;
    /** The device that an object is a part of: an attachment, a kind of interrupt, a line. */
    deviceOf(part: object): PlannedDevice | undefined;
}
