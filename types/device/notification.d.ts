/**
 * ERR and REQ: what the kernel itself has to tell about a device.
 *
 * @module
 */
import { Interrupt } from "./interrupt.js";
import { IrqIndex } from "./irq-index.js";
/**
 * One of the kernel's two notifications, which may be on beside any interrupt:
 *
 * - ERR: an uncorrectable PCI Express error of the device. Do not trust what it did last; reset it.
 * - REQ: the host wants the device back (its driver is being unbound, or it is being removed). Close it soon: whoever asked
 *   waits, and asks again every few seconds.
 */
export declare class Notification extends IrqIndex {
    #private;
    get enabled(): boolean;
    /**
     * Switches it on.
     *
     * @throws VfioError `ENODEV` if the device has none; an error with `code` `ERR_INVALID_STATE` if it is on already
     */
    enable(): Interrupt;
    disable(): void;
}
