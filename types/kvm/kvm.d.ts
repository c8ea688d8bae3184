/**
 * `/dev/kvm`: what this machine's KVM can do, and virtual machines.
 *
 * @module
 */
import { Vm, type VmOptions } from "./vm.js";
/** KVM, opened. Virtual machines that it made stay when it is closed. */
export declare class Kvm implements Disposable {
    #private;
    private constructor();
    /**
     * Opens KVM.
     *
     * @throws VfioError `ENOENT` without KVM, `EACCES` without the permission, `ENOTTY` if the file is not KVM; it says what
     *   to do
     */
    static open(path?: string): Kvm;
    /**
     * Asks for an ability (`KVM_CHECK_EXTENSION`).
     *
     * @param capability one of the kernel's `KVM_CAP_*` numbers
     * @returns 0 if KVM does not have it; otherwise 1, or a number with a meaning of its own
     */
    checkExtension(capability: number): number;
    /**
     * Makes a virtual machine, without memory and vCPUs.
     *
     * @throws VfioError
     */
    createVm(options?: VmOptions): Vm;
    /** Closes `/dev/kvm`; machines that it made go on. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
