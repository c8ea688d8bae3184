/** What the fragments of the documents take for granted: the package, and some objects that a reader knows by their names. */
import type { Container, Device, DmaBuffer, Interrupt, Registers } from "vfio";
import type { Kvm, Vm } from "vfio/kvm";

export * from "vfio";
export { describe, test } from "vitest";
export { leaveOut, needs, rigOnly } from "../../rig/devices.js";
export { modes } from "../../rig/modes.js";

export declare const address: string;
export declare const container: Container;
export declare const device: Device;
export declare const driver: {
  stopSubmitting(): void;
  state(): Uint8Array;
  goOn(): void;
  resume(container: Container, memory: DmaBuffer | undefined, state: Uint8Array | undefined): void;
};
export declare const interrupt: Interrupt;
export declare const kvm: Kvm;
export declare const memory: DmaBuffer;
export declare const newVm: Vm;
export declare const registers: Registers;
export declare const ring: DmaBuffer;
export declare const socket: string;
export declare const vm: Vm;
