/**
 * An eventfd that is an interrupt of a guest (`KVM_IRQFD`).
 *
 * @module
 */
import type { VmPart } from "./part.js";
/** What is wired to what. */
export interface IrqFdOptions {
    /** Borrowed, and needed only during the call: the object keeps a duplicate. */
    readonly eventfd: number;
    /** Must have a route. */
    readonly gsi: number;
    /**
     * For a level-triggered interrupt: an eventfd that KVM signals when the guest has acknowledged (EOI). The interrupt is
     * lowered then. Borrowed, and needed only during the call.
     */
    readonly resample?: number;
    /** For messages: `msix 3 of 0000:01:00.0`. */
    readonly label?: string;
}
/**
 * An eventfd wired to a guest's interrupt. KVM takes every count from the eventfd and raises the GSI, and nothing of this
 * process runs. Made by `vm.irqfd(...)`, assigned from the start.
 *
 * While it is not assigned, the eventfd counts; {@link assign} raises the GSI once for all that came meanwhile, as a device's
 * pending bit would. So it can be taken away and brought back, here or in another machine, and no interrupt is lost.
 * An eventfd has one irqfd, over all machines and processes.
 */
export declare class IrqFd implements VmPart, Disposable {
    #private;
    readonly gsi: number;
    /** For messages. */
    readonly label: string;
    /** Whether KVM has it now. */
    get assigned(): boolean;
    /** Whether it has been closed. */
    get closed(): boolean;
    /**
     * Has KVM take it (again). If it has, nothing is done.
     *
     * @throws VfioError `EBUSY` if the eventfd has an irqfd already, `EAGAIN` if the machine has no interrupt controller in the
     *   kernel, `ENXIO` if the GSI has no route, `EINVAL` if the descriptor is no eventfd, or if the machine cannot resample
     */
    assign(): void;
    /**
     * Takes it from KVM. When this returns, KVM has raised all that it took from the eventfd, and takes no more. If KVM does
     * not have it, nothing is done.
     *
     * @throws VfioError
     */
    deassign(): void;
    /** Deassigns it and closes the duplicates. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
