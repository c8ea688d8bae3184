import type { IrqName } from "./irq-name.js";
import type { Width } from "./registers.js";
/** A kind of interrupt that is on. */
export interface IrqState<Fd> {
    readonly kind: IrqName;
    /** MSI and MSI-X: how many vectors the kernel set aside. */
    readonly allocated: number;
    readonly vectors: readonly {
        readonly index: number;
        readonly eventfd: Fd;
    }[];
    /** INTx: the eventfd that unmasks the line. */
    readonly unmask: Fd | undefined;
}
/** A register that the kernel writes when an eventfd is signalled. */
export interface IoeventfdState<Fd> {
    readonly region: number;
    readonly offset: number;
    readonly width: Width;
    readonly value: bigint;
    readonly eventfd: Fd;
}
/** All of a device. */
export interface DeviceState<Fd> {
    readonly irqs: readonly IrqState<Fd>[];
    readonly ioeventfds: readonly IoeventfdState<Fd>[];
}
/** A device with its tie to its container, as the manifest of a live update has it: the descriptors are its indexes. */
export interface PreservedDevice extends DeviceState<number> {
    readonly address: string;
    readonly descriptor: number;
    /** Legacy: its group's number. */
    readonly group: number | undefined;
    /** iommufd: its id there, and that of the page table that it is attached to. */
    readonly iommufdId: number | undefined;
    readonly pageTableId: number | undefined;
}
