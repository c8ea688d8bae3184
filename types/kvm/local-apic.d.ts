/** A local APIC at one moment. It changes nothing until it is written back with `vcpu.writeLocalApic`. */
export declare class LocalApic {
    #private;
    /** The 1024 bytes. */
    readonly bytes: Uint8Array;
    /** Where messages find it. */
    get id(): number;
    /** Whether it takes interrupts. After a reset it does not, until the guest switches it on. */
    get enabled(): boolean;
    /** Its software-enable bit. */
    set enabled(on: boolean);
    /** The vectors that have arrived and that the vCPU has not taken (IRR). */
    get requested(): number[];
    /** The vectors that the vCPU has taken and not finished with an EOI (ISR). */
    get inService(): number[];
    /** Whether a vector has arrived and the vCPU has not taken it (IRR). */
    isRequested(vector: number): boolean;
    /** Forgets that a vector has arrived. */
    clearRequest(vector: number): void;
}
