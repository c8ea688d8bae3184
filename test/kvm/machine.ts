/**
 * A machine to see interrupts arrive in, and workers that get in its way.
 *
 * @module
 */
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { Worker } from "node:worker_threads";
import type { Kvm, MsiMessage, Vcpu, Vm, VmOptions } from "vfio/kvm";

/** Why KVM cannot be used here; undefined if it can. */
export function noKvm(): string | undefined {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `/dev/kvm does not open here: ${error instanceof Error ? error.message : error}`;
  }
}

/** The message of a vector to APIC 0. */
export const message = (vector: number): MsiMessage => ({ address: 0xfee0_0000, data: vector });

/** A virtual machine with one vCPU, whose local APIC takes interrupts. */
export class Machine implements Disposable {
  readonly vm: Vm;
  readonly vcpu: Vcpu;

  constructor(kvm: Kvm, options: VmOptions = {}) {
    this.vm = kvm.createVm(options);
    this.vcpu = this.vm.createVcpu();
    const apic = this.vcpu.readLocalApic();
    apic.enabled = true;
    this.vcpu.writeLocalApic(apic);
  }

  /** The vectors that have arrived and that nobody has taken. */
  get arrived(): number[] {
    return this.vcpu.readLocalApic().requested;
  }

  /** Waits until a vector has arrived, without the event loop, and forgets it. False if it did not come. */
  take(vector: number, milliseconds = 10_000): boolean {
    const deadline = performance.now() + milliseconds;
    for (;;) {
      const apic = this.vcpu.readLocalApic();
      if (apic.isRequested(vector)) {
        apic.clearRequest(vector);
        this.vcpu.writeLocalApic(apic);
        return true;
      }
      if (performance.now() > deadline) return false;
    }
  }

  /** Routes a free GSI to a vector. */
  route(vector: number): number {
    const gsi = this.vm.routing.allocate();
    this.vm.routing.setMsi(gsi, message(vector)).commit();
    return gsi;
  }

  [Symbol.dispose](): void {
    this.vm.close();
  }
}

/** The addon, for workers: they load no TypeScript. */
const addon = new URL("../../dist/kernel/native.js", import.meta.url).href;

/** Another thread of this process, whose program has the addon as `native` and what it was given as `data`. */
export async function startWorker(program: string, data: unknown): Promise<Worker> {
  const worker = new Worker(
    `const { parentPort, workerData: data } = require("node:worker_threads");
     import(${JSON.stringify(addon)}).then(({ native }) => {
       parentPort.postMessage("ready");
       ${program}
     });`,
    { eval: true, workerData: data },
  );
  await once(worker, "message");
  return worker;
}

/**
 * Takes an irqfd away from KVM and brings it back, all the while, from another thread; as the library's IrqFd does, with the
 * count that KVM has raised forgotten.
 */
export async function startReassigning(vm: Vm, eventfd: number, gsi: number): Promise<{ stop(): Promise<number> }> {
  const running = new Int32Array(new SharedArrayBuffer(4));
  const worker = await startWorker(
    `const { vm, eventfd, gsi, running } = data;
     let rounds = 0;
     let bad = 0;
     while (Atomics.load(running, 0) === 0) {
       if (native.kvmIrqfd(vm, eventfd, gsi, 1, 0) !== 0) bad++;
       if (native.kvmIrqfd(vm, eventfd, gsi, 0, 0) !== 0) bad++;
       native.eventfdReadNow(eventfd);
       rounds++;
     }
     parentPort.postMessage(bad === 0 ? rounds : -bad);`,
    { vm: vm.fd, eventfd, gsi, running },
  );
  return {
    stop: async () => {
      // Both at once: Node may deliver the last message and the end in one go.
      const ended = Promise.all([once(worker, "message"), once(worker, "exit")]);
      Atomics.store(running, 0, 1);
      const [[rounds]] = await ended;
      return Number(rounds);
    },
  };
}
