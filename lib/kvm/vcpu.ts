/**
 * A vCPU, as far as interrupts need it: somebody to receive them.
 *
 * @module
 */

import { constants } from "node:os";
import { instanceOf } from "../base/arguments.js";
import { check, type VfioErrorInit } from "../base/errors.js";
import { showAs } from "../base/inspect.js";
import { OwnedFd } from "../kernel/fd.js";
import { native } from "../kernel/native.js";
import { LocalApic } from "./local-apic.js";
import type { VmPart } from "./part.js";

const { EINVAL, ENOTTY } = constants.errno;
const LAPIC_BYTES = 0x400;
const checkApic = instanceOf(LocalApic, "a LocalApic");

/** A vCPU. Made by `vm.createVcpu()`. */
export class Vcpu implements VmPart, Disposable {
  readonly id: number;
  readonly label: string;
  readonly #parts: Set<VmPart>;
  readonly #fd: OwnedFd;

  /** @internal */
  constructor(vm: { readonly fd: number; readonly label: string; readonly parts: Set<VmPart> }, id: number) {
    this.id = id;
    this.label = `vCPU ${id} of ${vm.label}`;
    this.#parts = vm.parts;
    const fd = check(native.kvmCreateVcpu(vm.fd, id), () => ({
      syscall: "ioctl",
      request: "KVM_CREATE_VCPU",
      args: { id },
      object: vm.label,
    }));
    this.#fd = new OwnedFd(fd, this.label);
    vm.parts.add(this);
  }

  /** The descriptor, borrowed: for who runs it. */
  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Reads its local APIC (`KVM_GET_LAPIC`).
   *
   * @throws VfioError `EINVAL` if the machine has none in the kernel, `ENOTTY` on other processors than x86
   */
  readLocalApic(): LocalApic {
    const bytes = new Uint8Array(LAPIC_BYTES);
    check(native.kvmGetLapic(this.fd, bytes), (errno) => this.#refusal("KVM_GET_LAPIC", errno));
    return new LocalApic(bytes);
  }

  /** Sets its local APIC (`KVM_SET_LAPIC`). What arrived since it was read is forgotten. Throws as {@link readLocalApic}. */
  writeLocalApic(apic: LocalApic): void {
    checkApic("apic", apic);
    check(native.kvmSetLapic(this.fd, apic.bytes), (errno) => this.#refusal("KVM_SET_LAPIC", errno));
  }

  #refusal(request: string, errno: number): Omit<VfioErrorInit, "errno"> {
    const why = new Map([
      [EINVAL, "the virtual machine has no local APICs in the kernel"],
      [ENOTTY, "this processor has no local APIC"],
    ]).get(errno);
    return { syscall: "ioctl", request, object: this.label, ...(why === undefined ? {} : { why }) };
  }

  /** Closes its descriptor; the vCPU itself goes with its machine. */
  close(): void {
    this.#parts.delete(this);
    this.#fd.close();
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

showAs(Vcpu, (vcpu) => vcpu.label);
