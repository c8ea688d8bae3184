/**
 * A virtual machine, as far as a device's interrupts need it.
 *
 * ```text
 *  Vm --- descriptor, kind of irqchip
 *   |- routing: GsiRouting          GSI -> message, or controller's pin
 *   |- IrqFd                        eventfd -> GSI
 *   |- KvmIoeventfd                 guest's write -> eventfd
 *   |- Vcpu --- LocalApic           where interrupts arrive
 *   |- KvmVfioDevice                VFIO's files, for drivers that need KVM
 *   `- MessageConnection, IntxConnection
 * ```
 *
 * @module
 */
import { KvmIoeventfd, type KvmIoeventfdOptions } from "./ioeventfd.js";
import { IrqFd, type IrqFdOptions } from "./irqfd.js";
import { KvmVfioDevice } from "./kvm-vfio.js";
import { type GsiRoute, GsiRouting, type MsiMessage } from "./routing.js";
import { Vcpu } from "./vcpu.js";
/**
 * Where the interrupt controllers are: all of them in the kernel; the local APICs in the kernel and the others in user space;
 * or none in the kernel, and then no interrupt can be wired.
 */
export type IrqchipKind = "full" | "split" | "none";
/** How a virtual machine is made. */
export interface VmOptions {
    /** Default `full`. */
    readonly irqchip?: IrqchipKind;
    /** For messages. Default `VM 1`, `VM 2`, ... */
    readonly label?: string;
}
/** What cannot be asked of a virtual machine that somebody else made. */
export interface AdoptOptions {
    readonly irqchip: IrqchipKind;
    /** What its routing table holds: `default` as `KVM_CREATE_IRQCHIP` made it. Left out, routes cannot be changed here. */
    readonly routes?: ReadonlyMap<number, GsiRoute> | "default";
    readonly label?: string;
}
/**
 * A virtual machine. Closing it closes what it made: first the interrupts' connections, which give the devices' interrupts back
 * to this process.
 */
export declare class Vm implements Disposable {
    #private;
    readonly label: string;
    readonly irqchip: IrqchipKind;
    /** Which interrupt each GSI is. */
    readonly routing: GsiRouting;
    private constructor();
    /**
     * Takes over a virtual machine that somebody else made (another library of this process, or one that sent the descriptor).
     *
     * @param fd the descriptor: it belongs to the object from here on, and becomes close-on-exec. If this throws, it is still
     *   the caller's.
     * @throws VfioError `EBADF`, or `ENOTTY` if it is no virtual machine
     */
    static adopt(fd: number, options: AdoptOptions): Vm;
    /** The descriptor, borrowed. */
    get fd(): number;
    /** Whether it has been closed. */
    get closed(): boolean;
    /** Whether a GSI has a route in force; undefined if nobody knows. */
    hasRoute(gsi: number): boolean | undefined;
    /**
     * Makes a vCPU. Local APICs are made with the vCPU, so the irqchip comes first, as it does here.
     *
     * @param id from 0; on x86 also its APIC id
     * @throws VfioError
     */
    createVcpu(id?: number): Vcpu;
    /** Wires an eventfd to a GSI. Throws as {@link IrqFd.assign}. */
    irqfd(options: IrqFdOptions): IrqFd;
    /** Has KVM signal an eventfd when the guest writes somewhere. @throws VfioError */
    ioeventfd(options: KvmIoeventfdOptions): KvmIoeventfd;
    /** Makes the device that tells KVM of VFIO's files; one for a machine. @throws VfioError `EBUSY` for the second */
    createVfioDevice(): KvmVfioDevice;
    /**
     * Raises or lowers a line of the interrupt controller in the kernel (`KVM_IRQ_LINE`).
     *
     * @throws VfioError `ENXIO` if there is none
     */
    irqLine(gsi: number, level: boolean): void;
    /**
     * Sends the guest a message (`KVM_SIGNAL_MSI`): an interrupt, without a route.
     *
     * @returns whether a vCPU took it: false if the guest has none there that takes interrupts
     * @throws VfioError `EINVAL` if the machine has no interrupt controller in the kernel
     */
    signalMsi(message: MsiMessage): boolean;
    /**
     * Closes what the machine made, the newest first, and its descriptor. The machine itself goes with the last descriptor of it
     * and of its vCPUs. A second call does nothing.
     */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
    toString(): string;
}
