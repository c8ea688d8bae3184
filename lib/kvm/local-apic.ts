/**
 * The registers of a vCPU's local APIC, as `KVM_GET_LAPIC` reads them.
 *
 * The register offsets are those of Intel's manual, volume 3, "Local APIC Register Address Map".
 *
 * @module
 */
import { checkBoolean, checkInteger } from "../base/arguments.js";

const ID = 0x20;
const SPURIOUS_VECTOR = 0xf0;
const IN_SERVICE = 0x100;
const REQUEST = 0x200;

const SOFTWARE_ENABLE = 0x100;

/** A local APIC at one moment. It changes nothing until it is written back with `vcpu.writeLocalApic`. */
export class LocalApic {
  /** The 1024 bytes. */
  readonly bytes: Uint8Array;
  readonly #registers: DataView;

  /** @internal */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#registers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where messages find it. */
  get id(): number {
    return this.#registers.getUint32(ID, true) >>> 24;
  }

  /** Whether it takes interrupts. After a reset it does not, until the guest switches it on. */
  get enabled(): boolean {
    return (this.#registers.getUint32(SPURIOUS_VECTOR, true) & SOFTWARE_ENABLE) !== 0;
  }

  /** Its software-enable bit. */
  set enabled(on: boolean) {
    checkBoolean("enabled", on);
    const register = this.#registers.getUint32(SPURIOUS_VECTOR, true);
    this.#registers.setUint32(
      SPURIOUS_VECTOR,
      on ? register | SOFTWARE_ENABLE | 0xff : register & ~SOFTWARE_ENABLE,
      true,
    );
  }

  /** The vectors that have arrived and that the vCPU has not taken (IRR). */
  get requested(): number[] {
    return vectors.filter((vector) => this.isRequested(vector));
  }

  /** The vectors that the vCPU has taken and not finished with an EOI (ISR). */
  get inService(): number[] {
    return vectors.filter((vector) => this.#bit(IN_SERVICE, vector));
  }

  /** Whether a vector has arrived and the vCPU has not taken it (IRR). */
  isRequested(vector: number): boolean {
    return this.#bit(REQUEST, vector);
  }

  /** Forgets that a vector has arrived. */
  clearRequest(vector: number): void {
    const at = word(REQUEST, vector);
    this.#registers.setUint32(at, this.#registers.getUint32(at, true) & ~(1 << (vector % 32)), true);
  }

  #bit(base: number, vector: number): boolean {
    return ((this.#registers.getUint32(word(base, vector), true) >>> (vector % 32)) & 1) === 1;
  }
}

const vectors = Array.from({ length: 256 }, (_, vector) => vector);

/** The 256 bits are in 32-bit registers, 16 bytes apart. */
function word(base: number, vector: number): number {
  checkInteger("vector", vector, 0, 255);
  return base + Math.floor(vector / 32) * 16;
}
