/**
 * INTx of a device as an interrupt of a guest.
 *
 * ```text
 *  device --> kernel, which masks the line --> eventfd --> irqfd --> GSI, raised --> vCPU
 *               ^                                                                    |
 *               +---- unmask eventfd <--- KVM: GSI lowered <--- the guest's EOI -----+
 * ```
 *
 * @module
 */
import { IntxLine } from "../device/intx.js";
import type { GuestConnection, VmPart } from "./part.js";
import { Vm } from "./vm.js";
/** How a line goes to a guest. */
export interface IntxConnectionOptions {
    /** The GSI that the line is wired to on the guest's board. It has a route. */
    readonly gsi: number;
    /**
     * Raises and lowers the line in a machine whose interrupt controllers are all in user space. Needed there only: it is
     * called with true when the device raises the line, with false by {@link IntxConnection.eoi}.
     */
    readonly setLevel?: (level: boolean) => void;
}
/**
 * Who does what:
 *
 * - `resample`: KVM all of it. With the full irqchip.
 * - `irqfd`: KVM raises the interrupt, the program tells of the guest's EOI with {@link IntxConnection.eoi}. With the split
 *   irqchip, whose IOAPIC is the program's own.
 * - `user`: the program does both. Without an irqchip in the kernel.
 */
export type IntxDelivery = "resample" | "irqfd" | "user";
/**
 * A line that goes to a guest. Made by {@link connectIntx}; disposing it gives the line back to this process, unmasked: what
 * the device raises still is heard there.
 */
export declare class IntxConnection implements VmPart, GuestConnection, Disposable {
    #private;
    readonly delivery: IntxDelivery;
    readonly gsi: number;
    /** For messages. */
    readonly label: string;
    /** The machine that it is, or was last, attached to. */
    get vm(): Vm;
    /** Whether the guest gets it. */
    get attached(): boolean;
    /** Whether it has been closed. */
    get closed(): boolean;
    /**
     * The guest has acknowledged the interrupt at its controller: lowers it, and unmasks the line. With `resample` KVM does that
     * itself, and this does nothing.
     */
    eoi(): void;
    /** Takes the line from the guest. What the device raises is counted. If it is detached, nothing is done. */
    detach(): void;
    /**
     * Gives the line back to the guest, which gets at once what has come meanwhile. If it is attached there, nothing is done.
     *
     * @param vm another machine to go to, of the same kind of irqchip; left out, the one that it was in
     * @throws VfioError; it is then detached, and can be tried again
     */
    attach(vm?: Vm): void;
    /** Gives the line back to this process, unmasked. A second call does nothing. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
/**
 * Wires a device's line straight into a guest, as far as the guest's irqchip allows: {@link IntxConnection.delivery} says how
 * far.
 *
 * @param line `device.intx.enable()`. Switching it off ends delivery; the connection is still to be closed.
 * @param vm borrowed; closing it closes the connection first
 * @throws VfioError `EAGAIN` if the machine has no irqchip in the kernel and there is no `setLevel`, `ENXIO` if the GSI has no
 *   route, `EBUSY` if the line has an unmask eventfd or its eventfd an irqfd; the line is then as it was, unmasked
 */
export declare function connectIntx(line: IntxLine, vm: Vm, options: IntxConnectionOptions): IntxConnection;
