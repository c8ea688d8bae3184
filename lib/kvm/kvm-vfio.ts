/**
 * KVM's own device of the type VFIO: it tells KVM of VFIO's files, and them of it.
 *
 * The kernel's Documentation/virt/kvm/devices/vfio.rst.
 *
 * @module
 */

import { constants } from "node:os";
import { checkDescriptor } from "../base/arguments.js";
import { check, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { KVM_DEV_TYPE_VFIO, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, KVM_DEV_VFIO_FILE_DEL } from "../kernel/uapi.js";
import type { VmPart } from "./part.js";

const { EBADF, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT } = constants.errno;

/**
 * The one VFIO device of a virtual machine. Made by `vm.createVfioDevice()`.
 *
 * A file is a device's group or its character device. Drivers that need KVM look for it when the device is opened, so a file
 * is added before: `container.attach(address, { beforeOpen: (file) => vfio.addFile(file) })`. VFIO keeps the KVM that it found
 * then until the device is closed.
 */
export class KvmVfioDevice implements VmPart, Disposable {
  readonly label: string;
  readonly #parts: Set<VmPart>;
  readonly #fd: OwnedFd;
  readonly #files = new Set<OwnedFd>();

  /** @internal */
  constructor(vm: { readonly fd: number; readonly label: string; readonly parts: Set<VmPart> }) {
    this.label = `the VFIO device of ${vm.label}`;
    this.#parts = vm.parts;
    const why = new Map([
      [EBUSY, "a virtual machine has one such device, and this one has it already"],
      [ENODEV, "the kernel was built without it (CONFIG_KVM_VFIO)"],
    ]);
    const fd = check(native.kvmCreateDevice(vm.fd, KVM_DEV_TYPE_VFIO), (errno) => {
      const reason = why.get(errno);
      return {
        syscall: "ioctl",
        request: "KVM_CREATE_DEVICE",
        args: { type: "vfio" },
        object: vm.label,
        ...(reason === undefined ? {} : { why: reason }),
      };
    });
    this.#fd = new OwnedFd(fd, this.label);
    vm.parts.add(this);
  }

  /** Whether KVM takes files, and not only groups' (`KVM_HAS_DEVICE_ATTR`). */
  get takesFiles(): boolean {
    return native.kvmHasDeviceAttr(this.#fd.number, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD) === 0;
  }

  /** The descriptor, borrowed. */
  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Adds a file. KVM keeps it open, also when its descriptors here are closed, until it is removed or this device is closed:
   * so a group cannot be opened anew before.
   *
   * @param file borrowed, and needed only during the call: the descriptor of a VFIO group or character device
   * @returns what removes it when it is disposed; the device may be open or closed then
   * @throws VfioError `EEXIST` if it was added already, `EBADF` if it is closed, `EINVAL` if it is no file of VFIO's
   */
  addFile(file: number): Disposable {
    checkDescriptor("file", file);
    // KVM removes a file by a descriptor of it, and the caller's may be closed by then.
    const copy = new OwnedFd(
      check(native.dup(file), (errno) => this.#describe("FILE_ADD", errno, file)),
      `VFIO file of ${this.label}`,
    );
    try {
      this.#set("FILE_ADD", KVM_DEV_VFIO_FILE_ADD, copy.number);
    } catch (error) {
      copy.close();
      throw error;
    }
    this.#files.add(copy);
    return { [Symbol.dispose]: () => this.#remove(copy) };
  }

  #remove(copy: OwnedFd): void {
    if (!this.#files.delete(copy)) return;
    try {
      this.#set("FILE_DEL", KVM_DEV_VFIO_FILE_DEL, copy.number);
    } finally {
      copy.close();
    }
  }

  #set(action: "FILE_ADD" | "FILE_DEL", attribute: number, file: number): void {
    const status = native.kvmSetDeviceAttrFd(this.#fd.number, KVM_DEV_VFIO_FILE, attribute, file);
    if (status < 0) throw new VfioError({ errno: status, ...this.#describe(action, -status, file) });
  }

  #describe(action: "FILE_ADD" | "FILE_DEL", errno: number, file: number) {
    const why = new Map([
      [EEXIST, "the file was added already"],
      [ENOENT, "the file was not added"],
      [EBADF, "the descriptor is not open"],
      [EINVAL, "the file is neither a VFIO group nor a VFIO device"],
    ]).get(errno);
    return {
      syscall: "ioctl",
      request: "KVM_SET_DEVICE_ATTR",
      args: { action, file },
      object: this.label,
      ...(why === undefined ? {} : { why }),
    };
  }

  /** Removes every file, and the device. */
  close(): void {
    this.#parts.delete(this);
    this.#fd.close();
    for (const copy of this.#files) copy.close();
    this.#files.clear();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

showAs(KvmVfioDevice, (device) => device.label);
