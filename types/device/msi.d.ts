/**
 * MSI and MSI-X: interrupts that the device sends as memory writes, a vector each.
 *
 * @module
 */
import { Interrupt } from "./interrupt.js";
import { IrqIndex } from "./irq-index.js";
/**
 * MSI or MSI-X of a device.
 *
 * It is on while it has vectors: {@link enable} or {@link enableVector} switches it on, {@link disable} or the closing of
 * the last vector switches it off.
 */
export declare class MessageInterrupts extends IrqIndex {
    #private;
    get enabled(): boolean;
    /** The vectors that are on, by their numbers. */
    get vectors(): ReadonlyMap<number, Interrupt>;
    /**
     * A vector that is on.
     *
     * @throws an error with `code` `ERR_INVALID_STATE` if it is off
     */
    vector(index: number): Interrupt;
    /**
     * Switches it on with vectors 0 to `count - 1`.
     *
     * @returns the vectors, in order
     * @throws RangeError for more than the device has; VfioError `ENOSPC` if the machine has fewer left (`error.args.available`
     *   says how many), `EBUSY` if INTx or the other kind of MSI is on, `ENODEV` if the device has none; an error with `code`
     *   `ERR_INVALID_STATE` if it is on already
     */
    enable(count: number): readonly Interrupt[];
    /**
     * Switches one more vector on, or the first.
     *
     * A device whose `info.noresize` is set (MSI; MSI-X on an older kernel or without an interrupt-remapping-style MSI
     * domain) cannot have more vectors than it was switched on with: then all are switched off and on again, with the same
     * eventfds, and what the device raises in between is lost. Enable as many as will be needed at once, or keep the device
     * quiet meanwhile.
     *
     * @throws as {@link enable}; those that were on stay on
     */
    enableVector(index: number): Interrupt;
    /** Switches every vector off. Does nothing if it is off. */
    disable(): void;
    /**
     * Has the kernel signal several vectors as if the device had raised them, in one call.
     *
     * @throws VfioError
     */
    trigger(vectors: Interrupt | Iterable<number>): void;
    /**
     * Has the kernel signal another eventfd for a vector that is on, instead of the vector's own: one that a guest's
     * interrupt hangs on.
     *
     * The kernel takes its handler away for a moment. What the device raises then stays pending in an MSI-X vector, and is lost
     * in one of MSI, which need not have such a bit. A message that is on its way to a processor just then can be lost in both:
     * keep the device quiet where that matters.
     *
     * @param eventfd borrowed, and to be kept open until it is taken back or the vector is off; undefined takes it back
     * @throws VfioError; the vector then signals what it did before
     */
    redirect(index: number, eventfd: number | undefined): void;
}
