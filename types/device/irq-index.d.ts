/**
 * One kind of interrupt of a device: what the kernel says of it, and the `VFIO_DEVICE_SET_IRQS` calls on it.
 *
 * @module
 */
import type { IrqName } from "./irq-name.js";
/** What the kernel says of one kind of interrupt (`VFIO_DEVICE_GET_IRQ_INFO`). */
export interface IrqInfo {
    /** Its index: for a PCI device 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ. */
    readonly index: number;
    /** The `VFIO_IRQ_INFO_*` as they are. */
    readonly flags: number;
    /** How many there are; 0 if the device has none of this kind. */
    readonly count: number;
    /** They are delivered through eventfds. */
    readonly eventfd: boolean;
    /** They can be masked and unmasked. */
    readonly maskable: boolean;
    /** The kernel masks each when it delivers it, until it is unmasked. */
    readonly automasked: boolean;
    /** More of them cannot be enabled without disabling all first. */
    readonly noresize: boolean;
}
declare const actions: {
    readonly MASK: 8;
    readonly UNMASK: 16;
    readonly TRIGGER: 32;
};
/** One `VFIO_DEVICE_SET_IRQS`. */
export interface SetIrqs {
    readonly action: keyof typeof actions;
    readonly start: number;
    readonly count: number;
    /** Descriptors of eventfds, -1 for none; or booleans; or nothing. */
    readonly data?: {
        readonly eventfds: readonly number[];
    } | {
        readonly bools: readonly boolean[];
    };
}
/** One kind of interrupt of a device. The subclasses say how it is switched on. */
export declare abstract class IrqIndex {
    #private;
    readonly name: IrqName;
    /** What the kernel says of it. */
    get info(): IrqInfo;
    /** How many the device has; 0 if none. */
    get count(): number;
    /** Whether it is switched on. */
    abstract get enabled(): boolean;
    /** Switches it off and closes its eventfds. Does nothing if it is off. */
    abstract disable(): void;
    /** For messages: the device and the kind of interrupt. */
    toString(): string;
}
export {};
