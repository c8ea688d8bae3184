/**
 * `/dev/kvm`: what this machine's KVM can do, and virtual machines.
 *
 * @module
 */

import { constants } from "node:os";
import { checkInteger, checkString } from "../base/arguments.js";
import { check, VfioError } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import type { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { openNode } from "../kernel/open-node.js";
import { KVM_API_VERSION } from "../kernel/uapi.js";
import { Vm, type VmOptions } from "./vm.js";

const { EACCES, ENOENT, ENODEV, ENXIO, EPERM } = constants.errno;

/** KVM, opened. Virtual machines that it made stay when it is closed. */
export class Kvm implements Disposable {
  readonly #fd: OwnedFd;

  private constructor(fd: OwnedFd) {
    this.#fd = fd;
  }

  /**
   * Opens KVM.
   *
   * @throws VfioError `ENOENT` without KVM, `EACCES` without the permission, `ENOTTY` if the file is not KVM; it says what
   *   to do
   */
  static open(path = "/dev/kvm"): Kvm {
    checkString("path", path);
    const fd = openNode(path, explainOpen);
    try {
      const version = check(native.kvmGetApiVersion(fd.number), () => ({
        syscall: "ioctl",
        request: "KVM_GET_API_VERSION",
        path,
        why: "the file is not KVM's",
      }));
      // The interface has been stable since 12; the kernel's document says to refuse anything else.
      if (version !== KVM_API_VERSION) {
        throw new VfioError({
          errno: ENODEV,
          syscall: "ioctl",
          request: "KVM_GET_API_VERSION",
          path,
          why: `it speaks version ${version} of KVM's interface, this package version ${KVM_API_VERSION}`,
        });
      }
    } catch (error) {
      fd.close();
      throw error;
    }
    return new Kvm(fd);
  }

  /**
   * Asks for an ability (`KVM_CHECK_EXTENSION`).
   *
   * @param capability one of the kernel's `KVM_CAP_*` numbers
   * @returns 0 if KVM does not have it; otherwise 1, or a number with a meaning of its own
   */
  checkExtension(capability: number): number {
    checkInteger("capability", capability, 0, 0xffff_ffff);
    return check(native.kvmCheckExtension(this.#fd.number, capability), () => ({
      syscall: "ioctl",
      request: "KVM_CHECK_EXTENSION",
      args: { capability },
      object: this.#fd.label,
    }));
  }

  /**
   * Makes a virtual machine, without memory and vCPUs.
   *
   * @throws VfioError
   */
  createVm(options: VmOptions = {}): Vm {
    return Vm.create(this.#fd.number, options);
  }

  /** Closes `/dev/kvm`; machines that it made go on. */
  close(): void {
    this.#fd.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function explainOpen(errno: number): { why?: string; fix?: string } {
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return {
        why: "there is no KVM: the processor (or, in a virtual machine, its hypervisor) offers no virtualisation, or the module is not loaded",
        fix: "modprobe kvm_intel or kvm_amd, and look in dmesg for why it refuses; in a virtual machine, switch nested virtualisation on",
      };
    case EACCES:
    case EPERM:
      return {
        why: "this process may not open it",
        fix: "add the user to the group that the file belongs to (usually kvm), or run as root",
      };
    default:
      return {};
  }
}

showAs(Kvm, () => "/dev/kvm");
