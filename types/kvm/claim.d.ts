import type { Interrupt } from "../device/interrupt.js";
import type { Vm } from "./vm.js";
/** The connection that has an interrupt. */
interface Holder {
    readonly vm: Vm;
    readonly attached: boolean;
    readonly eventfd: number;
}
/**
 * Claims an interrupt for a connection.
 *
 * @param holder says where it goes, whenever somebody asks
 * @returns ends the claim
 * @throws VfioError `EBUSY` if it goes to a guest already
 */
export declare function claim(interrupt: Interrupt, vm: Vm, holder: Holder): () => void;
export {};
