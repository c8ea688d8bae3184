/**
 * Which interrupt a GSI is: KVM's routing table.
 *
 * @module
 */
import { type Check } from "../base/arguments.js";
/** What a device's MSI or MSI-X vector writes where, as the guest has programmed it. */
export interface MsiMessage {
    /** On x86 `0xfee00000`, with the destination's APIC id from bit 12 on. */
    readonly address: number | bigint;
    /** On x86 the vector in the low byte. */
    readonly data: number;
    /** Who writes (a PCI requester's id), where the guest's controller wants to know: Arm's ITS. */
    readonly deviceId?: number;
}
/** A pin of an interrupt controller that is in the kernel. */
export interface IrqchipPin {
    /** x86's controllers by name; others by the kernel's number. */
    readonly irqchip: "pic-master" | "pic-slave" | "ioapic" | number;
    readonly pin: number;
}
/** What a GSI stands for: one message, or one pin on each of several controllers. */
export type GsiRoute = {
    readonly msi: MsiMessage;
} | {
    readonly pins: readonly IrqchipPin[];
};
/** @throws TypeError, RangeError */
export declare const checkGsi: Check;
/** @throws TypeError, RangeError */
export declare const checkMessage: Check;
/** The IOAPIC's pins, and the GSIs that stand for them. */
export declare const IOAPIC_PINS = 24;
/** The table that KVM_CREATE_IRQCHIP makes on x86: GSI n is pin n of the IOAPIC, and IRQ n of the PICs up to 15. */
export declare function defaultRoutes(): Map<number, GsiRoute>;
/**
 * The routing table of a virtual machine.
 *
 * KVM knows only "replace the whole table": so changes gather here, and {@link commit} hands them over together, at the price
 * of one call. Until then nothing has changed. One table belongs to one process: two that commit replace each other's.
 */
export declare class GsiRouting {
    #private;
    /** Whether it is known what is in the table: not so in a machine that was taken over without saying. */
    get known(): boolean;
    /** The table that is in force. */
    get routes(): ReadonlyMap<number, GsiRoute>;
    /** Whether there are changes that are not in force yet. */
    get changed(): boolean;
    /**
     * Sets a free GSI aside: one above the controllers' pins. {@link delete} gives it back.
     *
     * @throws VfioError `ENOSPC` if there is none
     */
    allocate(): number;
    /** From the next commit on, the GSI is a message. */
    setMsi(gsi: number, message: MsiMessage): this;
    /** From the next commit on, the GSI is these pins. */
    setPins(gsi: number, pins: readonly IrqchipPin[]): this;
    /** From the next commit on, the GSI is nothing. It can be allocated again at once. */
    delete(gsi: number): this;
    /**
     * Puts all changes in force at once. Without changes it does nothing.
     *
     * @throws VfioError if KVM refuses; an error with `code` `ERR_INVALID_STATE` if something hangs on a GSI that would have no
     *   route, since KVM drops such interrupts. The changes are then still there, to be mended or {@link rollback rolled back}.
     */
    commit(): void;
    /** Forgets the changes that are not in force yet. */
    rollback(): void;
}
