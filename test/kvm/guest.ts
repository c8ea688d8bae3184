/**
 * A guest of two pages, for what only a guest can do: take an interrupt, acknowledge it, write to a device.
 *
 * Running guests is not the library's business, so KVM_RUN and the memory slot are here. The processor comes out of reset 16
 * bytes below 4 GiB; the guest's pages are the last two, so that neither registers nor paging need setting up.
 *
 * @module
 */
import { DmaBuffer } from "vfio";
import type { Vcpu, Vm } from "vfio/kvm";
import { native } from "../../lib/kernel/native.js";

const KVM_GET_VCPU_MMAP_SIZE = 0xae04;
const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const KVM_RUN = 0xae80;
const KVM_EXIT_IO = 2;
// struct kvm_run
const EXIT_REASON = 8;
const EINTR = 4;

const BASE = 0xffffe000;
const IDT = 0x000;
const GDT = 0x800;
const GDTR = 0x820;
const IDTR = 0x828;
const COUNTER = 0x840;
const DOORBELL = 0x844;
const VALUE = 0x848;
const STACK = 0x1000;
const CODE = 0x1000;
const RESET = 0x1ff0;

const u16 = (value: number) => [value & 0xff, (value >>> 8) & 0xff];
const u32 = (value: number) => [...u16(value), ...u16(value >>> 16)];

/** mov dword [address], value */
const store = (address: number, value: number) => [0xc7, 0x05, ...u32(address), ...u32(value)];

/** What the guest sets up before it takes interrupts. */
export interface TinyGuestOptions {
  /** A level-triggered pin of the IOAPIC, and the vector that it is. */
  readonly pin?: { readonly pin: number; readonly vector: number };
}

/** A vCPU that takes every interrupt, counts it and acknowledges it at its local APIC. */
export class TinyGuest implements Disposable {
  readonly #vcpu: Vcpu;
  readonly #memory = DmaBuffer.allocate(0x2000, { name: "guest" });
  readonly #view = new DataView(this.#memory.arrayBuffer);
  readonly #run;

  constructor(vm: Vm, vcpu: Vcpu, options: TinyGuestOptions = {}) {
    this.#vcpu = vcpu;
    this.#load(options);
    // slot, flags, where for the guest, length, where in this process
    const region = new BigUint64Array([0n, BigInt(BASE), 0x2000n, BigInt(this.#memory.address)]);
    checked(native.ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, region));
    const kvm = checked(native.open("/dev/kvm", 2));
    const length = checked(native.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE));
    native.close(kvm);
    const run = native.mmap(length, 3, 1, vcpu.fd, 0, 0);
    if (typeof run === "number") throw new Error(`mmap of a vCPU: ${run}`);
    this.#run = run;
  }

  #load({ pin }: TinyGuestOptions): void {
    const put = (offset: number, bytes: readonly number[]) => this.#memory.bytes.set(bytes, offset);
    // Flat code and flat data.
    put(GDT, [...u32(0), ...u32(0), ...u32(0x0000ffff), ...u32(0x00cf9a00), ...u32(0x0000ffff), ...u32(0x00cf9200)]);
    put(GDTR, [...u16(23), ...u32(BASE + GDT)]);
    put(IDTR, [...u16(0x7ff), ...u32(BASE + IDT)]);

    const start16 = [
      0xfa, // cli
      ...[0x2e, 0x66, 0x0f, 0x01, 0x16, ...u16((BASE + GDTR) & 0xffff)], // lgdt cs:[GDTR]
      ...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // cr0 |= PE
    ];
    const protectedAt = CODE + start16.length + 8;
    const start32 = [
      ...[0x66, 0xb8, ...u16(0x10), 0x8e, 0xd8, 0x8e, 0xd0], // ds = ss = data
      ...[0xbc, ...u32(BASE + STACK)], // esp
      ...[0x0f, 0x01, 0x1d, ...u32(BASE + IDTR)], // lidt
      ...store(0xfee000f0, 0x1ff), // local APIC on
      ...(pin === undefined
        ? []
        : [...store(0xfec00000, 0x10 + 2 * pin.pin), ...store(0xfec00010, 0x8000 | pin.vector)]),
    ];
    const loop = [
      ...[0xfb, 0x90, 0x90, 0x90, 0xfa], // sti, time for an interrupt, cli
      ...[0x8b, 0x0d, ...u32(BASE + DOORBELL)], // ecx = [DOORBELL]
      ...[0xe3, 0x07], // if ecx:
      ...[0xa1, ...u32(BASE + VALUE), 0x89, 0x01], //   [ecx] = [VALUE]
      ...[0xe6, 0x80], // out 0x80, al: back to who runs this
    ];
    const handlerAt = protectedAt + start32.length + loop.length + 2;
    put(CODE, [
      ...start16,
      ...[0x66, 0xea, ...u32(BASE + protectedAt), ...u16(0x08)], // far jump to 32 bits
      ...start32,
      ...loop,
      ...[0xeb, 0x100 - loop.length - 2], // jmp loop
      ...[0xff, 0x05, ...u32(BASE + COUNTER)], // the handler: inc [COUNTER]
      ...store(0xfee000b0, 0), // EOI
      0xcf, // iret
    ]);
    put(RESET, [0xe9, ...u16(CODE - RESET - 3)]);
    const handler = BASE + handlerAt;
    for (let vector = 0; vector < 256; vector++) {
      put(IDT + 8 * vector, [...u16(handler), ...u16(0x08), 0x00, 0x8e, ...u16(handler >>> 16)]);
    }
  }

  /** Runs the guest once around its loop: it takes what is pending, and comes back also if nothing is. */
  step(): void {
    for (;;) {
      const status = native.ioctl(this.#vcpu.fd, KVM_RUN);
      if (status === -EINTR) continue;
      checked(status);
      const reason = native.mmioRead32(this.#run, EXIT_REASON);
      if (reason !== KVM_EXIT_IO) throw new Error(`the guest ended with exit reason ${reason}`);
      return;
    }
  }

  /** How many interrupts it has taken. */
  get interrupts(): number {
    return this.#view.getUint32(COUNTER, true);
  }

  /** Has the guest write a word to a physical address. */
  write(address: number, value: number): void {
    this.#view.setUint32(VALUE, value, true);
    this.#view.setUint32(DOORBELL, address, true);
    this.step();
    this.#view.setUint32(DOORBELL, 0, true);
  }

  /** After the machine is closed: until then the memory is the guest's. */
  [Symbol.dispose](): void {
    native.munmap(this.#run);
    this.#memory.close();
  }
}

function checked(status: number): number {
  if (status < 0) throw new Error(`a guest's system call: errno ${-status}`);
  return status;
}
