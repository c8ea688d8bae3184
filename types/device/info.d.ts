/** What the kernel says of a device. */
export interface DeviceInfo {
    /** The `VFIO_DEVICE_FLAGS_*` as they are. */
    readonly flags: number;
    /** Whether `reset()` works. A mediated device may accept a reset without saying so here. */
    readonly canReset: boolean;
    /** Whether it is a PCI device, so that its regions and interrupts have the fixed indexes of PCI. */
    readonly isPci: boolean;
    /** How many regions there are, empty ones included. */
    readonly regionCount: number;
    /** How many kinds of interrupt (not: how many interrupts) there are, empty ones included. */
    readonly irqCount: number;
}
