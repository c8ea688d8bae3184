/**
 * A vCPU, as far as interrupts need it: somebody to receive them.
 *
 * @module
 */
import { LocalApic } from "./local-apic.js";
import type { VmPart } from "./part.js";
/** A vCPU. Made by `vm.createVcpu()`. */
export declare class Vcpu implements VmPart, Disposable {
    #private;
    readonly id: number;
    readonly label: string;
    /** The descriptor, borrowed: for who runs it. */
    get fd(): number;
    /**
     * Reads its local APIC (`KVM_GET_LAPIC`).
     *
     * @throws VfioError `EINVAL` if the machine has none in the kernel, `ENOTTY` on other processors than x86
     */
    readLocalApic(): LocalApic;
    /** Sets its local APIC (`KVM_SET_LAPIC`). What arrived since it was read is forgotten. Throws as {@link readLocalApic}. */
    writeLocalApic(apic: LocalApic): void;
    /** Closes its descriptor; the vCPU itself goes with its machine. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
