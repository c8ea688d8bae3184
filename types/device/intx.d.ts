import { Interrupt, type WaitOptions } from "./interrupt.js";
import { IrqIndex } from "./irq-index.js";
/**
 * The device's line, switched on.
 *
 * A line stays raised until the device is told that it was heard. So the kernel masks it when it delivers, or nothing else
 * would run any more: **the program acknowledges the interrupt at the device, then unmasks the line**. Unmasked while the
 * device still raises it, the line is delivered again at once.
 *
 * `for await` unmasks by itself each time around: the loop's body acknowledges. After an event, {@link wait},
 * {@link waitSync} and {@link take} the program calls {@link unmask}. A loop that is left leaves the line masked.
 */
export declare class IntxLine extends Interrupt {
    #private;
    /** Masks the line: what the device raises is delivered once it is unmasked. */
    mask(): void;
    /** Unmasks the line. Delivered at once is what the device raises still, or raised meanwhile. */
    unmask(): void;
    /**
     * The counts of the deliveries, one after the other; the line is unmasked each time around.
     *
     * @param options.unmask `false` leaves unmasking to the program
     */
    interrupts(options?: Pick<WaitOptions, "signal"> & {
        readonly unmask?: boolean;
    }): AsyncIterableIterator<number>;
    /**
     * Has the kernel unmask the line whenever an eventfd is signalled, without this process: what KVM's irqfd calls
     * resampling. Mask the line first, hand both eventfds to KVM, then set this, then unmask (otherwise an interrupt that is
     * delivered in between stays masked for ever).
     *
     * @param eventfd borrowed, and needed only during the call, since the line keeps a duplicate; left out, one is made
     * @returns the line's own descriptor of the eventfd, borrowed
     * @throws VfioError `EBUSY` if one is set, `ENOTTY` if the device's driver has none
     */
    setUnmaskEventfd(eventfd?: number): number;
    /** Takes the eventfd of {@link setUnmaskEventfd} back. Does nothing if there is none. */
    clearUnmaskEventfd(): void;
    /** The eventfd that unmasks the line, borrowed, if one is set. */
    get unmaskEventfd(): number | undefined;
}
/** INTx of a device. */
export declare class Intx extends IrqIndex {
    #private;
    get enabled(): boolean;
    /** The line, while it is on. */
    get line(): IntxLine | undefined;
    /**
     * Switches the line on, unmasked.
     *
     * @throws VfioError `EBUSY` if MSI or MSI-X is on, or if the line is shared with another driver and the device cannot be
     *   told apart; `ENODEV` if the device has no line; an error with `code` `ERR_INVALID_STATE` if it is on already
     */
    enable(): IntxLine;
    disable(): void;
}
