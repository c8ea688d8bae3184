/**
 * KVM's own device of the type VFIO: it tells KVM of VFIO's files, and them of it.
 *
 * The kernel's Documentation/virt/kvm/devices/vfio.rst.
 *
 * @module
 */
import type { VmPart } from "./part.js";
/**
 * The one VFIO device of a virtual machine. Made by `vm.createVfioDevice()`.
 *
 * A file is a device's group or its character device. Drivers that need KVM look for it when the device is opened, so a file
 * is added before: `container.attach(address, { beforeOpen: (file) => vfio.addFile(file) })`. VFIO keeps the KVM that it found
 * then until the device is closed.
 */
export declare class KvmVfioDevice implements VmPart, Disposable {
    #private;
    readonly label: string;
    /** Whether KVM takes files, and not only groups' (`KVM_HAS_DEVICE_ATTR`). */
    get takesFiles(): boolean;
    /** The descriptor, borrowed. */
    get fd(): number;
    /**
     * Adds a file. KVM keeps it open, also when its descriptors here are closed, until it is removed or this device is closed:
     * so a group cannot be opened anew before.
     *
     * @param file borrowed, and needed only during the call: the descriptor of a VFIO group or character device
     * @returns what removes it when it is disposed; the device may be open or closed then
     * @throws VfioError `EEXIST` if it was added already, `EBADF` if it is closed, `EINVAL` if it is no file of VFIO's
     */
    addFile(file: number): Disposable;
    /** Removes every file, and the device. */
    close(): void;
    /** {@link close}, for `using`. */
    [Symbol.dispose](): void;
}
